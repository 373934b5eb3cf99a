// Amazon Web Services: network, cluster, names and buckets as Terraform. Nodes, identities and data stand in
// files of their own.
#include "render/infrastructure/aws.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "render/infrastructure/infrastructure.hpp"

namespace tg::render {

namespace {

void variables(Terraform& tf, const Cloud& c) {
  tf.variable({.name = "region", .type = "string", .description = "Region of the platform"});
  tf.variable({.name = "cluster_name", .type = "string", .description = "Name of the cluster"});
  tf.variable({.name = "tags",
               .type = "map(string)",
               .description = "Tags of every resource that can carry them",
               .fallback = Json::object()});
  tf.variable({.name = "vpc_cidr", .type = "string", .description = "Addresses of the VPC"});
  tf.variable({.name = "administrators",
               .type = "set(string)",
               .description =
                   "ARNs of roles and users that may do everything in the cluster, beside the one that "
                   "makes it",
               .fallback = Json::array()});
  tf.given("region", c.region);
  tf.given("cluster_name", c.cluster);
  tf.given("tags", to_json(c.tags));
  tf.given("vpc_cidr", c.cidr);
}

void providers(Aws& a) {
  a.tf.require("aws", "hashicorp/aws", "~> 6.25");
  a.tf.require("local", "hashicorp/local", "~> 2.5");
  const Json tags = nested("tags", "${var.tags}");
  a.tf.provider("aws", {{"region", "${var.region}"}, {"default_tags", tags}});
  if (!a.c.backup_bucket.empty())
    a.tf.provider("aws", {{"alias", "backup"}, {"region", a.c.backup_region}, {"default_tags", tags}});
  if (!a.c.state_bucket.empty())
    a.tf.backend("s3", {{"bucket", a.c.state_bucket},
                        {"key", a.c.name + "/terraform.tfstate"},
                        {"region", a.c.region},
                        {"encrypt", true},
                        {"use_lockfile", true}});
}

Json named(const std::string& name) { return nested("Name", name); }

Block private_subnet(Aws& a, const Subnet& s, const std::string& shared) {
  Json tags = named(fmt::format("{}-private-{}", a.c.cluster, s.name));
  tags[shared] = "shared";
  tags["kubernetes.io/role/internal-elb"] = "1";
  tags["karpenter.sh/discovery"] = a.c.cluster;
  return a.tf.resource("network", "aws_subnet", "private_" + identifier(s.name),
                       {{"vpc_id", a.vpc.at("id")},
                        {"availability_zone", s.zone},
                        {"cidr_block", s.cidr},
                        {"tags", std::move(tags)}});
}

Block public_subnet(Aws& a, const std::string& zone, const std::string& cidr, const std::string& shared) {
  Json tags = named(fmt::format("{}-public-{}", a.c.cluster, zone));
  tags[shared] = "shared";
  tags["kubernetes.io/role/elb"] = "1";
  return a.tf.resource("network", "aws_subnet", "public_" + identifier(zone),
                       {{"vpc_id", a.vpc.at("id")},
                        {"availability_zone", zone},
                        {"cidr_block", cidr},
                        {"map_public_ip_on_launch", false},
                        {"tags", std::move(tags)}});
}

// A private and a public network in each zone: nodes and databases here, load balancers and NAT there.
void subnets(Aws& a) {
  const int length = prefix_length(a.c.cidr);
  std::vector<Subnet> inner = a.c.subnets;
  if (inner.empty()) {
    for (std::size_t i = 0; i < a.c.zones.size(); ++i)
      inner.push_back({a.c.zones[i],
                       subnet(a.c.cidr, std::min(length + 4, 26), static_cast<std::uint32_t>(i)),
                       a.c.zones[i]});
  }
  const std::string shared = fmt::format("kubernetes.io/cluster/{}", a.c.cluster);
  for (const Subnet& s : inner) a.private_subnets.push_back(private_subnet(a, s, shared));
  // From the end of the network, so that both can grow.
  const int small = std::min(length + 8, 28);
  std::uint32_t index = (1U << (small - length)) - 1;
  for (const std::string& zone : a.c.zones) {
    std::string cidr = subnet(a.c.cidr, small, index--);
    const auto taken = [&](const Subnet& s) { return overlap(s.cidr, cidr); };
    while (index > 0 && std::any_of(inner.begin(), inner.end(), taken))
      cidr = subnet(a.c.cidr, small, index--);
    a.public_subnets.push_back(public_subnet(a, zone, cidr, shared));
  }
}

void routes(Aws& a) {
  Terraform& tf = a.tf;
  const Block gateway = tf.resource("network", "aws_internet_gateway", "main",
                                    {{"vpc_id", a.vpc.at("id")}, {"tags", named(a.c.cluster)}});
  const Block open = tf.resource("network", "aws_route_table", "public",
                                 {{"vpc_id", a.vpc.at("id")}, {"tags", named(a.c.cluster + "-public")}});
  tf.resource("network", "aws_route", "public_out",
              {{"route_table_id", open.at("id")},
               {"destination_cidr_block", "0.0.0.0/0"},
               {"gateway_id", gateway.at("id")}});
  std::vector<Block> nats;
  const std::size_t count = a.c.egress == "none" ? 0 : a.c.egress == "natPerZone" ? a.c.zones.size() : 1;
  for (std::size_t i = 0; i < a.c.zones.size(); ++i) {
    const std::string zone = identifier(a.c.zones[i]);
    tf.resource("network", "aws_route_table_association", "public_" + zone,
                {{"subnet_id", a.public_subnets[i].at("id")}, {"route_table_id", open.at("id")}});
    if (i >= count) continue;
    const Block address =
        tf.resource("network", "aws_eip", "nat_" + zone,
                    {{"domain", "vpc"}, {"tags", named(a.c.cluster + "-nat-" + a.c.zones[i])}});
    nats.push_back(tf.resource("network", "aws_nat_gateway", zone,
                               {{"allocation_id", address.at("id")},
                                {"subnet_id", a.public_subnets[i].at("id")},
                                {"tags", named(a.c.cluster + "-" + a.c.zones[i])},
                                {"depends_on", Json::array({gateway.address})}}));
  }
  for (std::size_t i = 0; i < a.private_subnets.size(); ++i) {
    const std::string name = a.private_subnets[i].address.substr(std::string("aws_subnet.private_").size());
    a.private_tables.push_back(tf.resource(
        "network", "aws_route_table", "private_" + name,
        {{"vpc_id", a.vpc.at("id")}, {"tags", named(fmt::format("{}-private-{}", a.c.cluster, name))}}));
    tf.resource(
        "network", "aws_route_table_association", "private_" + name,
        {{"subnet_id", a.private_subnets[i].at("id")}, {"route_table_id", a.private_tables[i].at("id")}});
    if (!nats.empty())
      tf.resource("network", "aws_route", "private_out_" + name,
                  {{"route_table_id", a.private_tables[i].at("id")},
                   {"destination_cidr_block", "0.0.0.0/0"},
                   {"nat_gateway_id", nats[i % nats.size()].at("id")}});
  }
}

// What the network refused, for a month.
void flow_log(Aws& a) {
  Terraform& tf = a.tf;
  const Block logs = tf.resource("network", "aws_cloudwatch_log_group", "flows",
                                 {{"name", "/aws/vpc/${var.cluster_name}/flows"}, {"retention_in_days", 30}});
  const Block trust = service_trust(a, "network", "flows_trust", "vpc-flow-logs.amazonaws.com");
  const Block role =
      tf.resource("network", "aws_iam_role", "flows",
                  {{"name", "${var.cluster_name}-flows"}, {"assume_role_policy", trust.at("json")}});
  const Block rights = policy_document(
      a, "flows",
      {{{"logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"}, {logs.at("arn") + ":*"}}});
  tf.resource("network", "aws_iam_role_policy", "flows",
              {{"name", "flows"}, {"role", role.at("id")}, {"policy", rights.at("json")}});
  tf.resource("network", "aws_flow_log", "rejected",
              {{"vpc_id", a.vpc.at("id")},
               {"traffic_type", "REJECT"},
               {"iam_role_arn", role.at("arn")},
               {"log_destination", logs.at("arn")}});
}

void network(Aws& a) {
  Terraform& tf = a.tf;
  a.vpc = tf.resource("network", "aws_vpc", "main",
                      {{"cidr_block", "${var.vpc_cidr}"},
                       {"enable_dns_support", true},
                       {"enable_dns_hostnames", true},
                       {"tags", named(a.c.network)}});
  // Nobody uses the group that a VPC is born with, so it lets nothing through.
  tf.resource("network", "aws_default_security_group", "closed", {{"vpc_id", a.vpc.at("id")}});
  subnets(a);
  routes(a);
  Json tables = Json::array();
  for (const Block& t : a.private_tables) tables.push_back(t.at("id"));
  // Buckets are reached without the NAT gateway, whose bytes cost.
  tf.resource("network", "aws_vpc_endpoint", "s3",
              {{"vpc_id", a.vpc.at("id")},
               {"service_name", "com.amazonaws.${var.region}.s3"},
               {"vpc_endpoint_type", "Gateway"},
               {"route_table_ids", std::move(tables)}});
  if (!a.c.nameservers.empty()) {
    const Block options =
        tf.resource("network", "aws_vpc_dhcp_options", "main",
                    {{"domain_name_servers", a.c.nameservers}, {"tags", named(a.c.network)}});
    tf.resource("network", "aws_vpc_dhcp_options_association", "main",
                {{"vpc_id", a.vpc.at("id")}, {"dhcp_options_id", options.at("id")}});
  }
  flow_log(a);
}

Block service_role(Aws& a, const char* file, const std::string& name, const char* service,
                   const std::vector<std::string>& policies) {
  const Block trust = service_trust(a, file, name + "_trust", service, true);
  const Block role =
      a.tf.resource(file, "aws_iam_role", name,
                    {{"name", "${var.cluster_name}-" + name}, {"assume_role_policy", trust.at("json")}});
  for (const std::string& policy : policies)
    a.tf.resource(file, "aws_iam_role_policy_attachment", fmt::format("{}_{}", name, identifier(policy)),
                  {{"role", role.at("name")}, {"policy_arn", "arn:aws:iam::aws:policy/" + policy}});
  return role;
}

// Asks the cloud's program for a short-lived token.
Json login() {
  Json exec{{"apiVersion", "client.authentication.k8s.io/v1"},
            {"interactiveMode", "Never"},
            {"command", "aws"},
            {"args", Json::array({"eks", "get-token", "--region", "${var.region}", "--cluster-name",
                                  "${var.cluster_name}"})}};
  return nested("exec", std::move(exec));
}

// One entry of a list of the kubeconfig: all of them bear the cluster's name.
Json entry(std::string_view key, Json value) {
  Json out = nested("name", "${var.cluster_name}");
  out[std::string(key)] = std::move(value);
  return Json::array({std::move(out)});
}

// A local file: nothing in it is secret for long.
void kubeconfig(Aws& a) {
  Json server{{"server", a.cluster.at("endpoint")},
              {"certificate-authority-data", a.cluster.at("certificate_authority[0].data")}};
  Json both{{"cluster", "${var.cluster_name}"}, {"user", "${var.cluster_name}"}};
  const Json config{{"apiVersion", "v1"},
                    {"kind", "Config"},
                    {"current-context", "${var.cluster_name}"},
                    {"clusters", entry("cluster", std::move(server))},
                    {"contexts", entry("context", std::move(both))},
                    {"users", entry("user", login())}};
  const Block local = a.tf.local("kubeconfig", config);
  const Block file = a.tf.resource("cluster", "local_sensitive_file", "kubeconfig",
                                   {{"content", expression(fmt::format("yamlencode({})", local.address))},
                                    {"filename", "${path.module}/kubeconfig"},
                                    {"file_permission", "0600"},
                                    {"directory_permission", "0700"}});
  a.tf.output("kubeconfig", "Path of the kubeconfig", file.at("filename"));
}

// Secrets of etcd are encrypted with a key of the platform's own.
Json encryption(const Aws& a) {
  return {{"resources", Json::array({"secrets"})}, {"provider", nested("key_arn", a.key.at("arn"))}};
}

Json reach(const Aws& a) {
  Json out{{"subnet_ids", a.private_ids()},
           {"endpoint_private_access", true},
           {"endpoint_public_access", a.c.public_api}};
  if (a.c.public_api) out["public_access_cidrs"] = a.c.api_from;
  return out;
}

void control_plane(Aws& a) {
  Terraform& tf = a.tf;
  const Block role = service_role(a, "cluster", "cluster", "eks.amazonaws.com", {"AmazonEKSClusterPolicy"});
  Json logs = Json::array();
  Json before = Json::array({"aws_iam_role_policy_attachment.cluster_AmazonEKSClusterPolicy"});
  if (a.c.audit != "none") {
    // The managed API server takes no policy file: its own log of who did what is exported.
    logs = Json::array({"api", "audit", "authenticator", "controllerManager", "scheduler"});
    before.push_back(
        tf.resource("cluster", "aws_cloudwatch_log_group", "cluster",
                    {{"name", "/aws/eks/${var.cluster_name}/cluster"}, {"retention_in_days", 90}})
            .address);
  }
  Json access{{"authentication_mode", "API"}, {"bootstrap_cluster_creator_admin_permissions", true}};
  Json body{{"name", "${var.cluster_name}"},
            {"version", a.context.kubernetes()},
            {"role_arn", role.at("arn")},
            {"bootstrap_self_managed_addons", false},
            {"enabled_cluster_log_types", std::move(logs)},
            {"vpc_config", reach(a)},
            {"access_config", std::move(access)},
            {"kubernetes_network_config", nested("service_ipv4_cidr", a.context.service_cidr())},
            {"encryption_config", encryption(a)},
            {"upgrade_policy", nested("support_type", "STANDARD")},
            {"zonal_shift_config", nested("enabled", true)},
            {"deletion_protection", true},
            {"depends_on", std::move(before)}};
  a.cluster = tf.resource("cluster", "aws_eks_cluster", "main", std::move(body));
}

// Who may do everything, beside the identity that makes the cluster.
void administrators(Aws& a) {
  const Block entries = a.tf.resource("identity", "aws_eks_access_entry", "administrators",
                                      {{"for_each", "${var.administrators}"},
                                       {"cluster_name", a.cluster.at("name")},
                                       {"principal_arn", "${each.value}"}});
  a.tf.resource("identity", "aws_eks_access_policy_association", "administrators",
                {{"for_each", "${var.administrators}"},
                 {"cluster_name", a.cluster.at("name")},
                 {"principal_arn", expression(entries.address + "[each.key].principal_arn")},
                 {"policy_arn", "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"},
                 {"access_scope", nested("type", "cluster")}});
}

// The API server takes the tokens of jobs; the repository is the group to which a Role is bound.
void pipeline_login(Aws& a) {
  const spec::Reader ci = a.context.spec().sub("delivery.ci");
  if (ci.text("use") != "github-actions" || ci.text("login") != "oidc") return;
  Json oidc{{"identity_provider_config_name", "pipeline"},
            {"issuer_url", "https://token.actions.githubusercontent.com"},
            {"client_id", "kubernetes"},
            {"username_claim", "sub"},
            {"username_prefix", "pipeline:"},
            {"groups_claim", "repository"},
            {"groups_prefix", "pipeline:"},
            {"required_claims", nested("repository", ci.text("repository"))}};
  a.tf.resource("identity", "aws_eks_identity_provider_config", "pipeline",
                {{"cluster_name", a.cluster.at("name")}, {"oidc", std::move(oidc)}});
}

void cluster(Aws& a) {
  Terraform& tf = a.tf;
  a.key = tf.resource("cluster", "aws_kms_key", "main",
                      {{"description", "Encrypts the Secrets of the cluster, its databases and files"},
                       {"enable_key_rotation", true},
                       {"deletion_window_in_days", 30}});
  tf.resource("cluster", "aws_kms_alias", "main",
              {{"name", "alias/${var.cluster_name}"}, {"target_key_id", a.key.at("key_id")}});
  control_plane(a);
  a.oidc = tf.resource("identity", "aws_iam_openid_connect_provider", "cluster",
                       {{"url", a.cluster.at("identity[0].oidc[0].issuer")},
                        {"client_id_list", Json::array({"sts.amazonaws.com"})}});
  administrators(a);
  pipeline_login(a);
  kubeconfig(a);
  tf.output("cluster_endpoint", "API server", a.cluster.at("endpoint"));
  tf.output("cluster_name", "Name of the cluster", a.cluster.at("name"));
  tf.output("vpc_id", "The VPC", a.vpc.at("id"));
}

// Addresses first: the gateway's load balancer takes them, and the names point to them from the start.
void dns(Aws& a) {
  Terraform& tf = a.tf;
  Json addresses = Json::array();
  std::string ids;
  if (a.c.gateway) {
    for (const std::string& zone : a.c.zones) {
      const Block address =
          tf.resource("dns", "aws_eip", "gateway_" + identifier(zone),
                      {{"domain", "vpc"}, {"tags", named(a.c.cluster + "-gateway-" + zone)}});
      addresses.push_back(address.at("public_ip"));
      ids += (ids.empty() ? "" : ", ") + address.path("allocation_id");
    }
    tf.output("gateway_address_ids", "Addresses of the gateway's load balancer, one in each zone",
              expression(fmt::format("join(\",\", [{}])", ids)));
    tf.output("gateway_addresses", "The same as the world sees them", addresses);
  }
  if (a.c.zone.empty()) return;
  const Block zone = tf.resource("dns", "aws_route53_zone", "main",
                                 {{"name", a.c.zone}, {"comment", "Written by Terraform for " + a.c.name}});
  tf.output("nameservers", "What the registrar of the domain must name", zone.at("name_servers"));
  for (const std::string& host : a.c.hosts) {
    if (host != a.c.zone && !host.ends_with("." + a.c.zone)) continue;
    tf.resource("dns", "aws_route53_record", identifier(host),
                {{"zone_id", zone.at("zone_id")},
                 {"name", host},
                 {"type", "A"},
                 {"ttl", 300},
                 {"records", addresses}});
  }
  // Only this platform's authority signs for the domain.
  const std::string_view issuer = a.context.component("certificates").chosen("issuer");
  if ((issuer.empty() || issuer == "letsencrypt") && a.c.gateway)
    tf.resource(
        "dns", "aws_route53_record", "authorities",
        {{"zone_id", zone.at("zone_id")},
         {"name", a.c.zone},
         {"type", "CAA"},
         {"ttl", 3600},
         {"records", Json::array({"0 issue \"letsencrypt.org\"", "0 issuewild \"letsencrypt.org\""})}});
}

// Refuses what comes without TLS.
Block tls_only(Aws& a, const char* file, const std::string& name, const Block& bucket) {
  Json anybody{{"type", "*"}, {"identifiers", Json::array({"*"})}};
  Json statement{{"sid", "TlsOnly"},
                 {"effect", "Deny"},
                 {"actions", Json::array({"s3:*"})},
                 {"resources", Json::array({bucket.at("arn"), bucket.at("arn") + "/*"})},
                 {"principals", std::move(anybody)},
                 {"condition", condition("Bool", "aws:SecureTransport", Json::array({"false"}))}};
  return a.tf.data(file, "aws_iam_policy_document", name + "_tls", nested("statement", std::move(statement)));
}

void bucket_settings(Aws& a, const char* file, const std::string& name, const Block& bucket, Json more,
                     Json rules) {
  Json base = std::move(more);
  base["bucket"] = bucket.at("id");
  Json closed = base, versions = base, encryption = base, life = base, policy = base;
  for (const char* door :
       {"block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"})
    closed[door] = true;
  versions["versioning_configuration"] = nested("status", "Enabled");
  encryption["rule"] = {{"bucket_key_enabled", true},
                        {"apply_server_side_encryption_by_default", nested("sse_algorithm", "aws:kms")}};
  life["rule"] = std::move(rules);
  policy["policy"] = tls_only(a, file, name, bucket).at("json");
  a.tf.resource(file, "aws_s3_bucket_public_access_block", name, std::move(closed));
  a.tf.resource(file, "aws_s3_bucket_versioning", name, std::move(versions));
  a.tf.resource(file, "aws_s3_bucket_server_side_encryption_configuration", name, std::move(encryption));
  a.tf.resource(file, "aws_s3_bucket_lifecycle_configuration", name, std::move(life));
  a.tf.resource(file, "aws_s3_bucket_policy", name, std::move(policy));
}

Json expiry(const char* id, int days) {
  return {{"id", id},
          {"status", "Enabled"},
          {"filter", nested("prefix", "")},
          {"noncurrent_version_expiration", nested("noncurrent_days", days)},
          {"abort_incomplete_multipart_upload", nested("days_after_initiation", 7)}};
}

void backup_bucket(Aws& a) {
  const Block bucket = a.tf.resource("backup", "aws_s3_bucket", "backup",
                                     {{"provider", "aws.backup"},
                                      {"bucket", a.c.backup_bucket},
                                      {"lifecycle", nested("prevent_destroy", true)}});
  bucket_settings(a, "backup", "backup", bucket, nested("provider", "aws.backup"),
                  Json::array({expiry("old-versions", a.c.keep_days)}));
  a.tf.output("backup_bucket", "Bucket of the backups, in another region", bucket.at("id"));
  pod_role(a, {.name = "velero",
               .ns = "backup",
               .account = "velero-server",
               .statements = {{{"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:PutObjectTagging",
                                "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"},
                               {bucket.at("arn") + "/*"}},
                              {{"s3:ListBucket", "s3:GetBucketLocation"}, {bucket.at("arn")}}}});
}

void logs_bucket(Aws& a) {
  const Block bucket = a.tf.resource("storage", "aws_s3_bucket", "logs", {{"bucket", a.c.logs_bucket}});
  bucket_settings(a, "storage", "logs", bucket, Json::object(), Json::array({expiry("old-versions", 7)}));
  pod_role(a,
           {.name = "loki",
            .ns = "logging",
            .account = "loki",
            .statements = {{{"s3:GetObject", "s3:PutObject", "s3:DeleteObject"}, {bucket.at("arn") + "/*"}},
                           {{"s3:ListBucket"}, {bucket.at("arn")}}}});
}

void sections(Part& part, const Aws& a) {
  using Chapter = Section::Chapter;
  std::string text =
      "Terraform and kubectl use the identity of your shell: `aws sso login`, or a role. No key is kept "
      "anywhere.\n";
  if (!a.c.state_bucket.empty())
    text += fmt::format(
        "\nThe bucket of the state is made once, before the first `init`:\n\n```sh\n"
        "aws s3api create-bucket --bucket {0} --region {1}{2}\n"
        "aws s3api put-bucket-versioning --bucket {0} --versioning-configuration Status=Enabled\n"
        "aws s3api put-public-access-block --bucket {0} --public-access-block-configuration "
        "BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true\n```\n",
        a.c.state_bucket, a.c.region,
        a.c.region == "us-east-1" ? "" : " --create-bucket-configuration LocationConstraint=" + a.c.region);
  part.sections.push_back({Chapter::first_steps, "Credentials of the cloud", std::move(text)});
  for (const auto& [name, spec] : a.context.spec().named("data")) {
    if (spec.text("use") != "aurora-postgresql") continue;
    const std::string id = identifier("data_" + name);
    part.sections.push_back(
        {Chapter::first_steps, "Password of the database " + name,
         fmt::format("Terraform writes it to the database and to the cloud's store and keeps it nowhere. "
                     "Only the first "
                     "`tofu apply` needs it; leave the shell open until that went through:\n\n```sh\n"
                     "export TF_VAR_{}_password=\"$(openssl rand -hex 24)\"\n```\n",
                     id)});
    part.sections.push_back(
        {Chapter::monthly, "Another password for the database " + name,
         fmt::format(
             "What reads it starts again behind it. VERSION is one more than the one in the file, or 2:\n\n"
             "```sh\ncd infrastructure/terraform\n"
             "echo '{{\"{0}_password_version\": VERSION}}' >{0}.auto.tfvars.json\n"
             "TF_VAR_{0}_password=\"$(openssl rand -hex 24)\" tofu apply\n"
             "kubectl annotate externalsecrets -A --all force-sync=\"$(date +%s)\" --overwrite\n"
             "kubectl get deployments,statefulsets -A -o json | jq -r '.items[] | select([.. | "
             ".secretKeyRef? | "
             ".name?] | index(\"{1}-postgresql\")) | "
             "\"-n \\(.metadata.namespace) \\(.kind)/\\(.metadata.name)\"' | xargs -L1 kubectl rollout "
             "restart\n"
             "```\n",
             id, name)});
  }
  add_first_apply(part, a.c);
  if (a.c.bastion)
    part.sections.push_back(
        {Chapter::access, "The bastion",
         fmt::format(
             "It has no address and no key: the session goes through the cloud's Session Manager. The second "
             "session carries the API server's port and stays open; the kubeconfig that follows goes through "
             "it, for kubectl and helm.\n\n```sh\n"
             "bastion=$(tofu -chdir=infrastructure/terraform output -raw bastion_id)\n"
             "api=$(tofu -chdir=infrastructure/terraform output -raw cluster_endpoint | sed s,https://,,)\n"
             "aws ssm start-session --region {0} --target \"$bastion\"\n"
             "aws ssm start-session --region {0} --target \"$bastion\" \\\n"
             "  --document-name AWS-StartPortForwardingSessionToRemoteHost \\\n"
             "  --parameters \"host=$api,portNumber=443,localPortNumber=8443\" &\n"
             "{1}```\n",
             a.c.region, forwarded_kubeconfig())});
}

}  // namespace

std::string Aws::issuer() const {
  return fmt::format("replace({}, \"https://\", \"\")", cluster.path("identity[0].oidc[0].issuer"));
}

Json Aws::private_ids() const {
  Json out = Json::array();
  for (const Block& s : private_subnets) out.push_back(s.at("id"));
  return out;
}

Json Aws::public_ids() const {
  Json out = Json::array();
  for (const Block& s : public_subnets) out.push_back(s.at("id"));
  return out;
}

std::vector<Part> aws(const Context& context, const std::vector<Part>& parts) {
  if (context.site() != Site::aws) return {};
  const Cloud c = cloud(context, parts);
  Terraform tf;
  variables(tf, c);
  Aws a{.context = context, .c = c, .tf = tf};
  providers(a);
  network(a);
  cluster(a);
  aws_pools(a);
  aws_addons(a);
  aws_identities(a);
  aws_data(a);
  dns(a);
  if (!c.backup_bucket.empty()) backup_bucket(a);
  if (!c.logs_bucket.empty()) logs_bucket(a);
  aws_access(a);
  Part part = terraform_part(context, c, tf, "aws");
  sections(part, a);
  return {std::move(part)};
}

}  // namespace tg::render
