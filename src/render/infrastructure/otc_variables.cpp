// Variables of the module of Open Telekom Cloud: what a person changes without the document. Their defaults
// hold for a first cluster, the document's values are in terraform.tfvars.json.
#include <fmt/format.h>

#include "render/infrastructure/otc.hpp"

namespace tg::render {

namespace {

struct Rule {
  const char* condition = "";
  const char* message = "";
};

// `given` null: the document says nothing, the default holds.
void declare(Otc& o, const char* name, const char* type, const char* description, Json fallback, Json given,
             const Rule& rule = {}) {
  Variable v;
  v.name = name;
  v.type = type;
  v.description = description;
  v.fallback = std::move(fallback);
  v.condition = rule.condition;
  v.message = rule.message;
  o.tf.variable(v);
  if (!given.is_null()) o.tf.given(name, std::move(given));
}

Json or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

// One that stands in the environment when it is applied comes from there: export TF_VAR_NAME.
Json or_environment(const spec::Given& given) { return given.env.empty() ? Json(given.text) : Json(); }

void credential(Otc& o, const char* name, const char* description) {
  Variable v;
  v.name = name;
  v.type = "string";
  v.description = description;
  v.sensitive = true;
  o.tf.variable(v);
}

void account(Otc& o) {
  const spec::Reader site = o.context.infrastructure();
  credential(o, "otc_access_key", "Access key: export TF_VAR_otc_access_key");
  credential(o, "otc_secret_key", "Secret key: export TF_VAR_otc_secret_key");
  declare(o, "region_name", "string", "Region", "eu-de", o.c.region);
  declare(o, "availability_zone", "string", "Zone of the nodes", "eu-de-01", o.c.zones.front());
  declare(
      o, "domain_name", "string", "Identity domain of the account", "",
      or_environment(site.given("account.domainName")),
      {"length(var.domain_name) > 0", "Set domain_name: the console shows it as the name of the domain."});
  declare(
      o, "tenant_id", "string", "Project in which everything is made", "",
      or_environment(site.given("account.tenantId")),
      {"length(var.tenant_id) > 0", "Set tenant_id: the console shows it under My Credentials, Projects."});
  declare(o, "tags", "map(string)", "Tags of every resource that can carry them", Json::object(),
          o.c.tags.empty() ? Json() : to_json(o.c.tags));
}

void network(Otc& o) {
  declare(o, "vpc_name", "string", "Name of the VPC", "dev_vpc", o.c.network,
          {"length(var.vpc_name) > 0 && length(var.vpc_name) <= 64",
           "The name of a VPC has 1 to 64 characters."});
  declare(o, "vpc_cidr", "string", "Addresses of the VPC", "10.0.0.0/16", o.c.cidr,
          {"can(cidrhost(var.vpc_cidr, 0))", "Write a network as 10.0.0.0/16."});
  declare(o, "subnet_cidr", "string", "Addresses of the nodes", "10.0.1.0/24", o.c.subnets.front().cidr,
          {"can(cidrhost(var.subnet_cidr, 0))", "Write a network as 10.0.1.0/24."});
  declare(o, "dns_config", "list(string)",
          "Resolvers of all subnets; the first must be one of the cloud's own",
          Json::array({"100.125.4.25", "100.125.129.199"}),
          o.c.nameservers.empty() ? Json() : Json(o.c.nameservers),
          {"length(var.dns_config) == 2", "Two resolvers are needed."});
}

void cluster(Otc& o) {
  declare(o, "cluster_name", "string", "Name of the cluster", "llm-cluster", o.c.cluster,
          {"can(regex(\"^[a-z][a-z0-9-]{2,126}[a-z0-9]$\", var.cluster_name))",
           "4 to 128 of a-z, 0-9 and -, a letter first."});
  // A size of machines is refused here: nodes have variables of their own.
  declare(
      o, "flavor_id", "string", "Size of the control plane", "cce.s2.small",
      o.context.spec().text("cluster.controlPlane.flavor"),
      {"can(regex(\"^cce\\\\.s(1\\\\.(small|medium)|2\\\\.(small|medium|large|xlarge))$\", var.flavor_id))",
       "One of cce.s1.small, cce.s1.medium, cce.s2.small, cce.s2.medium, cce.s2.large, cce.s2.xlarge."});
}

Rule disk_types(const char* condition) { return {condition, "One of SATA, SAS, SSD, GPSSD, ESSD."}; }

void plain_nodes(Otc& o) {
  const Pool* cpu = otc_first_pool(o.c, false);
  const Pool& pool = cpu == nullptr ? o.c.pools.front() : *cpu;
  declare(o, "os", "string", "System image of the nodes", "EulerOS 2.9", or_null(pool.os));
  declare(o, "flavor", "string", "Size of the nodes without GPUs", "s2.xlarge.2", pool.types.front());
  declare(o, "initial_node_count", "number", "Nodes without GPUs at the start", 2, pool.min);
  declare(o, "node_storage_size", "number", "Data disk of a node without GPUs, in GB", 100, pool.disk_gib);
  declare(o, "node_storage_type", "string", "Type of that disk", "SSD", or_null(pool.disk_type),
          disk_types("contains([\"SATA\", \"SAS\", \"SSD\", \"GPSSD\", \"ESSD\"], var.node_storage_type)"));
}

void gpu_nodes(Otc& o) {
  const Pool* pool = otc_first_pool(o.c, true);
  if (pool == nullptr) return;
  declare(o, "gpu_flavor", "string", "Size of the nodes with GPUs", "pi2.4xlarge.4", pool->types.front());
  declare(o, "gpu_node_storage_size", "number", "Data disk of a node with GPUs, in GB", 200, pool->disk_gib);
  declare(
      o, "gpu_node_storage_type", "string", "Type of that disk", "SSD", or_null(pool->disk_type),
      disk_types("contains([\"SATA\", \"SAS\", \"SSD\", \"GPSSD\", \"ESSD\"], var.gpu_node_storage_type)"));
}

}  // namespace

void otc_variables(Otc& o) {
  account(o);
  network(o);
  cluster(o);
  plain_nodes(o);
  gpu_nodes(o);
}

}  // namespace tg::render
