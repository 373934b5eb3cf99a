// Karpenter: starts machines that fit the pods that wait. A pool of the document becomes one NodePool for
// each purchase option. The nodes that a pool always has stay a managed group, so that Karpenter itself has a
// place.
#include <fmt/format.h>

#include <algorithm>

#include "render/component/components.hpp"
#include "render/infrastructure/aws.hpp"

namespace tg::render {

namespace {

constexpr const char* kNamespace = "kube-system";

Json requirement(const char* key, Json values) {
  return {{"key", key}, {"operator", "In"}, {"values", std::move(values)}};
}

// "key=value:Effect" as an object.
Json taint(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  const std::size_t equals = text.find('=');
  const bool value = equals != std::string::npos && equals < colon;
  Json out = nested("key", text.substr(0, value ? equals : colon));
  if (value) out["value"] = text.substr(equals + 1, colon - equals - 1);
  out["effect"] = text.substr(colon + 1);
  return out;
}

Json disks(const Pool& pool) {
  const bool bottlerocket = pool.os.starts_with("Bottlerocket");
  Json ebs{{"volumeSize", fmt::format("{}Gi", pool.disk_gib)},
           {"volumeType", pool.disk_type.empty() ? "gp3" : pool.disk_type},
           {"encrypted", true},
           {"deleteOnTermination", true}};
  Json disk = nested("deviceName", bottlerocket ? "/dev/xvdb" : "/dev/xvda");
  disk["ebs"] = std::move(ebs);
  return Json::array({std::move(disk)});
}

// Subnets and security groups are found by their tags.
Json found_by(const char* tag, const std::string& value) {
  return Json::array({nested("tags", nested(tag, value))});
}

Json node_class(const Context& context, const Pool& pool) {
  const std::string cluster = context.cluster_name();
  Json out = object("karpenter.k8s.aws/v1", "EC2NodeClass", pool.name);
  const bool bottlerocket = pool.os.starts_with("Bottlerocket");
  Json metadata{{"httpEndpoint", "enabled"}, {"httpTokens", "required"}, {"httpPutResponseHopLimit", 1}};
  Json spec{{"amiSelectorTerms",
             Json::array({nested("alias", bottlerocket ? "bottlerocket@latest" : "al2023@latest")})},
            {"role", "output:node_role_name"},
            {"subnetSelectorTerms", found_by("karpenter.sh/discovery", cluster)},
            {"securityGroupSelectorTerms", found_by("aws:eks:cluster-name", cluster)},
            {"blockDeviceMappings", disks(pool)},
            {"metadataOptions", std::move(metadata)},
            {"detailedMonitoring", true}};
  if (!pool.local_disks.empty()) spec["instanceStorePolicy"] = "RAID0";
  Json tags = nested("Name", fmt::format("{}-{}", cluster, pool.name));
  for (const auto& [key, value] : context.spec().texts_map("tags")) tags[key] = value;
  spec["tags"] = std::move(tags);
  out["spec"] = std::move(spec);
  return out;
}

// Machines of one purchase option. What it may add is what the pool's groups of that option may hold, less
// the nodes that are always there.
Json node_pool(const Context& context, const Pool& pool, bool spot, int nodes) {
  const std::string name = fmt::format("{}-{}", pool.name, spot ? "spot" : "on-demand");
  Json out = object("karpenter.sh/v1", "NodePool", name);
  Json requirements =
      Json::array({requirement("node.kubernetes.io/instance-type", pool.types),
                   requirement("karpenter.sh/capacity-type", Json::array({spot ? "spot" : "on-demand"})),
                   requirement("topology.kubernetes.io/zone", context.infrastructure().list("zones"))});
  Json reference{{"group", "karpenter.k8s.aws"}, {"kind", "EC2NodeClass"}, {"name", pool.name}};
  Json spec{{"nodeClassRef", std::move(reference)},
            {"requirements", std::move(requirements)},
            {"expireAfter", "720h"},
            // Streams that run come to their end before the machine goes.
            {"terminationGracePeriod", "1h"}};
  if (!pool.taints.empty()) {
    spec["taints"] = Json::array();
    for (const std::string& t : pool.taints) spec["taints"].push_back(taint(t));
  }
  Json node = nested("metadata", nested("labels", to_json(pool.labels)));
  node["spec"] = std::move(spec);
  // A model that was loaded is not moved to save a part of a GPU machine.
  Json disruption{{"consolidationPolicy", pool.gpus > 0 ? "WhenEmpty" : "WhenEmptyOrUnderutilized"},
                  {"consolidateAfter", "10m"},
                  {"budgets", Json::array({nested("nodes", "10%")})}};
  out["spec"] = {{"template", std::move(node)},
                 {"disruption", std::move(disruption)},
                 {"limits", nested("nodes", std::to_string(nodes))},
                 // The cheaper first; what cannot be had falls through to the other.
                 {"weight", spot ? 100 : 50}};
  return out;
}

void add_pools(const Context& context, Part& part) {
  for (const Pool& pool : pools(context)) {
    if (!pool.scales()) continue;
    int spot = 0, on_demand = -pool.min;
    for (const Group& g : aws_groups(pool)) (g.spot ? spot : on_demand) += g.max;
    part.add("pools.yaml", node_class(context, pool));
    if (spot > 0) part.add("pools.yaml", node_pool(context, pool, true, spot));
    if (on_demand > 0) part.add("pools.yaml", node_pool(context, pool, false, on_demand));
  }
}

Json values(const Context& context) {
  Json settings{{"clusterName", context.cluster_name()}, {"interruptionQueue", karpenter_queue(context)}};
  Json out{{"settings", std::move(settings)},
           {"serviceAccount", {{"create", true}, {"name", "karpenter"}}},
           {"controller", {{"resources", to_json(context.size("node-autoscaling", "karpenter"))}}},
           {"replicas", context.replicas("node-autoscaling", "karpenter")}};
  if (context.use("metrics") == "prometheus") out["serviceMonitor"] = {{"enabled", true}};
  const Placement where = context.add_on_placement();
  if (!where.node_selector.empty()) out["nodeSelector"] = to_json(where.node_selector);
  if (!where.tolerations.empty()) out["tolerations"] = where.tolerations;
  return out;
}

}  // namespace

namespace {

// Karpenter's own figures say what it tried; that a pod found no node is said by the cluster itself.
Alert pods_wait() {
  return {.name = "PodsWaitForNodes",
          .expr = "sum(kube_pod_status_unschedulable) > 0",
          .duration = "15m",
          .severity = "warning",
          .summary = "Pods wait for nodes that do not come",
          .description = "{{ $value }} pods have had no node for a quarter of an hour.",
          .action =
              "`kubectl describe nodepools,nodeclaims`: a pool is at its limit, or the cloud has no such "
              "machine.",
          .input = {{"kube_pod_status_unschedulable{namespace=\"models\",pod=\"a-0\"}", "0x10 1x30"},
                    {"kube_pod_status_unschedulable{namespace=\"models\",pod=\"b-0\"}", "0x10 1x30"}},
          .quiet = "9m",
          .fires = "30m",
          .value = "2"};
}

}  // namespace

Part karpenter(const Context& context) {
  Part part = component("node-autoscaling");
  part.after = {"namespaces", "network-policies"};
  part.releases.push_back(
      {.chart = "karpenter", .release = "karpenter", .ns = kNamespace, .values = values(context)});
  add_pools(context, part);
  if (context.use("metrics") == "prometheus") {
    part.edges.push_back({.from = prometheus_peer(),
                          .to = Peer::pods(kNamespace, {{"app.kubernetes.io/name", "karpenter"}}),
                          .ports = {{"metrics", 8080}},
                          .why = "scrapes metrics"});
    part.alerts.push_back(pods_wait());
  }
  part.sections.push_back(
      {Section::Chapter::first_steps, "Spot machines",
       "An account that never had one lacks the role for them:\n\n```sh\n"
       "aws iam create-service-linked-role --aws-service-name spot.amazonaws.com\n```\n"});
  part.sections.push_back({Section::Chapter::troubleshooting, "A node is not added or not removed",
                           "kubectl get nodepools,nodeclaims,ec2nodeclasses\n"
                           "kubectl describe nodeclaims\n"
                           "kubectl -n kube-system logs -l app.kubernetes.io/name=karpenter --tail=100\n"});
  part.sections.push_back(
      {Section::Chapter::upgrade, "Karpenter",
       "Helm does not touch definitions that are there. Before a new version of Karpenter:\n\n```sh\n"
       "helm upgrade --install karpenter-crd oci://public.ecr.aws/karpenter/karpenter-crd \\\n"
       "  --namespace kube-system --version VERSION --take-ownership\n```\n"});
  return part;
}

}  // namespace tg::render
