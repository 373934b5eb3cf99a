// The disks that a cloud's machines are born with, as volumes of a storage class: each disk is one volume,
// found by the static provisioner on the nodes of the pools that name the class.
#include <fmt/format.h>

#include <set>

#include "catalog/images.hpp"
#include "render/component/components.hpp"
#include "text/emit.hpp"

namespace tg::render {

namespace {

constexpr const char* kNamespace = "local-disks";
constexpr const char* kName = "local-disks";

struct Place {
  std::string folder, pattern;
  bool raw = false;  // a device, which gets a file system with its first volume
};

// Where the images of the clouds put such disks.
Place place(Site site) {
  if (site == Site::google) return {"/dev/disk/by-id", "google-local-*ssd-block*", true};
  if (site == Site::azure) return {"/dev/disk/by-id", "nvme-Microsoft_NVMe_Direct_Disk_*", true};
  return {"/mnt/k8s-disks", "*", false};
}

Json host_path(const char* name, const std::string& path) {
  return {{"name", name}, {"hostPath", {{"path", path}}}};
}

// Google lets pods of the highest classes run only where a quota names their class.
void add_quota(Part& part) {
  Json o = object("v1", "ResourceQuota", "critical-pods", kNamespace);
  Json classes{{"scopeName", "PriorityClass"}, {"operator", "In"}};
  classes["values"] = Json::array({"system-node-critical"});
  o["spec"]["hard"] = {{"pods", "1000"}};
  o["spec"]["scopeSelector"]["matchExpressions"] = Json::array({std::move(classes)});
  part.add("provisioner.yaml", std::move(o));
}

void add_rights(Part& part) {
  part.add("provisioner.yaml", service_account(kName, kNamespace));
  part.add("provisioner.yaml",
           role(kName, "",
                {{{""}, {"persistentvolumes"}, {"get", "list", "watch", "create", "delete"}},
                 {{"storage.k8s.io"}, {"storageclasses"}, {"get", "list", "watch"}},
                 {{""}, {"events"}, {"watch", "create", "update", "patch"}},
                 {{""}, {"nodes"}, {"get"}}}));
  part.add("provisioner.yaml",
           role_binding(kName, "", "ClusterRole", kName, {{"ServiceAccount", kName, kNamespace}}));
}

}  // namespace

std::vector<Part> local_disks(const Context& context) {
  if (!context.cloud()) return {};
  std::set<std::string> classes;
  Placement where;
  for (const auto& [name, pool] : context.spec().named("pools")) {
    const std::string storage_class = pool.text("localDisks");
    if (storage_class.empty()) continue;
    classes.insert(storage_class);
    const Placement own = context.pool_placement(name);
    for (const Json& t : own.tolerations) where.tolerations.push_back(t);
    // Pools with several labels have none in common: the provisioner finds nothing on other nodes.
    where.node_selector = classes.size() == 1 ? own.node_selector : Labels{};
  }
  if (classes.empty()) return {};
  Part part = component("local-disks");
  part.after = {"namespaces", "network-policies", "storage"};
  part.namespaces.push_back({.name = kNamespace,
                             .level = Level::privileged,
                             .reason = "the provisioner mounts and formats the disks of its node"});
  const Place at = place(context.site());
  Json map = Json::object();
  for (const std::string& storage_class : classes) {
    map[storage_class] = {{"hostDir", at.folder},
                          {"mountDir", at.folder},
                          {"volumeMode", "Filesystem"},
                          {"namePattern", at.pattern}};
    if (at.raw) {
      map[storage_class]["fsType"] = "ext4";
      map[storage_class]["blockCleanerCommand"] = Json::array({"/scripts/quick_reset.sh"});
    }
  }
  part.add("provisioner.yaml",
           config_map(kName, kNamespace,
                      {{"storageClassMap", text::emit_yaml(map)}, {"useNodeNameOnly", "true"}}));
  if (context.site() == Site::google) add_quota(part);
  add_rights(part);
  Container c{.name = "provisioner", .image = catalog::image("local-volume-provisioner")};
  c.env = {env_from_field("MY_NODE_NAME", "spec.nodeName"),
           env_from_field("MY_NAMESPACE", "metadata.namespace"),
           env("JOB_CONTAINER_IMAGE", catalog::image("local-volume-provisioner"))};
  c.resources = context.size("storage", "local-disks");
  c.mounts = {{"config", "/etc/provisioner/config", true}, {"dev", "/dev"}};
  if (!at.raw) c.mounts.push_back({"disks", at.folder});
  c.run_as_root = true;  // mounts and formats
  Pod pod;
  pod.containers = {std::move(c)};
  pod.volumes = {volume_config("config", kName), host_path("dev", "/dev")};
  if (!at.raw) pod.volumes.push_back(host_path("disks", at.folder));
  pod.service_account = kName;
  pod.api_token = true;
  pod.priority_class = "system-node-critical";
  pod.placement = std::move(where);
  Json set = daemon_set(kName, kNamespace, pod);
  set["metadata"]["annotations"] = {
      {"tidegate.dev/privileged-because", "mounts and formats the disks of its node"}};
  Json& container = set["spec"]["template"]["spec"]["containers"][0];
  container["securityContext"] = {
      {"privileged", true}, {"readOnlyRootFilesystem", true}, {"runAsUser", 0}, {"runAsNonRoot", false}};
  if (!at.raw) {
    for (Json& mount : container["volumeMounts"]) {
      // A disk that is mounted later is seen too.
      if (mount["name"] == "disks") mount["mountPropagation"] = "HostToContainer";
    }
  }
  part.add("provisioner.yaml", std::move(set));
  part.edges.push_back({.from = Peer::pods(kNamespace, selector(kName)),
                        .to = Peer::api_server(),
                        .why = "makes a volume of each disk"});
  part.sections.push_back(
      {Section::Chapter::troubleshooting, "A local disk is not offered",
       fmt::format("kubectl get persistentvolumes -l storage.kubernetes.io/local-volume-provisioner\n"
                   "kubectl -n {} logs daemonset/{}\n",
                   kNamespace, kName)});
  part.sections.push_back(
      {Section::Chapter::overview, "What lies on local disks",
       "A local disk dies with its machine. Only what copies itself belongs there: brokers and caches with "
       "replicas, or what can be fetched again.\n"});
  return {std::move(part)};
}

}  // namespace tg::render
