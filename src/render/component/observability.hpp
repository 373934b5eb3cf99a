// What the parts of metrics, alerts, dashboards, logs and traces know of each other: names, addresses,
// secrets.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "render/context.hpp"
#include "render/part.hpp"

namespace tg::render::observability {

inline constexpr std::string_view kMetricsNamespace = "monitoring";
inline constexpr std::string_view kLogsNamespace = "logging";
inline constexpr std::string_view kTracesNamespace = "tracing";
// Programs of the machine's own file systems and network: kept apart, so that the others stay restricted.
inline constexpr std::string_view kNodeNamespace = "node-exporter";

inline constexpr int kPrometheusPort = 9090;
inline constexpr int kAlertmanagerPort = 9093;
inline constexpr int kGrafanaPort = 3000;
inline constexpr int kLokiPort = 3100;

inline constexpr std::string_view kPrometheusUrl = "http://prometheus-prometheus.monitoring.svc:9090";
inline constexpr std::string_view kAlertmanagerUrl = "http://prometheus-alertmanager.monitoring.svc:9093";

bool stack(const Context& context);  // kube-prometheus-stack is there
// What keeps the logs: loki, elasticsearch, files, cloudwatch or none.
std::string logs_use(const Context& context);
bool loki(const Context& context);
// A program whose logs can be shown as an example: its namespace and its label `app`.
struct Program {
  std::string ns{}, app{};
};
Program example_program(const Context& context);
bool loki_distributed(const Context& context);
// Where the collector pushes to and Grafana asks, without a path: "http://loki.logging.svc:3100".
std::string loki_url(const Context& context);
Peer loki_peer(const Context& context);
// Port of the pods behind loki_url.
int loki_pod_port(const Context& context);
bool traces(const Context& context);
Peer traces_peer(const Context& context);
Peer grafana_peer();
Peer alertmanager_peer();

// A secret that the document refers to, as the Secret of a namespace: an own one for what is no Secret yet.
struct Held {
  std::string secret{};
  std::string key{};
  SecretNeed need{};
};
Held held(const spec::SecretRef& ref, std::string_view ns, std::string_view own_name,
          std::string_view default_key, std::string_view why);

// Selector and tolerations in the form of most charts.
void place(Json& values, const Placement& placement);
// One bit of storage below the form of a StatefulSet's claim template.
Json claim_spec(std::string_view size, std::string_view storage_class);
// The class of a component's storage, or the default class of the platform.
std::string storage_class(const Context& context, const spec::Reader& component);

// The configuration of Alertmanager: receivers read their secrets from files, so it holds none.
Json alertmanager_config(const Context& context);
// Names of the Secrets that it reads, mounted below /etc/alertmanager/secrets.
Json alertmanager_secrets(const Context& context);
std::vector<SecretNeed> alertmanager_needs(const Context& context);

// components.metrics.exporters: one release for each.
void add_exporters(const Context& context, Part& part);

}  // namespace tg::render::observability
