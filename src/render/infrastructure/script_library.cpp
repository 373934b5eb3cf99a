// lib.sh of the host scripts.
#include "render/infrastructure/script.hpp"

namespace tg::render {

namespace {

constexpr std::string_view kLibrary = R"sh(# shellcheck shell=bash
# Written by tidegate render. Change the document, not this file.
# Functions of the host scripts, sourced by them. What is already as wanted is left alone, so every script can be
# run again at any time.

changed=()                          # files that this run wrote
work=$(mktemp -d)                   # for what is in the making; nothing of it outlives this run
fresh=$work/fresh
trap 'rm -rf "$work" "$fresh"' EXIT

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }
as_root() { [[ $EUID -eq 0 ]] || die "this needs root: run it with sudo"; }

# False in a chroot or while an image is built: nothing can be started there.
booted() { [[ -d /run/systemd/system ]]; }

# this_host NAME: the name in the inventory that this machine has. Without a name the machine's own one.
this_host() {
  local name=${1:-$(hostname -f 2>/dev/null || hostname)}
  [[ -n ${role[$name]:-} ]] || die "no host $name in the inventory: name one of ${!role[*]}"
  printf '%s\n' "$name"
}

# --- files ---------------------------------------------------------------------------------------------------------

# put SOURCE TARGET [MODE]: the target is replaced in one step, and only if it differs.
put() {
  local source=$1 target=$2 mode=${3:-0644}
  if [[ -f $target && ! -L $target ]] && cmp -s "$source" "$target"; then
    [[ $(stat -c %a "$target") == "${mode#0}" ]] || chmod "$mode" "$target"
    return 0
  fi
  mkdir -p "$(dirname "$target")"
  fresh=$(mktemp "$(dirname "$target")/.tidegate.XXXXXX")
  cat "$source" >"$fresh"
  chmod "$mode" "$fresh"
  mv -fT "$fresh" "$target"
  changed+=("$target")
  say "wrote $target"
}

# put_text TARGET MODE: what stands on standard input. Behind a pipe the shell forgets that it has changed.
put_text() {
  (umask 077; cat >"$work/text")
  put "$work/text" "$1" "$2"
}

# put_all FOLDER: every file below it at the same place below /. A folder that is not there is nothing.
put_all() {
  local file mode
  [[ -d $1 ]] || return 0
  while IFS= read -r -d '' file; do
    mode=0644
    if [[ -x $file ]]; then mode=0755; fi
    put "$file" "/${file#"$1"/}" "$mode"
  done < <(find "$1" -type f -print0 | sort -z)
}

# has_changed PATTERN...: whether this run wrote a file that one of them matches.
has_changed() {
  local pattern file
  for pattern in "$@"; do
    for file in "${changed[@]}"; do
      # shellcheck disable=SC2053
      if [[ $file == $pattern ]]; then return 0; fi
    done
  done
  return 1
}

# put_block FILE: the lines between our marks are replaced by standard input; other lines stay.
put_block() {
  : >"$work/block"
  if [[ -f $1 ]]; then sed '/^# begin tidegate$/,/^# end tidegate$/d' "$1" >"$work/block"; fi
  { echo '# begin tidegate'; cat; echo '# end tidegate'; } >>"$work/block"
  put "$work/block" "$1" 0644
}

# fetch URL TARGET: over HTTPS only, with retries.
fetch() {
  curl --fail --silent --show-error --location --proto '=https' --tlsv1.2 --retry 5 --retry-connrefused \
    --output "$2" "$1"
}

# --- packages ------------------------------------------------------------------------------------------------------

apt_get() {
  DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=300 "$@"
}

refreshed=
refresh_packages() {
  if [[ -z $refreshed ]]; then apt_get update; fi
  refreshed=yes
}

# version_of NAME: of an installed package; nothing of one that is not.
version_of() {
  { dpkg-query -W -f='${db:Status-Status} ${Version}' "$1" 2>/dev/null || true; } | sed -n 's/^installed //p'
}

# install_packages NAME...: those that are missing.
install_packages() {
  local name missing=()
  for name in "$@"; do
    if [[ -z $(version_of "$name") ]]; then missing+=("$name"); fi
  done
  (( ${#missing[@]} )) || return 0
  refresh_packages
  apt_get install --no-install-recommends "${missing[@]}"
}

# install_held NAME...: the release that the preferences pin, then held, so that no upgrade takes another one.
install_held() {
  local name have want
  for name in "$@"; do
    have=$(version_of "$name")
    if [[ -n $have && $(apt-mark showhold "$name") == "$name" ]]; then continue; fi
    refresh_packages
    want=$(apt-cache policy "$name" | awk '$1 == "Candidate:" {print $2}')
    [[ -n $want && $want != '(none)' ]] || die "no package $name: is its repository there?"
    if [[ $have != "$want" ]]; then apt_get install --no-install-recommends --allow-downgrades "$name=$want"; fi
    apt-mark hold "$name" >/dev/null
    say "$name $want, held"
  done
}

# apt_key URL TARGET FINGERPRINT: the key of a repository; another key than the known one is refused.
apt_key() {
  local have
  if [[ -s $2 ]]; then return 0; fi
  fetch "$1" "$work/key.asc"
  have=$(GNUPGHOME=$work gpg --batch --quiet --show-keys --with-colons "$work/key.asc" |
    awk -F: '$1 == "fpr" {print $10; exit}')
  [[ $have == "$3" ]] || die "the key of $1 has the fingerprint $have, not $3"
  GNUPGHOME=$work gpg --batch --quiet --dearmor <"$work/key.asc" >"$work/key.gpg"
  put "$work/key.gpg" "$2"
}

# --- services ------------------------------------------------------------------------------------------------------

reload_units() { if booted; then systemctl daemon-reload; fi; }

enable_service() {
  local name
  for name in "$@"; do
    if ! systemctl --quiet is-enabled "$name" 2>/dev/null; then systemctl --quiet enable "$name"; fi
    if booted && ! systemctl --quiet is-active "$name"; then systemctl start "$name"; fi
  done
}

restart_service() {
  if booted; then
    systemctl restart "$1"
    say "restarted $1"
  fi
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
  local end=$(( SECONDS + $1 ))
  shift
  until "$@" >/dev/null 2>&1; do
    (( SECONDS < end )) || die "waited too long for: $*"
    sleep 2
  done
}
)sh";

}  // namespace

Extra script_library() { return {.path = "lib.sh", .content = std::string(kLibrary), .executable = false}; }

}  // namespace tg::render
