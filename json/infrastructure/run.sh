#!/usr/bin/env bash
# Written by tidegate render. Change the document, not this file.
# From the operator's machine: copies this folder to every host and runs each script on its group of
# hosts, in order. Usage: run.sh [STEP...]; without a step all of them. It may be run again.
# What is not set here comes from inventory.sh.
# shellcheck disable=SC2154
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=/dev/null
. "$here/inventory.sh"
# shellcheck source=/dev/null
. "$here/lib.sh"

cd "$here"
ssh_options=(-o BatchMode=yes -o ConnectTimeout=15 -p "$ssh_port")
if [[ -n $ssh_identity ]]; then ssh_options+=(-i "$ssh_identity"); fi
place=/var/lib/tidegate/hosts

# on HOST COMMAND: as root. Standard input and output are the command's.
on() {
  local name=$1
  shift
  # shellcheck disable=SC2029
  ssh "${ssh_options[@]}" "$ssh_user@${address[$name]}" "sudo $*"
}

# push HOST: this folder, so that the scripts find their files. Only root reads it there.
push() {
  tar --create --file=- --exclude=.git . |
    on "$1" "sh -c 'umask 077; rm -rf $place; mkdir -p $place; tar --extract --no-same-owner --file=- --directory=$place'"
}

# step NAME SCRIPT HOST...: the script on each of the hosts; all of them when no step was asked for.
wanted=("$@")
step() {
  local name=$1 program=$2 target
  shift 2
  if (( ${#wanted[@]} )) && [[ " ${wanted[*]} " != *" $name "* ]]; then return 0; fi
  for target in "$@"; do
    say "== $name on $target"
    on "$target" "$place/$program $target"
  done
}

for target in "${all[@]}"; do push "$target"; done
step prepare prepare.sh "${all[@]}"
step servers k3s.sh "${servers[0]}"
for target in "${servers[@]:1}" "${agents[@]}"; do
  on "${servers[0]}" 'cat /etc/rancher/k3s/token' |
    on "$target" "sh -c 'umask 077; mkdir -p /etc/rancher/k3s; cat >/etc/rancher/k3s/token'"
done
step servers k3s.sh "${servers[@]:1}"
step agents k3s.sh "${agents[@]}"
if (( ! ${#wanted[@]} )) || [[ " ${wanted[*]} " == *" kubeconfig "* ]]; then
  (umask 077; on "${servers[0]}" "$place/kubeconfig.sh $(id -un)" >"$platform.kubeconfig")
  say "wrote $platform.kubeconfig; it is good for $kubeconfig_hours hours"
fi
