// Open Telekom Cloud: network, CCE cluster, node pools, ways in and add-ons as Terraform.
#include <fmt/format.h>

#include <algorithm>

#include "render/component/components.hpp"
#include "render/infrastructure/cloud.hpp"
#include "render/infrastructure/infrastructure.hpp"

namespace tg::render {

namespace {

const std::string kTags = "${var.tags}";

// What the rest of the module refers to.
struct Otc {
  const Context& context;
  const Cloud& c;
  Terraform& tf;
  Block vpc{}, cluster{}, nodes{}, key_pair{};
  std::vector<Block> subnets{};
};

const Pool* first_pool(const Cloud& c, bool gpu) {
  const auto it =
      std::find_if(c.pools.begin(), c.pools.end(), [&](const Pool& p) { return (p.gpus > 0) == gpu; });
  return it == c.pools.end() ? nullptr : &*it;
}

// The variables that a person changes without the document; their defaults hold for a first cluster, the
// document's values are in terraform.tfvars.json.
void variables(Terraform& tf, const Context& context, const Cloud& c) {
  const spec::Reader site = context.infrastructure();
  const std::vector<Variable> all{
      {.name = "vpc_name",
       .type = "string",
       .description = "Name of the VPC",
       .fallback = "dev_vpc",
       .condition = "length(var.vpc_name) > 0 && length(var.vpc_name) <= 64",
       .message = "The name of a VPC has 1 to 64 characters."},
      {.name = "tags",
       .type = "map(string)",
       .description = "Tags of every resource that can carry them",
       .fallback = Json::object()},
      {.name = "vpc_cidr",
       .type = "string",
       .description = "Addresses of the VPC",
       .fallback = "10.0.0.0/16",
       .condition = "can(cidrhost(var.vpc_cidr, 0))",
       .message = "Write a network as 10.0.0.0/16."},
      {.name = "otc_access_key",
       .type = "string",
       .description = "Access key: export TF_VAR_otc_access_key",
       .sensitive = true},
      {.name = "otc_secret_key",
       .type = "string",
       .description = "Secret key: export TF_VAR_otc_secret_key",
       .sensitive = true},
      {.name = "dns_config",
       .type = "list(string)",
       .description = "Resolvers of all subnets; the first must be one of the cloud's own",
       .fallback = Json::array({"100.125.4.25", "100.125.129.199"}),
       .condition = "length(var.dns_config) == 2",
       .message = "Two resolvers are needed."},
      {.name = "cluster_name",
       .type = "string",
       .description = "Name of the cluster",
       .fallback = "llm-cluster",
       .condition = "can(regex(\"^[a-z][a-z0-9-]{2,126}[a-z0-9]$\", var.cluster_name))",
       .message = "4 to 128 of a-z, 0-9 and -, a letter first."},
      // A size of machines is refused here: nodes have variables of their own.
      {.name = "flavor_id",
       .type = "string",
       .description = "Size of the control plane",
       .fallback = "cce.s2.small",
       .condition = "can(regex(\"^cce\\\\.s(1\\\\.(small|medium)|2\\\\.(small|medium|large|xlarge))$\", "
                    "var.flavor_id))",
       .message = "One of cce.s1.small, cce.s1.medium, cce.s2.small, cce.s2.medium, cce.s2.large, "
                  "cce.s2.xlarge."},
      {.name = "subnet_cidr",
       .type = "string",
       .description = "Addresses of the nodes",
       .fallback = "10.0.1.0/24"},
      {.name = "availability_zone",
       .type = "string",
       .description = "Zone of the nodes",
       .fallback = "eu-de-01"},
      {.name = "region_name", .type = "string", .description = "Region", .fallback = "eu-de"},
      {.name = "domain_name",
       .type = "string",
       .description = "Identity domain of the account",
       .fallback = "",
       .condition = "length(var.domain_name) > 0",
       .message = "Set domain_name: the console shows it as the name of the domain."},
      {.name = "tenant_id",
       .type = "string",
       .description = "Project in which everything is made",
       .fallback = "",
       .condition = "length(var.tenant_id) > 0",
       .message = "Set tenant_id: the console shows it under My Credentials, Projects."},
      {.name = "os", .type = "string", .description = "System image of the nodes", .fallback = "EulerOS 2.9"},
      {.name = "flavor",
       .type = "string",
       .description = "Size of the nodes without GPUs",
       .fallback = "s2.xlarge.2"},
      {.name = "initial_node_count",
       .type = "number",
       .description = "Nodes without GPUs at the start",
       .fallback = 2},
      {.name = "gpu_flavor",
       .type = "string",
       .description = "Size of the nodes with GPUs",
       .fallback = "pi2.2xlarge.4"},
      {.name = "gpu_node_storage_size",
       .type = "number",
       .description = "Data disk of a node with GPUs, in GB",
       .fallback = 200},
      {.name = "gpu_node_storage_type",
       .type = "string",
       .description = "Type of that disk",
       .fallback = "SSD",
       .condition = "contains([\"SATA\", \"SAS\", \"SSD\", \"GPSSD\", \"ESSD\"], var.gpu_node_storage_type)",
       .message = "One of SATA, SAS, SSD, GPSSD, ESSD."},
      {.name = "node_storage_size",
       .type = "number",
       .description = "Data disk of a node without GPUs, in GB",
       .fallback = 100},
      {.name = "node_storage_type",
       .type = "string",
       .description = "Type of that disk",
       .fallback = "SSD",
       .condition = "contains([\"SATA\", \"SAS\", \"SSD\", \"GPSSD\", \"ESSD\"], var.node_storage_type)",
       .message = "One of SATA, SAS, SSD, GPSSD, ESSD."},
  };
  const Pool* gpu = first_pool(c, true);
  const Pool* cpu = first_pool(c, false);
  for (const Variable& v : all) {
    if (v.name.starts_with("gpu_") && gpu == nullptr) continue;
    tf.variable(v);
  }
  tf.given("vpc_name", c.network);
  if (!c.tags.empty()) tf.given("tags", to_json(c.tags));
  tf.given("vpc_cidr", c.cidr);
  if (!c.nameservers.empty()) tf.given("dns_config", c.nameservers);
  tf.given("cluster_name", c.cluster);
  tf.given("flavor_id", context.spec().text("cluster.controlPlane.flavor"));
  tf.given("subnet_cidr", c.subnets.front().cidr);
  tf.given("availability_zone", c.zones.front());
  tf.given("region_name", c.region);
  const auto put = [&](const char* name, const spec::Given& given) {
    // One that stands in the environment when it is applied comes from there: export TF_VAR_NAME.
    if (given.env.empty()) tf.given(name, given.text);
  };
  put("domain_name", site.given("account.domainName"));
  put("tenant_id", site.given("account.tenantId"));
  const Pool& plain = cpu == nullptr ? c.pools.front() : *cpu;
  if (!plain.os.empty()) tf.given("os", plain.os);
  tf.given("flavor", plain.types.front());
  tf.given("initial_node_count", plain.min);
  tf.given("node_storage_size", plain.disk_gib);
  if (!plain.disk_type.empty()) tf.given("node_storage_type", plain.disk_type);
  if (gpu != nullptr) {
    tf.given("gpu_flavor", gpu->types.front());
    tf.given("gpu_node_storage_size", gpu->disk_gib);
    if (!gpu->disk_type.empty()) tf.given("gpu_node_storage_type", gpu->disk_type);
  }
}

void provider(Otc& o) {
  o.tf.require("opentelekomcloud", "opentelekomcloud/opentelekomcloud", "~> 1.36.54");
  o.tf.require("local", "hashicorp/local", "~> 2.5");
  Json settings{{"region", "${var.region_name}"},
                {"access_key", "${var.otc_access_key}"},
                {"secret_key", "${var.otc_secret_key}"},
                {"domain_name", "${var.domain_name}"},
                {"tenant_id", "${var.tenant_id}"},
                {"auth_url", "https://iam.${var.region_name}.otc.t-systems.com/v3"}};
  o.tf.provider("opentelekomcloud", settings);
  if (!o.c.backup_bucket.empty()) {
    Json other = settings;
    other["alias"] = "backup";
    other["region"] = o.c.backup_region;
    // Each region has a project of its own; the one that every account has bears the region's name.
    other.erase("tenant_id");
    other["tenant_name"] = o.c.backup_region;
    other["auth_url"] = fmt::format("https://iam.{}.otc.t-systems.com/v3", o.c.backup_region);
    o.tf.provider("opentelekomcloud", std::move(other));
  }
  if (o.c.state_bucket.empty()) return;
  // The object store speaks S3. Its keys are read from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, never
  // from variables.
  o.tf.backend("s3", {{"bucket", o.c.state_bucket},
                      {"key", o.c.name + "/terraform.tfstate"},
                      {"region", o.c.region},
                      {"endpoints", {{"s3", fmt::format("https://obs.{}.otc.t-systems.com", o.c.region)}}},
                      {"encrypt", true},
                      {"use_lockfile", true},
                      {"skip_credentials_validation", true},
                      {"skip_region_validation", true},
                      {"skip_requesting_account_id", true},
                      {"skip_metadata_api_check", true},
                      {"skip_s3_checksum", true}});
}

Json rule(const Block& group, const char* why, const char* protocol, int from, int to,
          std::string_view source) {
  Json out{{"security_group_id", group.at("id")},
           {"direction", "ingress"},
           {"ethertype", "IPv4"},
           {"description", why}};
  if (protocol != nullptr) out["protocol"] = protocol;
  if (from > 0) {
    out["port_range_min"] = from;
    out["port_range_max"] = to;
  }
  if (source == "self")
    out["remote_group_id"] = group.at("id");
  else
    out["remote_ip_prefix"] = source;
  return out;
}

void network(Otc& o) {
  Terraform& tf = o.tf;
  o.vpc = tf.resource("network", "opentelekomcloud_vpc_v1", "main",
                      {{"name", "${var.vpc_name}"}, {"cidr", "${var.vpc_cidr}"}, {"tags", kTags}});
  bool first = true;
  for (const Subnet& s : o.c.subnets) {
    const std::string cidr = first ? "var.subnet_cidr" : literal(s.cidr);
    o.subnets.push_back(tf.resource("network", "opentelekomcloud_vpc_subnet_v1", identifier(s.name),
                                    {{"name", fmt::format("${{var.cluster_name}}-{}", s.name)},
                                     {"vpc_id", o.vpc.at("id")},
                                     {"cidr", first ? Json("${var.subnet_cidr}") : Json(s.cidr)},
                                     {"gateway_ip", expression(fmt::format("cidrhost({}, 1)", cidr))},
                                     {"primary_dns", "${var.dns_config[0]}"},
                                     {"secondary_dns", "${var.dns_config[1]}"},
                                     {"tags", kTags}}));
    first = false;
  }
  if (o.c.egress != "none") {
    // Nodes stay private; this is how they pull images.
    const Block address = tf.resource("network", "opentelekomcloud_vpc_eip_v1", "nat",
                                      {{"publicip", {{"type", "5_bgp"}}},
                                       {"bandwidth",
                                        {{"name", "${var.cluster_name}-nat"},
                                         {"size", 300},
                                         {"share_type", "PER"},
                                         {"charge_mode", "traffic"}}},
                                       {"tags", kTags}});
    const Block nat = tf.resource("network", "opentelekomcloud_nat_gateway_v2", "main",
                                  {{"name", "${var.cluster_name}"},
                                   {"description", "Way out of the nodes"},
                                   {"spec", "1"},
                                   {"router_id", o.vpc.at("id")},
                                   {"internal_network_id", o.subnets.front().at("network_id")},
                                   {"tags", kTags}});
    for (std::size_t i = 0; i < o.subnets.size(); ++i) {
      tf.resource("network", "opentelekomcloud_nat_snat_rule_v2", identifier(o.c.subnets[i].name),
                  {{"nat_gateway_id", nat.at("id")},
                   {"floating_ip_id", address.at("id")},
                   {"network_id", o.subnets[i].at("network_id")}});
    }
  }
  o.nodes = tf.resource("network", "opentelekomcloud_networking_secgroup_v2", "nodes",
                        {{"name", "${var.cluster_name}-nodes"},
                         {"description", "Nodes of the cluster"},
                         {"delete_default_rules", true}});
  const Block& g = o.nodes;
  const auto add = [&](const char* name, Json body) {
    tf.resource("network", "opentelekomcloud_networking_secgroup_rule_v2", name, std::move(body));
  };
  add("nodes_self", rule(g, "Nodes among themselves", nullptr, 0, 0, "self"));
  add("nodes_pods", rule(g, "Pods of other nodes", nullptr, 0, 0, o.context.pod_cidr()));
  add("nodes_kubelet", rule(g, "Control plane to kubelets", "tcp", 10250, 10250, "${var.vpc_cidr}"));
  add("nodes_tunnel", rule(g, "Tunnels of the pod network", "udp", 4789, 4789, "${var.vpc_cidr}"));
  add("nodes_ports_tcp", rule(g, "Load balancers to node ports", "tcp", 30000, 32767, "${var.vpc_cidr}"));
  add("nodes_ports_udp", rule(g, "Load balancers to node ports", "udp", 30000, 32767, "${var.vpc_cidr}"));
  add("nodes_icmp", rule(g, "Path MTU and checks of health", "icmp", 0, 0, "${var.vpc_cidr}"));
  Json out = rule(g, "Images, updates, the control plane", nullptr, 0, 0, "0.0.0.0/0");
  out["direction"] = "egress";
  add("nodes_out", std::move(out));
}

// The annotations of a cluster that Terraform makes: without the first, ICAgent is not installed.
Json annotations(const Context& context) {
  if (!context.infrastructure().flag("addons.icAgent")) return nullptr;
  return {
      {"cluster.install.addons.external/install", Json::array({{{"addonTemplateName", "icagent"}}}).dump()}};
}

void cluster(Otc& o) {
  Terraform& tf = o.tf;
  const Context& context = o.context;
  // CCE acts for the account: once in a project it must be allowed to.
  const Block project =
      tf.data("cluster", "opentelekomcloud_identity_project_v3", "here", {{"name", "${var.region_name}"}});
  const Block agency = tf.resource(
      "cluster", "opentelekomcloud_identity_agency_v3", "cce",
      {{"name", "cce_admin_trust"},
       {"description", "Cloud Container Engine makes nodes, disks and load balancers of clusters"},
       {"delegated_domain_name", "op_svc_cce"},
       {"project_role",
        Json::array({{{"project", project.at("name")}, {"roles", Json::array({"Tenant Administrator"})}}})}});
  std::string plugin = context.spec().text("cluster.networks.plugin");
  if (plugin.empty() || plugin == "cloud") plugin = "overlay_l2";
  // Judged by its own list of versions, which trails the project's.
  const std::string version = context.spec().has("cluster.version") ? context.kubernetes() : "1.34";
  Json body{{"name", "${var.cluster_name}"},
            {"cluster_type", "VirtualMachine"},
            {"flavor_id", "${var.flavor_id}"},
            {"cluster_version", "v" + version},
            {"vpc_id", o.vpc.at("id")},
            {"subnet_id", o.subnets.front().at("network_id")},
            {"container_network_type", plugin},
            {"container_network_cidr", context.pod_cidr()},
            {"kubernetes_svc_ip_range", context.service_cidr()},
            {"authentication_mode", "rbac"},
            {"kube_proxy_mode", "ipvs"}};
  // Three masters stand in three zones.
  if (context.spec().text("cluster.controlPlane.flavor").starts_with("cce.s2")) body["multi_az"] = true;
  if (Json a = annotations(context); !a.is_null()) body["annotations"] = std::move(a);
  if (o.c.public_api) {
    const Block address = tf.resource("cluster", "opentelekomcloud_vpc_eip_v1", "api",
                                      {{"publicip", {{"type", "5_bgp"}}},
                                       {"bandwidth",
                                        {{"name", "${var.cluster_name}-api"},
                                         {"size", 10},
                                         {"share_type", "PER"},
                                         {"charge_mode", "traffic"}}},
                                       {"tags", kTags}});
    body["eip"] = address.at("publicip[0].ip_address");
    Json from = o.c.api_from;
    from.push_back("${var.vpc_cidr}");
    body["api_access_trustlist"] = std::move(from);
  }
  body["depends_on"] = Json::array({agency.address});
  o.cluster = tf.resource("cluster", "opentelekomcloud_cce_cluster_v3", "main", std::move(body));
  const Block config = tf.data("cluster", "opentelekomcloud_cce_cluster_kubeconfig_v3", "main",
                               {{"cluster_id", o.cluster.at("id")}, {"duration", o.c.kubeconfig_days}});
  const Block file = tf.resource("cluster", "local_sensitive_file", "kubeconfig",
                                 {{"content", config.at("kubeconfig")},
                                  {"filename", "${path.module}/kubeconfig"},
                                  {"file_permission", "0600"},
                                  {"directory_permission", "0700"}});
  tf.output("kubeconfig", "Path of the kubeconfig", file.at("filename"));
  if (o.c.audit != "none") {
    // Logs of the control plane go here once they are switched on in the console; no resource does that.
    const Block group = tf.resource(
        "cluster", "opentelekomcloud_lts_group_v2", "control_plane",
        {{"group_name", "${var.cluster_name}-control-plane"}, {"ttl_in_days", 30}, {"tags", kTags}});
    const Block stream = tf.resource(
        "cluster", "opentelekomcloud_lts_stream_v2", "audit",
        {{"group_id", group.at("id")}, {"stream_name", "audit"}, {"ttl_in_days", 30}, {"tags", kTags}});
    tf.output("audit_stream", "Stream for the audit log of the API server", stream.at("id"));
  }
}

// An add-on of the cloud at the version that it offers for this cluster; an upgrade is made on purpose.
void addon(Otc& o, const std::string& name, const std::string& resource, Json basic, Json custom) {
  const Block offered = o.tf.data("addons", "opentelekomcloud_cce_addon_templates_v3", resource,
                                  {{"addon_name", name},
                                   {"cluster_type", "VirtualMachine"},
                                   {"cluster_version", o.cluster.at("cluster_version")}});
  Json all{{"image_version", offered.at("addons[0].image_version")},
           {"swr_addr", offered.at("addons[0].swr_addr")},
           {"swr_user", offered.at("addons[0].swr_user")},
           {"platform", offered.at("addons[0].platform")}};
  all.update(basic);
  o.tf.resource("addons", "opentelekomcloud_cce_addon_v3", resource,
                {{"cluster_id", o.cluster.at("id")},
                 {"template_name", name},
                 {"template_version", offered.at("addons[0].addon_version")},
                 {"values", {{"basic", std::move(all)}, {"custom", std::move(custom)}}},
                 {"lifecycle", {{"ignore_changes", Json::array({"template_version", "values"})}}}});
}

void addons(Otc& o) {
  const Json region{{"region", "${var.region_name}"}};
  Json everest{{"bms_url", "bms.${var.region_name}.otc.t-systems.com"},
               {"ecsEndpoint", "https://ecs.${var.region_name}.otc.t-systems.com"},
               {"evs_url", "evs.${var.region_name}.otc.t-systems.com"},
               {"obs_url", "obs.${var.region_name}.otc.t-systems.com"},
               {"iam_url", "iam.${var.region_name}.otc.t-systems.com"},
               {"sfs_turbo_url", "sfs-turbo.${var.region_name}.otc.t-systems.com"}};
  addon(o, "everest", "everest", std::move(everest),
        {{"cluster_id", o.cluster.at("id")},
         {"project_id", "${var.tenant_id}"},
         {"default_vpc_id", o.vpc.at("id")}});
  addon(o, "metrics-server", "metrics_server", Json::object(), Json::object());
  const bool scales =
      std::any_of(o.c.pools.begin(), o.c.pools.end(), [](const Pool& p) { return p.scales(); });
  if (scales && o.context.spec().text("components.autoscaling.nodes") != "none") {
    int most = 0;
    for (const Pool& p : o.c.pools) most += p.max;
    addon(o, "autoscaler", "autoscaler",
          {{"cceEndpoint", "https://cce.${var.region_name}.otc.t-systems.com"},
           {"ecsEndpoint", "https://ecs.${var.region_name}.otc.t-systems.com"},
           {"region", "${var.region_name}"}},
          {{"cluster_id", o.cluster.at("id")},
           {"tenant_id", "${var.tenant_id}"},
           {"expander", "priority"},
           {"maxNodesTotal", most},
           {"coresTotal", 32000},
           {"memoryTotal", 128000},
           {"maxNodeProvisionTime", 15},
           {"maxEmptyBulkDeleteFlag", 10},
           {"scaleDownEnabled", true},
           {"scaleDownUnneededTime", 10},
           {"scaleDownUtilizationThreshold", 0.5},
           {"scaleDownDelayAfterAdd", 10},
           {"scaleDownDelayAfterDelete", 10},
           {"scaleDownDelayAfterFailure", 3},
           {"scaleUpUnscheduledPodEnabled", true},
           {"scaleUpUtilizationEnabled", false},
           {"unremovableNodeRecheckTimeout", 5}});
  }
  if (first_pool(o.c, true) != nullptr && gpu_software(o.context) != "none")
    addon(o, "gpu-beta", "gpu", region, {{"is_driver_from_nvidia", true}});
  if (o.context.use("metrics") == "cce-monitoring")
    addon(o, "cie-collector", "monitoring", region,
          {{"retention", o.context.component("metrics").text("retention")},
           {"enable_nodeAffinity", false},
           {"deploy_mode", "server"}});
}

Json taints(const Pool& pool) {
  Json out = Json::array();
  for (const std::string& t : pool.taints) {
    const std::size_t colon = t.rfind(':');
    const std::size_t equals = t.find('=');
    const bool value = equals != std::string::npos && equals < colon;
    out.push_back({{"key", t.substr(0, value ? equals : colon)},
                   {"value", value ? t.substr(equals + 1, colon - equals - 1) : std::string()},
                   {"effect", t.substr(colon + 1)}});
  }
  return out;
}

void node_pools(Otc& o) {
  Terraform& tf = o.tf;
  Json key{{"name", "${var.cluster_name}-nodes"}};
  const Json public_half = public_key(tf, o.context);
  if (!public_half.is_null()) {
    key["public_key"] = public_half;
  } else {
    o.context.warn(
        "private_key_in_state", o.context.infrastructure().at("keyPair"),
        o.context.infrastructure().where("keyPair.publicKey"),
        "a key pair is made for the nodes, and its private half lies in Terraform's state, readable to "
        "all who read that",
        "make one with ssh-keygen and name its public half");
  }
  o.key_pair = tf.resource("pools", "opentelekomcloud_compute_keypair_v2", "nodes", std::move(key));
  tf.output("node_pool_keypair_name", "Name of the nodes' key pair", o.key_pair.at("name"));
  tf.output(
      "node_pool_keypair_private_key",
      public_half.is_null() ? "Private half of the nodes' key pair" : "Empty: the pair was made elsewhere",
      o.key_pair.at("private_key"), true);
  tf.output("node_pool_keypair_public_key", "Public half of the nodes' key pair",
            o.key_pair.at("public_key"));
  const Pool* gpu = first_pool(o.c, true);
  const Pool* cpu = first_pool(o.c, false);
  int priority = 1;
  for (const Pool& p : o.c.pools) {
    const bool is_gpu = &p == gpu, is_cpu = &p == cpu;
    Json size = is_gpu   ? Json("${var.gpu_node_storage_size}")
                : is_cpu ? Json("${var.node_storage_size}")
                         : Json(p.disk_gib);
    const std::string type = p.disk_type.empty() ? "SSD" : p.disk_type;
    Json volume_type = is_gpu ? "${var.gpu_node_storage_type}" : is_cpu ? "${var.node_storage_type}" : type;
    Json body{
        {"cluster_id", o.cluster.at("id")},
        {"name", p.name},
        {"flavor", is_gpu   ? "${var.gpu_flavor}"
                   : is_cpu ? "${var.flavor}"
                            : p.types.front()},
        {"os", is_cpu || p.os.empty() ? "${var.os}" : p.os},
        {"availability_zone", o.c.zones.size() == 1 ? "${var.availability_zone}" : "random"},
        {"key_pair", o.key_pair.at("name")},
        {"runtime", "containerd"},
        {"subnet_id", o.subnets.front().at("network_id")},
        {"security_group_ids", Json::array({o.nodes.at("id")})},
        {"initial_node_count", is_cpu ? Json("${var.initial_node_count}") : Json(p.min)},
        {"root_volume", {{"size", 50}, {"volumetype", "SSD"}}},
        {"data_volumes", Json::array({{{"size", std::move(size)}, {"volumetype", std::move(volume_type)}}})},
        {"k8s_tags", to_json(p.labels)},
        {"user_tags", kTags}};
    if (p.scales()) {
      body["scale_enable"] = true;
      body["min_node_count"] = p.min;
      body["max_node_count"] = p.max;
      body["scale_down_cooldown_time"] = 15;
      body["priority"] = priority++;
      // From the first day on the autoscaler has the number.
      body["lifecycle"] = {{"ignore_changes", Json::array({"initial_node_count"})}};
    }
    if (!p.taints.empty()) body["taints"] = taints(p);
    tf.resource("pools", "opentelekomcloud_cce_node_pool_v3", identifier(p.name), std::move(body));
    if (p.types.size() > 1)
      o.context.warn("one_size_per_pool", o.context.spec().at("pools"), fmt::format("spec.pools.{}", p.name),
                     fmt::format("a pool of CCE has one size of machine; {} is taken", p.types.front()),
                     "make a pool of each size");
  }
}

void vpn(Otc& o) {
  if (o.c.vpn_peer.empty()) return;
  Terraform& tf = o.tf;
  const Block psk = tf.variable({.name = "vpn_pre_shared_key",
                                 .type = "string",
                                 .description = fmt::format("Shared key of the VPN: {}", o.c.vpn_key),
                                 .sensitive = true});
  Json local = Json::array();
  for (const Block& s : o.subnets) local.push_back(s.at("cidr"));
  const auto eip = [](const char* name) {
    return Json{{"type", "5_bgp"},
                {"bandwidth_name", fmt::format("${{var.cluster_name}}-vpn-{}", name)},
                {"bandwidth_size", 50},
                {"charge_mode", "traffic"}};
  };
  std::vector<std::string> zones = o.c.zones;
  // Its two ends stand in two zones, also where the nodes are in one.
  for (const char* more : {"-01", "-02"}) {
    const std::string zone = o.c.region + more;
    if (zones.size() < 2 && std::find(zones.begin(), zones.end(), zone) == zones.end()) zones.push_back(zone);
  }
  zones.resize(std::min<std::size_t>(zones.size(), 2));
  const Block gateway = tf.resource("access", "opentelekomcloud_enterprise_vpn_gateway_v5", "main",
                                    {{"name", "${var.cluster_name}"},
                                     {"availability_zones", zones},
                                     {"vpc_id", o.vpc.at("id")},
                                     {"local_subnets", std::move(local)},
                                     {"connect_subnet", o.subnets.front().at("network_id")},
                                     {"ha_mode", "active-standby"},
                                     {"eip1", eip("1")},
                                     {"eip2", eip("2")},
                                     {"tags", kTags}});
  const Block peer = tf.resource(
      "access", "opentelekomcloud_enterprise_vpn_customer_gateway_v5", "peer",
      {{"name", "${var.cluster_name}-peer"}, {"id_type", "ip"}, {"id_value", o.c.vpn_peer}, {"tags", kTags}});
  for (const auto& [role, address] : {std::pair{"master", "eip1[0].id"}, std::pair{"slave", "eip2[0].id"}}) {
    tf.resource("access", "opentelekomcloud_enterprise_vpn_connection_v5", role,
                {{"name", fmt::format("${{var.cluster_name}}-{}", role)},
                 {"gateway_id", gateway.at("id")},
                 {"gateway_ip", gateway.at(address)},
                 {"customer_gateway_id", peer.at("id")},
                 {"vpn_type", "static"},
                 {"ha_role", role},
                 {"peer_subnets", o.c.vpn_networks},
                 {"psk", psk.value()},
                 {"ikepolicy",
                  {{"ike_version", "v2"},
                   {"authentication_algorithm", "sha2-256"},
                   {"encryption_algorithm", "aes-256"},
                   {"dh_group", "group15"},
                   {"lifetime_seconds", 86400}}},
                 {"ipsecpolicy",
                  {{"authentication_algorithm", "sha2-256"},
                   {"encryption_algorithm", "aes-256"},
                   {"pfs", "group15"},
                   {"transform_protocol", "esp"},
                   {"lifetime_seconds", 3600}}},
                 {"tags", kTags}});
  }
  tf.output("vpn_addresses", "This end of the tunnels",
            Json::array({gateway.at("eip1[0].ip_address"), gateway.at("eip2[0].ip_address")}));
}

void peering(Otc& o) {
  Terraform& tf = o.tf;
  int number = 1;
  for (const auto& [id, networks] : o.c.peers) {
    const std::string name = fmt::format("peer_{}", number++);
    const Block peer = tf.resource("access", "opentelekomcloud_vpc_peering_connection_v2", name,
                                   {{"name", fmt::format("${{var.cluster_name}}-{}", number - 1)},
                                    {"vpc_id", o.vpc.at("id")},
                                    {"peer_vpc_id", id}});
    int route = 1;
    for (const std::string& network : networks) {
      tf.resource("access", "opentelekomcloud_vpc_route_v2", fmt::format("{}_to_{}", name, route++),
                  {{"type", "peering"},
                   {"vpc_id", o.vpc.at("id")},
                   {"destination", network},
                   {"nexthop", peer.at("id")}});
    }
    tf.resource(
        "access", "opentelekomcloud_vpc_route_v2", name + "_back",
        {{"type", "peering"}, {"vpc_id", id}, {"destination", o.vpc.at("cidr")}, {"nexthop", peer.at("id")}});
  }
}

// The gateway's address is there before the names that point to it, and outlives the gateway's Service.
void dns(Otc& o) {
  if (!o.c.gateway) return;
  Terraform& tf = o.tf;
  const Block balancer = tf.resource("dns", "opentelekomcloud_lb_loadbalancer_v2", "gateway",
                                     {{"name", "${var.cluster_name}-gateway"},
                                      {"vip_subnet_id", o.subnets.front().at("subnet_id")},
                                      {"tags", kTags}});
  const Block address =
      tf.resource("dns", "opentelekomcloud_vpc_eip_v1", "gateway",
                  {{"publicip", {{"type", "5_bgp"}, {"port_id", balancer.at("vip_port_id")}}},
                   {"bandwidth",
                    {{"name", "${var.cluster_name}-gateway"},
                     {"size", 300},
                     {"share_type", "PER"},
                     {"charge_mode", "traffic"}}},
                   {"tags", kTags}});
  tf.output("gateway_balancer_id", "Load balancer of the gateway", balancer.at("id"));
  tf.output("gateway_address", "Address of the gateway", address.at("publicip[0].ip_address"));
  if (o.c.zone.empty()) return;
  const Block zone = tf.resource("dns", "opentelekomcloud_dns_zone_v2", "main",
                                 {{"name", o.c.zone + "."}, {"type", "public"}, {"tags", kTags}});
  for (const std::string& host : o.c.hosts) {
    tf.resource("dns", "opentelekomcloud_dns_recordset_v2", identifier(host),
                {{"zone_id", zone.at("id")},
                 {"name", host + "."},
                 {"type", "A"},
                 {"ttl", 300},
                 {"records", Json::array({address.at("publicip[0].ip_address")})},
                 {"tags", kTags}});
  }
}

void bucket(Otc& o) {
  if (!o.c.logs_bucket.empty())
    o.tf.resource("storage", "opentelekomcloud_obs_bucket", "logs",
                  {{"bucket", o.c.logs_bucket}, {"acl", "private"}, {"versioning", false}, {"tags", kTags}});
  if (o.c.backup_bucket.empty()) return;
  const Block key = o.tf.resource("backup", "opentelekomcloud_kms_key_v1", "backup",
                                  {{"provider", "opentelekomcloud.backup"},
                                   {"key_alias", o.c.backup_bucket},
                                   {"key_description", "Encrypts the backups"},
                                   {"pending_days", "30"},
                                   {"rotation_enabled", true},
                                   {"tags", kTags}});
  const Block bucket = o.tf.resource(
      "backup", "opentelekomcloud_obs_bucket", "backup",
      {{"provider", "opentelekomcloud.backup"},
       {"bucket", o.c.backup_bucket},
       {"region", o.c.backup_region},
       {"acl", "private"},
       {"versioning", true},
       {"server_side_encryption", {{"algorithm", "kms"}, {"kms_key_id", key.at("id")}}},
       {"lifecycle_rule", Json::array({{{"name", "old-versions"},
                                        {"enabled", true},
                                        {"noncurrent_version_expiration", {{"days", o.c.keep_days}}},
                                        {"abort_incomplete_multipart_upload", {{"days", 7}}}}})},
       {"tags", kTags},
       {"lifecycle", {{"prevent_destroy", true}}}});
  o.tf.output("backup_bucket", "Bucket of the backups", bucket.at("bucket"));
}

void outputs(Otc& o) {
  Terraform& tf = o.tf;
  tf.output("client_key_data", "Key of the cluster's first user",
            o.cluster.at("certificate_users[0].client_key_data"), true);
  tf.output("client_certificate_data", "Certificate of the cluster's first user",
            o.cluster.at("certificate_users[0].client_certificate_data"), true);
  tf.output("cluster_private_ip", "Address of the API server in the VPC", o.cluster.at("internal"));
  tf.output("cluster_certificate_authority_data", "Authority that the API server's certificate is from",
            o.cluster.at("certificate_clusters[0].certificate_authority_data"), true);
}

void sections(Part& part, const Otc& o) {
  const spec::Reader site = o.context.infrastructure();
  const auto place = [&](const char* field) {
    const auto secret = site.secret(field);
    return secret ? describe(*secret)
                  : fmt::format("env TF_VAR_otc_{}_key",
                                field == std::string("credentials.accessKey") ? "access" : "secret");
  };
  std::string text = fmt::format(
      "The access key is a variable that no file holds (document: {}, {}). The bucket of the state has keys "
      "of "
      "its own, which are the same two:\n\n```sh\n"
      "export TF_VAR_otc_access_key=...\nexport TF_VAR_otc_secret_key=...\n"
      "export AWS_ACCESS_KEY_ID=$TF_VAR_otc_access_key AWS_SECRET_ACCESS_KEY=$TF_VAR_otc_secret_key\n",
      place("credentials.accessKey"), place("credentials.secretKey"));
  if (!o.c.vpn_peer.empty())
    text += fmt::format("export TF_VAR_vpn_pre_shared_key=...   # {}\n", o.c.vpn_key);
  text += "tofu -chdir=infrastructure/terraform init\n```\n";
  if (!o.c.state_bucket.empty())
    text += fmt::format(
        "\nThe bucket `{}` must be there before the first `init`: make it once in the console, with "
        "versioning and encryption on.\n",
        o.c.state_bucket);
  text +=
      "\nHas CCE been used in the project before, its agency is there already: "
      "`tofu -chdir=infrastructure/terraform import opentelekomcloud_identity_agency_v3.cce ID`.\n";
  part.sections.push_back({Section::Chapter::first_steps, "Credentials of the cloud", std::move(text)});
  if (o.c.audit != "none")
    part.sections.push_back({Section::Chapter::first_steps, "The audit log of the API server",
                             "CCE takes no audit policy. In the console: cluster, Logging, Control Plane "
                             "Audit Logs; choose group "
                             "`" +
                                 o.c.cluster +
                                 "-control-plane`, stream `audit`. No Terraform resource switches it on.\n"});
  if (!o.c.vpn_peer.empty())
    part.sections.push_back(
        {Section::Chapter::access, "The VPN",
         fmt::format(
             "`tofu -chdir=infrastructure/terraform output vpn_addresses` names this end. At {}: IKEv2, "
             "AES-256, SHA2-256, group 15, networks here {}, there {}.\n",
             o.c.vpn_peer, o.c.subnets.front().cidr, fmt::join(o.c.vpn_networks, ", "))});
}

}  // namespace

std::vector<Part> open_telekom_cloud(const Context& context, const std::vector<Part>& parts) {
  if (context.site() != Site::open_telekom_cloud) return {};
  Cloud c = cloud(context, parts);
  if (c.subnets.empty())
    c.subnets.push_back({"nodes", subnet(c.cidr, std::max(20, prefix_length(c.cidr)), 0), ""});
  Terraform tf;
  variables(tf, context, c);
  Otc o{.context = context, .c = c, .tf = tf};
  provider(o);
  network(o);
  cluster(o);
  addons(o);
  node_pools(o);
  vpn(o);
  peering(o);
  dns(o);
  bucket(o);
  outputs(o);
  Part part = terraform_part(context, c, tf, "open-telekom-cloud");
  sections(part, o);
  return {std::move(part)};
}

}  // namespace tg::render
