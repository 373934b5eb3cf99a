// What every machine of one's own gets, whatever its Kubernetes comes from.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "render/infrastructure/hosts.hpp"
#include "render/infrastructure/window.hpp"

namespace tg::render {

namespace {

// Key and value lines for sysctl. Bridged traffic has to pass the packet filter, or Services do not work
// between pods of one node.
Extra kernel_settings(const Context& context) {
  std::vector<std::pair<std::string_view, int>> keys{{"net.bridge.bridge-nf-call-iptables", 1},
                                                     {"net.bridge.bridge-nf-call-ip6tables", 1},
                                                     {"net.ipv4.ip_forward", 1},
                                                     {"net.ipv6.conf.all.forwarding", 1},
                                                     // As the kubelet wants them (protectKernelDefaults).
                                                     {"kernel.panic", 10},
                                                     {"kernel.panic_on_oops", 1},
                                                     {"vm.overcommit_memory", 1},
                                                     {"vm.panic_on_oom", 0},
                                                     {"kernel.keys.root_maxbytes", 25000000},
                                                     // Every pod that follows logs or files takes one.
                                                     {"fs.inotify.max_user_instances", 8192},
                                                     {"fs.inotify.max_user_watches", 524288}};
  if (context.spec().text("cluster.swap") == "zram") {
    // Compressed memory is fast: cold pages may go there early, one by one.
    keys.emplace_back("vm.swappiness", 100);
    keys.emplace_back("vm.page-cluster", 0);
  }
  std::string lines;
  for (const auto& [key, value] : keys) lines += fmt::format("{} = {}\n", key, value);
  return settings("files/node/etc/sysctl.d/k8s.conf", "Kernel settings of nodes.", lines);
}

Extra zram() {
  return settings(
      "files/node/etc/systemd/zram-generator.conf",
      "Swap in compressed memory: carries what containers take above their requests.",
      "[zram0]\nzram-size = min(ram / 2, 4096)\ncompression-algorithm = zstd\nswap-priority = 100\n");
}

std::string set(std::string_view name, std::vector<std::string> elements) {
  std::sort(elements.begin(), elements.end());
  elements.erase(std::unique(elements.begin(), elements.end()), elements.end());
  std::string out =
      fmt::format("  set {} {{\n    type ipv4_addr\n    flags interval\n    auto-merge\n", name);
  if (!elements.empty()) out += fmt::format("    elements = {{ {} }}\n", fmt::join(elements, ", "));
  return out + "  }\n";
}

// Ports of the machines themselves that only the cluster has business with. Published services do not pass
// here: their packets are forwarded. Everything else of the host (ssh) is left to its owner.
Extra firewall(const Context& context, const std::vector<Host>& all) {
  std::vector<std::string> inside{context.pod_cidr()}, api;
  if (context.site() == Site::machines) inside.push_back(context.infrastructure().text("network.cidr"));
  for (const Host& h : all) inside.push_back(h.address);
  if (context.spec().text("access.api") == "public") api = context.spec().list("access.from");
  std::string rules =
      "table inet tidegate {}\n"
      "delete table inet tidegate\n"
      "table inet tidegate {\n";
  rules += set("inside", inside) + set("api", api);
  rules += fmt::format(
      "  chain input {{\n"
      "    type filter hook input priority filter - 5; policy accept;\n"
      "    ct state established,related accept\n"
      "    iif lo accept\n"
      "    ip saddr @inside accept\n"
      "    tcp dport {0} ip saddr @api accept\n"
      "    tcp dport {{ 2379-2381, {0}, 8405, 9100, 9345, 10248-10260 }} drop\n"
      "    udp dport {{ 4789, 8472, 51820, 51821 }} drop\n"
      "  }}\n"
      "}}\n",
      endpoint(context, all).port == 6443 ? "6443" : fmt::format("{}", endpoint(context, all).port));
  return settings("files/all/etc/nftables/tidegate.nft",
                  "Ports of nodes are for the cluster; the API server also for the networks of access.from.",
                  rules);
}

Extra firewall_unit() {
  return settings("files/all/etc/systemd/system/tidegate-firewall.service",
                  "Loads the rules before the network is up.",
                  "[Unit]\n"
                  "Description=Packet filter of the platform\n"
                  "Before=network-pre.target\n"
                  "Wants=network-pre.target\n"
                  "\n"
                  "[Service]\n"
                  "Type=oneshot\n"
                  "RemainAfterExit=yes\n"
                  "ExecStart=/usr/sbin/nft -f /etc/nftables/tidegate.nft\n"
                  "ExecReload=/usr/sbin/nft -f /etc/nftables/tidegate.nft\n"
                  "ExecStop=/usr/sbin/nft delete table inet tidegate\n"
                  "\n"
                  "[Install]\n"
                  "WantedBy=multi-user.target\n");
}

// Restarts: kured drains nodes of a cluster one by one. A host that is no node, or has no other node to drain
// to, restarts by itself at the begin of the window.
Extra updates(const Context& context, std::string_view folder, bool restart) {
  const Window at = reboot_window(context);
  std::string out =
      "Unattended-Upgrade::Origins-Pattern {\n"
      "  \"origin=Debian,codename=${distro_codename}-security,label=Debian-Security\";\n"
      "  \"origin=Ubuntu,archive=${distro_codename}-security\";\n"
      "};\n"
      "// What the cluster is made of changes only on purpose, node by node.\n"
      "Unattended-Upgrade::Package-Blacklist {\n";
  for (const std::string_view name :
       {"kubeadm$", "kubelet$", "kubectl$", "kubernetes-cni$", "cri-tools$", "containerd", "runc$",
        "haproxy$", "keepalived$", "nvidia-", "libnvidia-", "linux-modules-nvidia-"})
    out += fmt::format("  \"^{}\";\n", name);
  out += "};\n";
  const bool reboot = restart && !at.days.empty();
  out += fmt::format("Unattended-Upgrade::Automatic-Reboot \"{}\";\n", reboot);
  if (reboot) out += fmt::format("Unattended-Upgrade::Automatic-Reboot-Time \"{}\";\n", at.from);
  out +=
      "Unattended-Upgrade::MinimalSteps \"true\";\n"
      "Unattended-Upgrade::Remove-Unused-Kernel-Packages \"true\";\n"
      "Unattended-Upgrade::SyslogEnable \"true\";\n";
  const std::string email = context.spec().text("contacts.email");
  if (!email.empty()) {
    out += fmt::format(
        "Unattended-Upgrade::Mail \"{}\";\nUnattended-Upgrade::MailReport \"only-on-error\";\n", email);
  }
  Extra file = settings(fmt::format("files/{}/etc/apt/apt.conf.d/50unattended-upgrades", folder), {}, out);
  file.content = fmt::format(
      "// Written by tidegate render. Change the document, not this file.\n"
      "// Security updates by themselves; restarts {}.\n{}",
      reboot ? "at the begin of the window" : "are left to whoever drains the node first", out);
  return file;
}

Extra periodic(const Context& context) {
  const bool automatic = context.spec().text("upkeep.securityUpdates") == "automatic";
  return {.path = "files/all/etc/apt/apt.conf.d/20auto-upgrades",
          .content = fmt::format("// Written by tidegate render. Change the document, not this file.\n"
                                 "APT::Periodic::Update-Package-Lists \"1\";\n"
                                 "APT::Periodic::Unattended-Upgrade \"{}\";\n"
                                 "APT::Periodic::AutocleanInterval \"7\";\n",
                                 automatic ? 1 : 0)};
}

}  // namespace

std::vector<Extra> host_files(const Context& context, const std::vector<Host>& all) {
  std::vector<Extra> out;
  out.push_back(settings("files/node/etc/modules-load.d/k8s.conf",
                         "Overlay file systems of containers; bridges.", "overlay\nbr_netfilter\n"));
  out.push_back(kernel_settings(context));
  if (context.spec().text("cluster.swap") == "zram") out.push_back(zram());
  out.push_back(firewall(context, all));
  out.push_back(firewall_unit());
  out.push_back(periodic(context));
  const auto nodes = std::count_if(all.begin(), all.end(), [](const Host& h) { return h.node(); });
  const bool drain = context.spec().flag("upkeep.reboot.drain");
  out.push_back(updates(context, "node", nodes == 1 || !drain));
  if (!with_role(all, "load-balancer").empty()) out.push_back(updates(context, "load-balancer", true));
  return out;
}

}  // namespace tg::render
