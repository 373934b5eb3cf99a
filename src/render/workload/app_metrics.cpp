// What the proxies in front of an app measure of its requests.
#include <fmt/format.h>

#include <algorithm>

#include "render/workload/app.hpp"

namespace tg::render {

namespace {

RequestMetrics from(const std::string& total, const std::string& chosen, const std::string& failed,
                    const std::string& bucket, const std::string& in_bucket, double seconds) {
  RequestMetrics out;
  out.rate = fmt::format("sum(rate({}{{{}}}[2m]))", total, chosen);
  out.errors =
      fmt::format("sum(rate({0}{{{1},{2}}}[5m])) / sum(rate({0}{{{1}}}[5m]))", total, chosen, failed);
  out.latency = fmt::format("histogram_quantile(0.95, sum by (le) (rate({}{{{}}}[5m])))", bucket, in_bucket);
  if (seconds != 1) out.latency += fmt::format(" * {:g}", seconds);
  return out;
}

// As the route of a host is named.
std::string slug(std::string host) {
  std::replace(host.begin(), host.end(), '.', '-');
  return host;
}

}  // namespace

RequestMetrics request_metrics(const Context& context, const App& app) {
  const std::string use = context.use("gateway");
  const bool sidecars = context.use("mesh") == "istio" && context.component("mesh").text("mode") == "sidecar";
  if (app.port == 0) return {};
  if (sidecars || (use == "istio" && !app.hosts.empty())) {
    const std::string chosen =
        fmt::format("reporter=\"{}\",destination_service_name=\"{}\",destination_service_namespace=\"{}\"",
                    sidecars ? "destination" : "source", app.name, app.ns);
    return from("istio_requests_total", chosen, "response_code=~\"5..\"",
                "istio_request_duration_milliseconds_bucket", chosen, 0.001);
  }
  if (app.hosts.empty()) return {};
  if (use == "envoy-gateway") {
    std::string routes;
    for (const std::string& host : app.hosts)
      routes += (routes.empty() ? "" : "|") + fmt::format("httproute/{}/{}.*", app.ns, slug(host));
    const std::string chosen = fmt::format("envoy_cluster_name=~\"{}\"", routes);
    return from("envoy_cluster_upstream_rq_xx", chosen, "envoy_response_code_class=\"5\"",
                "envoy_cluster_upstream_rq_time_bucket", chosen, 0.001);
  }
  if (use == "traefik") {
    const std::string chosen = fmt::format("service=~\"{}-{}-.*\"", app.ns, app.name);
    return from("traefik_service_requests_total", chosen, "code=~\"5..\"",
                "traefik_service_request_duration_seconds_bucket", chosen, 1);
  }
  if (use == "ingress-nginx") {
    const std::string chosen =
        fmt::format("exported_namespace=\"{}\",exported_service=\"{}\"", app.ns, app.name);
    return from("nginx_ingress_controller_requests", chosen, "status=~\"5..\"",
                "nginx_ingress_controller_request_duration_seconds_bucket", chosen, 1);
  }
  return {};
}

}  // namespace tg::render
