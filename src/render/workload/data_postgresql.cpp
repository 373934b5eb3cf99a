// PostgreSQL: one instance without an operator, a cluster by CloudNativePG, with TimescaleDB on demand, or
// a cloud's own.
#include <fmt/format.h>

#include "catalog/images.hpp"
#include "render/component/components.hpp"
#include "render/workload/data.hpp"
#include "text/emit.hpp"

namespace tg::render {

namespace {

constexpr int kPostgres = 5432;
constexpr int kStatus = 8000;
constexpr int kMetrics = 9187;
const std::vector<std::string> kKeys{"username", "password", "database", "url"};

// The image of the major version that the document names.
std::string operand(const Context& context, const spec::Reader& spec, bool timescale) {
  std::string version = spec.text("version");
  if (version.empty()) version = "17";
  const std::string name = fmt::format("{}-{}", timescale ? "cnpg-timescaledb" : "cnpg-postgresql", version);
  for (const catalog::Image& i : catalog::images()) {
    if (i.name == name) return catalog::image(name);
  }
  context.refuse("version_not_offered", spec.at("version"), spec.where("version"),
                 fmt::format("there is no pinned image of version {}", version),
                 timescale ? "write version: \"17\"" : "write version: \"16\", \"17\" or \"18\"");
  return {};
}

// What the exporter of the instances does not tell by itself: which statements take the time.
Json statements(const std::string& name) {
  const Json query{
      {"statements",
       {{"query",
         "SELECT d.datname, s.queryid::text AS queryid, s.calls, s.total_exec_time / 1000 AS seconds "
         "FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid "
         "ORDER BY s.total_exec_time DESC LIMIT 20"},
        {"target_databases", Json::array({"*"})},
        {"metrics",
         Json::array({{{"datname", {{"usage", "LABEL"}, {"description", "Database"}}}},
                      {{"queryid", {{"usage", "LABEL"}, {"description", "Statement without its constants"}}}},
                      {{"calls", {{"usage", "COUNTER"}, {"description", "How often it ran"}}}},
                      {{"seconds", {{"usage", "COUNTER"}, {"description", "How long it ran in all"}}}}})}}}};
  Json out = config_map(name + "-queries", kDataNamespace, {{"queries", text::emit_yaml(query)}});
  out["metadata"]["labels"] = {{"cnpg.io/reload", ""}};
  return out;
}

Json cluster(const Context& context, const std::string& name, const spec::Reader& spec, bool timescale) {
  const std::int64_t instances = spec.integer("instances");
  Json out = object("postgresql.cnpg.io/v1", "Cluster", name, kDataNamespace);
  Json parameters{{"pg_stat_statements.max", "5000"},
                  {"pg_stat_statements.track", "top"},
                  {"log_min_duration_statement", "1000"}};
  Json postgresql{{"parameters", std::move(parameters)}};
  Json init{{"database", "app"},
            {"owner", "app"},
            {"secret", {{"name", name + "-postgresql"}}},
            {"dataChecksums", true}};
  if (timescale) {
    postgresql["shared_preload_libraries"] = Json::array({"timescaledb"});
    postgresql["parameters"]["timescaledb.telemetry_level"] = "off";
    init["postInitApplicationSQL"] = Json::array({"CREATE EXTENSION IF NOT EXISTS timescaledb"});
  }
  Json storage{{"size", spec.text("size")}};
  if (const std::string storage_class = data_class(context, spec); !storage_class.empty())
    storage["storageClass"] = storage_class;
  if (instances > 1) {
    // A commit is on two instances before it is told to the client.
    postgresql["synchronous"] = {{"method", "any"}, {"number", 1}, {"dataDurability", "preferred"}};
  }
  out["spec"] = {{"instances", instances},
                 {"imageName", operand(context, spec, timescale)},
                 {"enableSuperuserAccess", false},
                 {"enablePDB", instances > 1},
                 {"primaryUpdateStrategy", "unsupervised"},
                 {"primaryUpdateMethod", "switchover"},
                 {"bootstrap", {{"initdb", std::move(init)}}},
                 {"postgresql", std::move(postgresql)},
                 {"storage", std::move(storage)},
                 {"resources", to_json(data_size(context, spec, "postgresql"))},
                 {"affinity",
                  {{"enablePodAntiAffinity", true},
                   {"podAntiAffinityType", "preferred"},
                   {"topologyKey", "topology.kubernetes.io/zone"}}}};
  if (measured(context)) {
    out["spec"]["monitoring"] = {
        {"customQueriesConfigMap", Json::array({{{"name", name + "-queries"}, {"key", "queries"}}})}};
  }
  if (context.spec().flag("storage.snapshots"))
    // A snapshot of a running instance is worth nothing without an archive of its log: one that stands still
    // needs none. It is a follower, where there is one.
    out["spec"]["backup"] = {{"target", "prefer-standby"},
                             {"volumeSnapshot", {{"className", "snapshots"}, {"online", false}}}};
  return out;
}

// The operator writes seconds in front of the five fields.
Json scheduled(const Context& context, const std::string& name) {
  Json out = object("postgresql.cnpg.io/v1", "ScheduledBackup", name, kDataNamespace);
  out["spec"] = {{"schedule", "0 " + context.spec().text("backup.schedule")},
                 {"method", "volumeSnapshot"},
                 {"backupOwnerReference", "self"},
                 {"cluster", {{"name", name}}}};
  return out;
}

void add_edges(Part& part, const std::string& name) {
  const Peer pods = Peer::pods(kDataNamespace, {{"cnpg.io/cluster", name}});
  const Peer controller = Peer::pods("cnpg-system", {{"app.kubernetes.io/name", "cloudnative-pg"}});
  part.edges.push_back({.from = pods,
                        .to = pods,
                        .ports = {{"postgresql", kPostgres}, {"status", kStatus}},
                        .why = "instances follow the first"});
  part.edges.push_back({.from = controller,
                        .to = pods,
                        .ports = {{"status", kStatus}, {"postgresql", kPostgres}},
                        .why = "the operator looks after it"});
  part.edges.push_back({.from = pods, .to = Peer::api_server(), .why = "instances agree who is first"});
}

std::string labels(const std::string& name) {
  return fmt::format("namespace=\"{}\",pod=~\"{}-[0-9]+\"", kDataNamespace, name);
}

void add_alerts(Part& part, const std::string& name, std::int64_t instances) {
  const auto series = [&](const char* metric, int number, const std::string& more = {}) {
    return fmt::format("{}{{namespace=\"{}\",pod=\"{}-{}\"{}}}", metric, kDataNamespace, name, number, more);
  };
  Alert down{.name = "DatabaseInstanceDown"};
  down.expr = fmt::format("(count(cnpg_collector_up{{{}}} == 1) or vector(0)) < {}", labels(name), instances);
  down.duration = "5m";
  down.severity = instances > 1 ? "warning" : "critical";
  down.summary = fmt::format("{} has fewer than {} instances", name, instances);
  down.description = "An instance of the database does not answer its exporter for five minutes.";
  down.action =
      fmt::format("kubectl -n {0} get cluster {1}; kubectl -n {0} describe pod -l cnpg.io/cluster={1}",
                  kDataNamespace, name);
  down.labels = data_labels(name);
  for (int i = 1; i <= static_cast<int>(instances); ++i)
    down.input.push_back(
        {series("cnpg_collector_up", i), i == static_cast<int>(instances) ? "1x10 0x50" : "1x60"});
  down.quiet = "10m";
  down.fires = "20m";
  part.alerts.push_back(std::move(down));
}

// What every database shows is on the page of all; which statements take the time only this one knows.
Dashboard dashboard(const std::string& name) {
  const std::string l = labels(name);
  Dashboard out{.uid = "statements-" + name, .title = "Statements of " + name, .folder = "Data"};
  const auto add = [&](const char* title, std::string expr, const char* unit) {
    out.panels.push_back({.title = title, .queries = {{std::move(expr), "{{queryid}}"}}, .unit = unit});
  };
  add("Mean time",
      fmt::format("sum by (queryid) (rate(cnpg_statements_seconds{{{0}}}[5m])) / "
                  "sum by (queryid) (rate(cnpg_statements_calls{{{0}}}[5m]))",
                  l),
      "s");
  add("Share of the time",
      fmt::format("topk(10, sum by (queryid) (rate(cnpg_statements_seconds{{{}}}[5m])))", l), "percentunit");
  add("Calls", fmt::format("topk(10, sum by (queryid) (rate(cnpg_statements_calls{{{}}}[5m])))", l), "ops");
  return out;
}

SecretNeed owner(const std::string& name, const std::string& host) {
  return {.name = name + "-postgresql",
          .ns = kDataNamespace,
          .keys = kKeys,
          .why = "owner of the database",
          .values = {{"username", "app"},
                     {"database", "app"},
                     {"url", fmt::format("postgresql://app:${{password}}@{}.{}.svc:{}/app", host,
                                         kDataNamespace, kPostgres)}}};
}

}  // namespace

// For profile small, where an operator's memory is a tenth of the machine.
Part postgresql_single(const Context& context, const std::string& name, const spec::Reader& spec) {
  Part part = data_part(name);
  const std::string ns = kDataNamespace;
  part.secrets.push_back(owner(name, name));
  Container server{.name = "postgresql", .image = catalog::image("postgresql")};
  server.ports = {{"postgresql", kPostgres}};
  server.env = {env_from_secret("POSTGRES_USER", name + "-postgresql", "username"),
                env_from_secret("POSTGRES_PASSWORD", name + "-postgresql", "password"),
                env_from_secret("POSTGRES_DB", name + "-postgresql", "database"),
                env("PGDATA", "/var/lib/postgresql/data/pgdata")};
  server.resources = data_size(context, spec, "postgresql");
  server.readiness = exec_probe({"sh", "-c", "exec pg_isready -U \"$POSTGRES_USER\" -d \"$POSTGRES_DB\""});
  server.liveness = exec_probe({"sh", "-c", "exec pg_isready -U \"$POSTGRES_USER\""}, 20, 6);
  server.mounts = {{"data", "/var/lib/postgresql/data"}, {"run", "/var/run/postgresql"}, {"tmp", "/tmp"}};
  Pod pod;
  pod.containers = {std::move(server)};
  pod.user = pod.group = 999;
  pod.grace_seconds = 60;
  pod.volumes = {volume_scratch("run", "16Mi"), volume_scratch("tmp", "64Mi")};
  part.add("postgresql.yaml",
           stateful_set(name, ns, 1, pod, {claim("data", spec.text("size"), data_class(context, spec))}));
  part.add("postgresql.yaml", service(name, ns, selector(name), {{"postgresql", kPostgres}}));
  part.keeps.push_back(
      {.kind = Keep::Kind::postgresql, .ns = ns, .name = name, .secret = name + "-postgresql"});
  return part;
}

Part postgresql_cluster(const Context& context, const std::string& name, const spec::Reader& spec,
                        bool timescale) {
  Part part = data_part(name);
  part.secrets.push_back(owner(name, name + "-rw"));
  part.add("cluster.yaml", cluster(context, name, spec, timescale));
  if (context.spec().flag("storage.snapshots")) part.add("cluster.yaml", scheduled(context, name));
  add_edges(part, name);
  if (measured(context)) {
    part.add("monitor.yaml", statements(name));
    part.add("monitor.yaml", pod_monitor(name, kDataNamespace, {{"cnpg.io/cluster", name}}, "metrics"));
    part.edges.push_back({.from = prometheus_peer(),
                          .to = Peer::pods(kDataNamespace, {{"cnpg.io/cluster", name}}),
                          .ports = {{"metrics", kMetrics}},
                          .why = "scrapes metrics"});
    add_alerts(part, name, spec.integer("instances"));
    part.dashboards.push_back(dashboard(name));
  }
  part.keeps.push_back({.kind = Keep::Kind::postgresql,
                        .ns = kDataNamespace,
                        .name = name + "-rw",
                        .secret = name + "-postgresql"});
  part.sections.push_back(
      {Section::Chapter::daily, "Database " + name,
       fmt::format("kubectl -n {0} get cluster {1}\n"
                   "kubectl -n {0} get pods -l cnpg.io/cluster={1} -L cnpg.io/instanceRole\n"
                   "kubectl -n {0} get backups -l cnpg.io/cluster={1}\n",
                   kDataNamespace, name)});
  return part;
}

// The cloud runs it; here are only the ways to it. Terraform puts its Secret into the cloud's store.
Part aurora(const Context& context, const std::string& name, const spec::Reader&) {
  Part part = data_part(name);
  part.secrets.push_back({.name = name + "-postgresql",
                          .ns = kDataNamespace,
                          .keys = kKeys,
                          .from = SecretNeed::From::reference,
                          .reference = fmt::format("Terraform, as {}/{}/{}-postgresql in the store",
                                                   context.name(), kDataNamespace, name),
                          .why = "owner of the database"});
  part.sections.push_back(
      {Section::Chapter::daily, "Database " + name,
       fmt::format(
           "{} is run by the cloud: its writer and readers, its backups and its figures are in the cloud's "
           "console. Its address is an output of Terraform: `data_{}`.\n",
           name, name)});
  return part;
}

}  // namespace tg::render
