// Loki with Alloy: one program on a volume, or one for each task over a bucket.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "render/component/components.hpp"
#include "render/component/identity.hpp"
#include "render/component/logs.hpp"
#include "render/component/observability.hpp"

namespace tg::render::observability {

namespace {

const std::string kNs(kLogsNamespace);
const std::string kCollectors(kCollectorNamespace);
constexpr int kCacheMemory = 512;  // MiB

// Where chunks and index lie.
struct Store {
  std::string type;  // of the chart: filesystem, s3, gcs, azure
  std::string name;  // of the schema's object store
  std::string bucket;
};

Store store(const Context& context) {
  const spec::Reader logs = context.component("logs");
  std::string bucket = logs.text("storage.bucket");
  const bool wanted = !bucket.empty() || loki_distributed(context);
  if (!wanted) return {"filesystem", "filesystem", {}};
  if (bucket.empty()) bucket = context.name() + "-logs";
  switch (context.site()) {
    case Site::aws:
    case Site::open_telekom_cloud:
      return {"s3", "s3", std::move(bucket)};
    case Site::google:
      return {"gcs", "gcs", std::move(bucket)};
    case Site::azure:
      return {"azure", "azure", std::move(bucket)};
    case Site::machines:
    case Site::k3s:
    case Site::cluster_api:
    case Site::existing:
      break;
  }
  const char* field = loki_distributed(context) ? "mode" : "storage.bucket";
  context.refuse("no_object_store", logs.at(field), logs.where(field),
                 "many programs share what they keep, and only clouds have a bucket for it here",
                 "use mode: monolithic with a volume");
  return {"filesystem", "filesystem", {}};
}

// Storage accounts have small letters and digits only, at most 24.
std::string azure_account(std::string_view bucket) {
  std::string out;
  for (const char c : bucket) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0)
      out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out.substr(0, 24);
}

Json storage_json(const Context& context, const Store& s, Part& part) {
  Json out{{"type", s.type}};
  if (s.type == "filesystem") return out;
  out["bucketNames"] = {{"chunks", s.bucket}, {"ruler", s.bucket}, {"admin", s.bucket}};
  const spec::Reader site = context.infrastructure();
  if (context.site() == Site::aws) {
    // The identity of the service account opens the bucket: no key.
    out["s3"] = {{"region", site.text("region")}, {"s3ForcePathStyle", false}};
  } else if (context.site() == Site::open_telekom_cloud) {
    out["s3"] = {{"endpoint", fmt::format("https://obs.{}.otc.t-systems.com", site.text("region"))},
                 {"region", site.text("region")},
                 {"accessKeyId", "${LOGS_ACCESS_KEY}"},
                 {"secretAccessKey", "${LOGS_SECRET_KEY}"}};
    part.secrets.push_back({.name = "loki-bucket",
                            .ns = kNs,
                            .keys = {"LOGS_ACCESS_KEY", "LOGS_SECRET_KEY"},
                            .from = SecretNeed::From::reference,
                            .reference = "the credentials of the bucket " + s.bucket,
                            .why = "Loki writes to the bucket"});
  } else if (context.site() == Site::azure) {
    out["azure"] = {{"accountName", azure_account(s.bucket)}, {"useFederatedToken", true}};
  }
  part.edges.push_back({.from = Peer::pods(kNs, {{"app.kubernetes.io/name", "loki"}}),
                        .to = Peer::everywhere(),
                        .ports = {{"https", 443}},
                        .why = "keeps logs in the bucket"});
  add_identity_edge(part, context, Peer::pods(kNs, {{"app.kubernetes.io/name", "loki"}}));
  return out;
}

Json loki_json(const Context& context, const Store& s, Part& part) {
  const int days = retention_days(context);
  Json out = Json::object();
  // One tenant: who may ask is decided in front of it.
  out["auth_enabled"] = false;
  out["analytics"] = {{"reporting_enabled", false}};
  out["commonConfig"] = {{"replication_factor", loki_distributed(context) ? 3 : 1}};
  out["schemaConfig"] = {{"configs", Json::array({{{"from", "2024-04-01"},
                                                   {"store", "tsdb"},
                                                   {"object_store", s.name},
                                                   {"schema", "v13"},
                                                   {"index", {{"prefix", "index_"}, {"period", "24h"}}}}})}};
  out["storage"] = storage_json(context, s, part);
  // A period alone removes nothing: the compactor does, when it is told to.
  out["limits_config"] = {{"retention_period", fmt::format("{}h", days * 24)},
                          {"reject_old_samples", true},
                          {"reject_old_samples_max_age", fmt::format("{}h", std::min(days, 7) * 24)},
                          {"max_query_lookback", fmt::format("{}h", days * 24)},
                          {"allow_structured_metadata", true},
                          {"volume_enabled", true},
                          {"ingestion_rate_mb", 8},
                          {"ingestion_burst_size_mb", 16},
                          {"max_label_names_per_series", 15}};
  out["compactor"] = {{"working_directory", "/var/loki/compactor"},
                      {"compaction_interval", "10m"},
                      {"retention_enabled", true},
                      {"retention_delete_delay", "2h"},
                      {"delete_request_store", s.name}};
  if (context.small()) {
    out["ingester"] = {{"chunk_idle_period", "30m"}, {"wal", {{"replay_memory_ceiling", "64MB"}}}};
    out["querier"] = {{"max_concurrent", 2}};
  }
  return out;
}

Json with_replicas(const Context& context, std::string_view workload) {
  Json out{{"replicas", context.replicas("logs", workload)},
           {"resources", to_json(context.size("logs", workload))}};
  place(out, context.add_on_placement());
  return out;
}

void monolithic(const Context& context, const Store& s, Json& values) {
  const spec::Reader logs = context.component("logs");
  values["deploymentMode"] = "Monolithic";
  Json one{{"replicas", 1}, {"resources", to_json(context.size("logs", "loki"))}};
  Json volume{{"enabled", true}, {"size", s.type == "filesystem" ? logs.text("storage.size") : "10Gi"}};
  if (const std::string c = storage_class(context, logs); !c.empty()) volume["storageClass"] = c;
  // The volume outlives the release.
  volume["whenDeleted"] = "Retain";
  one["persistence"] = std::move(volume);
  // It only loads rules of Loki's own ruler, which is off.
  one["sidecar"] = false;
  place(one, context.add_on_placement());
  values["singleBinary"] = std::move(one);
  for (const char* other : {"write", "read", "backend"}) values[other] = {{"replicas", 0}};
  values["gateway"] = {{"enabled", false}};
  values["chunksCache"] = {{"enabled", false}};
  values["resultsCache"] = {{"enabled", false}};
}

void distributed(const Context& context, Json& values) {
  const spec::Reader logs = context.component("logs");
  values["deploymentMode"] = "Distributed";
  values["singleBinary"] = {{"replicas", 0}};
  for (const char* other : {"write", "read", "backend"}) values[other] = {{"replicas", 0}};
  struct Task {
    const char* key;
    const char* workload;
    const char* volume;
  };
  static constexpr auto tasks = std::to_array<Task>({{"ingester", "loki-ingester", "20Gi"},
                                                     {"distributor", "loki-distributor", nullptr},
                                                     {"querier", "loki-querier", nullptr},
                                                     {"queryFrontend", "loki-query-frontend", nullptr},
                                                     {"queryScheduler", "loki-query-scheduler", nullptr},
                                                     {"indexGateway", "loki-index-gateway", "10Gi"},
                                                     {"compactor", "loki-compactor", "10Gi"}});
  const std::string volume_class = storage_class(context, logs);
  for (const Task& t : tasks) {
    Json one = with_replicas(context, t.workload);
    if (std::string_view(t.key) == "ingester") one["zoneAwareReplication"] = {{"enabled", false}};
    if (t.volume != nullptr) {
      Json claim{{"size", t.volume}};
      if (!volume_class.empty()) claim["storageClass"] = volume_class;
      // The chart knows a list of claims for some of the tasks, and one claim for others.
      if (std::string_view(t.key) == "indexGateway") {
        claim["enabled"] = true;
        one["persistence"] = std::move(claim);
      } else {
        claim["name"] = "data";
        claim["accessModes"] = Json::array({"ReadWriteOnce"});
        one["persistence"] = {{"enabled", true}, {"claims", Json::array({std::move(claim)})}};
      }
    }
    values[t.key] = std::move(one);
  }
  values["gateway"] = with_replicas(context, "loki-gateway");
  values["gateway"]["enabled"] = true;
  for (const char* cache : {"chunksCache", "resultsCache"}) {
    values[cache] = {{"enabled", true},
                     {"replicas", 1},
                     {"allocatedMemory", kCacheMemory},
                     {"resources", to_json(context.size("logs", "loki-cache"))}};
  }
}

Json loki_values(const Context& context, Part& part) {
  const Store s = store(context);
  Json out{{"fullnameOverride", "loki"}};
  out["loki"] = loki_json(context, s, part);
  if (loki_distributed(context)) {
    distributed(context, out);
  } else {
    monolithic(context, s, out);
  }
  if (context.site() == Site::open_telekom_cloud && s.type == "s3") {
    const Json from = Json::array({{{"secretRef", {{"name", "loki-bucket"}}}}});
    for (const char* key : {"singleBinary", "ingester", "distributor", "querier", "queryFrontend",
                            "indexGateway", "compactor"}) {
      if (!out.contains(key)) continue;
      out[key]["extraArgs"] = Json::array({"-config.expand-env=true"});
      out[key]["extraEnvFrom"] = from;
    }
  }
  if (s.type == "azure") {
    out["serviceAccount"] = {
        {"annotations", {{"azure.workload.identity/client-id", "output:logs_client_id"}}}};
    out["loki"]["podLabels"] = {{"azure.workload.identity/use", "true"}};
  }
  out["lokiCanary"] = {{"enabled", false}};
  out["test"] = {{"enabled", false}};
  out["ruler"] = {{"enabled", false}};
  out["minio"] = {{"enabled", false}};
  out["sidecar"] = {{"rules", {{"enabled", false}}}};
  out["monitoring"] = {{"serviceMonitor", {{"enabled", stack(context)}}}};
  return out;
}

Json alloy_values(const Context& context) {
  Json out{{"fullnameOverride", "alloy"}, {"crds", {{"create", false}}}};
  Json alloy{
      {"configMap",
       {{"create", true}, {"content", alloy_config(context, loki_url(context) + "/loki/api/v1/push")}}}};
  alloy["enableReporting"] = false;
  // Where it stopped reading survives the pod.
  alloy["storagePath"] = "/var/lib/alloy/data";
  Json mounts = Json::array({{{"name", "positions"}, {"mountPath", "/var/lib/alloy"}}});
  Json volumes = Json::array(
      {{{"name", "positions"}, {"hostPath", {{"path", "/var/lib/alloy"}, {"type", "DirectoryOrCreate"}}}}});
  if (context.site() == Site::k3s) {
    // The server of k3s keeps its audit log with its data.
    mounts.push_back({{"name", "k3s"}, {"mountPath", kK3sLogs}, {"readOnly", true}});
    volumes.push_back({{"name", "k3s"}, {"hostPath", {{"path", kK3sLogs}, {"type", "DirectoryOrCreate"}}}});
  }
  alloy["mounts"] = {{"varlog", true}, {"extra", std::move(mounts)}};
  // Log files belong to root.
  alloy["securityContext"] = {{"runAsUser", 0},
                              {"runAsGroup", 0},
                              {"allowPrivilegeEscalation", false},
                              {"readOnlyRootFilesystem", true},
                              {"capabilities", {{"drop", Json::array({"ALL"})}}},
                              {"seccompProfile", {{"type", "RuntimeDefault"}}}};
  alloy["resources"] = to_json(context.size("logs", "alloy"));
  out["alloy"] = std::move(alloy);
  out["configReloader"] = {{"resources", to_json(context.size("logs", "alloy-reloader"))}};
  out["controller"] = {{"type", "daemonset"},
                       {"tolerations", Json::array({{{"operator", "Exists"}}})},
                       {"volumes", {{"extra", std::move(volumes)}}}};
  out["serviceMonitor"] = {{"enabled", stack(context)}};
  return out;
}

void connect(const Context& context, Part& part) {
  const Peer loki = Peer::pods(kNs, {{"app.kubernetes.io/name", "loki"}});
  const Peer alloy = Peer::pods(kCollectors, {{"app.kubernetes.io/name", "alloy"}});
  const Port http{"http", loki_pod_port(context)};
  part.edges.push_back({.from = alloy, .to = loki_peer(context), .ports = {http}, .why = "writes logs"});
  part.edges.push_back(
      {.from = alloy, .to = Peer::api_server(), .ports = {}, .why = "finds the pods of its node"});
  if (loki_distributed(context)) {
    part.edges.push_back({.from = loki,
                          .to = loki,
                          .ports = {{"http", kLokiPort}, {"grpc", 9095}, {"members", 7946}, {"cache", 11211}},
                          .why = "the tasks of Loki work together"});
  } else {
    part.edges.push_back({.from = loki, .to = loki, .ports = {{"members", 7946}}, .why = "finds itself"});
  }
  if (!stack(context)) return;
  std::vector<Port> measured{{"http", kLokiPort}};
  // Its proxy and its caches tell of themselves at ports of their own.
  if (loki_distributed(context)) measured.insert(measured.end(), {{"proxy", 4040}, {"cache", 9150}});
  part.edges.push_back(
      {.from = prometheus_peer(), .to = loki, .ports = std::move(measured), .why = "scrapes metrics"});
  part.edges.push_back(
      {.from = prometheus_peer(), .to = alloy, .ports = {{"http", 12345}}, .why = "scrapes metrics"});
}

void watch(Part& part) {
  part.alerts.push_back(
      {.name = "LogsStopped",
       .expr = "sum(rate(loki_distributor_lines_received_total[15m])) == 0",
       .duration = "15m",
       .severity = "warning",
       .summary = "Loki gets no more logs",
       .description = "Nothing was written for half an hour, which no cluster is quiet enough for.",
       .action =
           "`kubectl -n log-collector logs daemonset/alloy` says why it cannot write; then the pods of Loki.",
       .input = {{"loki_distributor_lines_received_total{namespace=\"logging\",pod=\"loki-0\"}",
                  "0+60x10 600x60"}},
       .quiet = "20m",
       .fires = "50m"});
  part.alerts.push_back(
      {.name = "LogsNotRemoved",
       .expr = "time() - max(loki_compactor_apply_retention_last_successful_run_timestamp_seconds) "
               "> 24 * 3600",
       .duration = "1h",
       .severity = "warning",
       .summary = "Loki has not removed old logs for a day",
       .description = "The compactor does not come through; the volume fills up.",
       .action = "`kubectl -n logging logs loki-0 | grep -i compactor` (distributed: loki-compactor-0).",
       .input = {{"loki_compactor_apply_retention_last_successful_run_timestamp_seconds", "0x1600"}},
       .quiet = "25h",
       .fires = "25h2m"});
}

void explain(const Context& context, Part& part) {
  const Program program = example_program(context);
  part.sections.push_back(
      {.chapter = Section::Chapter::troubleshooting,
       .title = "Looking into logs",
       .text =
           fmt::format("In Grafana, Explore, source Loki; the same queries stand in the dashboard \"Logs\". "
                       "Streams have the "
                       "labels namespace, app, container and level; pod and node are beside each line.\n\n"
                       "```logql\n"
                       "# all lines of one program\n{{namespace=\"{0}\", app=\"{1}\"}}\n"
                       "# lines with a word\n{{namespace=\"{0}\"}} |= \"error\"\n"
                       "# fields of JSON lines\n{{namespace=\"{0}\"}} | json | line_format \"{{{{.level}}}} "
                       "{{{{.msg}}}}\"\n"
                       "```",
                       program.ns, program.app)});
  part.sections.push_back(
      {.chapter = Section::Chapter::monthly,
       .title = "Room for logs",
       .text = fmt::format("Logs older than {} days are removed by Loki's compactor. Who writes "
                           "most: `topk(5, sum by (namespace, app) "
                           "(bytes_over_time({{namespace=~\".+\"}}[1d])))`.",
                           retention_days(context))});
}

}  // namespace

void add_loki(const Context& context, Part& part) {
  const spec::Reader logs = context.component("logs");
  if (logs.text("collector") != "alloy")
    context.refuse("wrong_collector", logs.at("collector"), logs.where("collector"),
                   "Loki gets its logs from alloy here", "collector: alloy, or use: files");
  part.releases.push_back(
      {.chart = "loki", .release = "loki", .ns = kNs, .values = loki_values(context, part)});
  part.releases.push_back(
      {.chart = "alloy", .release = "alloy", .ns = kCollectors, .values = alloy_values(context)});
  connect(context, part);
  if (stack(context)) watch(part);
  explain(context, part);
  if (const std::string host = logs.text("host"); !host.empty())
    part.published.push_back({.host = host,
                              .ns = kNs,
                              .service = loki_distributed(context) ? "loki-gateway" : "loki",
                              .port = loki_distributed(context) ? 80 : kLokiPort,
                              .pods = loki_peer(context).labels,
                              .pod_port = loki_pod_port(context),
                              .operators_only = true});
}

}  // namespace tg::render::observability
