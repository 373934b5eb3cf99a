// What keeps data in AWS outside the cluster: Aurora and EFS; and the ways in.
#include <fmt/format.h>

#include <algorithm>

#include "render/infrastructure/aws.hpp"

namespace tg::render {

namespace {

// Reached from the cluster's nodes and pods alone.
Block reachable(Aws& a, const char* file, const std::string& name, const std::string& what, int port) {
  const Block group = a.tf.resource(file, "aws_security_group", name,
                                    {{"name", "${var.cluster_name}-" + name},
                                     {"description", what},
                                     {"vpc_id", a.vpc.at("id")},
                                     {"tags", nested("Name", "${var.cluster_name}-" + name)}});
  open_port(a, file, name, "Nodes and pods of the cluster", group.at("id"), port,
            {"referenced_security_group_id", a.cluster.at("vpc_config[0].cluster_security_group_id")});
  return group;
}

Block aurora_settings(Aws& a, const std::string& name, const std::string& version) {
  Json parameters = Json::array();
  for (const auto& [key, value] :
       {std::pair{"rds.force_ssl", "1"}, std::pair{"log_min_duration_statement", "1000"}})
    parameters.push_back(Json{{"name", key}, {"value", value}});
  return a.tf.resource("data", "aws_rds_cluster_parameter_group", identifier("data_" + name),
                       {{"name", "${var.cluster_name}-" + name},
                        {"family", "aurora-postgresql" + version.substr(0, version.find('.'))},
                        {"parameter", std::move(parameters)}});
}

Block aurora_subnets(Aws& a, const std::string& name) {
  return a.tf.resource("data", "aws_db_subnet_group", identifier("data_" + name),
                       {{"name", "${var.cluster_name}-" + name}, {"subnet_ids", a.private_ids()}});
}

// The password of the owner: made by people at the first apply, written to the database and to the store,
// kept in no state and no plan. The cloud's own way changes it every week, and programs that know it by their
// environment would stand outside.
struct Owner {
  Block password, version;
};

Owner aurora_owner(Aws& a, const std::string& name) {
  const std::string id = identifier("data_" + name);
  return {.password =
              a.tf.variable({.name = id + "_password",
                             .type = "string",
                             .description = fmt::format("Password of the owner of {}: at the first apply, "
                                                        "and with a new version",
                                                        name),
                             .optional = true,
                             .sensitive = true,
                             .ephemeral = true}),
          .version = a.tf.variable({.name = id + "_password_version",
                                    .type = "number",
                                    .description = "One more than before writes the password again",
                                    .fallback = 1})};
}

// What programs read: all that they need to reach it.
void aurora_secret(Aws& a, const std::string& name, const Block& cluster, const Owner& owner) {
  const std::string id = identifier("data_" + name);
  const Block secret = a.tf.resource("data", "aws_secretsmanager_secret", id,
                                     {{"name", fmt::format("{}/data/{}-postgresql", a.c.name, name)},
                                      {"description", "Owner of the database " + name},
                                      {"kms_key_id", a.key.at("key_id")}});
  const std::string user = cluster.path("master_username"), database = cluster.path("database_name");
  const std::string password = fmt::format("coalesce({}, \"-\")", owner.password.address);
  const std::string url =
      fmt::format("format(\"postgresql://%s:%s@%s:5432/%s?sslmode=require\", {}, {}, {}, {})", user, password,
                  cluster.path("endpoint"), database);
  a.tf.resource(
      "data", "aws_secretsmanager_secret_version", id,
      {{"secret_id", secret.at("id")},
       {"secret_string_wo",
        expression(fmt::format("jsonencode({{username = {}, password = {}, database = {}, url = {}}})", user,
                               password, database, url))},
       {"secret_string_wo_version", owner.version.value()}});
}

Block aurora_cluster(Aws& a, const std::string& name, const std::string& version, const Block& subnets,
                     const Owner& owner) {
  const Block group = reachable(a, "data", "data-" + name, "Database " + name, 5432);
  const Block settings = aurora_settings(a, name, version);
  std::string database = name;
  std::replace(database.begin(), database.end(), '-', '_');
  Json body{{"cluster_identifier", "${var.cluster_name}-" + name},
            {"engine", "aurora-postgresql"},
            {"engine_version", version},
            {"database_name", database},
            {"master_username", "platform"},
            {"master_password_wo", owner.password.value()},
            {"master_password_wo_version", owner.version.value()},
            {"storage_encrypted", true},
            {"kms_key_id", a.key.at("arn")},
            {"db_subnet_group_name", subnets.at("name")},
            {"db_cluster_parameter_group_name", settings.at("name")},
            {"vpc_security_group_ids", Json::array({group.at("id")})},
            {"iam_database_authentication_enabled", true},
            {"backup_retention_period", std::min(35, std::max(7, a.c.keep_days))},
            {"preferred_backup_window", "01:00-01:30"},
            {"copy_tags_to_snapshot", true},
            {"enabled_cloudwatch_logs_exports", Json::array({"postgresql"})},
            {"performance_insights_enabled", true},
            {"deletion_protection", true},
            {"skip_final_snapshot", false},
            {"final_snapshot_identifier", "${var.cluster_name}-" + name + "-last"},
            {"lifecycle", nested("prevent_destroy", true)}};
  return a.tf.resource("data", "aws_rds_cluster", identifier("data_" + name), std::move(body));
}

void aurora(Aws& a, const std::string& name, const spec::Reader& spec) {
  Terraform& tf = a.tf;
  const std::string id = identifier("data_" + name);
  std::string version = spec.text("version");
  if (version.empty()) version = "17";
  const Block subnets = aurora_subnets(a, name);
  const Owner owner = aurora_owner(a, name);
  const Block cluster = aurora_cluster(a, name, version, subnets, owner);
  aurora_secret(a, name, cluster, owner);
  std::string type = spec.text("instanceType");
  if (type.empty()) type = "db.r6g.large";
  const int instances = static_cast<int>(spec.integer("instances"));
  for (int i = 0; i < instances; ++i) {
    // The first writes; readers stand in other zones, and the lowest tier takes over.
    tf.resource("data", "aws_rds_cluster_instance", fmt::format("{}_{}", id, i),
                {{"identifier", fmt::format("${{var.cluster_name}}-{}-{}", name, i)},
                 {"cluster_identifier", cluster.at("id")},
                 {"engine", cluster.at("engine")},
                 {"engine_version", cluster.at("engine_version")},
                 {"instance_class", type},
                 {"availability_zone", a.c.zones[static_cast<std::size_t>(i) % a.c.zones.size()]},
                 {"promotion_tier", i},
                 {"db_subnet_group_name", subnets.at("name")},
                 {"performance_insights_enabled", true},
                 {"publicly_accessible", false},
                 {"auto_minor_version_upgrade", true}});
  }
  tf.output("data_" + name, "Address of the database " + name, cluster.at("endpoint"));
  tf.output(fmt::format("data_{}_reader", name), "Address of its readers", cluster.at("reader_endpoint"));
}

void efs(Aws& a, const std::string& name) {
  Terraform& tf = a.tf;
  const std::string id = identifier(name);
  const Block group = reachable(a, "storage", "efs-" + name, "Files of the storage class " + name, 2049);
  const Block files = tf.resource(
      "storage", "aws_efs_file_system", id,
      {{"creation_token", "${var.cluster_name}-" + name},
       {"encrypted", true},
       {"kms_key_id", a.key.at("arn")},
       {"throughput_mode", "elastic"},
       {"lifecycle_policy", Json::array({nested("transition_to_ia", "AFTER_30_DAYS"),
                                         nested("transition_to_primary_storage_class", "AFTER_1_ACCESS")})},
       {"tags", nested("Name", "${var.cluster_name}-" + name)},
       {"lifecycle", nested("prevent_destroy", true)}});
  for (std::size_t i = 0; i < a.private_subnets.size(); ++i)
    tf.resource("storage", "aws_efs_mount_target", fmt::format("{}_{}", id, i),
                {{"file_system_id", files.at("id")},
                 {"subnet_id", a.private_subnets[i].at("id")},
                 {"security_groups", Json::array({group.at("id")})}});
  tf.resource("storage", "aws_efs_backup_policy", id,
              {{"file_system_id", files.at("id")}, {"backup_policy", nested("status", "ENABLED")}});
  tf.output(fmt::format("efs_{}_id", name), "File system of the storage class " + name, files.at("id"));
}

// The API server has an address in the VPC only; who comes from elsewhere in it must be let in.
void let_in(Aws& a, const std::string& name, const std::string& why, const std::string& cidr) {
  open_port(a, "access", name, why, a.cluster.at("vpc_config[0].cluster_security_group_id"), 443,
            {"cidr_ipv4", cidr});
}

// What the machine may do: be reached by the cloud's Session Manager.
Block bastion_profile(Aws& a) {
  const Block trust = service_trust(a, "access", "bastion_trust", "ec2.amazonaws.com");
  const Block role =
      a.tf.resource("access", "aws_iam_role", "bastion",
                    {{"name", "${var.cluster_name}-bastion"}, {"assume_role_policy", trust.at("json")}});
  a.tf.resource(
      "access", "aws_iam_role_policy_attachment", "bastion",
      {{"role", role.at("name")}, {"policy_arn", "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"}});
  return a.tf.resource("access", "aws_iam_instance_profile", "bastion",
                       {{"name", "${var.cluster_name}-bastion"}, {"role", role.at("name")}});
}

Block bastion_group(Aws& a) {
  const Block group = a.tf.resource("access", "aws_security_group", "bastion",
                                    {{"name", "${var.cluster_name}-bastion"},
                                     {"description", "Nothing comes in: sessions are opened from inside"},
                                     {"vpc_id", a.vpc.at("id")}});
  a.tf.resource("access", "aws_vpc_security_group_egress_rule", "bastion",
                {{"security_group_id", group.at("id")},
                 {"description", "Session Manager and the API server"},
                 {"ip_protocol", "tcp"},
                 {"from_port", 443},
                 {"to_port", 443},
                 {"cidr_ipv4", "0.0.0.0/0"}});
  return group;
}

void bastion(Aws& a) {
  const Block profile = bastion_profile(a);
  const Block image =
      a.tf.data("access", "aws_ssm_parameter", "bastion",
                {{"name", "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"}});
  const Block group = bastion_group(a);
  Json metadata{{"http_endpoint", "enabled"}, {"http_tokens", "required"}};
  Json disk{{"encrypted", true}, {"volume_type", "gp3"}, {"volume_size", 8}};
  const Block machine = a.tf.resource("access", "aws_instance", "bastion",
                                      {{"ami", image.at("value")},
                                       {"instance_type", "t4g.nano"},
                                       {"subnet_id", a.private_subnets.front().at("id")},
                                       {"iam_instance_profile", profile.at("name")},
                                       {"vpc_security_group_ids", Json::array({group.at("id")})},
                                       {"metadata_options", std::move(metadata)},
                                       {"root_block_device", std::move(disk)},
                                       {"tags", nested("Name", "${var.cluster_name}-bastion")},
                                       {"lifecycle", nested("ignore_changes", Json::array({"ami"}))}});
  open_port(a, "access", "api_from_bastion", "The bastion asks the API server",
            a.cluster.at("vpc_config[0].cluster_security_group_id"), 443,
            {"referenced_security_group_id", group.at("id")});
  a.tf.output("bastion_id", "Machine for sessions", machine.at("id"));
}

void vpn(Aws& a) {
  Terraform& tf = a.tf;
  const Block psk = tf.variable({.name = "vpn_pre_shared_key",
                                 .type = "string",
                                 .description = fmt::format("Shared key of the VPN: {}", a.c.vpn_key),
                                 .sensitive = true});
  const Block here =
      tf.resource("access", "aws_vpn_gateway", "main",
                  {{"vpc_id", a.vpc.at("id")}, {"tags", nested("Name", "${var.cluster_name}")}});
  const Block there = tf.resource("access", "aws_customer_gateway", "peer",
                                  {{"type", "ipsec.1"},
                                   {"ip_address", a.c.vpn_peer},
                                   {"bgp_asn", "65000"},
                                   {"tags", nested("Name", "${var.cluster_name}-peer")}});
  Json body{{"vpn_gateway_id", here.at("id")},
            {"customer_gateway_id", there.at("id")},
            {"type", "ipsec.1"},
            {"static_routes_only", true},
            {"tags", nested("Name", "${var.cluster_name}")}};
  for (const char* tunnel : {"tunnel1", "tunnel2"}) {
    const std::string t = tunnel;
    body[t + "_preshared_key"] = psk.value();
    body[t + "_ike_versions"] = Json::array({"ikev2"});
    body[t + "_phase1_encryption_algorithms"] = Json::array({"AES256-GCM-16"});
    body[t + "_phase1_integrity_algorithms"] = Json::array({"SHA2-256"});
    body[t + "_phase1_dh_group_numbers"] = Json::array({20});
    body[t + "_phase2_encryption_algorithms"] = Json::array({"AES256-GCM-16"});
    body[t + "_phase2_integrity_algorithms"] = Json::array({"SHA2-256"});
    body[t + "_phase2_dh_group_numbers"] = Json::array({20});
  }
  const Block tunnel = tf.resource("access", "aws_vpn_connection", "main", std::move(body));
  int i = 0;
  for (const std::string& network : a.c.vpn_networks) {
    tf.resource("access", "aws_vpn_connection_route", fmt::format("network_{}", i),
                {{"vpn_connection_id", tunnel.at("id")}, {"destination_cidr_block", network}});
    let_in(a, fmt::format("vpn_{}", i++), "Operators come by the VPN", network);
  }
  i = 0;
  for (const Block& table : a.private_tables)
    tf.resource("access", "aws_vpn_gateway_route_propagation", fmt::format("private_{}", i++),
                {{"vpn_gateway_id", here.at("id")}, {"route_table_id", table.at("id")}});
  tf.output("vpn_addresses", "This end of the tunnels",
            Json::array({tunnel.at("tunnel1_address"), tunnel.at("tunnel2_address")}));
}

void peering(Aws& a) {
  int number = 1;
  for (const auto& [id, networks] : a.c.peers) {
    const std::string name = fmt::format("peer_{}", number++);
    const Block peer = a.tf.resource("access", "aws_vpc_peering_connection", name,
                                     {{"vpc_id", a.vpc.at("id")},
                                      {"peer_vpc_id", id},
                                      {"auto_accept", true},
                                      {"tags", nested("Name", "${var.cluster_name}-" + name)}});
    // Both ways: every table there gets the way back.
    const Block tables = a.tf.data("access", "aws_route_tables", name, {{"vpc_id", id}});
    a.tf.resource("access", "aws_route", name + "_back",
                  {{"for_each", expression(fmt::format("toset({})", tables.path("ids")))},
                   {"route_table_id", "${each.value}"},
                   {"destination_cidr_block", a.vpc.at("cidr_block")},
                   {"vpc_peering_connection_id", peer.at("id")}});
    int n = 0;
    for (const std::string& network : networks) {
      int t = 0;
      for (const Block& table : a.private_tables)
        a.tf.resource("access", "aws_route", fmt::format("{}_{}_{}", name, n, t++),
                      {{"route_table_id", table.at("id")},
                       {"destination_cidr_block", network},
                       {"vpc_peering_connection_id", peer.at("id")}});
      let_in(a, fmt::format("{}_{}", name, n++), "Operators come from a peered network", network);
    }
  }
}

}  // namespace

void open_port(Aws& a, std::string_view file, std::string_view name, std::string_view why, const Json& group,
               int port, const std::pair<const char*, Json>& from) {
  Json body{{"security_group_id", group},
            {"description", why},
            {"ip_protocol", "tcp"},
            {"from_port", port},
            {"to_port", port}};
  body[from.first] = from.second;
  a.tf.resource(file, "aws_vpc_security_group_ingress_rule", name, std::move(body));
}

void aws_data(Aws& a) {
  for (const auto& [name, spec] : a.context.spec().named("data")) {
    if (spec.text("use") == "aurora-postgresql") aurora(a, name, spec);
  }
  for (const auto& [name, c] : a.context.spec().named("storage.classes")) {
    if (c.text("kind") == "shared" && !c.flag("existing")) efs(a, name);
  }
}

void aws_access(Aws& a) {
  if (a.c.bastion) bastion(a);
  if (!a.c.vpn_peer.empty()) vpn(a);
  if (!a.c.peers.empty()) peering(a);
}

}  // namespace tg::render
