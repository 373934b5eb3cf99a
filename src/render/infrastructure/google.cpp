// Google Cloud: network, GKE cluster, node pools, names, addresses and buckets as Terraform.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>

#include "render/infrastructure/cloud.hpp"
#include "render/infrastructure/cloud_upkeep.hpp"
#include "render/infrastructure/infrastructure.hpp"

namespace tg::render {

namespace {

const std::string kLabels = "${var.tags}";

struct Google {
  const Context& context;
  const Cloud& c;
  Terraform& tf;
  std::string project;
  bool shared_volumes;  // some class needs Filestore
  Block network{}, subnet{}, here{}, cluster{}, nodes{};
};

bool shared_volumes(const Context& context) {
  bool out = false;
  for (const auto& [name, c] : context.spec().named("storage.classes"))
    out = out || c.text("kind") == "shared";
  return out;
}

// Labels of Google hold small letters, digits, _ and - only.
Json labels(const Labels& tags) {
  Json out = Json::object();
  for (const auto& [key, value] : tags) {
    std::string k = key, v = value;
    for (std::string* text : {&k, &v}) {
      for (char& c : *text) {
        c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-')) c = '_';
      }
    }
    out[k] = v;
  }
  return out;
}

void variables(Google& g) {
  Terraform& tf = g.tf;
  tf.variable({.name = "project", .type = "string", .description = "Project in which everything is made"});
  tf.variable({.name = "region", .type = "string", .description = "Region of the platform"});
  tf.variable({.name = "cluster_name", .type = "string", .description = "Name of the cluster"});
  tf.variable({.name = "network_cidr", .type = "string", .description = "Addresses of the network"});
  tf.variable({.name = "tags",
               .type = "map(string)",
               .description = "Labels of every resource that can carry them",
               .fallback = Json::object()});
  tf.given("project", g.project);
  tf.given("region", g.c.region);
  tf.given("cluster_name", g.c.cluster);
  tf.given("network_cidr", g.c.cidr);
  tf.given("tags", labels(g.c.tags));
}

void providers(Google& g) {
  Terraform& tf = g.tf;
  tf.require("google", "hashicorp/google", ">= 6.50, < 8.0");
  tf.require("local", "hashicorp/local", "~> 2.5");
  Json settings{{"project", "${var.project}"}, {"region", "${var.region}"}};
  settings["default_labels"] = kLabels;
  tf.provider("google", std::move(settings));
  // A bucket of Google locks and encrypts the state by itself.
  if (!g.c.state_bucket.empty()) tf.backend("gcs", {{"bucket", g.c.state_bucket}, {"prefix", g.c.name}});
  std::vector<std::string> apis{"compute", "container", "dns", "cloudkms", "iam", "secretmanager"};
  if (g.shared_volumes) apis.emplace_back("file");
  for (const std::string& api : apis)
    tf.resource("main", "google_project_service", api,
                {{"service", fmt::format("{}.googleapis.com", api)}, {"disable_on_destroy", false}});
}

void router(Google& g) {
  // One gateway serves all zones of the region, and outlives each of them.
  Json body{{"name", "${var.cluster_name}"}, {"region", "${var.region}"}};
  body["network"] = g.network.at("id");
  const Block made = g.tf.resource("network", "google_compute_router", "main", std::move(body));
  Json nat{{"name", "${var.cluster_name}"}, {"region", "${var.region}"}};
  nat["router"] = made.at("name");
  nat["nat_ip_allocate_option"] = "AUTO_ONLY";
  nat["source_subnetwork_ip_ranges_to_nat"] = "ALL_SUBNETWORKS_ALL_IP_RANGES";
  nat["log_config"] = {{"enable", true}, {"filter", "ERRORS_ONLY"}};
  g.tf.resource("network", "google_compute_router_nat", "main", std::move(nat));
}

void nodes_network(Google& g) {
  Json body{{"name", "${var.cluster_name}-nodes"}, {"region", "${var.region}"}};
  body["network"] = g.network.at("id");
  body["ip_cidr_range"] = g.c.subnets.empty() ? subnet(g.c.cidr, std::min(prefix_length(g.c.cidr) + 4, 24), 0)
                                              : g.c.subnets.front().cidr;
  body["private_ip_google_access"] = true;
  const Json pods{{"range_name", "pods"}, {"ip_cidr_range", g.context.pod_cidr()}};
  const Json services{{"range_name", "services"}, {"ip_cidr_range", g.context.service_cidr()}};
  body["secondary_ip_range"] = Json::array({pods, services});
  body["log_config"] = {{"aggregation_interval", "INTERVAL_10_MIN"}, {"flow_sampling", 0.5}};
  g.subnet = g.tf.resource("network", "google_compute_subnetwork", "nodes", std::move(body));
}

void network(Google& g) {
  Json body{{"name", g.c.network}, {"auto_create_subnetworks", false}};
  body["depends_on"] = Json::array({"google_project_service.compute"});
  g.network = g.tf.resource("network", "google_compute_network", "main", std::move(body));
  nodes_network(g);
  if (g.c.egress != "none") router(g);
  // Storage classes name it.
  if (g.shared_volumes) g.tf.output("network", "The network", g.network.at("name"));
}

Json authorized(const Google& g) {
  Json out = Json::array();
  const auto add = [&](const std::string& cidr, const char* why) {
    out.push_back({{"cidr_block", cidr}, {"display_name", why}});
  };
  if (g.c.public_api) {
    for (const std::string& cidr : g.c.api_from) add(cidr, "named in the document");
  }
  add("${var.network_cidr}", "the network itself");
  for (const std::string& cidr : g.c.vpn_networks) add(cidr, "VPN");
  for (const auto& [id, networks] : g.c.peers) {
    for (const std::string& cidr : networks) add(cidr, "peered network");
  }
  return out;
}

Json one_named(Json content, const char* key) {
  Json out{{"name", "${var.cluster_name}"}};
  out[key] = std::move(content);
  return Json::array({std::move(out)});
}

void kubeconfig(Google& g) {
  Json plugin{{"apiVersion", "client.authentication.k8s.io/v1beta1"},
              {"command", "gke-gcloud-auth-plugin"},
              {"interactiveMode", "Never"},
              {"provideClusterInfo", true}};
  Json server{{"server", fmt::format("https://{}", g.cluster.at("endpoint"))}};
  server["certificate-authority-data"] = g.cluster.at("master_auth[0].cluster_ca_certificate");
  Json config{{"apiVersion", "v1"}, {"kind", "Config"}, {"current-context", "${var.cluster_name}"}};
  config["clusters"] = one_named(std::move(server), "cluster");
  config["contexts"] =
      one_named({{"cluster", "${var.cluster_name}"}, {"user", "${var.cluster_name}"}}, "context");
  config["users"] = one_named({{"exec", std::move(plugin)}}, "user");
  const Block local = g.tf.local("kubeconfig", std::move(config));
  Json body{{"content", expression(fmt::format("yamlencode({})", local.address))},
            {"filename", "${path.module}/kubeconfig"},
            {"file_permission", "0600"},
            {"directory_permission", "0700"}};
  const Block file = g.tf.resource("cluster", "local_sensitive_file", "kubeconfig", std::move(body));
  g.tf.output("kubeconfig", "Path of the kubeconfig", file.at("filename"));
  g.tf.output("cluster_endpoint", "API server", g.cluster.at("endpoint"));
}

struct Key {
  Block key, grant;
};

// Secrets lie encrypted in etcd, by a key that the cluster's own account may use and nobody may remove.
Key secrets_key(Google& g) {
  Terraform& tf = g.tf;
  Json ring{{"name", "${var.cluster_name}"}, {"location", "${var.region}"}};
  ring["depends_on"] = Json::array({"google_project_service.cloudkms"});
  const Block keys = tf.resource("cluster", "google_kms_key_ring", "main", std::move(ring));
  Json body{{"name", "secrets"}, {"key_ring", keys.at("id")}, {"rotation_period", "7776000s"}};
  body["lifecycle"] = {{"prevent_destroy", true}};
  const Block key = tf.resource("cluster", "google_kms_crypto_key", "secrets", std::move(body));
  Json may{{"crypto_key_id", key.at("id")}, {"role", "roles/cloudkms.cryptoKeyEncrypterDecrypter"}};
  may["member"] = fmt::format("serviceAccount:service-{}@container-engine-robot.iam.gserviceaccount.com",
                              g.here.at("number"));
  // The account is born with the cluster's API.
  may["depends_on"] = Json::array({"google_project_service.container"});
  return {key, tf.resource("cluster", "google_kms_crypto_key_iam_member", "gke", std::move(may))};
}

void cluster_network(const Google& g, Json& body) {
  body["network"] = g.network.at("id");
  body["subnetwork"] = g.subnet.at("id");
  body["networking_mode"] = "VPC_NATIVE";
  // Enforces network policies by itself.
  body["datapath_provider"] = "ADVANCED_DATAPATH";
  body["ip_allocation_policy"] = {{"cluster_secondary_range_name", "pods"},
                                  {"services_secondary_range_name", "services"}};
  body["private_cluster_config"] = {{"enable_private_nodes", true},
                                    {"enable_private_endpoint", !g.c.public_api}};
  body["master_authorized_networks_config"] = {{"cidr_blocks", authorized(g)}};
}

void cluster_features(const Google& g, Json& body) {
  const Json on{{"enabled", true}};
  Json add_ons{{"gce_persistent_disk_csi_driver_config", on}, {"dns_cache_config", on}};
  add_ons["gcp_filestore_csi_driver_config"] = {{"enabled", g.shared_volumes}};
  body["addons_config"] = std::move(add_ons);
  body["workload_identity_config"] = {{"workload_pool", "${var.project}.svc.id.goog"}};
  body["cluster_autoscaling"] = {{"autoscaling_profile", "OPTIMIZE_UTILIZATION"}};
  body["cost_management_config"] = on;
  Json logs = Json::array({"SYSTEM_COMPONENTS"});
  if (g.c.audit != "none") logs.insert(logs.end(), {"APISERVER", "SCHEDULER", "CONTROLLER_MANAGER"});
  body["logging_config"] = {{"enable_components", std::move(logs)}};
  // Metrics of pods are the platform's own to keep.
  Json monitoring{{"enable_components", Json::array({"SYSTEM_COMPONENTS"})}};
  monitoring["managed_prometheus"] = {{"enabled", false}};
  body["monitoring_config"] = std::move(monitoring);
}

void cluster(Google& g) {
  g.here = g.tf.data("cluster", "google_project", "here", Json::object());
  const Key key = secrets_key(g);
  Json body{{"name", "${var.cluster_name}"}, {"location", "${var.region}"}, {"node_locations", g.c.zones}};
  body["min_master_version"] = g.context.kubernetes();
  body["release_channel"] = {{"channel", "REGULAR"}};
  body["maintenance_policy"] = google_maintenance(g.context);
  // The pool that a cluster is born with makes room for those of the document.
  body["remove_default_node_pool"] = true;
  body["initial_node_count"] = 1;
  body["deletion_protection"] = true;
  body["enable_shielded_nodes"] = true;
  cluster_network(g, body);
  cluster_features(g, body);
  body["database_encryption"] = {{"state", "ENCRYPTED"}, {"key_name", key.key.at("id")}};
  body["master_auth"]["client_certificate_config"] = {{"issue_client_certificate", false}};
  body["resource_labels"] = kLabels;
  body["depends_on"] = Json::array({key.grant.address, "google_project_service.container"});
  g.cluster = g.tf.resource("cluster", "google_container_cluster", "main", std::move(body));
  kubeconfig(g);
}

Json taints(const Pool& pool) {
  static const std::map<std::string, std::string> kEffects{
      {"NoSchedule", "NO_SCHEDULE"}, {"PreferNoSchedule", "PREFER_NO_SCHEDULE"}, {"NoExecute", "NO_EXECUTE"}};
  Json out = Json::array();
  for (const std::string& t : pool.taints) {
    const std::size_t colon = t.rfind(':');
    const std::size_t equals = t.find('=');
    const bool value = equals != std::string::npos && equals < colon;
    out.push_back({{"key", t.substr(0, value ? equals : colon)},
                   {"value", value ? t.substr(equals + 1, colon - equals - 1) : std::string()},
                   {"effect", kEffects.at(t.substr(colon + 1))}});
  }
  return out;
}

std::string_view accelerator(std::string_view type) {
  if (type.starts_with("a2-")) return "nvidia-tesla-a100";
  if (type.starts_with("a3-")) return "nvidia-h100-80gb";
  return type.starts_with("g2-") ? "nvidia-l4" : "nvidia-tesla-t4";
}

// The newest families take no disks of the older kinds.
std::string_view boot_disk(std::string_view type) {
  for (const std::string_view family : {"n4-", "n4d-", "c4-", "c4a-", "c4d-"}) {
    if (type.starts_with(family)) return "hyperdisk-balanced";
  }
  return "pd-balanced";
}

Json gpus(const Pool& pool, std::string_view type) {
  Json out{{"type", accelerator(type)}, {"count", pool.gpus}};
  // The operator brings the driver.
  out["gpu_driver_installation_config"] = {{"gpu_driver_version", "INSTALLATION_DISABLED"}};
  return Json::array({std::move(out)});
}

Json node_config(const Google& g, const Pool& pool, const Group& group) {
  const std::string& type = pool.types.front();
  Json out{{"machine_type", type}, {"spot", group.spot}, {"disk_size_gb", pool.disk_gib}};
  out["disk_type"] = pool.disk_type.empty() ? std::string(boot_disk(type)) : pool.disk_type;
  out["image_type"] = pool.os.empty() ? "COS_CONTAINERD" : pool.os;
  out["service_account"] = g.nodes.at("email");
  out["oauth_scopes"] = Json::array({"https://www.googleapis.com/auth/cloud-platform"});
  out["labels"] = to_json(pool.labels);
  out["metadata"] = {{"disable-legacy-endpoints", "true"}};
  out["shielded_instance_config"] = {{"enable_secure_boot", true}, {"enable_integrity_monitoring", true}};
  out["workload_metadata_config"] = {{"mode", "GKE_METADATA"}};
  out["resource_labels"] = kLabels;
  if (!pool.taints.empty()) out["taint"] = taints(pool);
  // Machines that are born with disks say themselves how many.
  if (!pool.local_disks.empty())
    out["local_nvme_ssd_block_config"] = {{"local_ssd_count", type.ends_with("-lssd") ? 0 : 1}};
  if (pool.gpus > 0) {
    out["guest_accelerator"] = gpus(pool, type);
    out["labels"]["gke-no-default-nvidia-gpu-device-plugin"] = "true";
  }
  return out;
}

void node_pool(Google& g, const Pool& pool, const Group& group) {
  Json body{{"name", group.name}, {"cluster", g.cluster.at("id")}, {"node_locations", g.c.zones}};
  body["management"] = {{"auto_repair", true}, {"auto_upgrade", true}};
  body["upgrade_settings"] = {{"max_surge", 1}, {"max_unavailable", 0}};
  const int zones = static_cast<int>(g.c.zones.size());
  if (group.min == group.max) {
    // The number is of each zone.
    body["node_count"] = (group.max + zones - 1) / zones;
  } else {
    body["initial_node_count"] = (group.min + zones - 1) / zones;
    Json bounds{{"total_min_node_count", group.min}, {"total_max_node_count", group.max}};
    bounds["location_policy"] = group.spot || pool.gpus > 0 ? "ANY" : "BALANCED";
    body["autoscaling"] = std::move(bounds);
    body["lifecycle"] = {{"ignore_changes", Json::array({"initial_node_count"})}};
  }
  body["node_config"] = node_config(g, pool, group);
  g.tf.resource("pools", "google_container_node_pool", identifier(group.name), std::move(body));
}

void node_pools(Google& g) {
  Terraform& tf = g.tf;
  g.nodes = tf.resource("pools", "google_service_account", "nodes",
                        {{"account_id", "gke-nodes"}, {"display_name", "Nodes of " + g.c.cluster}});
  Json rights{{"project", "${var.project}"}, {"role", "roles/container.defaultNodeServiceAccount"}};
  rights["member"] = g.nodes.at("member");
  tf.resource("pools", "google_project_iam_member", "nodes", std::move(rights));
  for (const Pool& pool : g.c.pools) {
    // A pool of GKE has one type of machine.
    for (const Group& group : groups(pool, {{pool.types.front()}})) node_pool(g, pool, group);
    if (pool.types.size() > 1)
      g.context.warn("one_size_per_pool", g.context.spec().at("pools"),
                     fmt::format("spec.pools.{}", pool.name),
                     fmt::format("a pool of GKE has one type of machine; {} is taken", pool.types.front()),
                     "make a pool of each type");
  }
}

// A service account of the cluster as it is known to the cloud: no key, no second account.
std::string principal(const Google& g, const std::string& ns, const std::string& account) {
  return fmt::format(
      "principal://iam.googleapis.com/projects/{}/locations/global/workloadIdentityPools/"
      "${{var.project}}.svc.id.goog/subject/ns/{}/sa/{}",
      g.here.at("number"), ns, account);
}

Block gateway_address(Google& g) {
  Json body{{"name", "${var.cluster_name}-gateway"}, {"region", "${var.region}"}};
  body["address_type"] = "EXTERNAL";
  body["network_tier"] = "PREMIUM";
  const Block out = g.tf.resource("dns", "google_compute_address", "gateway", std::move(body));
  g.tf.output("gateway_address_name", "Name of the gateway's address", out.at("name"));
  g.tf.output("gateway_address", "The address itself", out.at("address"));
  return out;
}

Block dns_zone(Google& g) {
  Json body{{"name", identifier(g.c.name)}, {"dns_name", g.c.zone + "."}};
  body["description"] = "Names of " + g.c.name;
  body["dnssec_config"] = {{"state", "on"}};
  body["cloud_logging_config"] = {{"enable_logging", true}};
  body["depends_on"] = Json::array({"google_project_service.dns"});
  const Block out = g.tf.resource("dns", "google_dns_managed_zone", "main", std::move(body));
  g.tf.output("nameservers", "What the registrar of the domain must name", out.at("name_servers"));
  return out;
}

// cert-manager may change records and nothing else of the zone.
void dns_challenges(Google& g) {
  Json permissions = Json::array();
  for (const char* p : {"changes.create", "changes.get", "changes.list", "managedZones.list",
                        "resourceRecordSets.create", "resourceRecordSets.delete", "resourceRecordSets.get",
                        "resourceRecordSets.list", "resourceRecordSets.update"})
    permissions.push_back(fmt::format("dns.{}", p));
  Json body{{"role_id", "dnsChallenges"}, {"title", "Proves names of a zone"}};
  body["permissions"] = std::move(permissions);
  const Block role =
      g.tf.resource("identity", "google_project_iam_custom_role", "dns_challenges", std::move(body));
  Json member{{"project", "${var.project}"}, {"role", role.at("id")}};
  member["member"] = principal(g, "cert-manager", "cert-manager");
  g.tf.resource("identity", "google_project_iam_member", "cert-manager", std::move(member));
}

void names(Google& g) {
  if (!g.c.gateway) return;
  const Block address = gateway_address(g);
  if (g.c.zone.empty()) return;
  const Block zone = dns_zone(g);
  for (const std::string& host : g.c.hosts) {
    if (host != g.c.zone && !host.ends_with("." + g.c.zone)) continue;
    Json body{{"managed_zone", zone.at("name")}, {"name", host + "."}, {"type", "A"}, {"ttl", 300}};
    body["rrdatas"] = Json::array({address.at("address")});
    g.tf.resource("dns", "google_dns_record_set", identifier(host), std::move(body));
  }
  dns_challenges(g);
}

struct Bucket {
  const char* file;
  std::string name, bucket, location;
  int keep_days;  // versions that were overwritten
  bool protect;
};

Block make_bucket(Google& g, const Bucket& b) {
  Json body{{"name", b.bucket}, {"location", b.location}, {"uniform_bucket_level_access", true}};
  body["public_access_prevention"] = "enforced";
  body["versioning"] = {{"enabled", true}};
  Json rule{{"action", {{"type", "Delete"}}}};
  rule["condition"] = {{"days_since_noncurrent_time", b.keep_days}, {"with_state", "ARCHIVED"}};
  body["lifecycle_rule"] = Json::array({std::move(rule)});
  if (b.protect) body["lifecycle"] = {{"prevent_destroy", true}};
  const Block out = g.tf.resource(b.file, "google_storage_bucket", b.name, std::move(body));
  g.tf.output(b.name + "_bucket", "Bucket of " + b.name, out.at("name"));
  return out;
}

void may_write(Google& g, const std::string& name, const Block& bucket, const std::string& member) {
  Json body{{"bucket", bucket.at("name")}, {"role", "roles/storage.objectAdmin"}, {"member", member}};
  g.tf.resource("identity", "google_storage_bucket_iam_member", name, std::move(body));
}

// An account of the cloud that the pods of a service account act as.
Block account(Google& g, const std::string& name, const std::string& shown, const std::string& ns,
              const std::string& service_account) {
  const Block out = g.tf.resource("identity", "google_service_account", name,
                                  {{"account_id", name}, {"display_name", shown}});
  Json body{{"service_account_id", out.at("name")}, {"role", "roles/iam.workloadIdentityUser"}};
  body["member"] = fmt::format("serviceAccount:${{var.project}}.svc.id.goog[{}/{}]", ns, service_account);
  g.tf.resource("identity", "google_service_account_iam_member", name, std::move(body));
  return out;
}

void buckets(Google& g) {
  if (!g.c.logs_bucket.empty()) {
    const Block bucket = make_bucket(g, {"storage", "logs", g.c.logs_bucket, g.c.region, 7, false});
    may_write(g, "logs", bucket, principal(g, "logging", "loki"));
  }
  if (g.c.backup_bucket.empty()) return;
  const Block bucket =
      make_bucket(g, {"backup", "backup", g.c.backup_bucket, g.c.backup_region, g.c.keep_days, true});
  // Velero signs the addresses from which logs of a backup are read: that takes an account of its own.
  const Block who = account(g, "velero", "Velero", "backup", "velero-server");
  may_write(g, "backup", bucket, who.at("member"));
  Json signs{{"service_account_id", who.at("name")}, {"role", "roles/iam.serviceAccountTokenCreator"}};
  signs["member"] = who.at("member");
  g.tf.resource("identity", "google_service_account_iam_member", "velero_signs", std::move(signs));
  g.tf.output("backup_account", "Account of Velero", who.at("email"));
}

void secrets(Google& g) {
  if (g.context.use("secrets") != "external-secrets") return;
  const Block who = account(g, "external-secrets", "External Secrets", "secrets", "external-secrets");
  Json body{{"project", "${var.project}"}, {"role", "roles/secretmanager.secretAccessor"}};
  body["member"] = who.at("member");
  // Names of secrets begin with that of the platform.
  body["condition"] = {
      {"title", "own-secrets"},
      {"expression",
       fmt::format("resource.name.extract(\"secrets/{{name}}/\").startsWith(\"{}\")", g.c.name)}};
  g.tf.resource("identity", "google_project_iam_member", "external-secrets", std::move(body));
  g.tf.output("external_secrets_account", "Account of External Secrets", who.at("email"));
}

void bastion(Google& g) {
  Terraform& tf = g.tf;
  Json rule{
      {"name", "${var.cluster_name}-bastion"}, {"network", g.network.at("id")}, {"direction", "INGRESS"}};
  rule["description"] = "Sessions come through the Identity-Aware Proxy only";
  rule["source_ranges"] = Json::array({"35.235.240.0/20"});
  rule["target_tags"] = Json::array({"bastion"});
  rule["allow"] = Json::array({Json{{"protocol", "tcp"}, {"ports", Json::array({"22"})}}});
  tf.resource("access", "google_compute_firewall", "bastion", std::move(rule));
  const Block who = tf.resource("access", "google_service_account", "bastion",
                                {{"account_id", "bastion"}, {"display_name", "Bastion"}});
  Json body{
      {"name", "${var.cluster_name}-bastion"}, {"zone", g.c.zones.front()}, {"machine_type", "e2-micro"}};
  body["tags"] = Json::array({"bastion"});
  body["boot_disk"]["initialize_params"] = {{"image", "debian-cloud/debian-12"}, {"size", 10}};
  body["network_interface"] = Json::array({Json{{"subnetwork", g.subnet.at("id")}}});
  body["metadata"] = {{"enable-oslogin", "TRUE"}, {"block-project-ssh-keys", "TRUE"}};
  body["service_account"] = {{"email", who.at("email")}, {"scopes", Json::array({"cloud-platform"})}};
  body["shielded_instance_config"] = {
      {"enable_secure_boot", true}, {"enable_vtpm", true}, {"enable_integrity_monitoring", true}};
  const Block machine = tf.resource("access", "google_compute_instance", "bastion", std::move(body));
  tf.output("bastion_id", "Machine for sessions", machine.at("name"));
}

void peerings(Google& g) {
  const auto peering = [&](const std::string& name, const std::string& from, const std::string& to) {
    Json body{{"name", "${var.cluster_name}-" + name}, {"network", from}, {"peer_network", to}};
    g.tf.resource("access", "google_compute_network_peering", name, std::move(body));
  };
  int number = 1;
  for (const auto& [id, networks] : g.c.peers) {
    const std::string name = fmt::format("peer-{}", number++);
    peering(name, g.network.at("self_link"), id);
    peering(name + "-back", id, g.network.at("self_link"));
  }
}

void access(Google& g) {
  if (g.c.bastion) bastion(g);
  peerings(g);
  if (!g.c.vpn_peer.empty())
    g.context.warn("no_vpn_here", g.context.spec().at("access.vpn"), "spec.access.vpn",
                   "Google's gateways speak BGP, and the document has no numbers for it: the VPN is not made",
                   "use access.bastion or access.peering");
}

void sections(Part& part, const Google& g) {
  using Chapter = Section::Chapter;
  std::string text = "`gcloud auth application-default login`. No key is kept anywhere.\n";
  if (!g.c.state_bucket.empty())
    text += fmt::format(
        "\nThe bucket of the state is made once, before the first `init`:\n\n```sh\n"
        "gcloud storage buckets create gs://{0} --project={1} --location={2} --uniform-bucket-level-access "
        "--public-access-prevention\n"
        "gcloud storage buckets update gs://{0} --versioning\n```\n",
        g.c.state_bucket, g.project, g.c.region);
  part.sections.push_back({Chapter::first_steps, "Credentials of the cloud", std::move(text)});
  add_first_apply(part, g.c);
  part.sections.push_back(cloud_care(g.context));
  if (g.c.bastion)
    part.sections.push_back(
        {Chapter::access, "The bastion",
         fmt::format("It has no address: the session goes through the cloud's proxy.\n\n```sh\n"
                     "api=$(tofu -chdir=infrastructure/terraform output -raw cluster_endpoint)\n"
                     "gcloud compute ssh {}-bastion --project={} --zone={} --tunnel-through-iap -- "
                     "-N -L \"8443:$api:443\" &\n"
                     "{}```\n",
                     g.c.cluster, g.project, g.c.zones.front(), forwarded_kubeconfig())});
}

}  // namespace

std::vector<Part> google(const Context& context, const std::vector<Part>& parts) {
  if (context.site() != Site::google) return {};
  const Cloud c = cloud(context, parts);
  Terraform tf;
  Google g{.context = context,
           .c = c,
           .tf = tf,
           .project = context.infrastructure().text("project"),
           .shared_volumes = shared_volumes(context)};
  variables(g);
  providers(g);
  network(g);
  cluster(g);
  node_pools(g);
  names(g);
  buckets(g);
  secrets(g);
  access(g);
  Part part = terraform_part(context, c, tf, "google");
  sections(part, g);
  return {std::move(part)};
}

}  // namespace tg::render
