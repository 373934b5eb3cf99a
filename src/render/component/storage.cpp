// Storage classes in the terms of each infrastructure, volumes of machines' own disks, snapshots, and the
// provisioner for directories where the distribution brings none.
#include <fmt/format.h>

#include <algorithm>

#include "catalog/images.hpp"
#include "catalog/instances.hpp"
#include "render/component/components.hpp"

namespace tg::render {

namespace {

constexpr const char* kLocalPath = "local-path-storage";
constexpr const char* kLocalPathProvisioner = "rancher.io/local-path";
constexpr double kMi = 1024.0 * 1024.0;

struct Provisioner {
  std::string name;
  Labels parameters;
};

std::string mebibytes(double bytes) { return std::to_string(static_cast<std::int64_t>(bytes / kMi)); }

// Operations and throughput are the provider's own parameters, so each has its own words for them.
Provisioner aws(const std::string& kind, const std::string& name, const spec::Reader& c) {
  if (kind == "shared") {
    // The file system is made by the infrastructure; its id is filled in from there at apply.
    return {"efs.csi.aws.com",
            {{"provisioningMode", "efs-ap"},
             {"fileSystemId", fmt::format("output:efs_{}_id", name)},
             {"directoryPerms", "0770"}}};
  }
  Provisioner out{"ebs.csi.aws.com", {{"type", kind == "cold" ? "st1" : "gp3"}, {"encrypted", "true"}}};
  if (kind == "block" && c.integer("iops") > 0) out.parameters["iops"] = std::to_string(c.integer("iops"));
  if (kind == "block" && c.number("throughput") > 0)
    out.parameters["throughput"] = mebibytes(c.number("throughput"));
  return out;
}

bool any_newer_machine(const Context& context) {
  for (const auto& [name, pool] : context.spec().named("pools")) {
    const std::vector<std::string> types = pool.list("instanceTypes");
    if (std::any_of(types.begin(), types.end(), catalog::takes_hyperdisks)) return true;
  }
  return false;
}

Provisioner google(const Context& context, const std::string& kind, const spec::Reader& c) {
  if (kind == "shared")
    return {"filestore.csi.storage.gke.io", {{"tier", "zonal"}, {"network", "output:network"}}};
  if (kind == "cold")
    return {"pd.csi.storage.gke.io",
            {{"type", any_newer_machine(context) ? "hyperdisk-throughput" : "pd-standard"}}};
  if (c.integer("iops") <= 3000 && c.number("throughput") <= 0)
    return {"pd.csi.storage.gke.io", {{"type", "pd-balanced"}}};
  Provisioner out{
      "pd.csi.storage.gke.io",
      {{"type", "hyperdisk-balanced"}, {"provisioned-iops-on-create", std::to_string(c.integer("iops"))}}};
  if (c.number("throughput") > 0)
    out.parameters["provisioned-throughput-on-create"] = mebibytes(c.number("throughput")) + "Mi";
  return out;
}

Provisioner azure(const std::string& kind, const spec::Reader& c) {
  if (kind == "shared") return {"file.csi.azure.com", {{"skuName", "Premium_LRS"}, {"protocol", "nfs"}}};
  if (kind == "cold") return {"disk.csi.azure.com", {{"skuName", "StandardHDD_LRS"}}};
  if (c.integer("iops") <= 3000) return {"disk.csi.azure.com", {{"skuName", "StandardSSD_ZRS"}}};
  Provisioner out{"disk.csi.azure.com",
                  {{"skuName", "PremiumV2_LRS"},
                   {"cachingMode", "None"},
                   {"DiskIOPSReadWrite", std::to_string(c.integer("iops"))}}};
  if (c.number("throughput") > 0) out.parameters["DiskMBpsReadWrite"] = mebibytes(c.number("throughput"));
  return out;
}

Provisioner open_telekom_cloud(const std::string& kind) {
  if (kind == "shared")
    return {"everest-csi-provisioner", {{"csi.storage.k8s.io/csi-driver-name", "sfsturbo.csi.everest.io"}}};
  return {"everest-csi-provisioner",
          {{"csi.storage.k8s.io/csi-driver-name", "disk.csi.everest.io"},
           {"everest.io/disk-volume-type", kind == "cold" ? "SATA" : "SSD"},
           {"everest.io/passthrough", "true"}}};
}

Provisioner provisioner(const Context& context, const std::string& name, const spec::Reader& c) {
  const std::string kind = c.text("kind");
  if (kind == "local")
    return {c.flag("dynamic") || context.site() == Site::k3s || context.site() == Site::cluster_api
                ? kLocalPathProvisioner
                : "kubernetes.io/no-provisioner",
            {}};
  switch (context.site()) {
    case Site::aws:
      return aws(kind, name, c);
    case Site::google:
      return google(context, kind, c);
    case Site::azure:
      return azure(kind, c);
    case Site::open_telekom_cloud:
      return open_telekom_cloud(kind);
    default:
      break;
  }
  if (kind == "shared" && !c.text("server").empty())
    return {"nfs.csi.k8s.io", {{"server", c.text("server")}, {"share", c.text("export")}}};
  context.refuse("no_such_storage", c.at("kind"), c.where("kind"),
                 fmt::format("{}: this infrastructure has no {} volumes", c.where("kind"), kind),
                 "use kind: local, or shared with the server of an NFS share");
  return {};
}

Json storage_class(const Context& context, const std::string& name, const spec::Reader& c) {
  const Provisioner p = provisioner(context, name, c);
  const std::string kind = c.text("kind");
  Json out = object("storage.k8s.io/v1", "StorageClass", name);
  Json notes = Json::object();
  if (c.flag("default")) notes["storageclass.kubernetes.io/is-default-class"] = "true";
  // The provisioner's other kind of volume, a path of the host, is one that backups cannot read.
  if (p.name == kLocalPathProvisioner) notes["defaultVolumeType"] = "local";
  if (!notes.empty()) out["metadata"]["annotations"] = std::move(notes);
  out["provisioner"] = p.name;
  if (!p.parameters.empty()) out["parameters"] = to_json(p.parameters);
  out["reclaimPolicy"] = c.text("reclaim");
  // A disk belongs to a zone or a node: it is made where the pod goes, not before.
  out["volumeBindingMode"] = kind == "shared" ? "Immediate" : "WaitForFirstConsumer";
  if (kind != "local") out["allowVolumeExpansion"] = true;
  return out;
}

// One volume for each disk of a machine. The capacity is what the document says; nothing enforces it.
void add_disks(Part& part, const Context& context) {
  if (context.site() != Site::machines) return;
  for (const auto& [host, h] : context.infrastructure().named("hosts")) {
    for (const auto& [storage_class, disk] : h.named("localDisks")) {
      const std::string short_name = host.substr(0, host.find('.'));
      Json o = object("v1", "PersistentVolume", fmt::format("{}-{}", storage_class, short_name));
      Json node{{"key", "kubernetes.io/hostname"}, {"operator", "In"}, {"values", Json::array({host})}};
      o["spec"] = {{"capacity", {{"storage", disk.text("size")}}},
                   {"volumeMode", "Filesystem"},
                   {"accessModes", Json::array({"ReadWriteOnce"})},
                   {"persistentVolumeReclaimPolicy", "Retain"},
                   {"storageClassName", storage_class},
                   {"local", {{"path", disk.text("path")}}},
                   {"nodeAffinity",
                    {{"required",
                      {{"nodeSelectorTerms",
                        Json::array({{{"matchExpressions", Json::array({std::move(node)})}}})}}}}}};
      part.add("volumes.yaml", std::move(o));
    }
  }
}

// Directories on the nodes' own disks. Its helper pods mount the host, so its namespace is privileged.
void add_local_path(Part& part, const Context& context) {
  const char* name = "local-path-provisioner";
  part.namespaces.push_back(
      {.name = kLocalPath, .level = Level::privileged, .reason = "helper pods make directories on the host"});
  const std::string config =
      Json{{"nodePathMap", Json::array({{{"node", "DEFAULT_PATH_FOR_NON_LISTED_NODES"},
                                         {"paths", Json::array({"/opt/local-path-provisioner"})}}})}}
          .dump(2) +
      "\n";
  Json helper = object("v1", "Pod", "helper-pod");
  helper["spec"] = {{"priorityClassName", "system-node-critical"},
                    {"tolerations", Json::array({{{"operator", "Exists"}}})},
                    {"containers", Json::array({{{"name", "helper-pod"},
                                                 {"image", catalog::image("busybox")},
                                                 {"imagePullPolicy", "IfNotPresent"}}})}};
  part.add("local-path.yaml", config_map("local-path-config", kLocalPath,
                                         {{"config.json", config},
                                          {"setup", "#!/bin/sh\nset -eu\nmkdir -m 0777 -p \"$VOL_DIR\"\n"},
                                          {"teardown", "#!/bin/sh\nset -eu\nrm -rf \"$VOL_DIR\"\n"},
                                          {"helperPod.yaml", helper.dump(2) + "\n"}}));
  part.add("local-path.yaml", service_account(name, kLocalPath));
  part.add(
      "local-path.yaml",
      role(name, "",
           {{{""},
             {"nodes", "persistentvolumeclaims", "configmaps", "pods", "pods/log"},
             {"get", "list", "watch"}},
            {{""}, {"persistentvolumes"}, {"get", "list", "watch", "create", "patch", "update", "delete"}},
            {{""}, {"events"}, {"create", "patch"}},
            {{"storage.k8s.io"}, {"storageclasses"}, {"get", "list", "watch"}}}));
  part.add("local-path.yaml",
           role(name, kLocalPath,
                {{{""}, {"pods"}, {"get", "list", "watch", "create", "patch", "update", "delete"}}}));
  part.add("local-path.yaml",
           role_binding(name, "", "ClusterRole", name, {{"ServiceAccount", name, kLocalPath}}));
  part.add("local-path.yaml",
           role_binding(name, kLocalPath, "Role", name, {{"ServiceAccount", name, kLocalPath}}));
  Pod pod;
  Container c{.name = name, .image = catalog::image("local-path-provisioner")};
  c.command = {"local-path-provisioner", "start", "--config", "/etc/config/config.json"};
  c.env = {env_from_field("POD_NAMESPACE", "metadata.namespace"), env("CONFIG_MOUNT_PATH", "/etc/config/")};
  c.resources = context.size("storage", "local-path");
  c.mounts = {{"config", "/etc/config/", true}};
  pod.containers = {std::move(c)};
  pod.volumes = {volume_config("config", "local-path-config")};
  pod.service_account = name;
  pod.api_token = true;
  pod.placement = context.add_on_placement();
  part.add("local-path.yaml", deployment(name, kLocalPath, 1, pod));
  part.edges.push_back({.from = Peer::pods(kLocalPath, selector(name)),
                        .to = Peer::api_server(),
                        .why = "makes volumes for claims"});
}

std::string snapshot_driver(const Context& context) {
  switch (context.site()) {
    case Site::aws:
      return "ebs.csi.aws.com";
    case Site::google:
      return "pd.csi.storage.gke.io";
    case Site::azure:
      return "disk.csi.azure.com";
    case Site::open_telekom_cloud:
      return "disk.csi.everest.io";
    default:
      return {};
  }
}

void add_snapshots(Part& part, const Context& context) {
  const spec::Reader spec = context.spec().sub("storage");
  const std::string driver = snapshot_driver(context);
  const bool wanted = spec.has("snapshots") ? spec.flag("snapshots") : !driver.empty();
  if (!wanted) return;
  if (driver.empty()) {
    context.refuse("no_such_storage", spec.at("snapshots"), spec.where("snapshots"),
                   fmt::format("{}: no driver here can take snapshots", spec.where("snapshots")),
                   "remove it; backups copy files");
    return;
  }
  Json o = object("snapshot.storage.k8s.io/v1", "VolumeSnapshotClass", "snapshots");
  o["metadata"]["annotations"] = {{"snapshot.storage.kubernetes.io/is-default-class", "true"}};
  o["metadata"]["labels"] = {{"velero.io/csi-volumesnapshot-class", "true"}};
  o["driver"] = driver;
  o["deletionPolicy"] = "Retain";
  part.add("snapshots.yaml", std::move(o));
  part.sections.push_back(
      {Section::Chapter::backup, "A snapshot of one volume",
       "kubectl get volumesnapshotclass\n"
       "kubectl create -f - <<MANIFEST\n"
       "apiVersion: snapshot.storage.k8s.io/v1\nkind: VolumeSnapshot\n"
       "metadata: {name: by-hand, namespace: NAMESPACE}\n"
       "spec: {volumeSnapshotClassName: snapshots, source: {persistentVolumeClaimName: CLAIM}}\n"
       "MANIFEST\n"});
}

// k3s and the development provider of Cluster API have the class already or get it from this provisioner.
bool needs_local_path(const Context& context) {
  if (context.site() == Site::k3s) return false;
  for (const auto& [name, c] : context.spec().named("storage.classes")) {
    if (c.text("kind") == "local" && (c.flag("dynamic") || context.site() == Site::cluster_api)) return true;
  }
  return false;
}

}  // namespace

std::vector<Part> storage(const Context& context) {
  Part part = component("storage");
  part.after = {"namespaces", "network-policies"};
  for (const auto& [name, c] : context.spec().named("storage.classes")) {
    if (c.flag("existing")) {
      // Read all the same: a class that is there has its kind, and that is checked elsewhere.
      static_cast<void>(c.text("kind"));
      continue;
    }
    part.add("classes.yaml", storage_class(context, name, c));
  }
  add_disks(part, context);
  if (needs_local_path(context)) add_local_path(part, context);
  add_snapshots(part, context);
  if (part.manifests.empty()) return {};
  return {std::move(part)};
}

}  // namespace tg::render
