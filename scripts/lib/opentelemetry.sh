# Provides opentelemetry-cpp for traces. Sourced after common.sh and onednn.sh.
#
# Debian 12 has it in its backports, built against Debian 12's own gRPC. The machine's apt configuration is not
# touched: the suite is looked at through a view of its own, as oneDNN's sources are.

OPENTELEMETRY_PACKAGE=opentelemetry-cpp-dev

provide_opentelemetry() {
  dpkg-query -W -f='${Status}' "$OPENTELEMETRY_PACKAGE" 2>/dev/null | grep -q 'ok installed' && return 0
  local dir mirror suite
  mirror=$(debian_mirror)
  suite=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
  if [ -z "$mirror" ] || [ -z "$suite" ]; then
    die "no Debian mirror found in the apt configuration: install $OPENTELEMETRY_PACKAGE by hand"
  fi
  say "installing $OPENTELEMETRY_PACKAGE from $suite-backports"
  dir=$(mktemp -d)
  mkdir -p "$dir/parts" "$dir/lists/partial"
  printf 'Types: deb\nURIs: %s\nSuites: %s %s-updates %s-backports\nComponents: main\nSigned-By: %s\n' "$mirror" \
    "$suite" "$suite" "$suite" /usr/share/keyrings/debian-archive-keyring.gpg >"$dir/parts/backports.sources"
  opentelemetry_apt "$dir" update -qq || die "apt-get cannot read $suite-backports"
  opentelemetry_apt "$dir" install -y -q --no-install-recommends -t "$suite-backports" "$OPENTELEMETRY_PACKAGE" >&2 ||
    die "apt-get could not install $OPENTELEMETRY_PACKAGE from $suite-backports"
  rm -rf "$dir"
}

# opentelemetry_apt DIRECTORY ARGUMENT...: apt-get that sees DIRECTORY/parts alone.
opentelemetry_apt() {
  local dir=$1
  shift
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -o Dir::Etc::sourcelist=/dev/null \
    -o "Dir::Etc::sourceparts=$dir/parts" -o "Dir::State::lists=$dir/lists" -o APT::Sandbox::User=root "$@"
}
