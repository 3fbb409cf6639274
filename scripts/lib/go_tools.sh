# Programs of the deployment's tests that Debian 12 lacks and Go's registry has. Sourced after common.sh.

GO_TOOLS=(
  helm.sh/helm/v3/cmd/helm@v3.22.0
  # Reads a Compose file as docker compose does; its program is called cmd.
  github.com/compose-spec/compose-go/v2/cmd@v2.16.2
)
GO_TOOLS_PATIENCE=20m

# provide_go_tools: puts them on PATH, helm as helm and compose-go as compose-go. Without Go, or where one cannot be
# built (helm takes minutes), it says so and goes on: the tests that need them are skipped.
provide_go_tools() {
  local target="$CONTEXTURE_CACHE/go-tools" tool name
  command -v go >/dev/null || { say "no Go: tests that need helm or compose-go are skipped"; return 0; }
  mkdir -p "$target"
  for tool in "${GO_TOOLS[@]}"; do
    name=$(printf '%s' "$tool" | tr -c 'a-zA-Z0-9.' '-')
    [ -e "$target/$name" ] && continue
    say "building $tool"
    if ! GOBIN="$target" timeout "$GO_TOOLS_PATIENCE" go install "$tool" >&2; then
      say "go could not install $tool: tests that need it are skipped"
      continue
    fi
    [ ! -e "$target/cmd" ] || mv "$target/cmd" "$target/compose-go"
    : >"$target/$name"
  done
  PATH="$target:$PATH"
}
