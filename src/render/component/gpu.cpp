// GPUs of NVIDIA: driver, container toolkit, device plugin and metrics, by the operator or on the host's own.
#include <fmt/format.h>

#include "render/component/components.hpp"

namespace tg::render {

namespace {

// Whose driver and toolkit a node runs.
struct Software {
  bool driver = false;
  bool toolkit = false;
};

Software brought(const Context& context) {
  switch (context.site()) {
    case Site::machines:
    case Site::k3s:
      return {gpu_software(context) == "operator", gpu_software(context) == "operator"};
    case Site::aws:    // the accelerated images carry both
    case Site::azure:  // so do those of GPU node pools
      return {false, false};
    case Site::open_telekom_cloud:  // its add-on brings both and the plugin: there is no operator
      return {false, false};
    case Site::google:  // its image has the driver in a place of its own
    case Site::cluster_api:
    case Site::existing:
      return {true, true};
  }
  return {};
}

Json tolerations(const Context& context) {
  std::vector<Json> out{{{"key", "nvidia.com/gpu"}, {"operator", "Exists"}, {"effect", "NoSchedule"}}};
  for (const auto& [name, pool] : context.spec().named("pools")) {
    if (pool.text("gpu.vendor") != "nvidia") continue;
    for (const std::string& taint : pool.list("taints")) {
      if (!taint.starts_with("nvidia.com/gpu")) out.push_back(toleration(taint));
    }
  }
  return out;
}

Json size(const Context& context, std::string_view workload) {
  return to_json(context.size("gpu", workload));
}

Json values(const Context& context) {
  const Software own = brought(context);
  const Placement place = context.add_on_placement();
  Json operator_pods{{"resources", size(context, "operator")}};
  if (!place.node_selector.empty()) operator_pods["nodeSelector"] = to_json(place.node_selector);
  Json operator_tolerations = Json::array({toleration("node-role.kubernetes.io/control-plane:NoSchedule")});
  for (const Json& t : place.tolerations) {
    if (t != operator_tolerations[0]) operator_tolerations.push_back(t);
  }
  operator_pods["tolerations"] = std::move(operator_tolerations);
  Json out{
      {"cdi", {{"enabled", true}}},
      {"driver",
       {{"enabled", own.driver},
        {"kernelModuleType", "auto"},
        {"upgradePolicy",
         {{"autoUpgrade", true},
          {"maxParallelUpgrades", 1},
          {"maxUnavailable", "25%"},
          {"drain", {{"enable", true}, {"force", false}, {"timeoutSeconds", 600}}}}}}},
      {"toolkit", {{"enabled", own.toolkit}, {"resources", size(context, "toolkit")}}},
      {"devicePlugin", {{"enabled", true}, {"resources", size(context, "device-plugin")}}},
      {"gfd", {{"enabled", true}, {"resources", size(context, "feature-discovery")}}},
      {"dcgmExporter",
       {{"enabled", true},
        {"resources", size(context, "dcgm-exporter")},
        // The monitor stands with the metrics of the hosts: its kind is not known yet when this is installed.
        {"serviceMonitor", {{"enabled", false}}}}},
      {"mig", {{"strategy", "single"}}},
      {"migManager", {{"enabled", true}}},
      {"daemonsets", {{"tolerations", tolerations(context)}, {"priorityClassName", "system-node-critical"}}},
      {"operator", std::move(operator_pods)},
      {"nfd", {{"enabled", true}}},
      {"psa", {{"enabled", false}}},  // the namespace is made with its level
      {"sandboxWorkloads", {{"enabled", false}}}};
  Json discovery{{"worker", {{"tolerations", tolerations(context)}}}};
  if (!place.tolerations.empty()) {
    discovery["master"] = {{"tolerations", place.tolerations}};
    discovery["gc"] = {{"tolerations", place.tolerations}};
  }
  out["node-feature-discovery"] = std::move(discovery);
  return out;
}

Alert xid() {
  return {.name = "GPUErrors",
          .expr = "DCGM_FI_DEV_XID_ERRORS > 0",
          .duration = "1m",
          .severity = "critical",
          .summary = "GPU {{ $labels.gpu }} of {{ $labels.Hostname }} reports an error",
          .description = "Xid {{ $value }}.",
          .action = "Look the number up in NVIDIA's list of Xid errors; drain the node if it comes again.",
          .input = {{"DCGM_FI_DEV_XID_ERRORS{gpu=\"0\",Hostname=\"n1\"}", "0x5 79x10"}},
          .quiet = "4m",
          .fires = "8m",
          .expected = {{"gpu", "0"}, {"Hostname", "n1"}},
          .value = "79"};
}

Alert hot() {
  return {.name = "GPUHot",
          .expr = "DCGM_FI_DEV_GPU_TEMP > 85",
          .duration = "10m",
          .severity = "warning",
          .summary = "GPU {{ $labels.gpu }} of {{ $labels.Hostname }} is at {{ $value }} °C",
          .description = "Above 85 °C for ten minutes; it slows down soon.",
          .action = "Look at fans, air and neighbours in the rack.",
          .input = {{"DCGM_FI_DEV_GPU_TEMP{gpu=\"0\",Hostname=\"n1\"}", "90x30"}},
          .quiet = "9m",
          .fires = "12m",
          .expected = {{"gpu", "0"}, {"Hostname", "n1"}},
          .value = "90"};
}

Dashboard dashboard() {
  Dashboard out{.uid = "gpu", .title = "GPUs", .folder = "Platform"};
  out.panels = {
      {.title = "Use", .queries = {{"DCGM_FI_DEV_GPU_UTIL", "{{Hostname}} {{gpu}}"}}, .unit = "percent"},
      {.title = "Memory in use",
       .queries = {{"DCGM_FI_DEV_FB_USED * 1024 * 1024", "{{Hostname}} {{gpu}}"}},
       .unit = "bytes"},
      {.title = "Temperature",
       .queries = {{"DCGM_FI_DEV_GPU_TEMP", "{{Hostname}} {{gpu}}"}},
       .unit = "celsius"},
      {.title = "Power", .queries = {{"DCGM_FI_DEV_POWER_USAGE", "{{Hostname}} {{gpu}}"}}, .unit = "watt"},
      {.title = "Tensor cores busy",
       .queries = {{"DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "{{Hostname}} {{gpu}}"}},
       .unit = "percentunit"},
      {.title = "Errors (Xid)",
       .queries = {{"DCGM_FI_DEV_XID_ERRORS", "{{Hostname}} {{gpu}}"}},
       .unit = "none"}};
  return out;
}

}  // namespace

std::string gpu_software(const Context& context) {
  if (const std::string use = context.use("gpu"); !use.empty()) return use;
  for (const auto& [name, pool] : context.spec().named("pools")) {
    if (pool.text("gpu.vendor") == "nvidia") return "operator";
  }
  return "none";
}

namespace {

// Where CCE's add-on puts the driver on a node.
constexpr const char* kCceDriver = "/usr/local/nvidia";

Json exporter_values(const Context& context) {
  Json volume, mount;
  volume["name"] = mount["name"] = "driver";
  volume["hostPath"] = kCceDriver;
  mount["mountPath"] = kCceDriver;
  mount["readOnly"] = true;
  Json out;
  out["resources"] = size(context, "dcgm-exporter");
  out["nodeSelector"]["nvidia.com/gpu.present"] = "true";
  out["tolerations"] = tolerations(context);
  out["extraHostVolumes"] = Json::array({std::move(volume)});
  // The list of the chart is replaced as a whole: its own entry holds the counters.
  Json counters;
  counters["name"] = "exporter-metrics-volume";
  counters["mountPath"] = "/etc/dcgm-exporter/default-counters.csv";
  counters["subPath"] = "default-counters.csv";
  out["extraVolumeMounts"] = Json::array({std::move(counters), std::move(mount)});
  out["extraEnv"] = Json::array({env("LD_LIBRARY_PATH", std::string(kCceDriver) + "/lib64")});
  // The monitor stands with the metrics of the hosts.
  out["serviceMonitor"]["enabled"] = false;
  return out;
}

// CCE's add-on brings driver and device plugin (infrastructure/terraform/addons.tf.json); what is missing are
// the metrics.
Part exporter_of_cce(const Context& context) {
  Part part = component("gpu");
  const std::string ns = "gpu-operator";
  part.namespaces.push_back(
      {.name = ns, .level = Level::privileged, .reason = "the exporter reads the driver of the node"});
  if (context.has("metrics")) {
    part.releases.push_back(
        {.chart = "dcgm-exporter", .release = "dcgm-exporter", .ns = ns, .values = exporter_values(context)});
    part.edges.push_back({.from = prometheus_peer(),
                          .to = Peer::pods(ns, {{"app.kubernetes.io/name", "dcgm-exporter"}}),
                          .ports = {{"metrics", 9400}},
                          .why = "scrapes metrics"});
    part.alerts = {xid(), hot()};
    part.dashboards.push_back(dashboard());
  }
  part.sections.push_back(
      {.chapter = Section::Chapter::troubleshooting,
       .title = "A node shows no GPU",
       .text = "```sh\nkubectl get nodes -o "
               "custom-columns='NODE:.metadata.name,GPUS:.status.allocatable.nvidia\\.com/gpu'\n"
               "kubectl -n kube-system get pods -o wide | grep nvidia\n"
               "kubectl -n kube-system logs daemonset/nvidia-driver-installer --tail 30\n```\n\nThe add-on "
               "`gpu-beta` of CCE installs the driver when a node joins: give it some minutes.\n"});
  return part;
}

}  // namespace

std::vector<Part> gpu(const Context& context) {
  if (gpu_software(context) == "none") return {};
  if (context.site() == Site::open_telekom_cloud) return {exporter_of_cce(context)};
  Part part = component("gpu");
  const std::string ns = "gpu-operator";
  part.namespaces.push_back(
      {.name = ns,
       .level = Level::privileged,
       .reason = "drivers and plugins reach into the host: devices, kernel modules, the kubelet's sockets"});
  part.releases.push_back(
      {.chart = "gpu-operator", .release = "gpu-operator", .ns = ns, .values = values(context)});
  part.steps.push_back(
      {.kind = "wait", .what = "clusterpolicy/cluster-policy state=ready", .timeout = "30m"});
  // Operators and plugins watch the API; drivers and models of the driver's container come from outside.
  part.edges.push_back({.from = Peer::pods(ns),
                        .to = Peer::api_server(),
                        .why = "operator, plugins and discovery watch nodes"});
  if (brought(context).driver) {
    part.edges.push_back({.from = Peer::pods(ns, {{"app.kubernetes.io/component", "nvidia-driver"}}),
                          .to = Peer::everywhere(),
                          .ports = {{"http", 80}, {"https", 443}},
                          .why = "fetches kernel headers to build the driver"});
  }
  if (context.has("metrics")) {
    part.edges.push_back({.from = prometheus_peer(),
                          .to = Peer::pods(ns, {{"app", "nvidia-dcgm-exporter"}}),
                          .ports = {{"metrics", 9400}},
                          .why = "scrapes metrics"});
    part.edges.push_back({.from = prometheus_peer(),
                          .to = Peer::pods(ns, {{"app", "gpu-operator"}}),
                          .ports = {{"metrics", 8080}},
                          .why = "scrapes metrics"});
    part.alerts = {xid(), hot()};
    part.dashboards.push_back(dashboard());
  }
  part.sections.push_back(
      {.chapter = Section::Chapter::troubleshooting,
       .title = "A node shows no GPU",
       .text = "```sh\nkubectl get nodes -o "
               "custom-columns='NODE:.metadata.name,GPUS:.status.allocatable.nvidia\\.com/gpu'\n"
               "kubectl -n gpu-operator get pods -o wide\nkubectl get clusterpolicy\n```\n\nThe validator's "
               "pods name the "
               "first step that fails: driver, toolkit, plugin, CUDA.\n"});
  return {std::move(part)};
}

}  // namespace tg::render
