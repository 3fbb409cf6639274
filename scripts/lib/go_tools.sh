# Programs of the deployment's tests that Debian 12 lacks and Go's registry has. Sourced after common.sh.

GO_TOOLS=(
  helm.sh/helm/v3/cmd/helm@v3.22.0
  # Reads a Compose file as docker compose does; its program is called cmd.
  github.com/compose-spec/compose-go/v2/cmd@v2.16.2
)
GO_TOOLS_PATIENCE=20m
# MODULE FILE: the definitions of the custom resources that the chart has, in the modules of those who define them.
CUSTOM_RESOURCES=(
  "sigs.k8s.io/gateway-api@v1.2.1 config/crd/standard/gateway.networking.k8s.io_grpcroutes.yaml"
  "github.com/prometheus-operator/prometheus-operator@v0.79.2 example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml"
  "github.com/prometheus-operator/prometheus-operator@v0.79.2 example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml"
  "github.com/prometheus-operator/prometheus-operator@v0.79.2 example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml"
  "github.com/kedacore/keda/v2@v2.16.1 config/crd/bases/keda.sh_scaledobjects.yaml"
)

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

# provide_custom_resources: puts their definitions into a directory and its name into CONTEXTURE_CUSTOM_RESOURCES.
# Where one cannot be had it says so and goes on: the test that needs them is skipped.
provide_custom_resources() {
  local target entry module file directory
  command -v go >/dev/null || return 0  # provide_go_tools has said so
  target="$CONTEXTURE_CACHE/custom-resources/$(printf '%s\n' "${CUSTOM_RESOURCES[@]}" | sha256sum | cut -c 1-16)"
  if [ ! -d "$target" ]; then
    rm -rf "$target.new"
    mkdir -p "$target.new"
    for entry in "${CUSTOM_RESOURCES[@]}"; do
      read -r module file <<<"$entry"
      directory=$(cd / && go mod download -json "$module" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",$/\1/p') || true
      if [ -z "$directory" ] || ! cp "$directory/$file" "$target.new/"; then
        say "go could not get $file of $module: the test of custom resources is skipped"
        return 0
      fi
    done
    mv "$target.new" "$target"
  fi
  export CONTEXTURE_CUSTOM_RESOURCES="$target"
}
