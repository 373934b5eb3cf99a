// Models served by tidegate: a pod plan for each Model, and a gateway in front of them whose documents name
// the pods as servers that are there.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "catalog/images.hpp"
#include "render/component/components.hpp"
#include "render/component/model_pods.hpp"
#include "text/emit.hpp"

namespace tg::render {

namespace {

constexpr const char* kGateway = "tidegate";
constexpr int kPort = 4000;
constexpr const char* kWhyOne =
    "the journal of requests has one writer and lies in this pod's volume, with the keys: a second gateway "
    "would know neither the keys nor the limits that are used up";

Json from_node(const text::Node& node) {
  switch (node.kind) {
    case text::Node::Kind::sequence: {
      Json out = Json::array();
      for (const text::Node& item : node.items) out.push_back(from_node(item));
      return out;
    }
    case text::Node::Kind::mapping: {
      Json out = Json::object();
      for (const text::Member& m : node.members) out[m.key] = from_node(m.value);
      return out;
    }
    case text::Node::Kind::scalar:
      break;
  }
  switch (text::resolve(node)) {
    case text::ScalarType::boolean:
      return text::as_boolean(node);
    case text::ScalarType::integer:
      return Json::parse(node.text, nullptr, false).is_discarded() ? Json(node.text) : Json::parse(node.text);
    case text::ScalarType::floating:
      return Json::parse(node.text, nullptr, false).is_discarded() ? Json(node.text) : Json::parse(node.text);
    case text::ScalarType::null:
      return nullptr;
    case text::ScalarType::text:
      return node.text;
  }
  return node.text;
}

Json document(std::string_view kind, const std::string& name, Json spec) {
  return {{"apiVersion", "tidegate.dev/v1alpha1"},
          {"kind", kind},
          {"metadata", {{"name", name}}},
          {"spec", std::move(spec)}};
}

std::string variable(const std::string& provider) {
  std::string out = "PROVIDER_";
  for (const char c : provider)
    out += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : (c >= '0' && c <= '9' ? c : '_');
  return out;
}

// Only what the gateway reads; the rest is said by name.
Json route(const Context& context, const std::string& name, const spec::Reader& spec) {
  Json out = from_node(spec.node());
  if (spec.has("balance") && spec.text("balance") != "leastBusy") {
    context.warn("not_served_yet", spec.at("balance"), spec.where("balance"),
                 fmt::format("{}: the gateway in the cluster chooses the least busy replica", name),
                 "take balance out");
  }
  out.erase("balance");
  if (!out.contains("fallback")) return out;
  for (Json& f : out["fallback"]) {
    if (!f.contains("when") || !f["when"].is_object()) continue;
    for (const char* field : {"heldFor", "contextExceeded"}) {
      if (!f["when"].contains(field)) continue;
      f["when"].erase(field);
      context.warn("not_served_yet", spec.at("fallback"), spec.where("fallback"),
                   fmt::format("{}: the gateway in the cluster does not fall back by {} yet", name, field),
                   fmt::format("take {} out", field));
    }
    if (f["when"].empty()) f.erase("when");
  }
  return out;
}

struct Documents {
  Json all = Json::array();
  std::vector<Json> env{};
  std::vector<SecretNeed> secrets{};
  bool outside = false;  // a Provider is asked
};

void add_provider(Documents& out, const std::string& name, const spec::Reader& spec) {
  Json provider = from_node(spec.node());
  out.outside = true;
  if (const auto secret = spec.secret("credentials")) {
    const std::string ref = "provider-" + name;
    const std::string key = "apiKey";
    provider["credentials"] = {{"env", variable(name)}};
    out.env.push_back(env_from_secret(variable(name), ref, key));
    out.secrets.push_back({.name = ref,
                           .ns = kModelsNamespace,
                           .keys = {key},
                           .from = SecretNeed::From::reference,
                           .reference = describe(*secret),
                           .why = "key of Provider " + name});
  }
  out.all.push_back(document("Provider", name, std::move(provider)));
}

Documents documents(const Context& context, const std::vector<ModelPod>& pods) {
  Documents out;
  for (const auto& [name, spec] : context.all(spec::DocumentKind::model)) {
    const auto pod =
        std::find_if(pods.begin(), pods.end(), [&](const ModelPod& p) { return p.model == name; });
    Json model = from_node(spec.node());
    for (const char* field : {"pool", "resources", "cache"}) model.erase(field);
    if (pod != pods.end()) {
      Json hold = model.value("hold", Json());
      // What the replicas of now cannot take waits in front of the engine, where demand is counted.
      const int replicas = grower(context, *pod) == Grower::nobody ? pod->replicas : pod->most;
      Json external = Json::object();
      external["external"]["url"] = pod->url();
      model = {{"engine", std::move(external)}, {"slots", pod->slots * replicas}};
      if (!hold.is_null()) model["hold"] = std::move(hold);
    }
    out.all.push_back(document("Model", name, std::move(model)));
  }
  for (const auto& [name, spec] : context.all(spec::DocumentKind::provider)) add_provider(out, name, spec);
  for (const auto& [name, spec] : context.all(spec::DocumentKind::route))
    out.all.push_back(document("Route", name, route(context, name, spec)));
  for (const auto& [name, spec] : context.all(spec::DocumentKind::tenant)) {
    const Json whole = from_node(spec.node());
    Json tenant = Json::object();
    for (const char* field : {"routes", "limits"}) {
      if (whole.contains(field)) tenant[field] = whole[field];
    }
    out.all.push_back(document("Tenant", name, std::move(tenant)));
  }
  return out;
}

std::string text_of(const Json& documents) {
  std::string out;
  for (const Json& d : documents) out += (out.empty() ? "" : "---\n") + text::emit_yaml(d);
  return out;
}

void add_models(const Context& context, Part& part, std::vector<ModelPod>& pods) {
  std::set<std::string> claims;
  bool metrics = false;
  for (ModelPod& plan : pods) {
    const std::string file = fmt::format("model-{}.yaml", plan.name);
    for (Json& c : plan.claims) {
      if (claims.insert(c["metadata"]["name"].get<std::string>()).second)
        part.add("volumes.yaml", std::move(c));
    }
    plan.pod.labels = {{"tidegate.dev/engine", plan.engine}};
    if (plan.metrics) plan.pod.labels.emplace("tidegate.dev/metrics", "true");
    metrics = metrics || plan.metrics;
    const bool grows = grower(context, plan) != Grower::nobody;
    Json o = deployment(plan.name, kModelsNamespace, grows ? -1 : plan.replicas, plan.pod);
    if (plan.one_node) o["spec"]["strategy"] = {{"type", "Recreate"}};
    part.add(file, std::move(o));
    part.add(file, service(plan.name, kModelsNamespace, selector(plan.name), {{"http", kModelPort}}));
    if (plan.replicas > 1 || plan.most > 1)
      part.add(file, disruption_budget(plan.name, kModelsNamespace, selector(plan.name)));
    add_model_scaling(context, part, plan);
    const Peer peer = Peer::pods(kModelsNamespace, selector(plan.name));
    part.edges.push_back({.from = Peer::pods(kModelsNamespace, selector(kGateway)),
                          .to = peer,
                          .ports = {{"http", kModelPort}},
                          .why = "asks model " + plan.model});
    part.edges.push_back(
        {.from = peer, .to = Peer::everywhere(), .ports = {{"https", 443}}, .why = "fetches weights"});
  }
  if (!metrics || context.use("metrics") != "prometheus") return;
  part.edges.push_back({.from = prometheus_peer(),
                        .to = Peer::pods(kModelsNamespace, {{"tidegate.dev/metrics", "true"}}),
                        .ports = {{"http", kModelPort}},
                        .why = "scrapes metrics"});
  Json monitor = object("monitoring.coreos.com/v1", "PodMonitor", "models", kModelsNamespace);
  monitor["spec"] = {{"selector", {{"matchLabels", {{"tidegate.dev/metrics", "true"}}}}},
                     {"podMetricsEndpoints", Json::array({{{"port", "http"}, {"interval", "30s"}}})}};
  part.add("monitor.yaml", std::move(monitor));
}

Pod gateway_pod(const Context& context, Documents& docs) {
  Container c{.name = kGateway, .image = catalog::image("tidegate")};
  // The console changes nothing, and gives others than the pod itself nothing but metrics.
  c.args = {"up",
            "-f",
            "/etc/tidegate/documents.yaml",
            "--listen",
            fmt::format("0.0.0.0:{}", kPort),
            "--console",
            fmt::format("0.0.0.0:{}", kGatewayConsole),
            "--data",
            "/var/lib/tidegate",
            "--log",
            "json"};
  c.ports = {{"http", kPort}, {"console", kGatewayConsole}};
  c.env = std::move(docs.env);
  c.resources = context.size("serving", "tidegate");
  c.startup = http_probe("/healthz", "http", 2, 30);
  c.readiness = http_probe("/readyz", "http", 5);
  c.liveness = http_probe("/healthz", "http", 10, 6);
  c.mounts = {{"documents", "/etc/tidegate", true}, {"data", "/var/lib/tidegate"}, {"tmp", "/tmp"}};
  Pod pod;
  pod.containers = {std::move(c)};
  pod.volumes = {volume_config("documents", "tidegate-documents"), volume_scratch("tmp", "64Mi")};
  pod.grace_seconds = 120;  // streams that run come to their end
  pod.placement = context.add_on_placement();
  return pod;
}

void add_gateway(const Context& context, Part& part, Documents docs) {
  const spec::Reader serving = context.component("serving");
  // Keys and what they used are in the gateway's own volume: a second one would not know them.
  if (serving.has("replicas") && serving.integer("replicas") > 1) {
    context.warn("one_gateway", serving.at("replicas"), serving.where("replicas"),
                 "the gateway keeps keys and usage in its own volume and runs once",
                 "take replicas out; what it serves is restarted in seconds");
  }
  part.add("gateway.yaml",
           config_map("tidegate-documents", kModelsNamespace, {{"documents.yaml", text_of(docs.all)}}));
  const bool outside = docs.outside;
  for (SecretNeed& s : docs.secrets) part.secrets.push_back(std::move(s));
  Json set = stateful_set(kGateway, kModelsNamespace, 1, gateway_pod(context, docs),
                          {claim("data", "10Gi", context.default_storage_class())});
  set["metadata"]["annotations"] = {{"tidegate.dev/one-replica-because", kWhyOne}};
  part.add("gateway.yaml", std::move(set));
  part.add("gateway.yaml", service(kGateway, kModelsNamespace, selector(kGateway), {{"http", kPort}}));
  part.keeps.push_back({.ns = kModelsNamespace, .name = "data-tidegate-0"});
  const Peer peer = Peer::pods(kModelsNamespace, selector(kGateway));
  watch_gateway(context, part, peer, selector(kGateway));
  if (outside) {
    part.edges.push_back(
        {.from = peer, .to = Peer::everywhere(), .ports = {{"https", 443}}, .why = "asks Providers"});
  }
  if (const std::string host = serving.text("host"); !host.empty()) {
    part.published.push_back({.host = host,
                              .ns = kModelsNamespace,
                              .service = kGateway,
                              .port = kPort,
                              .pods = selector(kGateway),
                              .pod_port = kPort,
                              .web_socket = true});
  }
}

}  // namespace

namespace {

std::string growth(const Context& context, const std::vector<ModelPod>& pods) {
  std::string out = "| Model | replicas | follows |\n|---|---|---|\n";
  for (const ModelPod& p : pods) {
    const Grower by = grower(context, p);
    const int least = by == Grower::requests ? p.least : p.replicas;
    const std::string count =
        by == Grower::nobody ? std::to_string(p.replicas) : fmt::format("{}–{}", least, p.most);
    const char* what = by == Grower::requests    ? "requests that wait or run, also from nothing"
                       : by == Grower::processor ? "the processor"
                                                 : "nothing: nobody counts its requests";
    out +=
        fmt::format("| {} | {} | {} |\n", p.model, count, p.least == p.most ? "nothing: one number" : what);
  }
  return out;
}

}  // namespace

bool tidegate_serves(const Context& context) {
  if (context.use("serving") != "tidegate") return false;
  return !context.all(spec::DocumentKind::model).empty() ||
         !context.all(spec::DocumentKind::provider).empty();
}

ModelApi tidegate_api() {
  return {.pods = Peer::pods(kModelsNamespace, selector(kGateway)),
          .port = kPort,
          .url = fmt::format("http://{}.{}.svc:{}", kGateway, kModelsNamespace, kPort)};
}

std::vector<Part> tidegate_serving(const Context& context) {
  Part part = component("serving");
  part.after = {"namespaces", "network-policies", "storage", "gpu"};
  part.namespaces.push_back({.name = kModelsNamespace});
  std::vector<ModelPod> pods = model_pods(context);
  add_gateway(context, part, documents(context, pods));
  add_models(context, part, pods);
  part.sections.push_back(
      {Section::Chapter::first_steps, "A key for the models",
       "kubectl -n models exec tidegate-0 -- tidegate keys create --data /var/lib/tidegate "
       "--name NAME --tenant TENANT\n"
       "kubectl -n models exec tidegate-0 -- tidegate models --data /var/lib/tidegate\n"});
  part.sections.push_back(
      {Section::Chapter::overview, "How models run",
       "Each Model is a Deployment of its engine; the gateway `tidegate` holds requests while none of its "
       "replicas is ready, counts tokens and keeps tenants within their limits.\n\n" +
           growth(context, pods) +
           "\nThe gateway itself runs once: its journal has one writer, and keys and limits that are used up "
           "lie beside it. A new one is there in seconds, on another machine as soon as the volume is free; "
           "streams that run at that moment break off, and a client tries again.\n"});
  return {std::move(part)};
}

}  // namespace tg::render
