# Abseil's mutex as ThreadSanitizer sees it. Sourced after common.sh and onednn.sh.
#
# ThreadSanitizer learns of locks that are built with it. Debian's libabsl is not, so every member
# that an absl::Mutex guards would be reported. The same source is built once with it, only the
# libraries of the lock, and put before Debian's for the tests. gRPC and the rest stay as they are
# and are left out of the reports (ignore_noninstrumented_modules).

ABSEIL_TSAN_LIBRARIES=(absl_synchronization absl_base absl_spinlock_wait)

abseil_version() { dpkg-query -W -f='${Version}' libabsl-dev; }
abseil_tsan_prefix() { printf '%s' "$CONTEXTURE_CACHE/abseil-tsan-$(abseil_version)"; }

# abseil_fetch DIRECTORY: the source package of the installed version, unpacked in DIRECTORY/source.
abseil_fetch() {
  local dir=$1 mirror suite
  mirror=$(debian_mirror)
  suite=$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")
  [ -n "$mirror" ] || die "no Debian mirror found in the apt configuration"
  mkdir -p "$dir/parts" "$dir/lists/partial"
  printf 'Types: deb-src\nURIs: %s\nSuites: %s %s-updates\nComponents: main\nSigned-By: %s\n' "$mirror" \
    "$suite" "$suite" /usr/share/keyrings/debian-archive-keyring.gpg >"$dir/parts/abseil.sources"
  onednn_apt "$dir" update -qq
  (cd "$dir" && onednn_apt "$dir" source --download-only -qq "abseil=$(abseil_version)" >&2) ||
    die "cannot download the source package abseil $(abseil_version) from Debian $suite"
  dpkg-source -x --no-check "$dir"/abseil_*.dsc "$dir/source" >/dev/null 2>&1 ||
    die "cannot unpack the source package of abseil in $dir"
}

# Builds the libraries unless they are there; safe when two checkouts do it at once.
provide_abseil_tsan() {
  local prefix; prefix=$(abseil_tsan_prefix)
  [ -d "$prefix" ] && return 0
  mkdir -p "$CONTEXTURE_CACHE"
  (
    flock 9
    [ -d "$prefix" ] && exit 0
    apt_install dpkg-dev
    local work; work=$(mktemp -d "${TMPDIR:-/tmp}/abseil.XXXXXX")
    say "building Abseil's mutex for ThreadSanitizer once, into $prefix: about a minute"
    abseil_fetch "$work"
    cmake -G Ninja -S "$work/source" -B "$work/build" -DBUILD_SHARED_LIBS=ON -DBUILD_TESTING=OFF \
      -DCMAKE_CXX_STANDARD=17 -DCMAKE_BUILD_TYPE=Debug "-DCMAKE_CXX_FLAGS_DEBUG=-O1 -g1 -DNDEBUG" \
      -DCMAKE_CXX_FLAGS=-fsanitize=thread >"$work/configure.log" 2>&1 ||
      { tail -n 20 "$work/configure.log" >&2; die "abseil: configure failed"; }
    ninja -C "$work/build" -j "$JOBS" "${ABSEIL_TSAN_LIBRARIES[@]#absl_}" >"$work/build.log" 2>&1 ||
      { tail -n 20 "$work/build.log" >&2; die "abseil: build failed"; }
    mkdir "$work/lib"
    local library
    for library in "${ABSEIL_TSAN_LIBRARIES[@]}"; do
      find "$work/build" -name "lib$library.so*" -exec cp -P {} "$work/lib" \;
      [ -e "$work/lib/lib$library.so" ] || die "abseil: lib$library.so was not built"
    done
    cp -a "$work/lib" "$prefix.partial"
    mv -T "$prefix.partial" "$prefix"
    rm -rf "$work"
  ) 9>"$CONTEXTURE_CACHE/abseil.lock" || exit 1
}
