# Shared by the scripts: messages, the cache directory, apt. Sourced, not run.

# Everything that is built or fetched once and outlives a checkout lies here.
CONTEXTURE_CACHE="${CONTEXTURE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/contexture}"
JOBS="${JOBS:-$(nproc)}"

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# as_root COMMAND...: runs COMMAND as root, through sudo where we are not.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; return; fi
  command -v sudo >/dev/null || die "root or sudo is needed to run: $*"
  sudo "$@"
}

# apt_install PACKAGE...: installs what is missing, with apt's own progress on stderr.
apt_install() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ "${#missing[@]}" = 0 ] && return 0
  command -v apt-get >/dev/null || die "not a Debian system: install by hand: ${missing[*]}"
  say "installing ${#missing[@]} Debian packages: ${missing[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >&2 ||
    die "apt-get could not install: ${missing[*]}"
}

# show_progress STEP: of ninja's lines ("[name 12% 3s] ...") one every STEP percent, so that a log shows
# the progress as well as a terminal does; whatever else comes (warnings, errors) always.
show_progress() {
  local step=$1 next=0 line percent
  while IFS= read -r line; do
    if [[ $line =~ ^\[[^]]*\ ([0-9]+)%\  ]]; then
      percent=${BASH_REMATCH[1]}
      if ((percent < next)); then continue; fi
      next=$((percent - percent % step + step))
    fi
    printf '%s\n' "$line"
  done
}
