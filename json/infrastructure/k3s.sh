#!/usr/bin/env bash
# Written by tidegate render. Change the document, not this file.
# Servers and agents: k3s in the pinned release, from files and a checked binary.
# Usage: k3s.sh [HOST], as root, after prepare.sh.
# What is not set here comes from inventory.sh.
# shellcheck disable=SC2154
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=/dev/null
. "$here/inventory.sh"
# shellcheck source=/dev/null
. "$here/lib.sh"

INSTALL_K3S_VERSION=v1.35.8+k3s1
# The checksum of the binary. Empty: the list of checksums that the release publishes decides.
INSTALL_K3S_SHA256=${INSTALL_K3S_SHA256:-}

as_root
host=$(this_host "${1:-}")
case $(uname -m) in
  x86_64) asset=k3s sums=sha256sum-amd64.txt ;;
  aarch64) asset=k3s-arm64 sums=sha256sum-arm64.txt ;;
  *) die "k3s has no release for $(uname -m)" ;;
esac
service=k3s
if [[ ${role[$host]} == agent ]]; then service=k3s-agent; fi

# The binary itself, checked; no program from the internet is run to install it.
release=https://github.com/k3s-io/k3s/releases/download/${INSTALL_K3S_VERSION/+/%2B}
have=
if [[ -x /usr/local/bin/k3s ]]; then have=$(/usr/local/bin/k3s --version | awk 'NR == 1 {print $3}'); fi
if [[ $have != "$INSTALL_K3S_VERSION" ]]; then
  scratch=$(mktemp -d)
  want=$INSTALL_K3S_SHA256
  if [[ -z $want ]]; then
    fetch "$release/$sums" "$scratch/sums"
    want=$(awk -v name="$asset" '$2 == name {print $1}' "$scratch/sums")
  fi
  [[ $want =~ ^[0-9a-f]{64}$ ]] || die "no SHA-256 of $asset $INSTALL_K3S_VERSION"
  fetch "$release/$asset" "$scratch/k3s"
  printf '%s  %s\n' "$want" "$scratch/k3s" | sha256sum --check --quiet - ||
    die "$asset $INSTALL_K3S_VERSION is not what its release says: nothing was installed"
  put "$scratch/k3s" /usr/local/bin/k3s 0755
  rm -rf "$scratch"
fi
for name in kubectl crictl ctr; do
  if [[ $(readlink "/usr/local/bin/$name" || true) != k3s ]]; then ln -sfn k3s "/usr/local/bin/$name"; fi
done

# The secret with which machines join is made on the first server and never leaves root's hands.
if [[ $host == "${servers[0]}" && ! -s /etc/rancher/k3s/token ]]; then
  (umask 077; head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >/etc/rancher/k3s/token)
fi
if [[ -f /etc/rancher/k3s/token ]]; then chmod 0600 /etc/rancher/k3s/token; fi
[[ -s /etc/rancher/k3s/token ]] || die "no token: run.sh brings it from ${servers[0]}"
if [[ ${role[$host]} == server ]]; then install -d -m 0700 /var/lib/rancher/k3s/server; fi

enable_service "$service.service"
# What was written since the process began counts, by this run or another.
newest=$(find /etc/rancher/k3s /usr/local/bin/k3s "/etc/systemd/system/$service.service" -type f ! -name k3s.yaml \
  -printf '%T@\n' | sort -n | tail -1)
if booted; then
  started=$(date -d "$(systemctl show --property ActiveEnterTimestamp --value "$service.service")" +%s)
  if (( ${newest%.*} > started )); then restart_service "$service.service"; fi
fi
if [[ ${role[$host]} == server ]]; then
  enable_service k3s-copy.timer
  if booted; then wait_for 300 /usr/local/bin/k3s kubectl get --raw /readyz; fi
fi
if booted && [[ ${role[$host]} == server ]]; then
  wait_for 300 /usr/local/bin/k3s kubectl wait --for=condition=Ready --timeout=10s "node/$host"
fi
say "$service $INSTALL_K3S_VERSION runs on $host"
