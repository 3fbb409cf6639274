# Provides oneDNN >= 3.7 built for Contexture. Sourced after common.sh.
#
# Debian 12 carries 2.6, so the source package of the next Debian release is built once, with the
# sequential runtime (the threads are Contexture's own), only the primitives it uses and the
# micro-kernel API, and kept in the cache. ONEDNN_PREFIX names an existing installation instead.

ONEDNN_VERSION=3.7.2
ONEDNN_SUITE=trixie
# A change of these flags is a change of the directory, so an old build is never mistaken for a new one.
ONEDNN_RECIPE=seq2
# -O1: what runs hot is generated at run time, the library's own code is only glue.
ONEDNN_FLAGS=(
  -DCMAKE_BUILD_TYPE=Release "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG" "-DCMAKE_C_FLAGS_RELEASE=-O1 -DNDEBUG"
  -DCMAKE_INSTALL_LIBDIR=lib -DONEDNN_LIBRARY_TYPE=STATIC -DONEDNN_CPU_RUNTIME=SEQ -DONEDNN_ARCH_OPT_FLAGS=
  -DONEDNN_EXPERIMENTAL_UKERNEL=ON -DONEDNN_ENABLE_WORKLOAD=INFERENCE
  "-DONEDNN_ENABLE_PRIMITIVE=MATMUL;REORDER" -DONEDNN_BUILD_GRAPH=OFF
  -DONEDNN_BUILD_TESTS=OFF -DONEDNN_BUILD_EXAMPLES=OFF -DONEDNN_BUILD_DOC=OFF
)

onednn_prefix() { printf '%s' "${ONEDNN_PREFIX:-$CONTEXTURE_CACHE/onednn-$ONEDNN_VERSION-$ONEDNN_RECIPE}"; }

# A deb-src view of the machine's own Debian mirror at another suite, in a directory of its own: the
# system's package lists are not touched.
onednn_apt() {
  local dir=$1; shift
  apt-get -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$dir/parts" \
    -o "Dir::State::lists=$dir/lists" -o APT::Sandbox::User=root "$@"
}

# The first Debian mirror of the machine's apt configuration (not the security archive).
debian_mirror() {
  { grep -hE '^URIs:' /etc/apt/sources.list.d/*.sources 2>/dev/null | sed 's/^URIs: *//'
    grep -hE '^deb ' /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
      sed -E 's/^deb +(\[[^]]*\] +)?//' | cut -d' ' -f1
  } | tr ' ' '\n' | grep -E '/debian/?$' | head -1
}

onednn_fetch() {
  local dir=$1 mirror
  mirror=$(debian_mirror)
  [ -n "$mirror" ] || die "no Debian mirror found in the apt configuration"
  mkdir -p "$dir/parts" "$dir/lists/partial"
  printf 'Types: deb-src\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' "$mirror" \
    "$ONEDNN_SUITE" /usr/share/keyrings/debian-archive-keyring.gpg >"$dir/parts/next.sources"
  onednn_apt "$dir" update -qq
  (cd "$dir" && onednn_apt "$dir" source --download-only -qq "onednn=$ONEDNN_VERSION*" >&2) ||
    (cd "$dir" && onednn_apt "$dir" source --download-only -qq onednn >&2) ||
    die "cannot download oneDNN's source package from Debian $ONEDNN_SUITE"
  dpkg-source -x --no-check "$dir"/onednn_*.dsc "$dir/source" >/dev/null 2>&1 ||
    die "cannot unpack oneDNN's source package in $dir"
}

# Builds oneDNN unless it is there; safe when two checkouts do it at once.
provide_onednn() {
  local prefix; prefix=$(onednn_prefix)
  if [ -f "$prefix/lib/libdnnl.a" ] || [ -n "${ONEDNN_PREFIX:-}" ]; then return 0; fi
  mkdir -p "$CONTEXTURE_CACHE"
  (
    flock 9
    [ -f "$prefix/lib/libdnnl.a" ] && exit 0
    apt_install dpkg-dev cmake ninja-build g++ libspdlog-dev
    local work; work=$(mktemp -d "${TMPDIR:-/tmp}/onednn.XXXXXX")
    say "building oneDNN $ONEDNN_VERSION once, into $prefix: about 20 minutes on 2 cores ($JOBS jobs)"
    onednn_fetch "$work"
    cmake -G Ninja -S "$work/source" -B "$work/build" "-DCMAKE_INSTALL_PREFIX=$prefix.partial" \
      "${ONEDNN_FLAGS[@]}" >"$work/configure.log" 2>&1 || { tail -20 "$work/configure.log" >&2; die "oneDNN: configure failed"; }
    NINJA_STATUS='[oneDNN %p %es] ' ninja -C "$work/build" -j "$JOBS" 2>&1 | show_progress 1 >&2
    [ "${PIPESTATUS[0]}" = 0 ] || die "oneDNN: build failed (see above); its files are in $work"
    cmake --install "$work/build" >/dev/null
    mv "$prefix.partial" "$prefix"
    rm -rf "$work"
    say "oneDNN is ready"
  ) 9>"$CONTEXTURE_CACHE/onednn.lock" || exit 1
}
