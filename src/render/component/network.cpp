// What connects the pods, where the distribution brings nothing: Calico by its operator.
#include <fmt/format.h>

#include "render/component/components.hpp"

namespace tg::render {

namespace {

// Of the hosts' network plugin: empty where the cloud or the distribution decides.
std::string plugin(const Context& context) {
  std::string written = context.spec().text("cluster.networks.plugin");
  if (written.empty() && (context.site() == Site::machines || context.site() == Site::cluster_api))
    written = "calico";
  return written;
}

Json values(const Context& context) {
  // One network of machines needs no tunnel between them; only packets that leave it get one. So what a node
  // sends to a pod comes from the node's own address, by which policies know it.
  const Json pool{{"cidr", context.pod_cidr()},
                  {"encapsulation", "VXLANCrossSubnet"},
                  {"natOutgoing", "Enabled"},
                  {"nodeSelector", "all()"},
                  {"blockSize", 26}};
  Json installation{{"enabled", true},
                    {"cni", {{"type", "Calico"}}},
                    {"calicoNetwork",
                     {{"bgp", "Disabled"},
                      {"linuxDataplane", "Iptables"},
                      {"ipPools", Json::array({pool})},
                      {"nodeAddressAutodetectionV4", {{"kubernetes", "NodeInternalIP"}}}}},
                    {"nodeMetricsPort", 9091},
                    {"typhaMetricsPort", 9093},
                    {"controlPlaneReplicas", 2}};
  const Placement place = context.add_on_placement();
  if (!place.node_selector.empty()) installation["controlPlaneNodeSelector"] = to_json(place.node_selector);
  if (!place.tolerations.empty()) installation["controlPlaneTolerations"] = place.tolerations;
  return {{"installation", std::move(installation)},
          {"apiServer", {{"enabled", true}}},
          // Flow logs and their page: not asked for, and they would hold memory on every node.
          {"goldmane", {{"enabled", false}}},
          {"whisker", {{"enabled", false}}},
          {"resources", to_json(context.size("network", "tigera-operator"))}};
}

}  // namespace

std::vector<Part> network(const Context& context) {
  const bool own =
      context.site() == Site::machines || context.site() == Site::k3s || context.site() == Site::cluster_api;
  const std::string which = plugin(context);
  if (!own || which.empty()) return {};
  const spec::Reader& spec = context.spec();
  if (which == "flannel" && context.site() == Site::k3s) return {};  // k3s has it built in
  if (which != "calico") {
    context.refuse("cannot_render", spec.at("cluster.networks.plugin"), spec.where("cluster.networks.plugin"),
                   fmt::format("{} is not for machines of one's own", which),
                   "write calico, or leave it out");
    return {};
  }
  Part part = component("network");
  // Made before any other pod: the operator tolerates a node without a network, its pods use the host's.
  part.namespaces.push_back(
      {.name = "tigera-operator", .level = Level::privileged, .reason = "uses the network of the host"});
  // Since 3.32 the operator's chart holds objects of kinds that it does not define.
  part.definitions.push_back(
      {.chart = "crd.projectcalico.org.v1",
       .among_templates = true,
       .wait_for = {"installations.operator.tigera.io", "apiservers.operator.tigera.io",
                    "tigerastatuses.operator.tigera.io", "ippools.crd.projectcalico.org"}});
  part.releases.push_back(
      {.chart = "tigera-operator", .release = "calico", .ns = "tigera-operator", .values = values(context)});
  part.steps.push_back({.kind = "wait", .what = "tigerastatus/calico Available", .timeout = "10m"});
  part.sections.push_back(
      {.chapter = Section::Chapter::troubleshooting,
       .title = "Pods without a network",
       .text = fmt::format(
           "`kubectl get tigerastatus` names what is not ready; `kubectl -n calico-system get pods -o wide`. "
           "Pods get addresses of {}, in blocks of 64 for each node; the pool must stay equal to the "
           "cluster's pod network.\n",
           context.pod_cidr())});
  return {std::move(part)};
}

}  // namespace tg::render
