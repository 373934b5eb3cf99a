// Metrics of what is no pod of the platform: load balancers of own machines, agents of network and GPUs on
// the nodes.
#include <fmt/format.h>

#include "render/component/components.hpp"
#include "render/infrastructure/hosts.hpp"

namespace tg::render {

namespace {

constexpr int kProxy = 8405;
constexpr int kFelix = 9091;

Json scrape(std::string_view name, Json spec) {
  Json out = object("monitoring.coreos.com/v1alpha1", "ScrapeConfig", name, "monitoring");
  Json all{{"jobName", name}, {"scrapeInterval", "30s"}};
  all.update(std::move(spec));
  out["spec"] = std::move(all);
  return out;
}

Alert unreachable() {
  return {
      .name = "ControlPlaneBehindProxyDown",
      .expr = "haproxy_server_status{proxy=\"kubernetes-control-planes\",state=\"UP\"} == 0",
      .duration = "5m",
      .severity = "critical",
      .summary = "The API server of {{ $labels.server }} does not answer",
      .description = "The load balancer {{ $labels.instance }} sends it nothing since five minutes.",
      .action =
          "On that machine: crictl ps -a, journalctl -u kubelet. With three control planes one may be away, "
          "not two.",
      .input = {{"haproxy_server_status{proxy=\"kubernetes-control-planes\",state=\"UP\",server=\"kube2\","
                 "instance=\"lb\"}",
                 "1x5 0x15"}},
      .quiet = "9m",
      .fires = "12m",
      .expected = {
          {"proxy", "kubernetes-control-planes"}, {"state", "UP"}, {"server", "kube2"}, {"instance", "lb"}}};
}

// By the labels that the GPU operator, or the exporter's own chart, gives the Service.
Json gpu_monitor(const Context& context) {
  const bool alone = context.site() == Site::open_telekom_cloud;
  const Labels labels =
      alone ? Labels{{"app.kubernetes.io/name", "dcgm-exporter"}} : Labels{{"app", "nvidia-dcgm-exporter"}};
  Json out = object("monitoring.coreos.com/v1", "ServiceMonitor", "dcgm-exporter", "gpu-operator");
  Json endpoint{{"port", alone ? "metrics" : "gpu-metrics"}, {"interval", "15s"}, {"honorLabels", true}};
  out["spec"] = {{"selector", {{"matchLabels", to_json(labels)}}},
                 {"namespaceSelector", {{"matchNames", Json::array({"gpu-operator"})}}},
                 {"endpoints", Json::array({std::move(endpoint)})}};
  return out;
}

}  // namespace

std::vector<Part> host_metrics(const Context& context) {
  if (!context.has("metrics")) return {};
  const bool own = context.site() == Site::machines || context.site() == Site::k3s;
  Part part = component("host-metrics");
  part.after = {"metrics"};
  std::vector<Host> all;
  if (own) all = hosts(context);
  if (const std::vector<Host> balancers = with_role(all, "load-balancer"); !balancers.empty()) {
    Json targets = Json::array();
    for (const Host& h : balancers) {
      targets.push_back(fmt::format("{}:{}", h.address, kProxy));
      part.edges.push_back({.from = prometheus_peer(),
                            .to = Peer::addresses(h.address + "/32"),
                            .ports = {{"metrics", kProxy}},
                            .why = "scrapes the load balancers"});
    }
    part.add("scrapes.yaml",
             scrape("haproxy", {{"staticConfigs", Json::array({{{"targets", std::move(targets)}}})}}));
    part.alerts.push_back(unreachable());
  }
  const std::string plugin = context.spec().text("cluster.networks.plugin");
  const bool calico = plugin == "calico" || (plugin.empty() && context.site() == Site::machines);
  if (calico) {
    // The agents use the network of their host and announce no port: the address is put together here.
    part.add(
        "scrapes.yaml",
        scrape(
            "calico-node",
            {{"kubernetesSDConfigs",
              Json::array({{{"role", "Pod"}, {"namespaces", {{"names", Json::array({"calico-system"})}}}}})},
             {"relabelings",
              Json::array({{{"sourceLabels", Json::array({"__meta_kubernetes_pod_label_k8s_app"})},
                            {"regex", "calico-node"},
                            {"action", "Keep"}},
                           {{"sourceLabels", Json::array({"__meta_kubernetes_pod_host_ip"})},
                            {"regex", "(.+)"},
                            {"replacement", fmt::format("$1:{}", kFelix)},
                            {"targetLabel", "__address__"}},
                           {{"sourceLabels", Json::array({"__meta_kubernetes_pod_node_name"})},
                            {"targetLabel", "node"}}})}}));
    part.edges.push_back({.from = prometheus_peer(),
                          .to = Peer::nodes(),
                          .ports = {{"felix", kFelix}},
                          .why = "scrapes the network's agents"});
  }
  if (gpu_software(context) != "none") part.add("dcgm-servicemonitor.yaml", gpu_monitor(context));
  if (part.manifests.empty()) return {};
  return {std::move(part)};
}

}  // namespace tg::render
