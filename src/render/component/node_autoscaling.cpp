// Who adds and removes nodes. OTC, GKE and AKS do it themselves once their pools have bounds; on AWS it is a
// program in the cluster, and so is what makes load balancers for Services.
#include <fmt/format.h>

#include "catalog/releases.hpp"
#include "render/component/components.hpp"
#include "render/infrastructure/aws.hpp"

namespace tg::render {

namespace {

constexpr const char* kNamespace = "kube-system";

// cluster-autoscaler, karpenter, none.
std::string chosen(const Context& context) {
  if (context.site() != Site::aws) return "none";
  std::string written = context.spec().text("components.autoscaling.nodes");
  if (!written.empty()) return written;
  for (const Pool& p : pools(context)) {
    if (p.scales()) return "cluster-autoscaler";
  }
  return "none";
}

void place(const Context& context, Json& values) {
  const Placement where = context.add_on_placement();
  if (!where.node_selector.empty()) values["nodeSelector"] = to_json(where.node_selector);
  if (!where.tolerations.empty()) values["tolerations"] = where.tolerations;
}

// The cheapest first: spot before on-demand, and of each the shape that the document names first. What cannot
// be had falls through to the next.
Json priorities(const Context& context) {
  std::map<int, Json, std::greater<>> out;
  for (const Pool& pool : pools(context)) {
    int rank = 0;
    for (const Group& g : aws_groups(pool)) {
      const int priority = (g.spot ? 100 : 50) - rank++;
      Json& names = out.try_emplace(priority, Json::array()).first->second;
      names.push_back(fmt::format(".*-{}-.*", g.name));
    }
  }
  Json map = Json::object();
  for (auto& [priority, names] : out) map[std::to_string(priority)] = std::move(names);
  return map;
}

Part cluster_autoscaler(const Context& context) {
  Part part = component("node-autoscaling");
  part.after = {"namespaces", "network-policies"};
  const catalog::Kubernetes* release = catalog::kubernetes(context.kubernetes());
  Json values{{"cloudProvider", "aws"},
              {"awsRegion", context.infrastructure().text("region")},
              {"autoDiscovery", {{"clusterName", context.cluster_name()}}},
              {"fullnameOverride", "cluster-autoscaler"},
              {"replicaCount", context.replicas("node-autoscaling", "cluster-autoscaler")},
              {"rbac", {{"serviceAccount", {{"create", true}, {"name", "cluster-autoscaler"}}}}},
              {"expanderPriorities", priorities(context)},
              {"extraArgs",
               {{"expander", "priority"},
                {"balance-similar-node-groups", true},
                {"skip-nodes-with-system-pods", false},
                {"skip-nodes-with-local-storage", false},
                {"max-node-provision-time", "15m"},
                {"scale-down-unneeded-time", "10m"},
                {"write-status-configmap", true}}},
              {"resources", to_json(context.size("node-autoscaling", "cluster-autoscaler"))}};
  // It schedules in its head as the cluster's own scheduler of that minor version does.
  if (release != nullptr) values["image"] = {{"tag", fmt::format("v{}.0", release->minor)}};
  if (context.has("metrics")) values["serviceMonitor"] = {{"enabled", true}, {"namespace", kNamespace}};
  place(context, values);
  part.releases.push_back({.chart = "cluster-autoscaler",
                           .release = "cluster-autoscaler",
                           .ns = kNamespace,
                           .values = std::move(values)});
  const Labels pods{{"app.kubernetes.io/instance", "cluster-autoscaler"}};
  if (context.has("metrics")) {
    part.edges.push_back({.from = prometheus_peer(),
                          .to = Peer::pods(kNamespace, pods),
                          .ports = {{"http", 8085}},
                          .why = "scrapes metrics"});
    part.alerts.push_back({.name = "PodsWaitForNodes",
                           .expr = "cluster_autoscaler_unschedulable_pods_count > 0",
                           .duration = "15m",
                           .severity = "warning",
                           .summary = "Pods wait for nodes that do not come",
                           .description = "{{ $value }} pods have had no node for a quarter of an hour.",
                           .action = "`kubectl -n kube-system describe configmap cluster-autoscaler-status` "
                                     "says why: a group is at its maximum, or the cloud has no such machine.",
                           .input = {{"cluster_autoscaler_unschedulable_pods_count", "0x10 3x30"}},
                           .quiet = "9m",
                           .fires = "30m",
                           .value = "3"});
  }
  part.sections.push_back(
      {Section::Chapter::troubleshooting, "A node is not added or not removed",
       "kubectl -n kube-system get configmap cluster-autoscaler-status -o yaml\n"
       "kubectl -n kube-system logs -l app.kubernetes.io/instance=cluster-autoscaler --tail=100\n"
       "kubectl get events -A --field-selector=source=cluster-autoscaler\n"});
  return part;
}

}  // namespace

std::vector<Part> node_autoscaling(const Context& context) {
  const std::string use = chosen(context);
  if (use == "cluster-autoscaler") return {cluster_autoscaler(context)};
  if (use == "karpenter") return {karpenter(context)};
  return {};
}

// AWS makes network load balancers for Services only through this controller; it puts the gateway's pods
// behind the addresses that Terraform made.
std::vector<Part> balancer_controller(const Context& context) {
  if (context.site() != Site::aws || !context.has("gateway")) return {};
  Part part = component("balancer-controller");
  part.after = {"namespaces", "network-policies"};
  Json values{{"clusterName", context.cluster_name()},
              {"region", context.infrastructure().text("region")},
              {"vpcId", "output:vpc_id"},
              {"replicaCount", context.replicas("balancer-controller", "controller")},
              {"serviceAccount", {{"create", true}, {"name", "aws-load-balancer-controller"}}},
              {"createIngressClassResource", false},
              {"enableShield", false},
              {"enableWaf", false},
              {"enableWafv2", false},
              {"podDisruptionBudget", {{"maxUnavailable", 1}}},
              {"resources", to_json(context.size("balancer-controller", "controller"))}};
  place(context, values);
  part.releases.push_back({.chart = "aws-load-balancer-controller",
                           .release = "aws-load-balancer-controller",
                           .ns = kNamespace,
                           .values = std::move(values)});
  part.sections.push_back(
      {Section::Chapter::troubleshooting, "The gateway gets no load balancer",
       "kubectl -n gateway-system describe service\n"
       "kubectl -n kube-system logs -l app.kubernetes.io/name=aws-load-balancer-controller --tail=100\n"
       "kubectl get targetgroupbindings -A\n"});
  return {std::move(part)};
}

}  // namespace tg::render
