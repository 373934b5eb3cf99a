// Operators of data services: CloudNativePG for PostgreSQL, Strimzi for Kafka. Only those that something
// needs.
#include <algorithm>

#include "render/component/components.hpp"

namespace tg::render {

namespace {

constexpr const char* kPostgres = "cnpg-system";
constexpr const char* kKafka = "strimzi";

void place(const Context& context, Json& values) {
  const Placement where = context.add_on_placement();
  if (!where.node_selector.empty()) values["nodeSelector"] = to_json(where.node_selector);
  if (!where.tolerations.empty()) values["tolerations"] = where.tolerations;
}

void add_cloudnative_pg(const Context& context, Part& part) {
  part.namespaces.push_back({.name = kPostgres});
  Json values{{"replicaCount", context.replicas("operators", "cloudnative-pg")},
              {"resources", to_json(context.size("operators", "cloudnative-pg"))}};
  if (context.use("metrics") == "prometheus") values["monitoring"] = {{"podMonitorEnabled", true}};
  place(context, values);
  part.releases.push_back(
      {.chart = "cloudnative-pg", .release = "cloudnative-pg", .ns = kPostgres, .values = std::move(values)});
  const Peer pods = Peer::pods(kPostgres, {{"app.kubernetes.io/name", "cloudnative-pg"}});
  part.edges.push_back({.from = pods, .to = Peer::api_server(), .why = "watches its objects"});
  part.edges.push_back({.from = Peer::api_server(),
                        .to = pods,
                        .ports = {{"webhook", 9443}},
                        .why = "asks whether a database may be changed so"});
  if (context.use("metrics") == "prometheus") {
    part.edges.push_back(
        {.from = prometheus_peer(), .to = pods, .ports = {{"metrics", 8080}}, .why = "scrapes metrics"});
  }
}

void add_strimzi(const Context& context, Part& part) {
  part.namespaces.push_back({.name = kKafka});
  Json values{{"replicas", context.replicas("operators", "strimzi")}, {"watchAnyNamespace", true}};
  values["extraEnvs"] = Json::array({// Its pods meet the level of the namespace.
                                     env("STRIMZI_POD_SECURITY_PROVIDER_CLASS", "restricted"),
                                     // Its own policies would let every pod reach the listeners.
                                     env("STRIMZI_NETWORK_POLICY_GENERATION", "false")});
  values["resources"] = to_json(context.size("operators", "strimzi"));
  // The keys under limits of the chart are replaced, not kept beside ours.
  values["resources"]["limits"]["cpu"] = nullptr;
  values["kubernetesServiceDnsDomain"] = context.spec().text("cluster.networks.domain");
  values["podDisruptionBudget"] = {{"enabled", context.replicas("operators", "strimzi") > 1}};
  place(context, values);
  part.releases.push_back(
      {.chart = "strimzi-kafka-operator", .release = "strimzi", .ns = kKafka, .values = std::move(values)});
  const Peer pods = Peer::pods(kKafka, {{"name", "strimzi-cluster-operator"}});
  part.edges.push_back({.from = pods, .to = Peer::api_server(), .why = "watches its objects"});
}

}  // namespace

std::vector<Part> operators(const Context& context) {
  bool postgres = false, kafka = false;
  for (const auto& [name, spec] : context.spec().named("data")) {
    const std::string use = spec.text("use");
    kafka = kafka || use == "kafka";
    postgres = postgres || use == "timescaledb" ||
               (use == "postgresql" && !(context.small() && spec.integer("instances") == 1));
  }
  if (!postgres && !kafka) return {};
  Part part = component("operators");
  part.after = {"namespaces", "network-policies", "certificates"};
  if (postgres) add_cloudnative_pg(context, part);
  if (kafka) add_strimzi(context, part);
  return {std::move(part)};
}

}  // namespace tg::render
