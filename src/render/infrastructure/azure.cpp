// Azure: network, AKS cluster, node pools, names, addresses and stores as Terraform.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "render/infrastructure/cloud.hpp"
#include "render/infrastructure/infrastructure.hpp"

namespace tg::render {

namespace {

const std::string kTags = "${var.tags}";

struct Azure {
  const Context& context;
  const Cloud& c;
  Terraform& tf;
  Block group{}, network{}, nodes{}, cluster{};
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
  tf.variable({.name = "administrators",
               .type = "list(string)",
               .description = "Object ids of the groups that may do everything in the cluster",
               .fallback = Json::array()});
  const spec::Given subscription = site.given("subscription");
  if (!subscription.text.empty()) tf.given("subscription_id", subscription.text);
  std::string group = site.text("resourceGroup");
  tf.given("resource_group", group.empty() ? a.c.name : group);
  tf.given("location", a.c.region);
  tf.given("cluster_name", a.c.cluster);
  tf.given("network_cidr", a.c.cidr);
  tf.given("tags", to_json(a.c.tags));
  tf.require("azurerm", "hashicorp/azurerm", "~> 4.54");
  tf.require("local", "hashicorp/local", "~> 2.5");
  tf.provider("azurerm",
              {{"subscription_id", "${var.subscription_id}"},
               {"storage_use_azuread", true},
               {"features", {{"resource_group", {{"prevent_deletion_if_contains_resources", true}}}}}});
  if (!a.c.state_bucket.empty())
    // A blob is leased while somebody applies, which is the lock.
    tf.backend("azurerm", {{"resource_group_name", (group.empty() ? a.c.name : group) + "-state"},
                           {"storage_account_name", account_name(a.c.state_bucket)},
                           {"container_name", "state"},
                           {"key", a.c.name + ".tfstate"},
                           {"use_azuread_auth", true}});
  a.group =
      tf.resource("main", "azurerm_resource_group", "main",
                  {{"name", "${var.resource_group}"}, {"location", "${var.location}"}, {"tags", kTags}});
}

void network(Azure& a) {
  Terraform& tf = a.tf;
  Json network = a.in_group(a.c.network, {{"address_space", Json::array({"${var.network_cidr}"})}});
  if (!a.c.nameservers.empty()) network["dns_servers"] = a.c.nameservers;
  a.network = tf.resource("network", "azurerm_virtual_network", "main", std::move(network));
  const std::string cidr = a.c.subnets.empty()
                               ? subnet(a.c.cidr, std::min(prefix_length(a.c.cidr) + 4, 24), 0)
                               : a.c.subnets.front().cidr;
  a.nodes = tf.resource("network", "azurerm_subnet", "nodes",
                        {{"name", "nodes"},
                         {"resource_group_name", a.group.at("name")},
                         {"virtual_network_name", a.network.at("name")},
                         {"address_prefixes", Json::array({cidr})},
                         {"default_outbound_access_enabled", false},
                         {"service_endpoints", Json::array({"Microsoft.Storage"})}});
  if (a.c.egress == "none") return;
  const Block address = tf.resource(
      "network", "azurerm_public_ip", "nat",
      a.in_group("${var.cluster_name}-nat", {{"allocation_method", "Static"}, {"sku", "Standard"}}));
  // A gateway stands in one zone; the second kind, over all zones, is not in this provider yet.
  const Block nat = tf.resource("network", "azurerm_nat_gateway", "main",
                                a.in_group("${var.cluster_name}", {{"sku_name", "Standard"}}));
  tf.resource("network", "azurerm_nat_gateway_public_ip_association", "main",
              {{"nat_gateway_id", nat.at("id")}, {"public_ip_address_id", address.at("id")}});
  tf.resource("network", "azurerm_subnet_nat_gateway_association", "nodes",
              {{"nat_gateway_id", nat.at("id")}, {"subnet_id", a.nodes.at("id")}});
}

Block identity(Azure& a, const std::string& name) {
  return a.tf.resource("identity", "azurerm_user_assigned_identity", name,
                       a.in_group("${var.cluster_name}-" + name, Json::object()));
}

void grant(Azure& a, const std::string& name, const Block& who, const std::string& scope, const char* role) {
  a.tf.resource("identity", "azurerm_role_assignment", name,
                {{"scope", scope},
                 {"role_definition_name", role},
                 {"principal_id", who.at("principal_id")},
                 {"principal_type", "ServicePrincipal"}});
}

// Lets pods of a service account act as the identity.
void federate(Azure& a, const std::string& name, const Block& who, const std::string& ns,
              const std::string& account) {
  a.tf.resource("identity", "azurerm_federated_identity_credential", name,
                {{"name", name},
                 {"resource_group_name", a.group.at("name")},
                 {"parent_id", who.at("id")},
                 {"audience", Json::array({"api://AzureADTokenExchange"})},
                 {"issuer", a.cluster.at("oidc_issuer_url")},
                 {"subject", fmt::format("system:serviceaccount:{}:{}", ns, account)}});
}

Json node_settings(const Azure& a, const Pool& pool, const Group& group) {
  Json out{{"vm_size", pool.types.front()},
           {"zones", a.c.zones},
           {"vnet_subnet_id", a.nodes.at("id")},
           {"os_sku", pool.os.empty() ? "AzureLinux" : pool.os},
           {"os_disk_size_gb", pool.disk_gib},
           {"os_disk_type", "Managed"},
           {"host_encryption_enabled", true},
           {"node_labels", to_json(pool.labels)},
           {"tags", kTags},
           {"auto_scaling_enabled", group.min < group.max}};
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
  // Its nodes carry what the cluster itself needs: there is always one, without taints and never spot.
  const auto it = std::find_if(c.pools.begin(), c.pools.end(), [](const Pool& p) {
    return p.taints.empty() && p.min > 0 && p.spot_share <= 0;
  });
  return it == c.pools.end() ? c.pools.front() : *it;
}

void cluster(Azure& a) {
  Terraform& tf = a.tf;
  const Block client = tf.data("cluster", "azurerm_client_config", "here", Json::object());
  const Block own = identity(a, "cluster");
  grant(a, "cluster_network", own, a.network.at("id"), "Network Contributor");
  grant(a, "cluster_addresses", own, a.group.at("id"), "Network Contributor");
  const Block vault = tf.resource("cluster", "azurerm_key_vault", "main",
                                  a.in_group(expression("substr(\"kv-${var.cluster_name}-${substr(sha256("
                                                        "data.azurerm_client_config.here.subscription_id), "
                                                        "0, 6)}\", 0, 24)"),
                                             {{"tenant_id", client.at("tenant_id")},
                                              {"sku_name", "standard"},
                                              {"rbac_authorization_enabled", true},
                                              {"purge_protection_enabled", true},
                                              {"soft_delete_retention_days", 30}}));
  const Block keeper = tf.resource("identity", "azurerm_role_assignment", "vault_keeper",
                                   {{"scope", vault.at("id")},
                                    {"role_definition_name", "Key Vault Administrator"},
                                    {"principal_id", client.at("object_id")}});
  const Block key = tf.resource("cluster", "azurerm_key_vault_key", "secrets",
                                {{"name", "cluster-secrets"},
                                 {"key_vault_id", vault.at("id")},
                                 {"key_type", "RSA"},
                                 {"key_size", 3072},
                                 {"key_opts", Json::array({"encrypt", "decrypt"})},
                                 {"tags", kTags},
                                 {"depends_on", Json::array({keeper.address})},
                                 {"lifecycle", {{"prevent_destroy", true}}}});
  grant(a, "cluster_key", own, vault.at("id"), "Key Vault Crypto User");
  const Pool& first = system_pool(a.c);
  const Group size{.name = first.name, .types = first.types, .min = first.min, .max = first.max};
  Json default_pool = node_settings(a, first, size);
  Json named{{"name", pool_name(size)}, {"upgrade_settings", {{"max_surge", "33%"}}}};
  named.update(default_pool);
  Json body = a.in_group(
      "${var.cluster_name}",
      {{"dns_prefix", "${var.cluster_name}"},
       {"kubernetes_version", a.context.kubernetes()},
       {"sku_tier", "Standard"},
       {"automatic_upgrade_channel", "patch"},
       {"node_os_upgrade_channel", "NodeImage"},
       {"private_cluster_enabled", !a.c.public_api},
       {"local_account_disabled", true},
       {"oidc_issuer_enabled", true},
       {"workload_identity_enabled", true},
       {"image_cleaner_enabled", true},
       {"image_cleaner_interval_hours", 168},
       {"identity", {{"type", "UserAssigned"}, {"identity_ids", Json::array({own.at("id")})}}},
       {"azure_active_directory_role_based_access_control",
        {{"azure_rbac_enabled", false},
         {"tenant_id", client.at("tenant_id")},
         {"admin_group_object_ids", "${var.administrators}"}}},
       {"network_profile",
        {{"network_plugin", "azure"},
         {"network_plugin_mode", "overlay"},
         {"network_data_plane", "cilium"},
         {"network_policy", "cilium"},
         {"load_balancer_sku", "standard"},
         {"outbound_type", a.c.egress == "none" ? "none" : "userAssignedNATGateway"},
         {"pod_cidr", a.context.pod_cidr()},
         {"service_cidr", a.context.service_cidr()},
         {"dns_service_ip", expression(fmt::format("cidrhost({}, 10)", literal(a.context.service_cidr())))}}},
       {"storage_profile",
        {{"disk_driver_enabled", true},
         {"file_driver_enabled", true},
         {"blob_driver_enabled", false},
         {"snapshot_controller_enabled", true}}},
       {"key_management_service",
        {{"key_vault_key_id", key.at("id")}, {"key_vault_network_access", "Public"}}},
       {"auto_scaler_profile",
        {{"expander", "priority"}, {"balance_similar_node_groups", true}, {"scale_down_unneeded", "10m"}}},
       {"default_node_pool", std::move(named)},
       {"depends_on",
        Json::array({"azurerm_role_assignment.cluster_network", "azurerm_role_assignment.cluster_key"})},
       {"lifecycle",
        {{"ignore_changes", Json::array({"default_node_pool[0].node_count", "kubernetes_version"})}}}});
  if (a.c.public_api) body["api_server_access_profile"] = {{"authorized_ip_ranges", a.c.api_from}};
  a.cluster = tf.resource("cluster", "azurerm_kubernetes_cluster", "main", std::move(body));
  const Block file = tf.resource("cluster", "local_sensitive_file", "kubeconfig",
                                 {{"content", a.cluster.at("kube_config_raw")},
                                  {"filename", "${path.module}/kubeconfig"},
                                  {"file_permission", "0600"},
                                  {"directory_permission", "0700"}});
  tf.output("kubeconfig", "Path of the kubeconfig", file.at("filename"));
  tf.output("cluster_endpoint", "API server", a.cluster.at(a.c.public_api ? "fqdn" : "private_fqdn"));
  if (a.c.audit == "none") return;
  const Block logs =
      tf.resource("cluster", "azurerm_log_analytics_workspace", "main",
                  a.in_group("${var.cluster_name}", {{"sku", "PerGB2018"}, {"retention_in_days", 90}}));
  Json kinds = Json::array();
  for (const char* kind :
       {"kube-audit-admin", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "guard"})
    kinds.push_back({{"category", kind}});
  tf.resource("cluster", "azurerm_monitor_diagnostic_setting", "control_plane",
              {{"name", "control-plane"},
               {"target_resource_id", a.cluster.at("id")},
               {"log_analytics_workspace_id", logs.at("id")},
               {"log_analytics_destination_type", "Dedicated"},
               {"enabled_log", std::move(kinds)}});
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
    for (const Group& group : groups(pool, {{pool.types.front()}})) {
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
  }
}

void names(Azure& a) {
  Terraform& tf = a.tf;
  if (!a.c.gateway) return;
  const Block address =
      tf.resource("dns", "azurerm_public_ip", "gateway",
                  a.in_group("${var.cluster_name}-gateway",
                             {{"allocation_method", "Static"}, {"sku", "Standard"}, {"zones", a.c.zones}}));
  tf.output("gateway_address_name", "Name of the gateway's address", address.at("name"));
  tf.output("gateway_address", "The address itself", address.at("ip_address"));
  tf.output("gateway_address_group", "Group that it is in", a.group.at("name"));
  if (a.c.zone.empty()) return;
  const Block zone =
      tf.resource("dns", "azurerm_dns_zone", "main",
                  {{"name", a.c.zone}, {"resource_group_name", a.group.at("name")}, {"tags", kTags}});
  tf.output("nameservers", "What the registrar of the domain must name", zone.at("name_servers"));
  for (const std::string& host : a.c.hosts) {
    if (host != a.c.zone && !host.ends_with("." + a.c.zone)) continue;
    const std::string label = host == a.c.zone ? "@" : host.substr(0, host.size() - a.c.zone.size() - 1);
    tf.resource("dns", "azurerm_dns_a_record", identifier(host),
                {{"name", label},
                 {"zone_name", zone.at("name")},
                 {"resource_group_name", a.group.at("name")},
                 {"ttl", 300},
                 {"records", Json::array({address.at("ip_address")})},
                 {"tags", kTags}});
  }
  const Block who = identity(a, "cert-manager");
  grant(a, "cert-manager", who, zone.at("id"), "DNS Zone Contributor");
  federate(a, "cert-manager", who, "cert-manager", "cert-manager");
  tf.output("cert_manager_client_id", "Identity of cert-manager", who.at("client_id"));
}

void store(Azure& a, const char* file, const std::string& name, const std::string& bucket,
           const std::string& location, int keep, bool protect, const std::string& ns,
           const std::string& account) {
  Terraform& tf = a.tf;
  Json body =
      a.in_group(account_name(bucket),
                 {{"location", location},
                  {"account_tier", "Standard"},
                  {"account_replication_type", protect ? "GRS" : "ZRS"},
                  {"min_tls_version", "TLS1_2"},
                  {"https_traffic_only_enabled", true},
                  {"allow_nested_items_to_be_public", false},
                  {"shared_access_key_enabled", false},
                  {"default_to_oauth_authentication", true},
                  {"infrastructure_encryption_enabled", true},
                  {"blob_properties",
                   {{"versioning_enabled", true},
                    {"delete_retention_policy", {{"days", std::min(365, std::max(7, keep))}}},
                    {"container_delete_retention_policy", {{"days", std::min(365, std::max(7, keep))}}}}}});
  if (protect) body["lifecycle"] = {{"prevent_destroy", true}};
  const Block made = tf.resource(file, "azurerm_storage_account", name, std::move(body));
  tf.resource(file, "azurerm_storage_container", name,
              {{"name", bucket}, {"storage_account_id", made.at("id")}});
  tf.resource(
      file, "azurerm_storage_management_policy", name,
      {{"storage_account_id", made.at("id")},
       {"rule", Json::array({{{"name", "old-versions"},
                              {"enabled", true},
                              {"filters", {{"blob_types", Json::array({"blockBlob"})}}},
                              {"actions", {{"version", {{"delete_after_days_since_creation", keep}}}}}}})}});
  const Block who = identity(a, name);
  grant(a, name, who, made.at("id"), "Storage Blob Data Contributor");
  federate(a, name, who, ns, account);
  tf.output(name + "_bucket", "Container of " + name, made.at("name"));
  tf.output(name + "_client_id", "Identity that writes it", who.at("client_id"));
}

void access(Azure& a) {
  Terraform& tf = a.tf;
  if (a.c.bastion) {
    const std::string cidr = subnet(a.c.cidr, 26, (1U << (26 - std::min(26, prefix_length(a.c.cidr)))) - 1);
    const Block place = tf.resource("access", "azurerm_subnet", "bastion",
                                    {{"name", "AzureBastionSubnet"},
                                     {"resource_group_name", a.group.at("name")},
                                     {"virtual_network_name", a.network.at("name")},
                                     {"address_prefixes", Json::array({cidr})}});
    const Block address = tf.resource(
        "access", "azurerm_public_ip", "bastion",
        a.in_group("${var.cluster_name}-bastion", {{"allocation_method", "Static"}, {"sku", "Standard"}}));
    const Block host =
        tf.resource("access", "azurerm_bastion_host", "main",
                    a.in_group("${var.cluster_name}", {{"sku", "Standard"},
                                                       {"tunneling_enabled", true},
                                                       {"copy_paste_enabled", false},
                                                       {"ip_configuration",
                                                        {{"name", "bastion"},
                                                         {"subnet_id", place.at("id")},
                                                         {"public_ip_address_id", address.at("id")}}}}));
    tf.output("bastion_id", "Machine for sessions", host.at("id"));
  }
  int number = 1;
  for (const auto& [id, networks] : a.c.peers) {
    const std::string name = fmt::format("peer-{}", number++);
    tf.resource("access", "azurerm_virtual_network_peering", name,
                {{"name", name},
                 {"resource_group_name", a.group.at("name")},
                 {"virtual_network_name", a.network.at("name")},
                 {"remote_virtual_network_id", id},
                 {"allow_forwarded_traffic", true}});
  }
  if (!a.c.peers.empty())
    a.context.warn("peer_half", a.context.spec().at("access.peering"), "spec.access.peering",
                   "the way back of a peering belongs to the other network, which must make it",
                   "its owner adds a peering to this network");
  if (!a.c.vpn_peer.empty())
    a.context.warn("no_vpn_here", a.context.spec().at("access.vpn"), "spec.access.vpn",
                   "the VPN is not made on Azure", "use access.bastion or access.peering");
}

void secrets(Azure& a) {
  if (a.context.use("secrets") != "external-secrets") return;
  const Block who = identity(a, "external-secrets");
  grant(a, "external-secrets", who, "${azurerm_key_vault.main.id}", "Key Vault Secrets User");
  federate(a, "external-secrets", who, "secrets", "external-secrets");
  a.tf.output("external_secrets_client_id", "Identity of External Secrets", who.at("client_id"));
  a.tf.output("key_vault_url", "Vault of the platform's secrets", "${azurerm_key_vault.main.vault_uri}");
}

void sections(Part& part, const Azure& a) {
  std::string text =
      "`az login`; kubectl asks `kubelogin` for tokens (`kubelogin convert-kubeconfig -l azurecli`).\n";
  if (!a.c.state_bucket.empty())
    text += fmt::format(
        "\nThe store of the state is made once, before the first `init`:\n\n```sh\n"
        "az group create --name {0}-state --location {1}\n"
        "az storage account create --name {2} --resource-group {0}-state --location {1} --sku Standard_ZRS "
        "--min-tls-version TLS1_2 --allow-blob-public-access false --allow-shared-key-access false\n"
        "az storage container create --account-name {2} --name state --auth-mode login\n```\n",
        a.c.name, a.c.region, account_name(a.c.state_bucket));
  part.sections.push_back({Section::Chapter::first_steps, "Credentials of the cloud", std::move(text)});
}

}  // namespace

std::vector<Part> azure(const Context& context, const std::vector<Part>& parts) {
  if (context.site() != Site::azure) return {};
  const Cloud c = cloud(context, parts);
  Terraform tf;
  Azure a{.context = context, .c = c, .tf = tf};
  variables(a);
  network(a);
  cluster(a);
  node_pools(a);
  names(a);
  if (!c.backup_bucket.empty())
    store(a, "backup", "backup", c.backup_bucket, c.backup_region, c.keep_days, true, "backup",
          "velero-server");
  if (!c.logs_bucket.empty())
    store(a, "storage", "logs", c.logs_bucket, c.region, 7, false, "logging", "loki");
  secrets(a);
  access(a);
  Part part = terraform_part(context, c, tf, "azure");
  sections(part, a);
  return {std::move(part)};
}

}  // namespace tg::render
