// Valkey: lists, caches and counters, with a password, a volume and followers.
#include <fmt/format.h>

#include "render/component/components.hpp"
#include "render/workload/data.hpp"

namespace tg::render {

namespace {

constexpr int kPort = 6379;
constexpr int kExporter = 9121;

Json values(const Context& context, const std::string& name, const spec::Reader& spec) {
  const std::int64_t followers = spec.integer("instances") - 1;
  const std::string storage_class = data_class(context, spec);
  Json out{{"nameOverride", name}, {"fullnameOverride", name}};
  out["auth"] = {{"enabled", true},
                 {"usersExistingSecret", name + "-valkey"},
                 {"aclUsers", {{"default", {{"permissions", "~* &* +@all"}, {"passwordKey", "password"}}}}}};
  if (followers > 0) {
    out["replica"] = {{"enabled", true},
                      {"replicas", followers},
                      // What is written is on two instances, or is refused.
                      {"minReplicasToWrite", 1},
                      {"persistence", {{"size", spec.text("size")}}}};
    if (!storage_class.empty()) out["replica"]["persistence"]["storageClass"] = storage_class;
    out["podDisruptionBudget"] = {
        {"enabled", true}, {"maxUnavailable", 1}, {"unhealthyPodEvictionPolicy", "AlwaysAllow"}};
    out["topologySpreadConstraints"] =
        Json::array({{{"maxSkew", 1},
                      {"topologyKey", "topology.kubernetes.io/zone"},
                      {"whenUnsatisfiable", "ScheduleAnyway"},
                      {"labelSelector", {{"matchLabels", to_json(selector(name))}}}}});
  } else {
    out["dataStorage"] = {{"enabled", true}, {"requestedSize", spec.text("size")}, {"keepPvc", true}};
    if (!storage_class.empty()) out["dataStorage"]["className"] = storage_class;
    out["deploymentStrategy"] = "Recreate";  // one volume, one pod
  }
  out["valkeyConfig"] = "appendonly yes\nappendfsync everysec\nmaxmemory-policy noeviction\n";
  out["resources"] = to_json(data_size(context, spec, "valkey"));
  out["initResources"] = to_json(context.size("data", "valkey-init"));
  out["readinessProbe"] = {{"enabled", true}};
  if (measured(context)) {
    out["metrics"] = {{"enabled", true},
                      {"exporter", {{"resources", to_json(context.size("data", "exporter"))}}},
                      {"serviceMonitor", {{"enabled", true}}}};
  }
  return out;
}

std::string labels(const std::string& name) {
  return fmt::format("namespace=\"{}\",pod=~\"{}-.*\"", kDataNamespace, name);
}

void add_alerts(Part& part, const std::string& name, std::int64_t instances) {
  const std::string pod = fmt::format("{{namespace=\"{}\",pod=\"{}-0\"}}", kDataNamespace, name);
  Alert full{.name = "RedisMemoryHigh"};
  full.expr = fmt::format(
      "max by (pod) (redis_memory_used_rss_bytes{{{0}}}) / max by (pod) "
      "(kube_pod_container_resource_limits{{{0},container=\"{1}\",resource=\"memory\"}}) > 0.85",
      labels(name), name);
  full.duration = "10m";
  full.severity = "warning";
  full.summary = "{{ $labels.pod }} uses {{ $value | humanizePercentage }} of its memory";
  full.description = "Behind its limit it is ended and loses what was not written.";
  full.action = fmt::format("Find what grows, or give data.{}.resources more memory.", name);
  full.labels = data_labels(name);
  full.input = {
      {"redis_memory_used_rss_bytes" + pod, "100x10 900x50"},
      {fmt::format("kube_pod_container_resource_limits{{namespace=\"{}\",pod=\"{}-0\",container=\"{}\","
                   "resource=\"memory\"}}",
                   kDataNamespace, name, name),
       "1000x60"}};
  full.quiet = "10m";
  full.fires = "30m";
  full.value = "90%";
  full.expected = {{"pod", name + "-0"}};
  part.alerts.push_back(std::move(full));
  if (instances == 1) return;
  Alert lost{.name = "RedisFollowersMissing"};
  lost.expr = fmt::format("max(redis_connected_slaves{{{}}}) < {}", labels(name), instances - 1);
  lost.duration = "5m";
  lost.severity = "warning";
  lost.summary = fmt::format("{} has {{{{ $value }}}} of {} followers", name, instances - 1);
  lost.description = "Without followers what is written stands on one volume.";
  lost.action = fmt::format("kubectl -n {0} get pods -l app.kubernetes.io/name={1}", kDataNamespace, name);
  lost.labels = data_labels(name);
  lost.input = {{"redis_connected_slaves" + pod, fmt::format("{}x10 0x50", instances - 1)}};
  lost.quiet = "10m";
  lost.fires = "20m";
  lost.value = "0";
  part.alerts.push_back(std::move(lost));
}

}  // namespace

Part valkey(const Context& context, const std::string& name, const spec::Reader& spec) {
  Part part = data_part(name);
  const Peer pods = Peer::pods(kDataNamespace, {{"app.kubernetes.io/name", name}});
  const std::int64_t instances = spec.integer("instances");
  part.secrets.push_back({.name = name + "-valkey",
                          .ns = kDataNamespace,
                          .keys = {"password", "url"},
                          .why = "password of the service",
                          .values = {{"url", fmt::format("redis://:${{password}}@{}.{}.svc:{}/0", name,
                                                         kDataNamespace, kPort)}}});
  part.releases.push_back(
      {.chart = "valkey", .release = name, .ns = kDataNamespace, .values = values(context, name, spec)});
  if (instances > 1)
    part.edges.push_back(
        {.from = pods, .to = pods, .ports = {{"redis", kPort}}, .why = "followers follow the first"});
  if (measured(context)) {
    part.edges.push_back(
        {.from = prometheus_peer(), .to = pods, .ports = {{"metrics", kExporter}}, .why = "scrapes metrics"});
    add_alerts(part, name, instances);
  }
  for (std::int64_t i = 0; i < instances; ++i) {
    part.keeps.push_back({.ns = kDataNamespace,
                          .name = instances > 1 ? fmt::format("valkey-data-{}-{}", name, i) : name,
                          .user = 1000});
  }
  part.sections.push_back(
      {Section::Chapter::troubleshooting, "Valkey " + name,
       fmt::format("kubectl -n {0} get pods -l app.kubernetes.io/name={1}\n"
                   "kubectl -n {0} logs -l app.kubernetes.io/name={1} --all-containers --tail=50\n",
                   kDataNamespace, name)});
  return part;
}

}  // namespace tg::render
