// Planned care of own machines: restarts one by one in their window, the CIS benchmark, the word before.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "catalog/images.hpp"
#include "render/component/components.hpp"
#include "render/infrastructure/hosts.hpp"
#include "render/infrastructure/window.hpp"

namespace tg::render {

namespace {

constexpr std::string_view kNs = "upkeep";

Json host_path(std::string_view name, std::string_view path, std::string_view type = "") {
  return {{"name", name}, {"hostPath", {{"path", path}, {"type", type}}}};
}

// kured: a node that asks for a restart is drained, restarted and let in again; one at a time, in the window.
void add_kured(const Context& context, Part& part) {
  const Window at = reboot_window(context);
  const std::string ns(kNs);
  part.add("kured.yaml", service_account("kured", ns));
  part.add("kured.yaml", role("kured", {},
                              {{{""}, {"nodes"}, {"get", "patch"}},
                               {{""}, {"pods"}, {"list", "delete", "get"}},
                               {{"apps"}, {"daemonsets"}, {"get"}},
                               {{""}, {"pods/eviction"}, {"create"}}}));
  part.add("kured.yaml",
           role_binding("kured", {}, "ClusterRole", "kured", {{"ServiceAccount", "kured", ns}}));
  part.add("kured.yaml", role("kured", ns, {{{"apps"}, {"daemonsets"}, {"update"}, {"kured"}}}));
  part.add("kured.yaml", role_binding("kured", ns, "Role", "kured", {{"ServiceAccount", "kured", ns}}));
  Container c{.name = "kured", .image = catalog::image("kured")};
  c.command = {"/usr/bin/kured"};
  c.args = {"--ds-namespace=" + ns,
            "--ds-name=kured",
            "--reboot-sentinel=/sentinel/reboot-required",
            "--period=10m",
            fmt::format("--reboot-days={}", fmt::join(at.days, ",")),
            "--start-time=" + at.from,
            "--end-time=" + at.to,
            "--time-zone=" + at.time_zone,
            "--concurrency=1",
            "--lock-ttl=30m",
            "--lock-release-delay=5m",
            "--drain-grace-period=120",
            "--drain-timeout=30m",
            "--annotate-nodes=true",
            "--log-format=json"};
  if (context.has("metrics")) {
    // No restart while something else is wrong.
    c.args.emplace_back("--prometheus-url=http://prometheus-operated.monitoring.svc:9090");
    c.args.emplace_back("--alert-firing-only=true");
    c.args.emplace_back("--alert-filter-regexp=^(Watchdog|InfoInhibitor|RebootPending)$");
  }
  c.ports = {{"metrics", 8080}};
  c.env = {env_from_field("KURED_NODE_ID", "spec.nodeName")};
  c.resources = context.size("upkeep", "kured");
  c.readiness = tcp_probe("metrics", 30);
  c.mounts = {{"sentinel", "/sentinel", true}};
  c.run_as_root = true;  // calls systemctl of the host
  Pod pod;
  pod.service_account = "kured";
  pod.api_token = true;
  pod.volumes = {host_path("sentinel", "/var/run", "Directory")};
  pod.priority_class = "system-node-critical";
  pod.containers = {std::move(c)};
  // Every node may need a restart, whatever it is kept free for.
  pod.placement.tolerations = {Json{{"operator", "Exists"}}};
  Json set = daemon_set("kured", ns, pod);
  set["metadata"]["annotations"] = {{"tidegate.dev/privileged-because", "restarts the machine"}};
  Json& spec = set["spec"]["template"]["spec"];
  spec["hostPID"] = true;  // enters the namespaces of process 1 to restart the machine
  spec["containers"][0]["securityContext"] = {
      {"privileged", true}, {"readOnlyRootFilesystem", true}, {"runAsUser", 0}, {"runAsNonRoot", false}};
  set["spec"]["updateStrategy"] = {{"type", "RollingUpdate"}};
  part.add("kured.yaml", std::move(set));
  part.edges.push_back({.from = Peer::pods(ns, selector("kured")),
                        .to = Peer::api_server(),
                        .why = "drains its node and holds the lock"});
  if (!context.has("metrics")) return;
  part.edges.push_back({.from = Peer::pods(ns, selector("kured")),
                        .to = prometheus_peer(),
                        .ports = {{"http", 9090}},
                        .why = "asks whether alerts fire"});
  part.edges.push_back({.from = prometheus_peer(),
                        .to = Peer::pods(ns, selector("kured")),
                        .ports = {{"metrics", 8080}},
                        .why = "scrapes metrics"});
  Json monitor = object("monitoring.coreos.com/v1", "PodMonitor", "kured", ns);
  monitor["spec"] = {{"selector", {{"matchLabels", to_json(selector("kured"))}}},
                     {"podMetricsEndpoints", Json::array({{{"port", "metrics"}, {"interval", "60s"}}})}};
  part.add("kured.yaml", std::move(monitor));
  part.alerts.push_back(
      {.name = "RebootPending",
       .expr = "max by (node) (kured_reboot_required) > 0",
       .duration = "8d",
       .severity = "warning",
       .summary = "{{ $labels.node }} waits for a restart since more than a week",
       .description = "An update asks for a restart, and the window passed without one.",
       .action = "See the log of kured on that node: a budget that blocks the drain, or an alert that fires.",
       .input = {{"kured_reboot_required{node=\"n1\"}", "1x12000"}},
       .quiet = "7d",
       .fires = "8d2h",
       .expected = {{"node", "n1"}}});
}

// What kube-bench reads of the host, by what the node is.
struct Bench {
  std::string_view name;
  std::string_view targets;
  std::vector<std::pair<std::string_view, std::string_view>> paths;
  bool control_plane;
};

std::string_view benchmark_of(Site site) {
  switch (site) {
    case Site::k3s:
      return "k3s-cis-1.8";
    case Site::aws:
      return "eks-1.5.0";
    case Site::google:
      return "gke-1.6.0";
    case Site::azure:
      return "aks-1.7";
    default:
      return "cis-1.12";
  }
}

void add_bench(const Context& context, const std::vector<Host>& machines, Part& part) {
  const std::string often = context.spec().text("upkeep.cis");
  if (often == "none") return;
  const std::string_view schedule = often == "weekly" ? "30 4 * * 1" : "30 4 1 * *";
  const bool k3s = context.site() == Site::k3s;
  const std::string_view benchmark = benchmark_of(context.site());
  std::vector<Bench> all;
  if (k3s) {
    all.push_back({"kube-bench",
                   "master,etcd,controlplane,node,policies",
                   {{"etc-rancher", "/etc/rancher"},
                    {"var-lib-rancher", "/var/lib/rancher"},
                    {"etc-systemd", "/etc/systemd"}},
                   true});
  } else {
    // The control plane of a cloud is the cloud's to judge.
    if (!context.cloud()) {
      all.push_back({"kube-bench-control-plane",
                     "master,etcd,controlplane,policies",
                     {{"etc-kubernetes", "/etc/kubernetes"},
                      {"var-lib-etcd", "/var/lib/etcd"},
                      {"var-lib-kubelet", "/var/lib/kubelet"},
                      {"etc-systemd", "/etc/systemd"},
                      {"lib-systemd", "/lib/systemd"},
                      {"etc-cni", "/etc/cni/net.d"},
                      {"opt-cni", "/opt/cni/bin"}},
                     true});
    }
    all.push_back({"kube-bench-node",
                   "node",
                   {{"etc-kubernetes", "/etc/kubernetes"},
                    {"var-lib-kubelet", "/var/lib/kubelet"},
                    {"etc-systemd", "/etc/systemd"},
                    {"lib-systemd", "/lib/systemd"},
                    {"etc-cni", "/etc/cni/net.d"},
                    {"opt-cni", "/opt/cni/bin"}},
                   false});
  }
  const std::string ns(kNs);
  for (const Bench& b : all) {
    Container c{.name = "kube-bench", .image = catalog::image("kube-bench")};
    c.command = {"kube-bench"};
    c.args = {"run", fmt::format("--targets={}", b.targets), fmt::format("--benchmark={}", benchmark)};
    c.resources = context.size("upkeep", "kube-bench");
    c.run_as_root = true;  // reads files that only root may read
    Pod pod;
    for (const auto& [name, path] : b.paths) {
      c.mounts.push_back({std::string(name), std::string(path), true});
      pod.volumes.push_back(host_path(name, path, "DirectoryOrCreate"));
    }
    c.mounts.push_back({"tmp", "/tmp"});
    pod.volumes.push_back(volume_scratch("tmp", "16Mi"));
    pod.containers = {std::move(c)};
    if (b.control_plane) {
      pod.placement.node_selector.emplace("node-role.kubernetes.io/control-plane", k3s ? "true" : "");
      pod.placement.tolerations = {toleration("node-role.kubernetes.io/control-plane:NoSchedule")};
    } else {
      pod.placement.tolerations = {Json{{"operator", "Exists"}}};
    }
    Json cron = cron_job(b.name, ns, schedule, pod);
    cron["metadata"]["annotations"] = {
        {"tidegate.dev/privileged-because", "reads settings and processes of the machine as root"}};
    Json& job = cron["spec"]["jobTemplate"]["spec"];
    // One pod on each machine of its kind, all at once. Nodes of a pool are alike: there one speaks for all.
    std::ptrdiff_t count = 1;
    if (context.site() == Site::machines) {
      count = std::count_if(machines.begin(), machines.end(), [&](const Host& h) {
        return h.node() && (h.role == "control-plane") == b.control_plane;
      });
    }
    if (count == 0) continue;
    job["parallelism"] = count;
    job["completions"] = count;
    Json& spec = job["template"]["spec"];
    spec["affinity"] = {
        {"podAntiAffinity",
         {{"requiredDuringSchedulingIgnoredDuringExecution",
           Json::array({{{"topologyKey", "kubernetes.io/hostname"},
                         {"labelSelector", {{"matchLabels", to_json(selector(b.name))}}}}})}}}};
    spec["hostPID"] = true;  // looks at the flags of processes
    if (!b.control_plane) {
      const Json other{{"key", "node-role.kubernetes.io/control-plane"}, {"operator", "DoesNotExist"}};
      spec["affinity"]["nodeAffinity"] = {
          {"requiredDuringSchedulingIgnoredDuringExecution",
           {{"nodeSelectorTerms", Json::array({{{"matchExpressions", Json::array({other})}}})}}}};
    }
    part.add("kube-bench.yaml", std::move(cron));
  }
}

void add_notice(const Context& context, Part& part) {
  const spec::Reader& spec = context.spec();
  const Window at = upkeep_window(context);
  const auto days = spec.seconds("upkeep.notice.before") / 86400;
  const std::string team = spec.text("contacts.team").empty() ? context.name() : spec.text("contacts.team");
  std::string to;
  for (const std::string& receiver : spec.list("upkeep.notice.to")) to += (to.empty() ? "" : ", ") + receiver;
  std::string contact = spec.text("contacts.email");
  if (contact.empty()) contact = spec.text("contacts.slack");
  const std::string text = fmt::format(
      "Subject: {0}: planned maintenance\n\n"
      "On the next {1} the platform {0} is under maintenance. Machines restart one after another; requests "
      "may take "
      "longer and single pods are moved. What runs in one copy only is away for some minutes.\n\n"
      "This word goes out {2:g} days before{3}. Questions: {4}{5}.\n",
      context.name(), at.text(), days, to.empty() ? "" : " to " + to, team,
      contact.empty() ? "" : ", " + contact);
  part.extras.push_back({.path = "notice.txt", .content = text});
  part.sections.push_back(
      {.chapter = Section::Chapter::monthly,
       .title = "Planned maintenance",
       .text = fmt::format(
           "Window: **{}**. Tell those concerned {:g} days before{}, with these words:\n\n```text\n{}```\n",
           at.text(), days, to.empty() ? "" : " (receivers: " + to + ")", text)});
}

}  // namespace

std::vector<Part> upkeep(const Context& context) {
  Part part = component("upkeep");
  add_notice(context, part);
  if (context.site() == Site::existing)
    return {std::move(part)};  // its nodes are somebody else's to care for
  const bool own = context.site() == Site::machines || context.site() == Site::k3s;
  std::vector<Host> all;
  if (own) all = hosts(context);
  bool kured = false;
  if (own) {
    const auto nodes = std::count_if(all.begin(), all.end(), [](const Host& h) { return h.node(); });
    const Window restart = reboot_window(context);
    // A single node has no other to move its pods to: it restarts by itself (50unattended-upgrades).
    kured = nodes > 1 && context.spec().flag("upkeep.reboot.drain") && !restart.days.empty();
    if (kured) add_kured(context, part);
    part.sections.push_back(
        {.chapter = Section::Chapter::weekly,
         .title = "Updates of the hosts",
         .text = fmt::format("Security updates are {}; what belongs to Kubernetes, containerd and the GPU "
                             "driver is held back. Restarts: {}, {}.\n\n"
                             "```sh\n{}apt-mark showhold                                  # on a host\n"
                             "tail /var/log/unattended-upgrades/unattended-upgrades.log\n```\n",
                             context.spec().text("upkeep.securityUpdates"), restart.text(),
                             kured ? "one node at a time, drained by kured before" : "by the host itself",
                             kured ? "kubectl -n upkeep logs daemonset/kured --tail 20\n" : "")});
  }
  const std::string often = context.spec().text("upkeep.cis");
  if (often != "none") {
    add_bench(context, all, part);
    part.sections.push_back(
        {.chapter = Section::Chapter::monthly,
         .title = "CIS benchmark",
         .text = fmt::format(
             "kube-bench runs {}. Read its last report and compare the number of `[FAIL]` with the one "
             "before:\n\n```sh\nkubectl -n upkeep get jobs\nkubectl -n upkeep logs job/NAME | tail "
             "-20\n```\n",
             often)});
  }
  if (kured || often != "none") {
    part.namespaces.push_back(
        {.name = std::string(kNs),
         .level = Level::privileged,
         .reason = kured ? "restarts machines and reads their settings" : "reads the settings of machines"});
  }
  return {std::move(part)};
}

}  // namespace tg::render
