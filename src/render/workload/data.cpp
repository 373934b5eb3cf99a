// Databases and brokers of the document: `data`.
#include "render/workload/data.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace tg::render {

Part data_part(const std::string& name) {
  Part part;
  part.where = Where::workload;
  part.name = name;
  part.after = {"namespaces", "network-policies", "storage", "operators"};
  part.namespaces.push_back({.name = kDataNamespace});
  return part;
}

Resources data_size(const Context& context, const spec::Reader& spec, std::string_view workload) {
  Resources out = context.size("data", workload);
  for (const auto& [resource, amount] : spec.quantities("resources.requests"))
    out.requests.insert_or_assign(resource, amount);
  for (const auto& [resource, amount] : spec.quantities("resources.limits"))
    out.limits.insert_or_assign(resource, amount);
  return out;
}

std::string data_class(const Context& context, const spec::Reader& spec) {
  std::string out = spec.text("class");
  return out.empty() ? context.default_storage_class() : out;
}

bool measured(const Context& context) { return context.use("metrics") == "prometheus"; }

Json pod_monitor(const std::string& name, const std::string& ns, const Labels& labels,
                 const std::string& port) {
  Json out = object("monitoring.coreos.com/v1", "PodMonitor", name, ns);
  out["spec"] = {{"selector", {{"matchLabels", to_json(labels)}}},
                 {"podMetricsEndpoints", Json::array({{{"port", port}, {"interval", "30s"}}})}};
  return out;
}

Labels data_labels(const std::string& service) { return {{"team", "data"}, {"service", service}}; }

std::optional<DataApi> data_api(const Context& context, const std::string& wanted) {
  for (const auto& [name, spec] : context.spec().named("data")) {
    if (name != wanted) continue;
    DataApi out{.use = spec.text("use")};
    if (out.use == "kafka") {
      out.peer =
          Peer::pods(kDataNamespace, {{"strimzi.io/cluster", name}, {"strimzi.io/name", name + "-kafka"}});
      out.host = fmt::format("{}-kafka-bootstrap.{}.svc", name, kDataNamespace);
      out.port = 9092;
      return out;
    }
    if (out.use == "valkey") {
      out.peer = Peer::pods(kDataNamespace, {{"app.kubernetes.io/name", name}});
      out.host = fmt::format("{}.{}.svc", name, kDataNamespace);
      out.port = 6379;
      out.secret = name + "-valkey";
      out.keys = {"password", "url"};
      return out;
    }
    out.port = 5432;
    out.secret = name + "-postgresql";
    out.keys = {"username", "password", "database", "url"};
    if (out.use == "aurora-postgresql") {
      out.peer = Peer::addresses(context.infrastructure().text("network.cidr"));
    } else if (out.use == "postgresql" && context.small() && spec.integer("instances") == 1) {
      out.peer = Peer::pods(kDataNamespace, selector(name));
      out.host = fmt::format("{}.{}.svc", name, kDataNamespace);
    } else {
      out.peer = Peer::pods(kDataNamespace, {{"cnpg.io/cluster", name}});
      out.host = fmt::format("{}-rw.{}.svc", name, kDataNamespace);
    }
    return out;
  }
  return std::nullopt;
}

SecretNeed copy_of_data_secret(const DataApi& api, const std::string& ns, const std::string& why) {
  return {.name = api.secret,
          .ns = ns,
          .keys = api.keys,
          .from = SecretNeed::From::reference,
          .reference = fmt::format("copy of {}/{}", kDataNamespace, api.secret),
          .why = why};
}

std::vector<Part> data(const Context& context) {
  std::vector<Part> out;
  for (const auto& [name, spec] : context.spec().named("data")) {
    const std::string use = spec.text("use");
    if (use == "valkey") {
      out.push_back(valkey(context, name, spec));
    } else if (use == "kafka") {
      out.push_back(kafka(context, name, spec));
    } else if (use == "aurora-postgresql") {
      out.push_back(aurora(context, name, spec));
    } else if (use == "postgresql" && context.small() && spec.integer("instances") == 1) {
      out.push_back(postgresql_single(context, name, spec));
    } else {
      out.push_back(postgresql_cluster(context, name, spec, use == "timescaledb"));
    }
  }
  return out;
}

}  // namespace tg::render
