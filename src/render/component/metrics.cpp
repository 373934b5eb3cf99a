// Prometheus, Alertmanager, kube-state-metrics and node-exporter: kube-prometheus-stack. Grafana has a
// release of its own beside its dashboards.
#include <fmt/format.h>

#include "render/component/cert_manager.hpp"
#include "render/component/cluster_dns.hpp"
#include "render/component/components.hpp"
#include "render/component/observability.hpp"

namespace tg::render {

namespace {

using observability::kMetricsNamespace;
using observability::kNodeNamespace;

const std::string kNs(kMetricsNamespace);
const std::string kRelease = "prometheus";

// Rules of the stack that say the same as our own, which have unit tests.
constexpr auto kReplacedRules = std::to_array<std::string_view>(
    {"KubePodCrashLooping", "KubeDeploymentRolloutStuck", "KubePersistentVolumeFillingUp", "KubeJobFailed",
     "KubeNodeNotReady", "NodeMemoryHighUtilization", "NodeCPUHighUsage", "NodeFilesystemAlmostOutOfSpace",
     "TargetDown"});

// The control plane can be measured only where it runs on machines of ours with a port that can be reached.
bool own_control_plane(const Context& context) { return context.site() == Site::machines; }

// GKE runs another program.
bool core_dns(const Context& context) { return context.site() != Site::google; }

Json dns_values(const Context& context) {
  Json out{{"enabled", core_dns(context)}};
  // Without a word the Service of the chart looks for the label of kubeadm.
  if (context.site() == Site::open_telekom_cloud)
    out["service"]["selector"] = to_json(cluster_dns(context).pods);
  return out;
}

Json reset_secret(const observability::Held& held, std::string_view key) {
  return {{"name", held.secret}, {"key", key}};
}

Json remote_write(const Context& context, Part& part) {
  Json out = Json::array();
  int number = 0;
  for (const spec::Reader& target : context.component("metrics").entries("remoteWrite")) {
    ++number;
    Json one{{"url", target.text("url")}};
    if (const auto ref = target.secret("credentials")) {
      const std::string own = fmt::format("remote-write-{}", number);
      auto held = observability::held(*ref, kNs, own, "", "login of the long-term store");
      if (ref->key.empty()) {
        held.need.keys = {"username", "password"};
        one["basicAuth"] = {{"username", reset_secret(held, "username")},
                            {"password", reset_secret(held, "password")}};
      } else {
        one["authorization"] = {{"credentials", reset_secret(held, held.key)}};
      }
      part.secrets.push_back(std::move(held.need));
    }
    one["queueConfig"] = {{"maxShards", 10}, {"maxSamplesPerSend", 2000}};
    // What only ranks buckets of the control plane is not worth its price over years.
    one["writeRelabelConfigs"] = Json::array({{{"sourceLabels", Json::array({"__name__"})},
                                               {"regex", "apiserver_.*_bucket|etcd_.*_bucket"},
                                               {"action", "drop"}}});
    out.push_back(std::move(one));
    part.edges.push_back({.from = prometheus_peer(),
                          .to = Peer::everywhere(),
                          .ports = {{"https", 443}},
                          .why = "writes to the long-term store"});
  }
  return out;
}

// 85 % of the volume: compaction needs room, and a full volume stops the measuring.
std::string retention_size(const spec::Reader& metrics) {
  const double mebibytes = metrics.number("storage.size") / (1024.0 * 1024.0);
  return fmt::format("{}MiB", static_cast<long long>(mebibytes * 0.85));
}

Json prometheus_values(const Context& context, Part& part) {
  const spec::Reader metrics = context.component("metrics");
  const std::string interval = metrics.has("interval") ? metrics.text("interval")
                               : context.small()       ? "60s"
                                                       : "30s";
  const std::int64_t replicas = metrics.integer("replicas");
  Json spec{{"replicas", replicas},
            {"retention", metrics.text("retention")},
            {"retentionSize", retention_size(metrics)},
            {"scrapeInterval", interval},
            {"evaluationInterval", interval},
            {"walCompression", true}};
  // Objects of every part are read, whatever labels they have.
  for (const char* kind : {"rule", "serviceMonitor", "podMonitor", "probe", "scrapeConfig"})
    spec[std::string(kind) + "SelectorNilUsesHelmValues"] = false;
  spec["externalLabels"] = {{"cluster", context.cluster_name()}};
  if (Json targets = remote_write(context, part); !targets.empty()) spec["remoteWrite"] = std::move(targets);
  spec["resources"] = to_json(context.size("metrics", "prometheus"));
  spec["storageSpec"] = {
      {"volumeClaimTemplate",
       {{"spec", observability::claim_spec(metrics.text("storage.size"),
                                           observability::storage_class(context, metrics))}}}};
  spec["podAntiAffinity"] = replicas > 1 ? "hard" : "soft";
  if (replicas > 1)
    spec["topologySpreadConstraints"] =
        Json::array({{{"maxSkew", 1},
                      {"topologyKey", "topology.kubernetes.io/zone"},
                      {"whenUnsatisfiable", "ScheduleAnyway"},
                      {"labelSelector", {{"matchLabels", {{"app.kubernetes.io/name", "prometheus"}}}}}}});
  if (const std::string host = metrics.text("host"); !host.empty()) spec["externalUrl"] = "https://" + host;
  observability::place(spec, context.add_on_placement());
  Json out{{"prometheusSpec", std::move(spec)}};
  out["podDisruptionBudget"] = {{"enabled", replicas > 1}};
  return out;
}

Json alertmanager_values(const Context& context, Part& part) {
  const int replicas = context.replicas("metrics", "alertmanager");
  Json spec{{"replicas", replicas}, {"retention", "120h"}};
  spec["resources"] = to_json(context.size("metrics", "alertmanager"));
  spec["storage"] = {
      {"volumeClaimTemplate", {{"spec", observability::claim_spec("1Gi", context.default_storage_class())}}}};
  spec["podAntiAffinity"] = replicas > 1 ? "hard" : "soft";
  if (const std::string host = context.component("alerts").text("host"); !host.empty())
    spec["externalUrl"] = "https://" + host;
  if (Json secrets = observability::alertmanager_secrets(context); !secrets.empty())
    spec["secrets"] = std::move(secrets);
  observability::place(spec, context.add_on_placement());
  if (replicas > 1) {
    const std::vector<Port> gossip{{"mesh-tcp", 9094}, {"mesh-udp", 9094, "UDP"}};
    part.edges.push_back({.from = observability::alertmanager_peer(),
                          .to = observability::alertmanager_peer(),
                          .ports = gossip,
                          .why = "agree on who told what"});
  }
  Json out{{"enabled", true}};
  out["config"] = observability::alertmanager_config(context);
  out["alertmanagerSpec"] = std::move(spec);
  out["podDisruptionBudget"] = {{"enabled", replicas > 1}};
  return out;
}

Json operator_values(const Context& context) {
  Json out{{"resources", to_json(context.size("metrics", "operator"))}};
  out["prometheusConfigReloader"] = {{"resources", to_json(context.size("metrics", "config-reloader"))}};
  // The webhook looks at rules before they are stored. Small machines do without: the rules here are tested.
  if (!context.small() && cert_manager(context)) {
    out["admissionWebhooks"] = {{"certManager", {{"enabled", true}}}, {"failurePolicy", "Ignore"}};
  } else {
    out["admissionWebhooks"] = {{"enabled", false}};
    out["tls"] = {{"enabled", false}};
  }
  observability::place(out, context.add_on_placement());
  return out;
}

Json rules_values(const Context& context) {
  if (context.small()) return {{"create", false}};
  Json disabled = Json::object();
  for (const std::string_view name : kReplacedRules) disabled[std::string(name)] = true;
  Json rules{{"windows", false}};
  if (!own_control_plane(context)) {
    for (const char* name :
         {"etcd", "kubeControllerManager", "kubeProxy", "kubeSchedulerAlerting", "kubeSchedulerRecording"})
      rules[name] = false;
  }
  return {{"create", true}, {"rules", std::move(rules)}, {"disabled", std::move(disabled)}};
}

Json values(const Context& context, Part& part) {
  Json out{{"fullnameOverride", "prometheus"}};
  // They come before every part that has objects of these kinds.
  out["crds"] = {{"enabled", false}};
  out["defaultRules"] = rules_values(context);
  const bool own = own_control_plane(context);
  out["kubeApiServer"] = {{"enabled", true}};
  out["kubelet"] = {{"enabled", true}};
  if (context.small()) out["kubelet"]["serviceMonitor"] = {{"cAdvisorInterval", "60s"}};
  out["coreDns"] = dns_values(context);
  out["kubeControllerManager"] = {{"enabled", own}};
  out["kubeScheduler"] = {{"enabled", own}};
  out["kubeEtcd"] = {{"enabled", own}};
  out["kubeProxy"] = {{"enabled", own}};
  // In a release of its own.
  out["grafana"] = {{"enabled", false}, {"forceDeployDashboards", !context.small()}};
  out["nodeExporter"] = {{"enabled", true}};
  out["prometheus-node-exporter"] = {{"fullnameOverride", "node-exporter"},
                                     {"namespaceOverride", kNodeNamespace},
                                     {"tolerations", Json::array({{{"operator", "Exists"}}})},
                                     {"resources", to_json(context.size("metrics", "node-exporter"))}};
  out["kubeStateMetrics"] = {{"enabled", true}};
  Json state{{"fullnameOverride", "kube-state-metrics"},
             {"resources", to_json(context.size("metrics", "kube-state-metrics"))}};
  observability::place(state, context.add_on_placement());
  out["kube-state-metrics"] = std::move(state);
  out["prometheusOperator"] = operator_values(context);
  out["prometheus"] = prometheus_values(context, part);
  out["alertmanager"] = alertmanager_values(context, part);
  return out;
}

void connect(const Context& context, Part& part) {
  const Peer prometheus = prometheus_peer();
  const Peer alertmanager = observability::alertmanager_peer();
  const Peer state = Peer::pods(kNs, {{"app.kubernetes.io/name", "kube-state-metrics"}});
  const Peer op = Peer::pods(kNs, {{"app", "kube-prometheus-stack-operator"}});
  const int operator_port = !context.small() && cert_manager(context) ? 10250 : 8080;
  std::vector<Port> nodes{{"kubelet", 10250}, {"node-exporter", 9100}};
  if (own_control_plane(context)) {
    for (const Port& p : std::vector<Port>{
             {"controllers", 10257}, {"scheduler", 10259}, {"etcd", 2381}, {"kube-proxy", 10249}})
      nodes.push_back(p);
  }
  const std::string scrapes = "scrapes metrics";
  part.edges.insert(
      part.edges.end(),
      {{.from = prometheus, .to = Peer::nodes(), .ports = nodes, .why = scrapes},
       {.from = prometheus, .to = Peer::api_server(), .ports = {}, .why = "finds targets, scrapes metrics"},
       {.from = prometheus, .to = state, .ports = {{"http", 8080}}, .why = scrapes},
       {.from = prometheus, .to = op, .ports = {{"http", operator_port}}, .why = scrapes},
       {.from = prometheus,
        .to = prometheus,
        .ports = {{"http", observability::kPrometheusPort}, {"reloader", 8080}},
        .why = scrapes},
       {.from = prometheus,
        .to = alertmanager,
        .ports = {{"http", observability::kAlertmanagerPort}, {"reloader", 8080}},
        .why = "sends alerts, scrapes metrics"},
       {.from = op, .to = Peer::api_server(), .ports = {}, .why = "keeps the objects of the stack"},
       {.from = op,
        .to = prometheus,
        .ports = {{"http", observability::kPrometheusPort}},
        .why = "asks whether it is ready"},
       {.from = state, .to = Peer::api_server(), .ports = {}, .why = "watches every object"}});
  if (core_dns(context))
    part.edges.push_back({.from = prometheus,
                          .to = Peer::pods("kube-system", cluster_dns(context).pods),
                          .ports = {{"metrics", 9153}},
                          .why = scrapes});
  if (operator_port == 10250)
    part.edges.push_back({.from = Peer::api_server(),
                          .to = op,
                          .ports = {{"https", operator_port}},
                          .why = "asks whether rules are well formed"});
}

void publish(const Context& context, Part& part) {
  if (const std::string host = context.component("metrics").text("host"); !host.empty())
    part.published.push_back({.host = host,
                              .ns = kNs,
                              .service = "prometheus-prometheus",
                              .port = observability::kPrometheusPort,
                              .pods = prometheus_peer().labels,
                              .pod_port = observability::kPrometheusPort,
                              .operators_only = true});
  if (const std::string host = context.component("alerts").text("host"); !host.empty())
    part.published.push_back({.host = host,
                              .ns = kNs,
                              .service = "prometheus-alertmanager",
                              .port = observability::kAlertmanagerPort,
                              .pods = observability::alertmanager_peer().labels,
                              .pod_port = observability::kAlertmanagerPort,
                              .operators_only = true});
}

void explain(const Context& context, Part& part) {
  const spec::Reader metrics = context.component("metrics");
  part.sections.push_back(
      {.chapter = Section::Chapter::access,
       .title = "Prometheus and Alertmanager",
       .text = "Without a published name: `kubectl -n monitoring port-forward service/prometheus-prometheus "
               "9090` and `kubectl -n monitoring port-forward service/prometheus-alertmanager 9093`."});
  part.sections.push_back(
      {.chapter = Section::Chapter::daily,
       .title = "Alerts and targets",
       .text =
           "Look at what fires: `kubectl -n monitoring exec statefulset/alertmanager-prometheus-alertmanager "
           "-c alertmanager -- amtool --alertmanager.url=http://localhost:9093 alert query "
           "severity=critical`. "
           "Nothing is measured where `up == 0`."});
  part.sections.push_back(
      {.chapter = Section::Chapter::daily,
       .title = "Room on disks",
       .text = "The dashboard \"Cluster\" has every volume, \"Nodes\" every disk. In Prometheus: "
               "`topk(5, kubelet_volume_stats_used_bytes / kubelet_volume_stats_capacity_bytes)`. At 85 % an "
               "alert "
               "comes."});
  part.sections.push_back(
      {.chapter = Section::Chapter::monthly,
       .title = "Room for measurements",
       .text = fmt::format("Measurements stay {} and never take more than 85 % of {} per copy. If "
                           "`prometheus_tsdb_storage_blocks_bytes` nears that, the oldest go first: give "
                           "`components.metrics.storage` more, or keep less.",
                           metrics.text("retention"), metrics.text("storage.size"))});
}

}  // namespace

std::vector<Part> monitoring_crds(const Context& context) {
  if (!observability::stack(context)) return {};
  // The chart of the stack installs these kinds once and never again; apart they are kept current, and parts
  // that come before the stack can bring their monitors.
  Part part = component("monitoring-crds");
  part.namespaces.push_back({.name = kNs});
  part.releases.push_back(
      {.chart = "prometheus-operator-crds", .release = "prometheus-operator-crds", .ns = kNs});
  return {std::move(part)};
}

std::vector<Part> metrics(const Context& context) {
  if (!observability::stack(context)) return {};
  Part part = component("metrics");
  part.after = {"monitoring-crds", "storage", "certificates"};
  part.namespaces = {{.name = kNs},
                     {.name = std::string(kNodeNamespace),
                      .level = Level::privileged,
                      .reason = "node-exporter reads the machine's file systems, processes and network"}};
  part.releases.push_back(
      {.chart = "kube-prometheus-stack", .release = kRelease, .ns = kNs, .values = values(context, part)});
  connect(context, part);
  publish(context, part);
  explain(context, part);
  observability::add_exporters(context, part);
  return {std::move(part)};
}

}  // namespace tg::render
