// Azure: network, AKS cluster, node pools, names, addresses and stores as Terraform.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "render/infrastructure/cloud.hpp"
#include "render/infrastructure/cloud_upkeep.hpp"
#include "render/infrastructure/infrastructure.hpp"

namespace tg::render {

namespace {

const std::string kTags = "${var.tags}";

struct Azure {
  const Context& context;
  const Cloud& c;
  Terraform& tf;
  std::string group_name;
  Block group{}, network{}, nodes{}, way_out{}, client{}, vault{}, cluster{};
  // Name, place and group that nearly every resource has, then `more`.
  Json in_group(const std::string& name, Json more, bool tags = true) const {
    Json out{{"name", name}, {"resource_group_name", group.at("name")}, {"location", group.at("location")}};
    if (tags) out["tags"] = kTags;
    out.update(more);
    return out;
  }
};

// Small letters and digits only, at most 24.
std::string account_name(std::string_view bucket) {
  std::string out;
  for (const char c : bucket) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0)
      out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out.substr(0, 24);
}

void variables(Azure& a) {
  Terraform& tf = a.tf;
  const spec::Reader site = a.context.infrastructure();
  tf.variable({.name = "subscription_id",
               .type = "string",
               .description = "Subscription that pays; without it ARM_SUBSCRIPTION_ID",
               .optional = true});
  tf.variable(
      {.name = "resource_group", .type = "string", .description = "Group in which everything is made"});
  tf.variable({.name = "location", .type = "string", .description = "Region of the platform"});
  tf.variable({.name = "cluster_name", .type = "string", .description = "Name of the cluster"});
  tf.variable({.name = "network_cidr", .type = "string", .description = "Addresses of the network"});
  tf.variable({.name = "tags",
               .type = "map(string)",
               .description = "Tags of every resource that can carry them",
               .fallback = Json::object()});
  tf.variable(
      {.name = "administrators",
       .type = "list(string)",
       .description =
           "Object ids of groups and people that may do everything in the cluster, beside who applies",
       .fallback = Json::array()});
  const spec::Given subscription = site.given("subscription");
  if (!subscription.text.empty()) tf.given("subscription_id", subscription.text);
  tf.given("resource_group", a.group_name);
  tf.given("location", a.c.region);
  tf.given("cluster_name", a.c.cluster);
  tf.given("network_cidr", a.c.cidr);
  tf.given("tags", to_json(a.c.tags));
}

void providers(Azure& a) {
  Terraform& tf = a.tf;
  tf.require("azurerm", "hashicorp/azurerm", "~> 4.54");
  tf.require("local", "hashicorp/local", "~> 2.5");
  Json settings{{"subscription_id", "${var.subscription_id}"}, {"storage_use_azuread", true}};
  settings["features"]["resource_group"] = {{"prevent_deletion_if_contains_resources", true}};
  tf.provider("azurerm", std::move(settings));
  if (!a.c.state_bucket.empty()) {
    // A blob is leased while somebody applies, which is the lock.
    Json state{{"resource_group_name", a.group_name + "-state"},
               {"storage_account_name", account_name(a.c.state_bucket)}};
    state["container_name"] = "state";
    state["key"] = a.c.name + ".tfstate";
    state["use_azuread_auth"] = true;
    tf.backend("azurerm", std::move(state));
  }
  Json group{{"name", "${var.resource_group}"}, {"location", "${var.location}"}, {"tags", kTags}};
  a.group = tf.resource("main", "azurerm_resource_group", "main", std::move(group));
}

Block subnetwork(Azure& a, const char* file, const char* key, const char* name, const std::string& cidr,
                 Json more) {
  Json body{{"name", name}, {"resource_group_name", a.group.at("name")}};
  body["virtual_network_name"] = a.network.at("name");
  body["address_prefixes"] = Json::array({cidr});
  body.update(more);
  return a.tf.resource(file, "azurerm_subnet", key, std::move(body));
}

Block public_address(Azure& a, const char* file, const std::string& name, Json more = Json::object()) {
  Json body =
      a.in_group("${var.cluster_name}-" + name, {{"allocation_method", "Static"}, {"sku", "Standard"}});
  body.update(more);
  return a.tf.resource(file, "azurerm_public_ip", name, std::move(body));
}

void gateway_out(Azure& a) {
  Terraform& tf = a.tf;
  const Block address = public_address(a, "network", "nat");
  // A gateway stands in one zone; the second kind, over all zones, is not in this provider yet.
  const Block nat = tf.resource("network", "azurerm_nat_gateway", "main",
                                a.in_group("${var.cluster_name}", {{"sku_name", "Standard"}}));
  tf.resource("network", "azurerm_nat_gateway_public_ip_association", "main",
              {{"nat_gateway_id", nat.at("id")}, {"public_ip_address_id", address.at("id")}});
  a.way_out = tf.resource("network", "azurerm_subnet_nat_gateway_association", "nodes",
                          {{"nat_gateway_id", nat.at("id")}, {"subnet_id", a.nodes.at("id")}});
}

void network(Azure& a) {
  Json network = a.in_group(a.c.network, {{"address_space", Json::array({"${var.network_cidr}"})}});
  if (!a.c.nameservers.empty()) network["dns_servers"] = a.c.nameservers;
  a.network = a.tf.resource("network", "azurerm_virtual_network", "main", std::move(network));
  const std::string cidr = a.c.subnets.empty()
                               ? subnet(a.c.cidr, std::min(prefix_length(a.c.cidr) + 4, 24), 0)
                               : a.c.subnets.front().cidr;
  Json more{{"default_outbound_access_enabled", false}};
  // Shares of files are reached from here only.
  more["service_endpoints"] = Json::array({"Microsoft.Storage"});
  a.nodes = subnetwork(a, "network", "nodes", "nodes", cidr, std::move(more));
  if (a.c.egress != "none") gateway_out(a);
}

Block identity(Azure& a, const std::string& name) {
  return a.tf.resource("identity", "azurerm_user_assigned_identity", name,
                       a.in_group("${var.cluster_name}-" + name, Json::object()));
}

Block grant(Azure& a, const std::string& name, const Block& who, const std::string& scope, const char* role) {
  Json body{{"scope", scope}, {"role_definition_name", role}, {"principal_id", who.at("principal_id")}};
  body["principal_type"] = "ServicePrincipal";
  return a.tf.resource("identity", "azurerm_role_assignment", name, std::move(body));
}

// Lets pods of a service account act as the identity.
void federate(Azure& a, const std::string& name, const Block& who, const std::string& ns,
              const std::string& account) {
  Json body{{"name", name}, {"resource_group_name", a.group.at("name")}, {"parent_id", who.at("id")}};
  body["audience"] = Json::array({"api://AzureADTokenExchange"});
  body["issuer"] = a.cluster.at("oidc_issuer_url");
  body["subject"] = fmt::format("system:serviceaccount:{}:{}", ns, account);
  a.tf.resource("identity", "azurerm_federated_identity_credential", name, std::move(body));
}

Json node_settings(const Azure& a, const Pool& pool, const Group& group) {
  Json out{{"vm_size", pool.types.front()}, {"zones", a.c.zones}, {"vnet_subnet_id", a.nodes.at("id")}};
  // Nodes follow the version of the document as the control plane does.
  out["orchestrator_version"] = a.context.kubernetes();
  out["os_sku"] = pool.os.empty() ? "AzureLinux" : pool.os;
  out["os_disk_size_gb"] = pool.disk_gib;
  out["os_disk_type"] = "Managed";
  out["host_encryption_enabled"] = true;
  out["node_labels"] = to_json(pool.labels);
  out["temporary_name_for_rotation"] = "rotation";
  out["tags"] = kTags;
  out["auto_scaling_enabled"] = group.min < group.max;
  if (group.min < group.max) {
    out["min_count"] = group.min;
    out["max_count"] = group.max;
  } else {
    out["node_count"] = group.max;
  }
  return out;
}

// Names of pools hold twelve small letters and digits.
std::string pool_name(const Group& group) {
  std::string out;
  std::string name = group.name;
  for (const auto& [from, to] : {std::pair{"-on-demand", "od"}, std::pair{"-spot", "spot"}}) {
    if (name.ends_with(from)) {
      const std::string head = name.substr(0, name.size() - std::string(from).size());
      name = head.substr(0, 12 - std::string(to).size()) + to;
    }
  }
  for (const char c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0)
      out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out.substr(0, 12);
}

const Pool& system_pool(const Cloud& c) {
  // Its nodes carry what the cluster itself needs: there is always one, without taints and never spot. Pools
  // with disks are there for what needs the disks.
  const auto fits = [](const Pool& p) { return p.taints.empty() && p.min > 0 && p.spot_share <= 0; };
  const auto plain = std::find_if(c.pools.begin(), c.pools.end(),
                                  [&](const Pool& p) { return fits(p) && p.local_disks.empty(); });
  if (plain != c.pools.end()) return *plain;
  const auto any = std::find_if(c.pools.begin(), c.pools.end(), fits);
  return any == c.pools.end() ? c.pools.front() : *any;
}

// Who applies may do everything in the cluster, and whom the variable names: there is no other account.
void administrators(Azure& a) {
  Json body{{"for_each",
             expression(fmt::format("toset(concat([{}], var.administrators))", a.client.path("object_id")))}};
  body["scope"] = a.cluster.at("id");
  body["role_definition_name"] = "Azure Kubernetes Service RBAC Cluster Admin";
  body["principal_id"] = "${each.value}";
  a.tf.resource("identity", "azurerm_role_assignment", "administrators", std::move(body));
}

// Holds the key of the cluster's secrets and the platform's own.
void vault(Azure& a) {
  const std::string name =
      "substr(\"kv-${var.cluster_name}-${substr(sha256(data.azurerm_client_config.here.subscription_id), 0, "
      "6)}\", 0, 24)";
  Json body =
      a.in_group(expression(name), {{"tenant_id", a.client.at("tenant_id")}, {"sku_name", "standard"}});
  body["rbac_authorization_enabled"] = true;
  body["purge_protection_enabled"] = true;
  body["soft_delete_retention_days"] = 30;
  a.vault = a.tf.resource("cluster", "azurerm_key_vault", "main", std::move(body));
}

Block secrets_key(Azure& a) {
  Json keeper{{"scope", a.vault.at("id")}, {"role_definition_name", "Key Vault Administrator"}};
  keeper["principal_id"] = a.client.at("object_id");
  const Block may = a.tf.resource("identity", "azurerm_role_assignment", "vault_keeper", std::move(keeper));
  Json body{{"name", "cluster-secrets"}, {"key_vault_id", a.vault.at("id")}, {"key_type", "RSA"}};
  body["key_size"] = 3072;
  body["key_opts"] = Json::array({"encrypt", "decrypt"});
  body["tags"] = kTags;
  body["depends_on"] = Json::array({may.address});
  body["lifecycle"] = {{"prevent_destroy", true}};
  return a.tf.resource("cluster", "azurerm_key_vault_key", "secrets", std::move(body));
}

Json network_profile(const Azure& a) {
  Json out{{"network_plugin", "azure"}, {"network_plugin_mode", "overlay"}};
  out["network_data_plane"] = "cilium";
  out["network_policy"] = "cilium";
  out["load_balancer_sku"] = "standard";
  out["outbound_type"] = a.c.egress == "none" ? "none" : "userAssignedNATGateway";
  out["pod_cidr"] = a.context.pod_cidr();
  out["service_cidr"] = a.context.service_cidr();
  out["dns_service_ip"] = expression(fmt::format("cidrhost({}, 10)", literal(a.context.service_cidr())));
  return out;
}

Json default_pool(const Azure& a) {
  const Pool& first = system_pool(a.c);
  const Group size{.name = first.name, .types = first.types, .min = first.min, .max = first.max};
  Json out{{"name", pool_name(size)}, {"upgrade_settings", {{"max_surge", "33%"}}}};
  out.update(node_settings(a, first, size));
  return out;
}

void cluster_identity(const Azure& a, const Block& own, Json& body) {
  body["local_account_disabled"] = true;
  body["oidc_issuer_enabled"] = true;
  body["workload_identity_enabled"] = true;
  body["identity"] = {{"type", "UserAssigned"}, {"identity_ids", Json::array({own.at("id")})}};
  body["azure_active_directory_role_based_access_control"] = {{"azure_rbac_enabled", true},
                                                              {"tenant_id", a.client.at("tenant_id")}};
  body["private_cluster_enabled"] = !a.c.public_api;
  if (a.c.public_api) body["api_server_access_profile"] = {{"authorized_ip_ranges", a.c.api_from}};
}

void cluster_features(const Block& key, Json& body) {
  body["automatic_upgrade_channel"] = "patch";
  body["node_os_upgrade_channel"] = "NodeImage";
  body["image_cleaner_enabled"] = true;
  body["image_cleaner_interval_hours"] = 168;
  body["storage_profile"] = {{"disk_driver_enabled", true},
                             {"file_driver_enabled", true},
                             {"blob_driver_enabled", false},
                             {"snapshot_controller_enabled", true}};
  body["key_management_service"] = {{"key_vault_key_id", key.at("id")},
                                    {"key_vault_network_access", "Public"}};
  body["auto_scaler_profile"] = {
      {"expander", "least-waste"}, {"balance_similar_node_groups", true}, {"scale_down_unneeded", "10m"}};
}

void cluster(Azure& a) {
  a.client = a.tf.data("cluster", "azurerm_client_config", "here", Json::object());
  const Block own = identity(a, "cluster");
  // It joins nodes to the network and gives the reserved address to the gateway's load balancer.
  Json first = Json::array();
  first.push_back(grant(a, "cluster_network", own, a.network.at("id"), "Network Contributor").address);
  grant(a, "cluster_addresses", own, a.group.at("id"), "Network Contributor");
  vault(a);
  const Block key = secrets_key(a);
  first.push_back(grant(a, "cluster_key", own, a.vault.at("id"), "Key Vault Crypto User").address);
  if (!a.way_out.address.empty()) first.push_back(a.way_out.address);
  Json body =
      a.in_group("${var.cluster_name}", {{"dns_prefix", "${var.cluster_name}"}, {"sku_tier", "Standard"}});
  body["kubernetes_version"] = a.context.kubernetes();
  cluster_identity(a, own, body);
  cluster_features(key, body);
  body.update(azure_maintenance(a.context));
  body["network_profile"] = network_profile(a);
  body["default_node_pool"] = default_pool(a);
  body["depends_on"] = std::move(first);
  body["lifecycle"] = {{"ignore_changes", Json::array({"default_node_pool[0].node_count"})}};
  a.cluster = a.tf.resource("cluster", "azurerm_kubernetes_cluster", "main", std::move(body));
  administrators(a);
}

void kubeconfig(Azure& a) {
  Json body{{"content", a.cluster.at("kube_config_raw")},
            {"filename", "${path.module}/kubeconfig"},
            {"file_permission", "0600"},
            {"directory_permission", "0700"}};
  const Block file = a.tf.resource("cluster", "local_sensitive_file", "kubeconfig", std::move(body));
  a.tf.output("kubeconfig", "Path of the kubeconfig", file.at("filename"));
  a.tf.output("cluster_endpoint", "API server", a.cluster.at(a.c.public_api ? "fqdn" : "private_fqdn"));
}

// What the control plane did and for whom, readable for 90 days.
void control_plane_logs(Azure& a) {
  if (a.c.audit == "none") return;
  Json settings = a.in_group("${var.cluster_name}", {{"sku", "PerGB2018"}, {"retention_in_days", 90}});
  const Block logs = a.tf.resource("cluster", "azurerm_log_analytics_workspace", "main", std::move(settings));
  Json kinds = Json::array();
  for (const char* kind :
       {"kube-audit-admin", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "guard"})
    kinds.push_back({{"category", kind}});
  Json body{{"name", "control-plane"}, {"target_resource_id", a.cluster.at("id")}};
  body["log_analytics_workspace_id"] = logs.at("id");
  body["log_analytics_destination_type"] = "Dedicated";
  body["enabled_log"] = std::move(kinds);
  a.tf.resource("cluster", "azurerm_monitor_diagnostic_setting", "control_plane", std::move(body));
}

void node_pool(Azure& a, const Pool& pool, const Group& group) {
  Json body{{"name", pool_name(group)}, {"kubernetes_cluster_id", a.cluster.at("id")}, {"mode", "User"}};
  body.update(node_settings(a, pool, group));
  Json taints = pool.taints;
  if (group.spot) {
    body["priority"] = "Spot";
    body["eviction_policy"] = "Delete";
    body["spot_max_price"] = -1;
    // The cloud puts both on spot nodes by itself; unnamed they would look like a change.
    body["node_labels"]["kubernetes.azure.com/scalesetpriority"] = "spot";
    taints.push_back("kubernetes.azure.com/scalesetpriority=spot:NoSchedule");
  } else {
    body["upgrade_settings"] = {{"max_surge", "33%"}};
  }
  if (!taints.empty()) body["node_taints"] = std::move(taints);
  if (pool.gpus > 0) body["gpu_driver"] = "Install";
  if (group.min < group.max) body["lifecycle"] = {{"ignore_changes", Json::array({"node_count"})}};
  a.tf.resource("pools", "azurerm_kubernetes_cluster_node_pool", identifier(group.name), std::move(body));
}

void node_pools(Azure& a) {
  const Pool& first = system_pool(a.c);
  for (const Pool& pool : a.c.pools) {
    if (pool.types.size() > 1)
      a.context.warn("one_size_per_pool", a.context.spec().at("pools"),
                     fmt::format("spec.pools.{}", pool.name),
                     fmt::format("a pool of AKS has one size of machine; {} is taken", pool.types.front()),
                     "make a pool of each size");
    if (&pool == &first) continue;
    for (const Group& group : groups(pool, {{pool.types.front()}})) node_pool(a, pool, group);
  }
}

Block gateway_address(Azure& a) {
  const Block out = public_address(a, "dns", "gateway", {{"zones", a.c.zones}});
  a.tf.output("gateway_address_name", "Name of the gateway's address", out.at("name"));
  a.tf.output("gateway_address", "The address itself", out.at("ip_address"));
  a.tf.output("gateway_address_group", "Group that it is in", a.group.at("name"));
  return out;
}

void record(Azure& a, const Block& zone, const std::string& host, const Block& address) {
  if (host != a.c.zone && !host.ends_with("." + a.c.zone)) return;
  const std::string label = host == a.c.zone ? "@" : host.substr(0, host.size() - a.c.zone.size() - 1);
  Json body{{"name", label}, {"zone_name", zone.at("name")}, {"resource_group_name", a.group.at("name")}};
  body["ttl"] = 300;
  body["records"] = Json::array({address.at("ip_address")});
  body["tags"] = kTags;
  a.tf.resource("dns", "azurerm_dns_a_record", identifier(host), std::move(body));
}

void names(Azure& a) {
  if (!a.c.gateway) return;
  const Block address = gateway_address(a);
  if (a.c.zone.empty()) return;
  Json body{{"name", a.c.zone}, {"resource_group_name", a.group.at("name")}, {"tags", kTags}};
  const Block zone = a.tf.resource("dns", "azurerm_dns_zone", "main", std::move(body));
  a.tf.output("nameservers", "What the registrar of the domain must name", zone.at("name_servers"));
  for (const std::string& host : a.c.hosts) record(a, zone, host, address);
  const Block who = identity(a, "cert-manager");
  grant(a, "cert-manager", who, zone.at("id"), "DNS Zone Contributor");
  federate(a, "cert-manager", who, "cert-manager", "cert-manager");
  a.tf.output("cert_manager_client_id", "Identity of cert-manager", who.at("client_id"));
}

struct Store {
  const char* file;
  std::string name, bucket, location;
  int keep_days;
  bool protect;
  std::string ns, account;  // of the service account that writes
};

Block storage_account(Azure& a, const Store& s) {
  Json body = a.in_group(account_name(s.bucket), {{"location", s.location}, {"account_tier", "Standard"}});
  body["account_replication_type"] = s.protect ? "GRS" : "ZRS";
  body["min_tls_version"] = "TLS1_2";
  body["https_traffic_only_enabled"] = true;
  body["allow_nested_items_to_be_public"] = false;
  // Identities only: keys would open everything and last for ever.
  body["shared_access_key_enabled"] = false;
  body["default_to_oauth_authentication"] = true;
  body["infrastructure_encryption_enabled"] = true;
  const Json undo{{"days", std::min(365, std::max(7, s.keep_days))}};
  body["blob_properties"] = {{"versioning_enabled", true},
                             {"delete_retention_policy", undo},
                             {"container_delete_retention_policy", undo}};
  if (s.protect) body["lifecycle"] = {{"prevent_destroy", true}};
  return a.tf.resource(s.file, "azurerm_storage_account", s.name, std::move(body));
}

void remove_old_versions(Azure& a, const Store& s, const Block& account) {
  Json rule{{"name", "old-versions"}, {"enabled", true}};
  rule["filters"] = {{"blob_types", Json::array({"blockBlob"})}};
  rule["actions"]["version"] = {{"delete_after_days_since_creation", s.keep_days}};
  Json body{{"storage_account_id", account.at("id")}, {"rule", Json::array({std::move(rule)})}};
  a.tf.resource(s.file, "azurerm_storage_management_policy", s.name, std::move(body));
}

void store(Azure& a, const Store& s) {
  const Block made = storage_account(a, s);
  a.tf.resource(s.file, "azurerm_storage_container", s.name,
                {{"name", s.bucket}, {"storage_account_id", made.at("id")}});
  remove_old_versions(a, s, made);
  const Block who = identity(a, s.name);
  grant(a, s.name, who, made.at("id"), "Storage Blob Data Contributor");
  federate(a, s.name, who, s.ns, s.account);
  a.tf.output(s.name + "_bucket", "Account of " + s.name, made.at("name"));
  a.tf.output(s.name + "_url", "Its address", made.at("primary_blob_endpoint"));
  a.tf.output(s.name + "_client_id", "Identity that writes it", who.at("client_id"));
}

void stores(Azure& a) {
  const Cloud& c = a.c;
  if (!c.backup_bucket.empty())
    store(a, {"backup", "backup", c.backup_bucket, c.backup_region, c.keep_days, true, "backup",
              "velero-server"});
  if (!c.logs_bucket.empty())
    store(a, {"storage", "logs", c.logs_bucket, c.region, 7, false, "logging", "loki"});
}

void bastion(Azure& a) {
  const std::string cidr = subnet(a.c.cidr, 26, (1U << (26 - std::min(26, prefix_length(a.c.cidr)))) - 1);
  const Block place = subnetwork(a, "access", "bastion", "AzureBastionSubnet", cidr, Json::object());
  const Block address = public_address(a, "access", "bastion");
  Json body = a.in_group("${var.cluster_name}", {{"sku", "Standard"}, {"tunneling_enabled", true}});
  body["copy_paste_enabled"] = false;
  body["ip_configuration"] = {
      {"name", "bastion"}, {"subnet_id", place.at("id")}, {"public_ip_address_id", address.at("id")}};
  const Block host = a.tf.resource("access", "azurerm_bastion_host", "main", std::move(body));
  a.tf.output("bastion_id", "Machine for sessions", host.at("id"));
}

void peerings(Azure& a) {
  int number = 1;
  for (const auto& [id, networks] : a.c.peers) {
    const std::string name = fmt::format("peer-{}", number++);
    Json body{{"name", name}, {"resource_group_name", a.group.at("name")}};
    body["virtual_network_name"] = a.network.at("name");
    body["remote_virtual_network_id"] = id;
    body["allow_forwarded_traffic"] = true;
    a.tf.resource("access", "azurerm_virtual_network_peering", name, std::move(body));
  }
  if (!a.c.peers.empty())
    a.context.warn("peer_half", a.context.spec().at("access.peering"), "spec.access.peering",
                   "the way back of a peering belongs to the other network, which must make it",
                   "its owner adds a peering to this network");
}

void access(Azure& a) {
  if (a.c.bastion) bastion(a);
  peerings(a);
  if (!a.c.vpn_peer.empty())
    a.context.warn("no_vpn_here", a.context.spec().at("access.vpn"), "spec.access.vpn",
                   "the VPN is not made on Azure", "use access.bastion or access.peering");
}

void secrets(Azure& a) {
  const spec::Reader from = a.context.component("secrets").sub("from");
  if (a.context.use("secrets") != "external-secrets" || !from.has("azureKeyVault")) return;
  const Block who = identity(a, "external-secrets");
  // A vault that is there already has an owner, who gives the right.
  if (from.text("azureKeyVault.url").empty())
    grant(a, "external-secrets", who, a.vault.at("id"), "Key Vault Secrets User");
  federate(a, "external-secrets", who, "secrets", "external-secrets");
  a.tf.output("external_secrets_client_id", "Identity of External Secrets", who.at("client_id"));
  a.tf.output("key_vault_url", "Vault of the platform's secrets", a.vault.at("vault_uri"));
}

void sections(Part& part, const Azure& a) {
  std::string text =
      "`az login`; kubectl asks `kubelogin` for tokens (`kubelogin convert-kubeconfig -l azurecli`). Disks "
      "are "
      "encrypted by their host, which a subscription allows once:\n\n```sh\n"
      "az feature register --namespace Microsoft.Compute --name EncryptionAtHost\n"
      "az provider register --namespace Microsoft.Compute\n```\n";
  if (!a.c.state_bucket.empty())
    text += fmt::format(
        "\nThe store of the state is made once, before the first `init`:\n\n```sh\n"
        "az group create --name {0}-state --location {1}\n"
        "az storage account create --name {2} --resource-group {0}-state --location {1} --sku Standard_ZRS "
        "--min-tls-version TLS1_2 --allow-blob-public-access false --allow-shared-key-access false\n"
        "az storage container create --account-name {2} --name state --auth-mode login\n```\n",
        a.c.name, a.c.region, account_name(a.c.state_bucket));
  part.sections.push_back({Section::Chapter::first_steps, "Credentials of the cloud", std::move(text)});
  add_first_apply(part, a.c);
  part.sections.push_back(cloud_care(a.context));
  if (a.c.bastion)
    part.sections.push_back(
        {Section::Chapter::access, "The bastion",
         fmt::format(
             "It carries sessions to the API server; no machine of its own stands behind it.\n\n```sh\n"
             "az aks bastion --name {} --resource-group {} --bastion \"$(tofu "
             "-chdir=infrastructure/terraform output -raw bastion_id)\"\nkubectl get nodes\n```\n",
             a.c.cluster, a.group_name)});
}

}  // namespace

std::vector<Part> azure(const Context& context, const std::vector<Part>& parts) {
  if (context.site() != Site::azure) return {};
  const Cloud c = cloud(context, parts);
  Terraform tf;
  std::string group = context.infrastructure().text("resourceGroup");
  Azure a{.context = context, .c = c, .tf = tf, .group_name = group.empty() ? c.name : std::move(group)};
  variables(a);
  providers(a);
  network(a);
  cluster(a);
  kubeconfig(a);
  control_plane_logs(a);
  node_pools(a);
  names(a);
  stores(a);
  secrets(a);
  access(a);
  Part part = terraform_part(context, c, tf, "azure");
  sections(part, a);
  return {std::move(part)};
}

}  // namespace tg::render
