// What is watched of the gateway in front of the models: its metrics, alerts and a page of figures.
#include <fmt/format.h>

#include "render/component/components.hpp"
#include "render/component/model_pods.hpp"

namespace tg::render {

namespace {

Alert waiting() {
  return {
      .name = "RequestsWaitForModel",
      .expr = "max by (model) (min_over_time(tidegate_held_requests[15m])) > 0",
      .duration = "5m",
      .severity = "warning",
      .summary = "Requests for {{ $labels.model }} have waited for a quarter of an hour",
      .description = "At no time in the last quarter of an hour was the queue of {{ $labels.model }} empty.",
      .action = "`kubectl -n models get pods`: no replica becomes ready, or `replicas.max` is too low.",
      .input = {{"tidegate_held_requests{model=\"chat\"}", "0x10 4x60"}},
      .quiet = "9m",
      .fires = "50m",
      .expected = {{"model", "chat"}}};
}

Alert lost() {
  return {.name = "UsageIsLost",
          .expr = "increase(tidegate_journal_lost_records_total[10m]) > 0",
          .duration = "1m",
          .severity = "critical",
          .summary = "The gateway serves requests that it cannot write down",
          .description = "The journal has no room; tokens of these requests are in no bill.",
          .action = "`kubectl -n models exec tidegate-0 -- df -h /var/lib/tidegate`: make the volume larger.",
          .input = {{"tidegate_journal_lost_records_total", "0x10 1+1x30"}},
          .quiet = "9m",
          .fires = "20m"};
}

Alert invalid() {
  return {.name = "ModelDocumentsInvalid",
          .expr = "tidegate_documents_valid == 0",
          .duration = "5m",
          .severity = "warning",
          .summary = "The gateway serves by documents that are older than those it was given",
          .description = "The newest documents have errors, so those before them stay.",
          .action = "`kubectl -n models logs tidegate-0 | grep documents`: it names the line.",
          .input = {{"tidegate_documents_valid", "1x10 0x30"}},
          .quiet = "9m",
          .fires = "20m"};
}

Panel graph(std::string title, std::string unit, std::string expr, std::string legend) {
  return {
      .title = std::move(title), .queries = {{std::move(expr), std::move(legend)}}, .unit = std::move(unit)};
}

Dashboard page() {
  const std::string rate = "[$__rate_interval]";
  return {.uid = "models",
          .title = "Models",
          .folder = "Platform",
          .panels = {
              graph("Requests by Route", "reqps",
                    "sum by (route) (rate(tidegate_requests_total" + rate + "))", "{{route}}"),
              graph("How they ended", "reqps", "sum by (outcome) (rate(tidegate_requests_total" + rate + "))",
                    "{{outcome}}"),
              graph("Tokens by Route and direction", "short",
                    "sum by (route, direction) (rate(tidegate_tokens_total" + rate + "))",
                    "{{route}} {{direction}}"),
              graph("First byte, 95 of 100 requests", "s",
                    "histogram_quantile(0.95, sum by (le, route) "
                    "(rate(tidegate_time_to_first_byte_seconds_bucket" +
                        rate + ")))",
                    "{{route}}"),
              graph("Requests that wait", "short", "sum by (model) (tidegate_held_requests)", "{{model}}"),
              graph("Replicas that are ready", "short",
                    "sum by (deployment) (kube_deployment_status_replicas_available{namespace=\"models\"})",
                    "{{deployment}}"),
              graph("Refused", "reqps", "sum by (reason) (rate(tidegate_refused_requests_total" + rate + "))",
                    "{{reason}}"),
              graph("Tried again", "reqps", "sum(rate(tidegate_retries_total" + rate + "))", "retries"),
          }};
}

}  // namespace

void watch_gateway(const Context& context, Part& part, const Peer& gateway, const Labels& pods) {
  if (context.use("metrics") != "prometheus") return;
  Json monitor = object("monitoring.coreos.com/v1", "PodMonitor", "tidegate", kModelsNamespace);
  const Json endpoint{{"port", "console"}, {"interval", "15s"}};
  Json selector = Json::object();
  selector["matchLabels"] = to_json(pods);
  monitor["spec"] = {{"selector", std::move(selector)}, {"podMetricsEndpoints", Json::array({endpoint})}};
  part.add("monitor.yaml", std::move(monitor));
  part.edges.push_back({.from = prometheus_peer(),
                        .to = gateway,
                        .ports = {{"console", kGatewayConsole}},
                        .why = "scrapes metrics"});
  part.alerts.push_back(waiting());
  part.alerts.push_back(lost());
  part.alerts.push_back(invalid());
  part.dashboards.push_back(page());
}

}  // namespace tg::render
