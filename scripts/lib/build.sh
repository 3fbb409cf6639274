# Packages, configuration and compilation of a preset. Sourced after common.sh, onednn.sh and opentelemetry.sh.
#
# CONTEXTURE_TRACES=ON installs what traces need, OFF leaves them out; else they are built where it is installed.

BUILD_PACKAGES=(
  ca-certificates ccache cmake g++ lld ninja-build pkg-config
  libabsl-dev libcli11-dev libgrpc++-dev libprotobuf-dev libssl-dev libyaml-cpp-dev
  nlohmann-json3-dev prometheus-cpp-dev protobuf-compiler protobuf-compiler-grpc
)
TEST_PACKAGES=(gnuplot-nox libgmock-dev libgtest-dev)
# What Cargo.lock's format and the tokenizers crate need.
CARGO_MINIMUM=1.85

repository() { cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd; }

# Any Rust that is new enough serves; Debian 12's own is not, its rustc-web is.
provide_cargo() {
  if ! command -v cargo >/dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then
    PATH="$HOME/.cargo/bin:$PATH"
  fi
  local version
  version=$(cargo --version 2>/dev/null | cut -d' ' -f2) || true
  if [ -n "$version" ] && printf '%s\n' "$CARGO_MINIMUM" "$version" | sort -V -C; then return 0; fi
  apt_install rustc-web cargo-web
}

# compile DIRECTORY LABEL [TARGET...]
compile() {
  local directory=$1 label=$2
  shift 2
  export NINJA_STATUS="[$label %p %es] "
  # Paths relative to the checkout, so that another checkout finds the same objects in the cache.
  export CCACHE_BASEDIR CCACHE_NOHASHDIR=1
  CCACHE_BASEDIR=$(repository)
  if [ -t 2 ]; then
    ninja -C "$directory" -j "$JOBS" "$@" >&2
  else
    ninja -C "$directory" -j "$JOBS" "$@" 2>&1 | show_progress 5 >&2
  fi
}

# configure PRESET [CMAKE OPTION...]: quiet unless it fails.
configure() {
  local preset=$1 log
  shift
  log=$(mktemp)
  if ! cmake -S "$(repository)" --preset "$preset" \
    "-DCONTEXTURE_ONEDNN_PREFIX=$(onednn_prefix)" "$@" >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    rm -f "$log"
    die "cmake cannot configure the preset '$preset' (see above)"
  fi
  grep -E '^CMake Warning' -A 5 "$log" >&2 || true
  rm -f "$log"
}

# build_preset PRESET [TARGET...]: from a bare machine to build/PRESET. Without targets: everything.
# `release` is what is shipped and leaves the tests out.
build_preset() {
  local preset=$1 tests=ON options=()
  shift
  [ "$preset" = release ] && tests=OFF
  apt_install "${BUILD_PACKAGES[@]}"
  [ "$tests" = OFF ] || apt_install "${TEST_PACKAGES[@]}"
  provide_cargo
  provide_onednn
  [ "${CONTEXTURE_TRACES:-}" != ON ] || provide_opentelemetry
  [ -z "${CONTEXTURE_TRACES:-}" ] || options+=("-DCONTEXTURE_TRACES=$CONTEXTURE_TRACES")
  say "building the preset '$preset' in build/$preset ($JOBS jobs)"
  (cd "$(repository)" && configure "$preset" "-DCONTEXTURE_TESTS=$tests" "${options[@]}") || exit 1
  compile "$(repository)/build/$preset" "$preset" "$@" || die "the preset '$preset' does not build (see above)"
}
