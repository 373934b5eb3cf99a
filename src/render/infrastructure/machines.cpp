// Machines of one's own with kubeadm: load balancers, control planes and workers, from host files and
// scripts.
#include "render/infrastructure/machines.hpp"

#include <fmt/format.h>

#include "catalog/releases.hpp"
#include "render/component/components.hpp"
#include "render/infrastructure/api_server.hpp"
#include "render/infrastructure/infrastructure.hpp"
#include "render/infrastructure/kubelet.hpp"
#include "render/infrastructure/runbook.hpp"
#include "render/infrastructure/script.hpp"
#include "text/emit.hpp"
#include "text/toml.hpp"

namespace tg::render {

namespace {

std::string names_of(const std::vector<Host>& some) {
  std::string out;
  for (const Host& h : some) out += (out.empty() ? "" : ",") + h.name;
  return out;
}

std::vector<Host> gpu_hosts(const Context& context, const std::vector<Host>& all) {
  std::vector<Host> out;
  for (const auto& [name, pool] : context.spec().named("pools")) {
    if (pool.text("gpu.vendor") != "nvidia") continue;
    for (const Host& h : all) {
      if (h.pool == name) out.push_back(h);
    }
  }
  return out;
}

// The lines of inventory.sh that only kubeadm's scripts read.
std::string more_inventory(const Context& context, const std::vector<Host>& all,
                           const std::vector<std::string>& timers) {
  const catalog::Kubernetes* release = catalog::kubernetes(context.kubernetes());
  std::vector<std::pair<std::string, std::string>> labels, taints, disks;
  std::vector<std::string> gpus;
  const auto join = [](const std::vector<std::string>& words) {
    std::string out;
    for (const std::string& w : words) out += (out.empty() ? "" : " ") + w;
    return out;
  };
  for (const Host& h : all) {
    std::vector<std::string> words;
    if (h.role == "worker") words.emplace_back("node-role.kubernetes.io/worker=");
    if (!h.pool.empty()) {
      for (const auto& [key, value] : context.pool_placement(h.pool).node_selector)
        words.push_back(fmt::format("{}={}", key, value));
    }
    if (!words.empty()) labels.emplace_back(h.name, join(words));
    if (const auto some = pool_taints(context, h.pool); !some.empty())
      taints.emplace_back(h.name, join(some));
    std::vector<std::string> paths;
    for (const Host::Disk& d : h.disks) paths.push_back(d.path);
    if (!paths.empty()) disks.emplace_back(h.name, join(paths));
  }
  for (const Host& h : gpu_hosts(context, all)) gpus.push_back(h.name);
  std::string out;
  out += fmt::format("kubernetes_minor={}\n", shell_word(context.kubernetes()));
  out += fmt::format("kubernetes_version={}\n",
                     shell_word(release == nullptr ? std::string_view{} : release->patch));
  out += fmt::format("gpu_software={}\n", gpu_software(context));
  out += fmt::format("gpu_hosts={}\n", shell_list(gpus));
  out += fmt::format("declare -A labels={}\n", shell_map(labels));
  out += fmt::format("declare -A taints={}\n", shell_map(taints));
  out += fmt::format("declare -A disks={}\n", shell_map(disks));
  out += fmt::format("timers={}\n", shell_list(timers));
  return out;
}

void add_gpu_files(const Context& context, Part& part) {
  part.extras.push_back(settings("gpu/nouveau.conf", "The free driver would take the GPU first.",
                                 "blacklist nouveau\noptions nouveau modeset=0\n"));
  if (gpu_software(context) != "host") return;
  part.extras.push_back(
      settings("gpu/nvidia-toolkit.sources", "The container toolkit.",
               "Types: deb\nURIs: https://nvidia.github.io/libnvidia-container/stable/deb/$(ARCH)/\n"
               "Suites: /\nSigned-By: /etc/apt/keyrings/nvidia-toolkit.gpg\n"));
  part.extras.push_back(settings(
      "gpu/preferences", "The driver branch and the toolkit that the GPU operator of this release ships.",
      "Package: nvidia-open nvidia-driver-* nvidia-kernel-* libnvidia-compute*\nPin: version 595.*\n"
      "Pin-Priority: 1001\n\n"
      "Package: nvidia-container-toolkit* libnvidia-container*\nPin: version 1.20.0-*\n"
      "Pin-Priority: 1001\n"));
}

bool good_hosts(const Context& context, const std::vector<Host>& all) {
  const spec::Reader site = context.infrastructure();
  const std::size_t control = with_role(all, "control-plane").size();
  const auto refuse = [&](std::string message, std::string hint) {
    context.refuse("cannot_render", site.at("hosts"), site.where("hosts"), std::move(message),
                   std::move(hint));
    return false;
  };
  if (control == 0)
    return refuse("no host is a control plane", "write role: controlPlane at one host, or at three");
  if (control % 2 == 0)
    return refuse(
        fmt::format("{} control planes stand still as soon as one is gone: more than half must agree",
                    control),
        "take one, three or five");
  if (control > 1 && with_role(all, "load-balancer").empty() && !context.spec().has("cluster.endpoint"))
    return refuse("several control planes, and no address that leads to all of them",
                  "add a host with role: loadBalancer, or write cluster.endpoint");
  return true;
}

}  // namespace

std::vector<Part> machines(const Context& context) {
  if (context.site() != Site::machines) return {};
  const std::vector<Host> all = hosts(context);
  if (!good_hosts(context, all)) return {};
  const std::vector<Host> control = with_role(all, "control-plane"), workers = with_role(all, "worker"),
                          balancers = with_role(all, "load-balancer");
  Part part;
  part.where = Where::infrastructure;
  part.name = "machines";
  add_host_base(context, all, part);
  for (Extra& e : package_sources(context)) part.extras.push_back(std::move(e));
  part.extras.push_back(settings("files/node/etc/containerd/config.toml",
                                 "containerd 2: version 3 of its settings.",
                                 text::emit_toml(containerd_config())));
  for (Extra& e : load_balancer_files(context, all)) part.extras.push_back(std::move(e));
  for (const Host& h : all) {
    if (!h.node()) continue;
    std::string text;
    for (const Json& document : kubeadm_config(context, all, h))
      text += (text.empty() ? "" : "---\n") + text::emit_yaml(document);
    part.extras.push_back(settings(
        fmt::format("files/hosts/{}/etc/kubernetes/kubeadm.yaml", h.name),
        h.name == control.front().name ? "What the cluster begins with." : "How this machine joins.", text));
    part.extras.push_back(
        yaml_settings(fmt::format("files/hosts/{}/etc/kubernetes/kubelet.conf.d/50-reserve.conf", h.name),
                      "What this node keeps for itself, and when it evicts.", kubelet_reserves(context, h)));
  }
  part.extras.push_back(yaml_settings("files/control-plane/etc/kubernetes/authentication/config.yaml",
                                      "Who may log in by a token; without a login only health is told.",
                                      authentication_configuration(context, true)));
  if (Json policy = audit_policy(context); !policy.is_null())
    part.extras.push_back(yaml_settings("files/control-plane/etc/kubernetes/audit/policy.yaml",
                                        "What the API server writes down.", policy));
  if (Json encryption = encryption_configuration(context); !encryption.is_null())
    part.extras.push_back(
        yaml_settings("encryption.yaml",
                      "The key is made on the first control plane and put in there, mode 0600.", encryption));
  std::vector<std::string> timers;
  add_control_plane_care(context, all, part, timers);
  add_gpu_files(context, part);
  for (Extra& e : part.extras) {
    if (e.path == "inventory.sh") e.content += more_inventory(context, all, timers);
  }
  for (Extra& e : machine_scripts()) part.extras.push_back(std::move(e));
  part.extras.push_back(script_kubeconfig());
  add_operators(part);
  // run.sh takes each step to its hosts, and what one host gives to another.
  const auto step = [&part](std::string_view what, const std::vector<Host>& where, std::string_view timeout) {
    if (!where.empty())
      part.steps.push_back({.kind = "script",
                            .what = fmt::format("run.sh {}", what),
                            .where = names_of(where),
                            .timeout = std::string(timeout)});
  };
  std::vector<Host> nodes = control, others(control.begin() + 1, control.end());
  nodes.insert(nodes.end(), workers.begin(), workers.end());
  step("prepare", all, "30m");
  step("load-balancers", balancers, "10m");
  step("kubernetes", nodes, "15m");
  step("disks", workers, "5m");
  step("gpu", gpu_hosts(context, all), "30m");
  step("first-control-plane", {control.front()}, "15m");
  step("control-planes", others, "15m");
  step("workers", workers, "15m");
  step("finish", {control.front()}, "10m");
  step("rewrite-secrets", {control.front()}, "10m");
  part.steps.push_back({.kind = "kubeconfig", .what = "run.sh kubeconfig", .where = control.front().name});
  for (Section& s : machines_sections(context, all)) part.sections.push_back(std::move(s));
  return {std::move(part)};
}

}  // namespace tg::render
