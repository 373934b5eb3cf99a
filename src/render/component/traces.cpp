// The way of single requests. Both stores take Zipkin, Jaeger and OTLP.
#include <fmt/format.h>

#include "render/component/components.hpp"
#include "render/component/observability.hpp"

namespace tg::render {

namespace {

const std::string kNs(observability::kTracesNamespace);

const std::vector<Port>& receiver_ports() {
  static const std::vector<Port> ports{{"otlp-grpc", 4317},
                                       {"otlp-http", 4318},
                                       {"zipkin", 9411},
                                       {"jaeger-grpc", 14250},
                                       {"jaeger-http", 14268}};
  return ports;
}

std::string hours(const spec::Reader& traces) {
  return fmt::format("{}h", static_cast<long long>(traces.seconds("retention") / 3600.0));
}

Json receivers() {
  return {{"zipkin", {{"endpoint", "0.0.0.0:9411"}}},
          {"jaeger",
           {{"protocols",
             {{"grpc", {{"endpoint", "0.0.0.0:14250"}}}, {"thrift_http", {{"endpoint", "0.0.0.0:14268"}}}}}}},
          {"otlp",
           {{"protocols",
             {{"grpc", {{"endpoint", "0.0.0.0:4317"}}}, {"http", {{"endpoint", "0.0.0.0:4318"}}}}}}}};
}

Json pod_security() {
  return {{"runAsNonRoot", true},
          {"runAsUser", 10001},
          {"runAsGroup", 10001},
          {"fsGroup", 10001},
          {"seccompProfile", {{"type", "RuntimeDefault"}}}};
}

Json container_security() {
  return {{"allowPrivilegeEscalation", false},
          {"readOnlyRootFilesystem", true},
          {"capabilities", {{"drop", Json::array({"ALL"})}}}};
}

void tempo(const Context& context, Part& part) {
  const spec::Reader traces = context.component("traces");
  Json server{{"retention", hours(traces)}, {"reportingEnabled", false}, {"receivers", receivers()}};
  server["resources"] = to_json(context.size("traces", "tempo"));
  server["securityContext"] = container_security();
  // Memory that only the old garbage collector needed.
  server["memBallastSizeMbs"] = 0;
  Json values{{"fullnameOverride", "tempo"}, {"replicas", 1}, {"tempo", std::move(server)}};
  values["securityContext"] = pod_security();
  Json volume{{"enabled", true}, {"size", "20Gi"}};
  if (const std::string c = context.default_storage_class(); !c.empty()) volume["storageClassName"] = c;
  values["persistence"] = std::move(volume);
  values["serviceMonitor"] = {{"enabled", observability::stack(context)}};
  observability::place(values, context.add_on_placement());
  part.releases.push_back({.chart = "tempo", .release = "tempo", .ns = kNs, .values = std::move(values)});
}

// Jaeger 2 is one process: its configuration is that of an OpenTelemetry collector. Traces lie on a volume.
Json jaeger_config(const Context& context) {
  const spec::Reader traces = context.component("traces");
  Json extensions{{"healthcheckv2", {{"use_v2", true}, {"http", {{"endpoint", "0.0.0.0:13133"}}}}}};
  extensions["jaeger_storage"] = {
      {"backends",
       {{"volume",
         {{"badger",
           {{"directories", {{"keys", "/var/jaeger/keys"}, {"values", "/var/jaeger/values"}}},
            {"ephemeral", false},
            {"ttl", {{"spans", hours(traces)}}}}}}}}}};
  extensions["jaeger_query"] = {{"storage", {{"traces", "volume"}}}};
  return {
      {"service",
       {{"extensions", Json::array({"jaeger_storage", "jaeger_query", "healthcheckv2"})},
        {"pipelines",
         {{"traces",
           {{"receivers", Json::array({"otlp", "jaeger", "zipkin"})},
            {"processors", Json::array({"batch"})},
            {"exporters", Json::array({"jaeger_storage_exporter"})}}}}},
        {"telemetry",
         {{"metrics",
           {{"readers", Json::array({{{"pull",
                                       {{"exporter",
                                         {{"prometheus", {{"host", "0.0.0.0"}, {"port", 8888}}}}}}}}})}}}}}}},
      {"extensions", std::move(extensions)},
      {"receivers", receivers()},
      {"processors", {{"batch", Json::object()}}},
      {"exporters", {{"jaeger_storage_exporter", {{"trace_storage", "volume"}}}}}};
}

void jaeger(const Context& context, Part& part) {
  Json one{{"enabled", true}, {"replicas", 1}};
  one["resources"] = to_json(context.size("traces", "jaeger"));
  one["podSecurityContext"] = pod_security();
  one["securityContext"] = container_security();
  // The volume can be mounted once: the old pod goes before the new one comes.
  one["strategy"] = {{"type", "Recreate"}};
  one["extraVolumes"] =
      Json::array({{{"name", "traces"}, {"persistentVolumeClaim", {{"claimName", "jaeger"}}}}});
  one["extraVolumeMounts"] = Json::array({{{"name", "traces"}, {"mountPath", "/var/jaeger"}}});
  observability::place(one, context.add_on_placement());
  Json values{{"fullnameOverride", "jaeger"}, {"jaeger", std::move(one)}};
  values["userconfig"] = jaeger_config(context);
  part.add("volume.yaml", persistent_volume_claim("jaeger", kNs, "20Gi", context.default_storage_class()));
  part.releases.push_back({.chart = "jaeger", .release = "jaeger", .ns = kNs, .values = std::move(values)});
  if (!observability::stack(context)) return;
  Json monitor = object("monitoring.coreos.com/v1", "PodMonitor", "jaeger", kNs);
  monitor["spec"] = {{"selector", {{"matchLabels", {{"app.kubernetes.io/name", "jaeger"}}}}},
                     {"podMetricsEndpoints", Json::array({{{"portNumber", 8888}}})}};
  part.add("monitor.yaml", std::move(monitor));
}

// Programs of the document send what they see themselves; proxies of the mesh come with the mesh.
void connect(const Context& context, Part& part) {
  const Peer store = observability::traces_peer(context);
  part.edges.push_back(
      {.from = Peer::any_pod(), .to = store, .ports = receiver_ports(), .why = "sends traces"});
  for (const auto& [name, app] : context.spec().named("apps")) {
    const std::string tenant = app.text("tenant");
    part.edges.push_back(
        {.from = Peer::pods(tenant.empty() ? context.name() : tenant, {{"app.kubernetes.io/name", name}}),
         .to = store,
         .ports = receiver_ports(),
         .why = "sends traces"});
  }
  for (const auto& [name, run] : context.all(spec::DocumentKind::training_run)) {
    static_cast<void>(run);
    part.edges.push_back({.from = Peer::pods("training", {{"app.kubernetes.io/name", name},
                                                          {"app.kubernetes.io/instance", name}}),
                          .to = store,
                          .ports = receiver_ports(),
                          .why = "sends traces"});
  }
  const int port = context.use("traces") == "tempo" ? 3200 : 8888;
  if (observability::stack(context))
    part.edges.push_back(
        {.from = prometheus_peer(), .to = store, .ports = {{"metrics", port}}, .why = "scrapes metrics"});
}

}  // namespace

std::vector<Part> traces(const Context& context) {
  const std::string use = context.use("traces");
  if (use != "tempo" && use != "jaeger") return {};
  Part part = component("traces");
  part.after = {"monitoring-crds", "storage"};
  part.namespaces.push_back({.name = kNs});
  if (use == "tempo") tempo(context, part);
  if (use == "jaeger") jaeger(context, part);
  connect(context, part);
  part.sections.push_back(
      {.chapter = Section::Chapter::troubleshooting,
       .title = "Following one request",
       .text = fmt::format(
           "{} takes OTLP at {}.tracing.svc:4317 and 4318, Zipkin at 9411 and Jaeger at 14250 and "
           "14268. In Grafana: Explore, source {}; a trace leads to the logs of its time. Programs "
           "follow {} of the requests when they are started with "
           "OTEL_TRACES_SAMPLER=parentbased_traceidratio and OTEL_TRACES_SAMPLER_ARG={}.",
           use == "tempo" ? "Tempo" : "Jaeger", use, use == "tempo" ? "Tempo" : "Jaeger",
           context.component("traces").text("sampling"), context.component("traces").number("sampling"))});
  return {std::move(part)};
}

}  // namespace tg::render
