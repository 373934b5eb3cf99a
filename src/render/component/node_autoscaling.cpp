// Who adds and removes nodes. OTC, GKE and AKS do it themselves once their pools have bounds; on AWS it is a
// program in the cluster, and so is what makes load balancers for Services.
#include <fmt/format.h>

#include "catalog/charts.hpp"
#include "catalog/releases.hpp"
#include "render/component/components.hpp"
#include "render/infrastructure/aws.hpp"
#include "text/emit.hpp"

namespace tg::render {

namespace {

constexpr const char* kNamespace = "kube-system";
constexpr const char* kKarpenter = "1.8.2";

// cluster-autoscaler, karpenter, none.
std::string chosen(const Context& context) {
  if (context.site() != Site::aws) return "none";
  const std::string written = context.spec().text("components.autoscaling.nodes");
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

Json requirement(const char* key, Json values) {
  return {{"key", key}, {"operator", "In"}, {"values", std::move(values)}};
}

Json taint(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  const std::size_t equals = text.find('=');
  const bool value = equals != std::string::npos && equals < colon;
  Json out{{"key", text.substr(0, value ? equals : colon)}};
  if (value) out["value"] = text.substr(equals + 1, colon - equals - 1);
  out["effect"] = text.substr(colon + 1);
  return out;
}

// Pools of the document as Karpenter says them. Its programs have no facts here, so nothing judges these.
std::vector<Json> node_pools(const Context& context) {
  std::vector<Json> out;
  for (const Pool& pool : pools(context)) {
    Json node_class = object("karpenter.k8s.aws/v1", "EC2NodeClass", pool.name);
    node_class["spec"] = {{"amiSelectorTerms", Json::array({{{"alias", "al2023@latest"}}})},
                          {"role", "output:node_role_name"},
                          {"subnetSelectorTerms",
                           Json::array({{{"tags", {{"karpenter.sh/discovery", context.cluster_name()}}}}})},
                          {"securityGroupSelectorTerms",
                           Json::array({{{"tags", {{"aws:eks:cluster-name", context.cluster_name()}}}}})},
                          {"blockDeviceMappings",
                           Json::array({{{"deviceName", "/dev/xvda"},
                                         {"ebs",
                                          {{"volumeSize", fmt::format("{}Gi", pool.disk_gib)},
                                           {"volumeType", pool.disk_type.empty() ? "gp3" : pool.disk_type},
                                           {"encrypted", true}}}}})},
                          {"metadataOptions", {{"httpTokens", "required"}, {"httpPutResponseHopLimit", 1}}}};
    if (!pool.local_disks.empty()) node_class["spec"]["instanceStorePolicy"] = "RAID0";
    Json pool_object = object("karpenter.sh/v1", "NodePool", pool.name);
    Json spec{
        {"nodeClassRef", {{"group", "karpenter.k8s.aws"}, {"kind", "EC2NodeClass"}, {"name", pool.name}}},
        {"expireAfter", "720h"},
        {"requirements",
         Json::array({requirement("node.kubernetes.io/instance-type", pool.types),
                      requirement("karpenter.sh/capacity-type", pool.spot_share > 0
                                                                    ? Json::array({"spot", "on-demand"})
                                                                    : Json::array({"on-demand"})),
                      requirement("topology.kubernetes.io/zone", context.infrastructure().list("zones"))})}};
    if (!pool.taints.empty()) {
      Json taints = Json::array();
      for (const std::string& t : pool.taints) taints.push_back(taint(t));
      spec["taints"] = std::move(taints);
    }
    pool_object["spec"] = {
        {"template", {{"metadata", {{"labels", to_json(pool.labels)}}}, {"spec", std::move(spec)}}},
        {"disruption", {{"consolidationPolicy", "WhenEmptyOrUnderutilized"}, {"consolidateAfter", "10m"}}},
        {"limits", {{"nodes", std::to_string(pool.max)}}}};
    out.push_back(std::move(node_class));
    out.push_back(std::move(pool_object));
  }
  return out;
}

Part karpenter(const Context& context) {
  Part part = component("node-autoscaling");
  part.after = {"namespaces", "network-policies"};
  Json values{
      {"settings", {{"clusterName", context.cluster_name()}}},
      {"serviceAccount", {{"name", "karpenter"}}},
      {"controller", {{"resources", to_json(context.size("node-autoscaling", "cluster-autoscaler"))}}},
      {"replicas", context.replicas("node-autoscaling", "cluster-autoscaler")}};
  std::string pools_text;
  for (const Json& o : node_pools(context))
    pools_text += (pools_text.empty() ? "" : "---\n") + text::emit_yaml(o);
  part.extras.push_back({"karpenter/values.yaml", text::emit_yaml(values), false});
  part.extras.push_back({"karpenter/pools.yaml", std::move(pools_text), false});
  part.extras.push_back(
      {"karpenter.sh",
       fmt::format(
           "#!/bin/sh\n"
           "# Installs Karpenter and its pools. Not verified: the program that rendered this has no facts of "
           "its chart and kinds.\n"
           "set -eu\n"
           "here=$(dirname \"$0\")\n"
           "role=$(tofu -chdir=\"$here/../../infrastructure/terraform\" output -raw node_role_name)\n"
           "helm upgrade --install karpenter oci://public.ecr.aws/karpenter/karpenter --version {} \\\n"
           "  --namespace {} --values \"$here/karpenter/values.yaml\" --wait --timeout 10m\n"
           "sed \"s,output:node_role_name,$role,\" \"$here/karpenter/pools.yaml\" |\n"
           "  kubectl apply --server-side --field-manager=tidegate --filename -\n",
           kKarpenter, kNamespace),
       true});
  part.steps.push_back({.kind = "script", .what = "karpenter.sh", .timeout = "15m"});
  part.sections.push_back(
      {Section::Chapter::overview, "Karpenter: not verified",
       "Its chart and its kinds were not at hand when this was rendered, so "
       "`components/node-autoscaling/karpenter/` "
       "is checked by nothing but you: read it, and try it beside the managed groups before you rely on it. "
       "The "
       "groups keep their minimum; set it to 0 by hand once Karpenter carries the load.\n"});
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
