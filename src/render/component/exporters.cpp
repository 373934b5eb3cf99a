// Exporters for services outside the platform: components.metrics.exporters.
#include <fmt/format.h>

#include <array>

#include "render/component/components.hpp"
#include "render/component/observability.hpp"

namespace tg::render::observability {

namespace {

// Apart from the stack: they hold logins of services.
const std::string kNs = "exporters";

struct Target {
  std::string name{}, release{}, host{};
  int port = 0;
  Held login{};
};

Json mysql(const Target& t) {
  return {{"mysql",
           {{"host", t.host},
            {"port", t.port},
            {"user", "exporter"},
            {"pass", ""},
            {"existingPasswordSecret", {{"name", t.login.secret}, {"key", "password"}}}}}};
}

Json postgres(const Target& t) {
  Json source{{"host", t.host}, {"port", std::to_string(t.port)}, {"sslmode", "require"}};
  source["userSecret"] = {{"name", t.login.secret}, {"key", "username"}};
  source["passwordSecret"] = {{"name", t.login.secret}, {"key", "password"}};
  return {{"config", {{"datasource", std::move(source)}}}};
}

Json rabbitmq(const Target& t) {
  return {{"rabbitmq",
           {{"url", fmt::format("http://{}:{}", t.host, t.port)},
            {"existingUserSecret", t.login.secret},
            {"existingPasswordSecret", t.login.secret}}}};
}

Json redis(const Target& t) {
  return {{"redisAddress", fmt::format("redis://{}:{}", t.host, t.port)},
          {"auth", {{"enabled", true}, {"secret", {{"name", t.login.secret}, {"key", "password"}}}}}};
}

Json kafka(const Target& t) { return {{"kafkaServer", Json::array({fmt::format("{}:{}", t.host, t.port)})}}; }

struct Known {
  std::string_view name, chart;
  int port;          // of the service
  int metrics_port;  // of the exporter's pod
  bool login;
  Json (*values)(const Target&);
  std::string_view
      monitor;         // where the switch of the ServiceMonitor is, below `prometheus`; empty: at the top
  bool release_label;  // the pods carry `release`, not the recommended label
  std::string_view pod_security, container_security;  // keys; empty: the chart has none
};

constexpr auto kKnown = std::to_array<Known>({
    {"kafka", "prometheus-kafka-exporter", 9092, 9308, false, kafka, "serviceMonitor", true,
     "securityContext", "containerSecurityContext"},
    {"mysql", "prometheus-mysql-exporter", 3306, 9104, true, mysql, "", false, "podSecurityContext",
     "securityContext"},
    {"postgres", "prometheus-postgres-exporter", 5432, 9187, true, postgres, "", false, "podSecurityContext",
     "securityContext"},
    {"rabbitmq", "prometheus-rabbitmq-exporter", 15672, 9419, true, rabbitmq, "monitor", true, "", ""},
    {"redis", "prometheus-redis-exporter", 6379, 9121, true, redis, "", false, "podSecurityContext",
     "securityContext"},
});

const Known* known(std::string_view name) {
  for (const Known& k : kKnown) {
    if (k.name == name) return &k;
  }
  return nullptr;
}

// An address inside the cluster is a Service of a namespace, others are outside.
Peer service_peer(const std::string& host) {
  const std::size_t dot = host.find('.');
  if (dot != std::string::npos) {
    const std::string rest = host.substr(dot + 1);
    const std::size_t end = rest.find(".svc");
    if (end != std::string::npos && end > 0) return Peer::pods(rest.substr(0, end));
  }
  return Peer::everywhere();
}

void add_known(const Context& context, Part& part, const Known& kind, Target t) {
  Json values = kind.values(t);
  values["fullnameOverride"] = t.release;
  if (kind.monitor.empty()) {
    values["serviceMonitor"] = {{"enabled", true}};
  } else {
    values["prometheus"] = {{std::string(kind.monitor), {{"enabled", true}}}};
    if (kind.monitor == "serviceMonitor") values["prometheus"]["serviceMonitor"]["namespace"] = kNs;
  }
  if (!kind.pod_security.empty()) {
    values[std::string(kind.pod_security)] = {{"runAsNonRoot", true},
                                              {"runAsUser", 65534},
                                              {"runAsGroup", 65534},
                                              {"seccompProfile", {{"type", "RuntimeDefault"}}}};
    values[std::string(kind.container_security)] = {{"allowPrivilegeEscalation", false},
                                                    {"readOnlyRootFilesystem", true},
                                                    {"capabilities", {{"drop", Json::array({"ALL"})}}}};
  } else if (part.namespaces.back().name == kNs) {
    part.namespaces.back().level = Level::baseline;
    part.namespaces.back().reason =
        fmt::format("the chart of the {} exporter sets no seccomp profile", t.name);
  }
  values["resources"] = to_json(context.size("metrics", "exporter"));
  place(values, context.add_on_placement());
  const Peer self =
      Peer::pods(kNs, {{kind.release_label ? "release" : "app.kubernetes.io/instance", t.release}});
  part.releases.push_back(
      {.chart = kind.chart, .release = t.release, .ns = kNs, .values = std::move(values)});
  part.edges.push_back({.from = self,
                        .to = service_peer(t.host),
                        .ports = {{"service", t.port}},
                        .why = "measures " + t.name});
  part.edges.push_back({.from = prometheus_peer(),
                        .to = self,
                        .ports = {{"metrics", kind.metrics_port}},
                        .why = "scrapes metrics"});
}

// Any exporter by its image: it finds the service in TARGET and its login in the variables of the Secret.
void add_image(const Context& context, Part& part, const Target& t, const std::string& image) {
  Container c{.name = "exporter", .image = image};
  c.ports = {{"metrics", t.port}};
  if (!t.host.empty()) c.env.push_back(env("TARGET", t.host));
  if (!t.login.secret.empty()) c.env_from = Json::array({{{"secretRef", {{"name", t.login.secret}}}}});
  c.resources = context.size("metrics", "exporter");
  c.readiness = tcp_probe("metrics");
  c.liveness = tcp_probe("metrics", 30, 6);
  Pod pod;
  pod.containers = {std::move(c)};
  pod.placement = context.add_on_placement();
  const std::string file = t.release + ".yaml";
  part.add(file, deployment(t.release, kNs, 1, pod));
  part.add(file, service(t.release, kNs, selector(t.release), {{"metrics", t.port}}));
  Json monitor = object("monitoring.coreos.com/v1", "ServiceMonitor", t.release, kNs);
  monitor["spec"] = {{"selector", {{"matchLabels", {{"app.kubernetes.io/name", t.release}}}}},
                     {"endpoints", Json::array({{{"port", "metrics"}}})}};
  part.add(file, std::move(monitor));
  const Peer self = Peer::pods(kNs, selector(t.release));
  if (!t.host.empty())
    part.edges.push_back(
        {.from = self, .to = service_peer(t.host), .ports = {}, .why = "measures " + t.name});
  part.edges.push_back(
      {.from = prometheus_peer(), .to = self, .ports = {{"metrics", t.port}}, .why = "scrapes metrics"});
}

}  // namespace

void add_exporters(const Context& context, Part& part) {
  const auto wanted = context.component("metrics").named("exporters");
  if (wanted.empty()) return;
  part.namespaces.push_back({.name = kNs});
  for (const auto& [name, spec] : wanted) {
    Target t{.name = name, .release = name + "-exporter", .host = spec.text("host")};
    const auto ref = spec.secret("credentials");
    if (ref) {
      t.login = held(*ref, kNs, t.release, "", "login of the exporter of " + name);
      t.login.need.keys = {"username", "password"};
      part.secrets.push_back(t.login.need);
    }
    const std::string image = spec.text("image");
    const Known* kind = known(name);
    if (!image.empty()) {
      if (!spec.has("port")) {
        context.refuse(
            "missing_field", spec.at("image"), spec.where("port"),
            fmt::format("{} has an image of its own, so nobody knows the port of its metrics", name),
            "add port: 9100");
        continue;
      }
      t.port = static_cast<int>(spec.integer("port"));
      add_image(context, part, t, image);
      continue;
    }
    if (kind == nullptr) {
      context.refuse("unknown_exporter", spec.at("host"), spec.where("image"),
                     fmt::format("no exporter for {} is known", name),
                     "name its image and port, or one of kafka, mysql, postgres, rabbitmq, redis");
      continue;
    }
    if (t.host.empty() || (kind->login && !ref)) {
      const std::string field = t.host.empty() ? "host" : "credentials";
      context.refuse("missing_field", spec.at(field), spec.where(field),
                     fmt::format("the exporter of {} needs {}", name, field),
                     t.host.empty() ? "host: mysql.data.svc" : "credentials: {secretRef: NAME}");
      continue;
    }
    t.port = spec.has("port") ? static_cast<int>(spec.integer("port")) : kind->port;
    add_known(context, part, *kind, std::move(t));
  }
}

}  // namespace tg::render::observability
