#include "render/component/observability.hpp"

#include <fmt/format.h>

#include "render/component/components.hpp"

namespace tg::render {

namespace observability {

bool stack(const Context& context) { return context.use("metrics") == "prometheus"; }

std::string logs_use(const Context& context) {
  // A cluster that is too small for metrics is for logs, too.
  const bool asked = context.spec().has("components.logs");
  return !asked && context.use("metrics") == "none" ? std::string("none") : context.use("logs");
}

bool loki(const Context& context) { return logs_use(context) == "loki"; }

Program example_program(const Context& context) {
  Program out;
  for (const auto& [name, app] : context.spec().named("apps")) {
    const std::string tenant = app.text("tenant");
    if (out.app.empty()) out = {tenant.empty() ? context.name() : tenant, name};
  }
  if (out.app.empty() && context.use("chat") == "open-webui") out = {"chat", "open-webui"};
  if (out.app.empty()) out = {std::string(kMetricsNamespace), "prometheus"};
  return out;
}

bool loki_distributed(const Context& context) {
  return loki(context) && context.component("logs").text("mode") == "distributed";
}

std::string loki_url(const Context& context) {
  return loki_distributed(context) ? "http://loki-gateway.logging.svc" : "http://loki.logging.svc:3100";
}

Peer loki_peer(const Context& context) {
  Labels labels{{"app.kubernetes.io/name", "loki"}};
  if (loki_distributed(context)) labels.emplace("app.kubernetes.io/component", "gateway");
  return Peer::pods(std::string(kLogsNamespace), std::move(labels));
}

int loki_pod_port(const Context& context) { return loki_distributed(context) ? 8080 : kLokiPort; }

bool traces(const Context& context) { return context.has("traces"); }

Peer traces_peer(const Context& context) {
  return Peer::pods(std::string(kTracesNamespace), {{"app.kubernetes.io/name", context.use("traces")}});
}

Peer grafana_peer() {
  return Peer::pods(std::string(kMetricsNamespace), {{"app.kubernetes.io/name", "grafana"}});
}

Peer alertmanager_peer() {
  return Peer::pods(std::string(kMetricsNamespace), {{"app.kubernetes.io/name", "alertmanager"}});
}

Held held(const spec::SecretRef& ref, std::string_view ns, std::string_view own_name,
          std::string_view default_key, std::string_view why) {
  Held out;
  const bool is_secret = ref.how == spec::SecretRef::How::secret_ref;
  out.secret = is_secret ? ref.name : std::string(own_name);
  out.key = ref.key.empty() ? std::string(default_key) : ref.key;
  out.need = {.name = out.secret, .ns = std::string(ns), .keys = {out.key}, .why = std::string(why)};
  out.need.from = SecretNeed::From::reference;
  switch (ref.how) {
    case spec::SecretRef::How::secret_ref:
      out.need.reference = "secretRef " + ref.name;
      break;
    case spec::SecretRef::How::env:
      out.need.reference = "env " + ref.name;
      break;
    case spec::SecretRef::How::file:
      out.need.reference = "file " + ref.name;
      break;
    case spec::SecretRef::How::vault:
      out.need.reference = "vault " + ref.name;
      break;
  }
  return out;
}

void place(Json& values, const Placement& placement) {
  if (!placement.node_selector.empty()) values["nodeSelector"] = to_json(placement.node_selector);
  if (!placement.tolerations.empty()) values["tolerations"] = placement.tolerations;
}

Json claim_spec(std::string_view size, std::string_view storage_class) {
  Json out{{"accessModes", Json::array({"ReadWriteOnce"})}};
  if (!storage_class.empty()) out["storageClassName"] = storage_class;
  out["resources"] = {{"requests", {{"storage", size}}}};
  return out;
}

std::string storage_class(const Context& context, const spec::Reader& component) {
  const std::string own = component.text("storage.class");
  return component.has("storage.class") && !own.empty() ? own : context.default_storage_class();
}

}  // namespace observability

}  // namespace tg::render
