// The workload cluster as objects of Cluster API: class, cluster, network, autoscaler. All in v1beta2.
#include <fmt/format.h>

#include <algorithm>

#include "catalog/images.hpp"
#include "render/component/continuous.hpp"
#include "render/infrastructure/cluster_api.hpp"

namespace tg::render {

namespace {

constexpr const char* kCore = "cluster.x-k8s.io/v1beta2";
constexpr const char* kDocker = "infrastructure.cluster.x-k8s.io/v1beta2";
constexpr const char* kBootstrap = "bootstrap.cluster.x-k8s.io/v1beta2";
constexpr const char* kControlPlane = "controlplane.cluster.x-k8s.io/v1beta2";
// Label and annotations that other programs look for.
constexpr const char* kImport = "cluster-api.cattle.io/rancher-auto-import";
constexpr const char* kMinSize = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-min-size";
constexpr const char* kMaxSize = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-max-size";
constexpr std::string_view kCapacity = "capacity.cluster-autoscaler.kubernetes.io/";

Json reference(std::string_view api, std::string_view kind, std::string_view name) {
  return {{"apiVersion", api}, {"kind", kind}, {"name", name}};
}

// A machine whose node does not come, or stops telling that it is ready, is replaced.
Json health_check() {
  const auto condition = [](std::string_view status) {
    return Json{{"type", "Ready"}, {"status", status}, {"timeoutSeconds", 300}};
  };
  return {{"checks",
           {{"nodeStartupTimeoutSeconds", 900},
            {"unhealthyNodeConditions", Json::array({condition("Unknown"), condition("False")})}}}};
}

// Nodes in containers share the disk of their host: its filling is the host's matter.
Json node_registration() {
  return {{"kubeletExtraArgs",
           Json::array({{{"name", "eviction-hard"},
                         {"value", "nodefs.available<0%,nodefs.inodesFree<0%,imagefs.available<0%"}}})}};
}

bool scales_nodes(const Context& context) {
  return context.component("autoscaling").text("nodes") == "cluster-autoscaler";
}

// Classes that the pools name, each once.
std::vector<std::string> classes(const Context& context) {
  std::vector<std::string> out;
  for (const auto& [name, pool] : context.spec().named("pools")) {
    const std::string c = pool.text("class");
    if (std::find(out.begin(), out.end(), c) == out.end()) out.push_back(c);
  }
  if (out.empty()) out.emplace_back("default-worker");
  return out;
}

Json machine_deployment(const Context& context, const std::string& name, const spec::Reader& pool) {
  Json out{{"class", pool.text("class")}, {"name", name}};
  Json metadata = Json::object();
  if (const auto labels = pool.texts_map("labels"); !labels.empty()) metadata["labels"] = to_json(labels);
  if (scales_nodes(context)) {
    // The number of replicas is the autoscaler's: a field here would set it back at each change.
    Json a{{kMinSize, std::to_string(pool.integer("count.min"))},
           {kMaxSize, std::to_string(pool.integer("count.max"))}};
    for (const auto& [resource, quantity] : pool.quantities("resources"))
      a[fmt::format("{}{}", kCapacity, resource)] = quantity;
    if (const std::string vendor = pool.text("gpu.vendor"); vendor != "none" && !vendor.empty()) {
      a[fmt::format("{}gpu-type", kCapacity)] = vendor + ".com/gpu";
      a[fmt::format("{}gpu-count", kCapacity)] = std::to_string(pool.integer("gpu.count"));
    }
    metadata["annotations"] = std::move(a);
  } else {
    out["replicas"] = pool.integer("count.min");
  }
  if (!metadata.empty()) out["metadata"] = std::move(metadata);
  for (const std::string& taint : pool.list("taints")) {
    const Json t = toleration(taint);
    Json entry{{"key", t["key"]}, {"effect", t["effect"]}, {"propagation", "Always"}};
    if (t.contains("value")) entry["value"] = t["value"];
    out["taints"].push_back(std::move(entry));
  }
  return out;
}

}  // namespace

std::string cluster_class_name(const Context& context) {
  return fmt::format("{}-{}-clusterclass", context.infrastructure().text("provider"), context.name());
}

std::vector<Json> cluster_class(const Context& context) {
  const std::string ns = gitops_workspace(context);
  const std::string name = cluster_class_name(context);
  std::vector<Json> out;
  Json c = object(kCore, "ClusterClass", name, ns);
  Json workers = Json::array();
  for (const std::string& w : classes(context)) {
    workers.push_back(
        {{"class", w},
         {"bootstrap", {{"templateRef", reference(kBootstrap, "KubeadmConfigTemplate", name + "-" + w)}}},
         {"infrastructure", {{"templateRef", reference(kDocker, "DockerMachineTemplate", name + "-" + w)}}},
         {"healthCheck", health_check()}});
  }
  c["spec"] = {{"infrastructure", {{"templateRef", reference(kDocker, "DockerClusterTemplate", name)}}},
               {"controlPlane",
                {{"templateRef", reference(kControlPlane, "KubeadmControlPlaneTemplate", name)},
                 {"machineInfrastructure",
                  {{"templateRef", reference(kDocker, "DockerMachineTemplate", name + "-control-plane")}}},
                 {"healthCheck", health_check()}}},
               {"workers", {{"machineDeployments", std::move(workers)}}}};
  out.push_back(std::move(c));

  Json cluster = object(kDocker, "DockerClusterTemplate", name, ns);
  cluster["spec"] = {{"template", {{"spec", {{"loadBalancer", Json::object()}}}}}};
  out.push_back(std::move(cluster));

  Json plane = object(kControlPlane, "KubeadmControlPlaneTemplate", name, ns);
  const Json names = Json::array({"localhost", "127.0.0.1", "0.0.0.0", "host.docker.internal"});
  plane["spec"]["template"]["spec"]["kubeadmConfigSpec"] = {
      {"clusterConfiguration",
       {{"apiServer", {{"certSANs", names}}},
        {"controllerManager", {{"extraArgs", Json::array({{{"name", "profiling"}, {"value", "false"}}})}}},
        {"scheduler", {{"extraArgs", Json::array({{{"name", "profiling"}, {"value", "false"}}})}}}}},
      {"initConfiguration", {{"nodeRegistration", node_registration()}}},
      {"joinConfiguration", {{"nodeRegistration", node_registration()}}}};
  out.push_back(std::move(plane));

  // Without an image of its own a machine is the kindest/node of its version. No machine gets the socket of
  // Docker: only the managing cluster makes containers.
  const auto machine = [&](const std::string& which) {
    Json m = object(kDocker, "DockerMachineTemplate", name + "-" + which, ns);
    m["spec"] = {{"template", {{"spec", {{"bootstrapTimeout", "5m"}}}}}};
    return m;
  };
  out.push_back(machine("control-plane"));
  for (const std::string& w : classes(context)) {
    out.push_back(machine(w));
    Json b = object(kBootstrap, "KubeadmConfigTemplate", name + "-" + w, ns);
    b["spec"]["template"]["spec"]["joinConfiguration"]["nodeRegistration"] = node_registration();
    out.push_back(std::move(b));
  }
  return out;
}

std::vector<Json> workload_cluster(const Context& context) {
  const spec::Reader& spec = context.spec();
  const std::string ns = gitops_workspace(context);
  Json c = object(kCore, "Cluster", context.cluster_name(), ns);
  c["metadata"]["labels"] = {{"cni", "calico"}, {kImport, "true"}};
  Json workers = Json::array();
  for (const auto& [name, pool] : spec.named("pools"))
    workers.push_back(machine_deployment(context, name, pool));
  const std::int64_t replicas =
      spec.has("cluster.controlPlane.replicas") ? spec.integer("cluster.controlPlane.replicas") : 1;
  c["spec"] = {{"clusterNetwork",
                {{"pods", {{"cidrBlocks", Json::array({context.pod_cidr()})}}},
                 {"serviceDomain", spec.text("cluster.networks.domain")},
                 {"services", {{"cidrBlocks", Json::array({context.service_cidr()})}}}}},
               {"topology",
                {{"classRef", {{"name", cluster_class_name(context)}}},
                 // The first release of a minor is the one of which there is always an image of a node.
                 {"version", fmt::format("v{}.0", context.kubernetes())},
                 {"controlPlane", {{"replicas", replicas}}},
                 {"workers", {{"machineDeployments", std::move(workers)}}}}}};
  Json network = object("addons.cluster.x-k8s.io/v1beta2", "ClusterResourceSet", "calico", ns);
  network["spec"] = {{"strategy", "ApplyOnce"},
                     {"clusterSelector", {{"matchLabels", {{"cni", "calico"}}}}},
                     {"resources", Json::array({{{"kind", "ConfigMap"}, {"name", "calico-namespace"}},
                                                {{"kind", "ConfigMap"}, {"name", "calico"}}})}};
  Json space = object("v1", "Namespace", "tigera-operator");
  space["metadata"]["labels"] = {{"pod-security.kubernetes.io/enforce", "privileged"}};
  return {std::move(c), std::move(network),
          config_map("calico-namespace", ns, {{"namespace.json", space.dump(2) + "\n"}})};
}

std::vector<Json> cluster_autoscaler(const Context& context) {
  if (!scales_nodes(context)) return {};
  const char* name = "cluster-autoscaler";
  const std::string ns = gitops_workspace(context);
  std::vector<Json> out{service_account(name, ns)};
  // Reads and sizes groups of machines of this namespace, nothing else.
  out.push_back(
      role(name, ns,
           {{{"cluster.x-k8s.io"},
             {"clusters", "machinedeployments", "machinesets", "machines", "machinepools"},
             {"get", "list", "watch"}},
            {{"cluster.x-k8s.io"}, {"machinedeployments/scale"}, {"get", "update", "patch"}},
            // Marks the machine that goes first.
            {{"cluster.x-k8s.io"}, {"machines", "machinedeployments"}, {"update", "patch"}},
            {{"infrastructure.cluster.x-k8s.io"}, {"dockermachinetemplates"}, {"get", "list", "watch"}}}));
  out.push_back(role_binding(name, ns, "Role", name, {{"ServiceAccount", name, ns}}));
  Container c{.name = name, .image = catalog::image("cluster-autoscaler")};
  c.command = {"./cluster-autoscaler"};
  c.args = {"--cloud-provider=clusterapi",
            // Nodes and pods of the workload cluster by its kubeconfig, machines by the account of this pod.
            "--kubeconfig=/etc/workload/value", "--clusterapi-cloud-config-authoritative",
            fmt::format("--node-group-auto-discovery=clusterapi:namespace={},clusterName={}", ns,
                        context.cluster_name()),
            "--expander=least-waste", "--balance-similar-node-groups",
            "--skip-nodes-with-local-storage=false", "--skip-nodes-with-system-pods=false",
            "--scale-down-unneeded-time=5m", "--scale-down-delay-after-add=5m",
            "--max-node-provision-time=10m", "--logtostderr=true", "--stderrthreshold=info", "--v=2"};
  c.ports = {{"metrics", 8085}};
  c.resources = context.size("management", name);
  c.liveness = http_probe("/health-check", "metrics", 30);
  c.mounts = {{"workload", "/etc/workload", true}};
  Pod pod;
  pod.containers = {std::move(c)};
  pod.service_account = name;
  pod.api_token = true;
  pod.volumes = {volume_secret("workload", context.cluster_name() + "-kubeconfig")};
  out.push_back(deployment(name, ns, 1, pod));
  return out;
}

}  // namespace tg::render
