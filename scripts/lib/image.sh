# What scripts that build and run images share: Debian's buildah in a chroot, on a base system that mmdebstrap
# makes. Sourced after common.sh and onednn.sh, not run. Needs root.

export CHECKED_IMAGE=localhost/contexture BASE_IMAGE=localhost/contexture-base
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs

# The arguments that lend a build the machine's apt configuration and certificate authorities. They are in no
# layer of the image.
apt_volumes() {
  local path
  for path in /etc/apt/apt.conf.d /etc/ssl/certs /usr/local/share/ca-certificates; do
    [ ! -d "$path" ] || printf -- '--volume\n%s:%s:ro\n' "$path" "$path"
  done
}

# Debian's smallest system, with what apt and HTTPS need, under the name that the Dockerfile's BASE is given.
provide_base() {
  buildah inspect --type image "$BASE_IMAGE" >/dev/null 2>&1 && return 0
  local tar="$CONTEXTURE_CACHE/bookworm.tar" container
  if [ ! -f "$tar" ]; then
    say "making the base system"
    mmdebstrap --variant=minbase --include=ca-certificates bookworm "$tar.partial.tar" "$(debian_mirror)" >&2
    mv "$tar.partial.tar" "$tar"
  fi
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$tar" / >/dev/null
  buildah commit --quiet --rm "$container" "$BASE_IMAGE" >/dev/null
}

# A port that nobody listens on.
free_port() {
  local port
  while port=$((20000 + RANDOM % 12000)); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  printf '%s' "$port"
}
