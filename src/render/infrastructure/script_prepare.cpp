// prepare.sh of the host scripts.
#include "render/infrastructure/script.hpp"

namespace tg::render {

namespace {

constexpr std::string_view kPrepare = R"sh(as_root
host=$(this_host "${1:-}")

# shellcheck source=/dev/null
. /etc/os-release
if [[ $os != any && $ID-$VERSION_ID != "$os" ]]; then die "$host runs $ID-$VERSION_ID, the document says $os"; fi

# Before the host has a node everything is brought up to date; later unattended-upgrades does that.
if [[ ! -e /etc/kubernetes/kubelet.conf && ! -e /var/lib/rancher/k3s ]]; then
  refresh_packages
  apt_get upgrade
fi
install_packages apt-transport-https ca-certificates curl gnupg2 software-properties-common
install_packages conntrack ethtool iproute2 kmod nftables procps socat unattended-upgrades "${packages[@]}"

put_all "$here/files/all"
if [[ ${role[$host]} != load-balancer ]]; then put_all "$here/files/node"; fi
put_all "$here/files/${role[$host]}"
if [[ -n ${pool[$host]} ]]; then put_all "$here/files/pools/${pool[$host]}"; fi
put_all "$here/files/hosts/$host"
reload_units

# The machines know each other without a resolver.
put_block /etc/hosts <"$here/hosts"

# Swap on disk is off now and after a restart; lines that are off already are left alone.
if booted; then
  while read -r device _; do
    [[ $device == /dev/zram* ]] || swapoff "$device"
  done < <(swapon --show=NAME --noheadings)
fi
if [[ -f /etc/fstab ]]; then
  sed -E 's/^([^#[:space:]]+[[:space:]]+[^[:space:]]+[[:space:]]+swap[[:space:]])/#\1/' /etc/fstab >"$work/fstab"
  put "$work/fstab" /etc/fstab
fi
if [[ $swap == zram ]]; then
  # Cloud kernels of Ubuntu keep zram in a package of its own.
  if booted && ! modinfo zram >/dev/null 2>&1; then install_packages "linux-modules-extra-$(uname -r)"; fi
  if booted; then
    if has_changed /etc/systemd/zram-generator.conf && systemctl --quiet is-active systemd-zram-setup@zram0; then
      say "the new size of the compressed swap holds after a restart"
    fi
    systemctl start systemd-zram-setup@zram0
  fi
fi

# Modules and kernel settings, each from a file that is read at every start.
if booted && [[ ${role[$host]} != load-balancer ]]; then
  while read -r module; do modprobe "$module"; done < <(grep -v '^#' /etc/modules-load.d/k8s.conf)
fi
if booted; then sysctl --quiet --system; fi

enable_service tidegate-firewall.service
if has_changed /etc/nftables/tidegate.nft; then restart_service tidegate-firewall.service; fi
if booted; then timedatectl set-ntp true || say "no time service here: certificates need a right clock"; fi
enable_service unattended-upgrades.service apt-daily.timer apt-daily-upgrade.timer
say "$host is prepared"
)sh";

}  // namespace

Extra script_prepare() {
  return script("prepare.sh",
                "All hosts: packages, swap, modules, kernel settings, firewall, security updates.\n"
                "Usage: prepare.sh [HOST], as root.",
                kPrepare);
}

}  // namespace tg::render
