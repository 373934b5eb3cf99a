// Kafka by Strimzi, without ZooKeeper: brokers that are controllers too, topics and an exporter of the lag.
#include <fmt/format.h>

#include <algorithm>

#include "render/component/components.hpp"
#include "render/workload/data.hpp"

namespace tg::render {

namespace {

constexpr const char* kApi = "kafka.strimzi.io/v1";
constexpr int kClients = 9092;
constexpr int kControl = 9090;
constexpr int kReplication = 9091;
constexpr int kAgent = 8443;
constexpr int kMetrics = 9404;

Json cluster_label(const std::string& name) { return {{"strimzi.io/cluster", name}}; }

Peer pods(const std::string& name, const std::string& part) {
  return Peer::pods(kDataNamespace,
                    {{"strimzi.io/cluster", name}, {"strimzi.io/name", fmt::format("{}-{}", name, part)}});
}

Json node_pool(const Context& context, const std::string& name, const spec::Reader& spec) {
  Json volume{{"id", 0},
              {"type", "persistent-claim"},
              {"size", spec.text("size")},
              {"deleteClaim", false},
              {"kraftMetadata", "shared"}};
  if (const std::string storage_class = data_class(context, spec); !storage_class.empty())
    volume["class"] = storage_class;
  Json spread = Json::array();
  for (const char* key : {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}) {
    spread.push_back({{"maxSkew", 1},
                      {"topologyKey", key},
                      {"whenUnsatisfiable", "ScheduleAnyway"},
                      {"labelSelector", {{"matchLabels", {{"strimzi.io/cluster", name}}}}}});
  }
  Json out = object(kApi, "KafkaNodePool", "brokers", kDataNamespace);
  out["metadata"]["name"] = name + "-brokers";
  out["metadata"]["labels"] = cluster_label(name);
  out["spec"] = {{"replicas", spec.integer("instances")},
                 {"roles", Json::array({"controller", "broker"})},
                 {"storage", {{"type", "jbod"}, {"volumes", Json::array({std::move(volume)})}}},
                 {"resources", to_json(data_size(context, spec, "kafka"))},
                 {"template", {{"pod", {{"topologySpreadConstraints", std::move(spread)}}}}}};
  return out;
}

Json cluster(const Context& context, const std::string& name, const spec::Reader& spec) {
  const std::int64_t copies = std::min<std::int64_t>(3, spec.integer("instances"));
  const std::int64_t in_sync = std::max<std::int64_t>(1, copies - 1);
  Json out = object(kApi, "Kafka", name, kDataNamespace);
  Json kafka = Json::object();
  if (const std::string version = spec.text("version"); !version.empty()) kafka["version"] = version;
  kafka["listeners"] =
      Json::array({{{"name", "plain"}, {"port", kClients}, {"type", "internal"}, {"tls", false}},
                   {{"name", "tls"}, {"port", 9093}, {"type", "internal"}, {"tls", true}}});
  kafka["config"] = {
      {"default.replication.factor", copies},       {"min.insync.replicas", in_sync},
      {"offsets.topic.replication.factor", copies}, {"transaction.state.log.replication.factor", copies},
      {"transaction.state.log.min.isr", in_sync},   {"auto.create.topics.enable", false}};
  out["spec"] = {{"kafka", std::move(kafka)},
                 {"entityOperator",
                  {{"topicOperator", {{"resources", to_json(context.size("data", "kafka-topics"))}}}}}};
  if (measured(context)) {
    out["spec"]["kafkaExporter"] = {
        {"groupRegex", ".*"}, {"topicRegex", ".*"}, {"resources", to_json(context.size("data", "exporter"))}};
  }
  return out;
}

Json topic(const std::string& kafka, const std::string& name, const spec::Reader& topic,
           std::int64_t instances) {
  const std::int64_t replicas =
      topic.has("replicas") ? topic.integer("replicas") : std::min<std::int64_t>(3, instances);
  Json out = object(kApi, "KafkaTopic", name, kDataNamespace);
  out["metadata"]["labels"] = cluster_label(kafka);
  out["spec"] = {{"partitions", topic.integer("partitions")},
                 {"replicas", replicas},
                 {"config",
                  {{"retention.ms", static_cast<std::int64_t>(topic.seconds("retention") * 1000)},
                   {"min.insync.replicas", std::max<std::int64_t>(1, replicas - 1)}}}};
  return out;
}

void add_edges(Part& part, const std::string& name) {
  const Peer brokers = pods(name, "kafka");
  const Peer topics = pods(name, "entity-operator");
  const Peer controller = Peer::pods("strimzi", {{"name", "strimzi-cluster-operator"}});
  const std::vector<Port> inner{{"control", kControl}, {"replication", kReplication}};
  part.edges.push_back({.from = brokers, .to = brokers, .ports = inner, .why = "brokers follow each other"});
  // Beside its protocols each broker says over HTTPS how far its start has come: no restart goes on without.
  part.edges.push_back({.from = controller,
                        .to = brokers,
                        .ports = {{"control", kControl}, {"replication", kReplication}, {"agent", kAgent}},
                        .why = "the operator looks after the brokers"});
  part.edges.push_back(
      {.from = topics, .to = brokers, .ports = {{"replication", kReplication}}, .why = "makes the topics"});
  part.edges.push_back(
      {.from = topics, .to = Peer::api_server(), .why = "reads which topics there should be"});
}

std::string labels(const std::string& name) {
  return fmt::format("namespace=\"{}\",pod=~\"{}-kafka-exporter-.*\"", kDataNamespace, name);
}

// The lag of consumers and partitions without copies are watched for all brokers together.
void add_alerts(Part& part, const std::string& name, std::int64_t instances) {
  const std::string pod = fmt::format("namespace=\"{}\",pod=\"{}-kafka-exporter-1\"", kDataNamespace, name);
  Alert down{.name = "KafkaBrokerMissing"};
  down.expr = fmt::format("max(kafka_brokers{{{}}}) < {}", labels(name), instances);
  down.duration = "5m";
  down.severity = "critical";
  down.summary = fmt::format("{} has {{{{ $value }}}} of {} brokers", name, instances);
  down.description = "A broker is gone for five minutes.";
  down.action = fmt::format("kubectl -n {0} get pods -l strimzi.io/cluster={1}", kDataNamespace, name);
  down.labels = data_labels(name);
  down.input = {
      {fmt::format("kafka_brokers{{{}}}", pod), fmt::format("{}x10 {}x30", instances, instances - 1)}};
  down.quiet = "10m";
  down.fires = "20m";
  down.value = std::to_string(instances - 1);
  part.alerts.push_back(std::move(down));
}

}  // namespace

Part kafka(const Context& context, const std::string& name, const spec::Reader& spec) {
  Part part = data_part(name);
  const std::int64_t instances = spec.integer("instances");
  part.add("kafka.yaml", node_pool(context, name, spec));
  part.add("kafka.yaml", cluster(context, name, spec));
  for (const auto& [topic_name, t] : spec.named("topics"))
    part.add("topics.yaml", topic(name, topic_name, t, instances));
  add_edges(part, name);
  if (measured(context)) {
    const Peer exporter = pods(name, "kafka-exporter");
    part.edges.push_back({.from = exporter,
                          .to = pods(name, "kafka"),
                          .ports = {{"replication", kReplication}},
                          .why = "measures how far consumers are behind"});
    part.edges.push_back({.from = prometheus_peer(),
                          .to = exporter,
                          .ports = {{"metrics", kMetrics}},
                          .why = "scrapes metrics"});
    part.add("monitor.yaml",
             pod_monitor(name + "-kafka-exporter", kDataNamespace,
                         {{"strimzi.io/cluster", name}, {"strimzi.io/name", name + "-kafka-exporter"}},
                         "tcp-prometheus"));
    add_alerts(part, name, instances);
  }
  for (std::int64_t i = 0; i < instances; ++i)
    part.keeps.push_back({.ns = kDataNamespace, .name = fmt::format("data-0-{0}-{0}-brokers-{1}", name, i)});
  part.sections.push_back(
      {Section::Chapter::daily, "Kafka " + name,
       fmt::format("kubectl -n {0} get kafka,kafkanodepool,kafkatopic\n"
                   "kubectl -n {0} exec {1}-{1}-brokers-0 -- bin/kafka-consumer-groups.sh --bootstrap-server "
                   "localhost:{2} --describe --all-groups\n",
                   kDataNamespace, name, kClients)});
  return part;
}

}  // namespace tg::render
