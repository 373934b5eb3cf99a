// Logs in Elasticsearch (with Logstash and Kibana) or in the cloud's own service; fluent-bit collects.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "catalog/images.hpp"
#include "render/component/components.hpp"
#include "render/component/logs.hpp"
#include "render/component/observability.hpp"

namespace tg::render::observability {

namespace {

const std::string kNs(kLogsNamespace);
// One release of all four programs of the stack.
constexpr std::string_view kElasticVersion = "9.2.0";
constexpr int kElasticPort = 9200;
constexpr int kLogstashPort = 8080;

Json hardened() {
  return {{"allowPrivilegeEscalation", false},
          {"capabilities", {{"drop", Json::array({"ALL"})}}},
          {"runAsNonRoot", true},
          {"seccompProfile", {{"type", "RuntimeDefault"}}}};
}

Json pod_of(const Context& context, const std::string& container, std::string_view size) {
  Json spec{{"containers", Json::array({{{"name", container},
                                         {"securityContext", hardened()},
                                         {"resources", to_json(context.size("logs", size))}}})}};
  place(spec, context.add_on_placement());
  return {{"spec", std::move(spec)}};
}

Json elasticsearch(const Context& context, int nodes) {
  const spec::Reader logs = context.component("logs");
  Json o = object("elasticsearch.k8s.elastic.co/v1", "Elasticsearch", "logs", kNs);
  Json claim_template{{"metadata", {{"name", "elasticsearch-data"}}},
                      {"spec", claim_spec(logs.text("storage.size"), storage_class(context, logs))}};
  o["spec"] = {
      {"version", kElasticVersion},
      {"nodeSets", Json::array({{{"name", "default"},
                                 {"count", nodes},
                                 // Needs no kernel setting of the machine.
                                 {"config", {{"node.store.allow_mmap", false}}},
                                 {"podTemplate", pod_of(context, "elasticsearch", "elasticsearch")},
                                 {"volumeClaimTemplates", Json::array({std::move(claim_template)})}}})}};
  return o;
}

Json kibana(const Context& context) {
  Json o = object("kibana.k8s.elastic.co/v1", "Kibana", "logs", kNs);
  o["spec"] = {{"version", kElasticVersion},
               {"count", 1},
               {"elasticsearchRef", {{"name", "logs"}}},
               {"podTemplate", pod_of(context, "kibana", "kibana")}};
  return o;
}

// One index a day, so that a whole one can be removed.
Json logstash(const Context& context) {
  Json o = object("logstash.k8s.elastic.co/v1alpha1", "Logstash", "logs", kNs);
  const std::string pipeline = fmt::format(
      "input {{\n  http {{ port => {} codec => json }}\n}}\n"
      "filter {{\n  mutate {{ remove_field => [\"headers\", \"host\"] }}\n}}\n"
      "output {{\n  elasticsearch {{\n    hosts => [\"${{LOGS_ES_HOSTS}}\"]\n    user => "
      "\"${{LOGS_ES_USER}}\"\n"
      "    password => \"${{LOGS_ES_PASSWORD}}\"\n"
      "    ssl_certificate_authorities => \"${{LOGS_ES_SSL_CERTIFICATE_AUTHORITY}}\"\n"
      "    index => \"logs-%{{+YYYY.MM.dd}}\"\n    action => \"create\"\n    manage_template => false\n  "
      "}}\n}}\n",
      kLogstashPort);
  o["spec"] = {
      {"version", kElasticVersion},
      {"count", 1},
      {"elasticsearchRefs", Json::array({{{"name", "logs"}, {"clusterName", "logs"}}})},
      {"pipelines", Json::array({{{"pipeline.id", "main"}, {"config.string", pipeline}}})},
      {"services", Json::array({{{"name", "http"},
                                 {"service",
                                  {{"spec",
                                    {{"ports", Json::array({{{"name", "http"},
                                                             {"port", kLogstashPort},
                                                             {"targetPort", kLogstashPort}}})}}}}}}})},
      {"podTemplate", pod_of(context, "logstash", "logstash")}};
  return o;
}

// Tells Elasticsearch every night how long indices stay: the same call each time changes nothing.
Json retention_job(const Context& context, int days) {
  const Json policy{
      {"policy",
       {{"phases",
         {{"hot", {{"min_age", "0ms"}, {"actions", Json::object()}}},
          {"delete", {{"min_age", fmt::format("{}d", days)}, {"actions", {{"delete", Json::object()}}}}}}}}}};
  const Json index_template{{"index_patterns", Json::array({"logs-*"})},
                            {"priority", 500},
                            {"template",
                             {{"settings",
                               {{"index.lifecycle.name", "logs"},
                                {"index.number_of_shards", 1},
                                {"index.number_of_replicas", 1}}}}}};
  Container c{.name = "retention", .image = catalog::image("curl")};
  c.command = {
      "sh", "-euc",
      "put() { curl --fail --silent --show-error --cacert /ca/ca.crt --user \"elastic:$PASSWORD\" "
      "--header 'content-type: application/json' --request PUT \"https://logs-es-http.logging.svc:9200/$1\" "
      "--data \"$2\"; }\n"
      "put _ilm/policy/logs \"$POLICY\"\n"
      "put _index_template/logs \"$TEMPLATE\"\n"};
  c.env = {env("POLICY", policy.dump()), env("TEMPLATE", index_template.dump()),
           env_from_secret("PASSWORD", "logs-es-elastic-user", "elastic")};
  c.resources = context.size("logs", "sweeper");
  c.mounts = {{"ca", "/ca", true}};
  Pod pod;
  pod.labels = {{"app.kubernetes.io/name", "logs-retention"}};
  pod.containers = {std::move(c)};
  pod.restart_policy = "Never";
  pod.volumes = {volume_secret("ca", "logs-es-http-certs-public")};
  pod.placement = context.add_on_placement();
  return cron_job("logs-retention", kNs, "23 4 * * *", pod);
}

// Its rights end at the namespace of the logs: so it has no webhook and looks at no storage class.
Json operator_values(const Context& context) {
  Json out{
      {"managedNamespaces", Json::array({kNs})},
      {"createClusterScopedResources", false},
      {"webhook", {{"enabled", false}}},
      {"installCRDs", true},
      {"config", {{"validateStorageClass", false}}},
      {"telemetry", {{"disabled", true}}},
      {"resources", to_json(context.size("logs", "elastic-operator"))},
      // The chart's own lacks the profile that the namespace asks for.
      {"podSecurityContext", {{"runAsNonRoot", true}, {"seccompProfile", {{"type", "RuntimeDefault"}}}}}};
  const Placement where = context.add_on_placement();
  if (!where.node_selector.empty()) out["nodeSelector"] = to_json(where.node_selector);
  if (!where.tolerations.empty()) out["tolerations"] = where.tolerations;
  return out;
}

// The only values that CloudWatch takes, in days.
int cloudwatch_days(int wanted) {
  static constexpr auto allowed =
      std::to_array<int>({1,   3,   5,   7,   14,   30,   60,   90,   120,  150,  180,
                          365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653});
  const auto it = std::lower_bound(allowed.begin(), allowed.end(), wanted);
  return it == allowed.end() ? allowed.back() : *it;
}

}  // namespace

void add_elasticsearch(const Context& context, Part& part) {
  const int days = retention_days(context);
  const int nodes = context.replicas("logs", "elasticsearch");
  part.releases.push_back({.chart = "eck-operator",
                           .release = "elastic-operator",
                           .ns = "elastic-system",
                           .values = operator_values(context)});
  part.namespaces.push_back({.name = "elastic-system"});
  part.add("elastic.yaml", elasticsearch(context, nodes));
  part.add("elastic.yaml", kibana(context));
  part.add("elastic.yaml", logstash(context));
  part.add("retention.yaml", retention_job(context, days));
  const auto kind = [](const char* type) { return Peer::pods(kNs, {{"common.k8s.elastic.co/type", type}}); };
  const Peer store = kind("elasticsearch");
  const Peer op = Peer::pods("elastic-system", {{"app.kubernetes.io/name", "elastic-operator"}});
  const Port https{"https", kElasticPort};
  add_fluent_bit(
      context, part,
      fmt::format("[OUTPUT]\n    Name http\n    Match *\n    Host logs-ls-http.{}.svc\n    Port {}\n"
                  "    Format json\n    Json_date_key @timestamp\n    Json_date_format iso8601\n"
                  "    Retry_Limit False\n",
                  kNs, kLogstashPort),
      {.from = {}, .to = kind("logstash"), .ports = {{"http", kLogstashPort}}, .why = "sends logs"});
  part.edges.insert(
      part.edges.end(),
      {{.from = kind("logstash"), .to = store, .ports = {https}, .why = "keeps logs"},
       {.from = kind("kibana"), .to = store, .ports = {https}, .why = "asks for logs"},
       {.from = store, .to = store, .ports = {https, {"transport", 9300}}, .why = "are one cluster"},
       {.from = op, .to = store, .ports = {https}, .why = "keeps the cluster"},
       {.from = op, .to = Peer::api_server(), .ports = {}, .why = "keeps the objects"},
       {.from = Peer::pods(kNs, {{"app.kubernetes.io/name", "logs-retention"}}),
        .to = store,
        .ports = {https},
        .why = "says how long logs stay"}});
  if (const std::string host = context.component("logs").text("host"); !host.empty())
    part.published.push_back({.host = host,
                              .ns = kNs,
                              .service = "logs-kb-http",
                              .port = 5601,
                              .pods = kind("kibana").labels,
                              .pod_port = 5601,
                              .operators_only = true});
  part.sections.push_back(
      {.chapter = Section::Chapter::troubleshooting,
       .title = "Looking into logs",
       .text = fmt::format(
           "Kibana: `kubectl -n logging port-forward service/logs-kb-http 5601`, user `elastic`, "
           "password `kubectl -n logging get secret logs-es-elastic-user -o "
           "go-template='{{{{.data.elastic | base64decode}}}}'`. Indices of more than {} days are "
           "removed by their lifecycle.",
           days)});
}

void add_cloudwatch(const Context& context, Part& part) {
  if (context.site() != Site::aws) {
    const spec::Reader logs = context.component("logs");
    context.refuse("wrong_site", logs.at("use"), logs.where("use"), "CloudWatch is a service of AWS only",
                   "use: loki");
    return;
  }
  const int days = cloudwatch_days(retention_days(context));
  const std::string region = context.infrastructure().text("region");
  add_fluent_bit(
      context, part,
      fmt::format("[OUTPUT]\n    Name cloudwatch_logs\n    Match *\n    region {}\n"
                  "    log_group_name /tidegate/{}/programs\n    log_stream_prefix node-\n"
                  "    auto_create_group On\n    log_retention_days {}\n    Retry_Limit 5\n",
                  region, context.name(), days),
      {.from = {}, .to = Peer::everywhere(), .ports = {{"https", 443}}, .why = "sends logs to CloudWatch"});
  part.sections.push_back(
      {.chapter = Section::Chapter::troubleshooting,
       .title = "Looking into logs",
       .text = fmt::format(
           "`aws logs tail /tidegate/{} --region {} --follow`, or Logs Insights. They stay {} days. "
           "The service account fluent-bit in log-collector writes by the role that it is tied to.",
           context.name() + "/programs", region, days)});
}

}  // namespace tg::render::observability
