// Metrics of nodes and pods for `kubectl top` and the autoscalers, where the distribution does not bring
// them.
#include "render/component/components.hpp"
#include "render/component/observability.hpp"

namespace tg::render {

namespace {

// k3s, GKE and AKS run one of their own, CCE has it as an add-on; a cluster that exists is its owner's.
bool brings_it(Site site) {
  return site == Site::k3s || site == Site::google || site == Site::azure ||
         site == Site::open_telekom_cloud || site == Site::existing;
}

}  // namespace

std::vector<Part> metrics_server(const Context& context) {
  if (brings_it(context.site())) return {};
  Part part = component("metrics-server");
  const std::string ns = "kube-system";
  const int replicas = context.replicas("metrics-server", "metrics-server");
  // Kubelets of kubeadm ask for serving certificates that the cluster's authority signs; those that Cluster
  // API starts in containers sign their own.
  Json args = Json::array();
  if (context.site() == Site::cluster_api) args.push_back("--kubelet-insecure-tls");
  Json values{{"replicas", replicas}};
  if (!args.empty()) values["args"] = std::move(args);
  values["apiService"] = {{"insecureSkipTLSVerify", false}};
  values["tls"] = {{"type", "helm"}};
  values["podDisruptionBudget"] = {{"enabled", replicas > 1}};
  if (replicas > 1) {
    values["podDisruptionBudget"]["maxUnavailable"] = 1;
    values["topologySpreadConstraints"] =
        Json::array({{{"maxSkew", 1},
                      {"topologyKey", "kubernetes.io/hostname"},
                      {"whenUnsatisfiable", "ScheduleAnyway"},
                      {"labelSelector", {{"matchLabels", {{"app.kubernetes.io/name", "metrics-server"}}}}}}});
  }
  const bool scraped = observability::stack(context);
  values["metrics"] = {{"enabled", scraped}};
  values["serviceMonitor"] = {{"enabled", scraped}};
  values["resources"] = to_json(context.size("metrics-server", "metrics-server"));
  observability::place(values, context.add_on_placement());
  part.releases.push_back(
      {.chart = "metrics-server", .release = "metrics-server", .ns = ns, .values = values});
  const Peer self = Peer::pods(ns, {{"app.kubernetes.io/name", "metrics-server"}});
  part.edges = {
      {.from = Peer::api_server(), .to = self, .ports = {{"https", 10250}}, .why = "serves metrics.k8s.io"},
      {.from = self, .to = Peer::nodes(), .ports = {{"kubelet", 10250}}, .why = "asks every kubelet"},
      {.from = self, .to = Peer::api_server(), .ports = {}, .why = "lists nodes and pods"},
  };
  if (scraped)
    part.edges.push_back(
        {.from = prometheus_peer(), .to = self, .ports = {{"https", 10250}}, .why = "scrapes metrics"});
  part.sections.push_back(
      {.chapter = Section::Chapter::troubleshooting,
       .title = "`kubectl top` says that metrics are not available",
       .text = "`kubectl -n kube-system logs deployment/metrics-server` names the kubelet that does not "
               "answer. \"x509\" means that its serving certificate is not signed yet: `kubectl get csr`."});
  return {std::move(part)};
}

}  // namespace tg::render
