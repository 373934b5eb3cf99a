// Google Cloud: network, GKE cluster, node pools, names, addresses and buckets as Terraform.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>

#include "render/infrastructure/cloud.hpp"
#include "render/infrastructure/infrastructure.hpp"

namespace tg::render {

namespace {

const std::string kLabels = "${var.tags}";

struct Google {
  const Context& context;
  const Cloud& c;
  Terraform& tf;
  std::string project;
  Block network{}, subnet{}, cluster{}, nodes{};
};

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
  tf.require("google", "hashicorp/google", "~> 7.13");
  tf.require("local", "hashicorp/local", "~> 2.5");
  tf.provider("google",
              {{"project", "${var.project}"}, {"region", "${var.region}"}, {"default_labels", kLabels}});
  // A bucket of Google locks and encrypts the state by itself.
  if (!g.c.state_bucket.empty()) tf.backend("gcs", {{"bucket", g.c.state_bucket}, {"prefix", g.c.name}});
  for (const char* api : {"compute", "container", "dns", "cloudkms", "secretmanager"})
    tf.resource("main", "google_project_service", api,
                {{"service", fmt::format("{}.googleapis.com", api)}, {"disable_on_destroy", false}});
}

void network(Google& g) {
  Terraform& tf = g.tf;
  g.network = tf.resource("network", "google_compute_network", "main",
                          {{"name", g.c.network},
                           {"auto_create_subnetworks", false},
                           {"depends_on", Json::array({"google_project_service.compute"})}});
  const std::string nodes = g.c.subnets.empty()
                                ? subnet(g.c.cidr, std::min(prefix_length(g.c.cidr) + 4, 24), 0)
                                : g.c.subnets.front().cidr;
  g.subnet =
      tf.resource("network", "google_compute_subnetwork", "nodes",
                  {{"name", "${var.cluster_name}-nodes"},
                   {"network", g.network.at("id")},
                   {"region", "${var.region}"},
                   {"ip_cidr_range", nodes},
                   {"private_ip_google_access", true},
                   {"secondary_ip_range",
                    Json::array({{{"range_name", "pods"}, {"ip_cidr_range", g.context.pod_cidr()}},
                                 {{"range_name", "services"}, {"ip_cidr_range", g.context.service_cidr()}}})},
                   {"log_config", {{"aggregation_interval", "INTERVAL_10_MIN"}, {"flow_sampling", 0.5}}}});
  if (g.c.egress != "none") {
    // One gateway serves all zones of the region, and outlives each of them.
    const Block router = tf.resource(
        "network", "google_compute_router", "main",
        {{"name", "${var.cluster_name}"}, {"network", g.network.at("id")}, {"region", "${var.region}"}});
    tf.resource("network", "google_compute_router_nat", "main",
                {{"name", "${var.cluster_name}"},
                 {"router", router.at("name")},
                 {"region", "${var.region}"},
                 {"nat_ip_allocate_option", "AUTO_ONLY"},
                 {"source_subnetwork_ip_ranges_to_nat", "ALL_SUBNETWORKS_ALL_IP_RANGES"},
                 {"log_config", {{"enable", true}, {"filter", "ERRORS_ONLY"}}}});
  }
  // Storage classes name it.
  tf.output("network", "The network", g.network.at("name"));
}

Json authorized(const Google& g) {
  Json out = Json::array();
  const auto add = [&](const std::string& cidr, const char* why) {
    out.push_back({{"cidr_block", cidr}, {"display_name", why}});
  };
  if (g.c.public_api) {
    for (const std::string& cidr : g.c.api_from) add(cidr, "named in the document");
  }
  add(g.c.cidr, "the network itself");
  for (const std::string& cidr : g.c.vpn_networks) add(cidr, "VPN");
  for (const auto& [id, networks] : g.c.peers) {
    for (const std::string& cidr : networks) add(cidr, "peered network");
  }
  return out;
}

void kubeconfig(Google& g) {
  const Json config{
      {"apiVersion", "v1"},
      {"kind", "Config"},
      {"current-context", "${var.cluster_name}"},
      {"clusters",
       Json::array(
           {{{"name", "${var.cluster_name}"},
             {"cluster",
              {{"server", fmt::format("https://{}", g.cluster.at("endpoint"))},
               {"certificate-authority-data", g.cluster.at("master_auth[0].cluster_ca_certificate")}}}}})},
      {"contexts",
       Json::array({{{"name", "${var.cluster_name}"},
                     {"context", {{"cluster", "${var.cluster_name}"}, {"user", "${var.cluster_name}"}}}}})},
      {"users", Json::array({{{"name", "${var.cluster_name}"},
                              {"user",
                               {{"exec",
                                 {{"apiVersion", "client.authentication.k8s.io/v1beta1"},
                                  {"interactiveMode", "Never"},
                                  {"provideClusterInfo", true},
                                  {"command", "gke-gcloud-auth-plugin"}}}}}}})}};
  const Block local = g.tf.local("kubeconfig", config);
  const Block file = g.tf.resource("cluster", "local_sensitive_file", "kubeconfig",
                                   {{"content", expression(fmt::format("yamlencode({})", local.address))},
                                    {"filename", "${path.module}/kubeconfig"},
                                    {"file_permission", "0600"},
                                    {"directory_permission", "0700"}});
  g.tf.output("kubeconfig", "Path of the kubeconfig", file.at("filename"));
  g.tf.output("cluster_endpoint", "API server", g.cluster.at("endpoint"));
}

void cluster(Google& g) {
  Terraform& tf = g.tf;
  const Block project = tf.data("cluster", "google_project", "here", Json::object());
  const Block ring = tf.resource("cluster", "google_kms_key_ring", "main",
                                 {{"name", "${var.cluster_name}"},
                                  {"location", "${var.region}"},
                                  {"depends_on", Json::array({"google_project_service.cloudkms"})}});
  const Block key = tf.resource("cluster", "google_kms_crypto_key", "secrets",
                                {{"name", "secrets"},
                                 {"key_ring", ring.at("id")},
                                 {"rotation_period", "7776000s"},
                                 {"lifecycle", {{"prevent_destroy", true}}}});
  const Block may = tf.resource(
      "cluster", "google_kms_crypto_key_iam_member", "gke",
      {{"crypto_key_id", key.at("id")},
       {"role", "roles/cloudkms.cryptoKeyEncrypterDecrypter"},
       {"member", fmt::format("serviceAccount:service-{}@container-engine-robot.iam.gserviceaccount.com",
                              project.at("number"))}});
  bool shared = false;
  for (const auto& [name, c] : g.context.spec().named("storage.classes"))
    shared = shared || c.text("kind") == "shared";
  Json logs = Json::array({"SYSTEM_COMPONENTS"});
  if (g.c.audit != "none") logs.insert(logs.end(), {"APISERVER", "SCHEDULER", "CONTROLLER_MANAGER"});
  g.cluster = tf.resource(
      "cluster", "google_container_cluster", "main",
      {{"name", "${var.cluster_name}"},
       {"location", "${var.region}"},
       {"node_locations", g.c.zones},
       {"min_master_version", g.context.kubernetes()},
       {"release_channel", {{"channel", "REGULAR"}}},
       {"network", g.network.at("id")},
       {"subnetwork", g.subnet.at("id")},
       {"networking_mode", "VPC_NATIVE"},
       {"datapath_provider", "ADVANCED_DATAPATH"},
       {"remove_default_node_pool", true},
       {"initial_node_count", 1},
       {"deletion_protection", true},
       {"enable_shielded_nodes", true},
       {"ip_allocation_policy",
        {{"cluster_secondary_range_name", "pods"}, {"services_secondary_range_name", "services"}}},
       {"private_cluster_config",
        {{"enable_private_nodes", true}, {"enable_private_endpoint", !g.c.public_api}}},
       {"master_authorized_networks_config", {{"cidr_blocks", authorized(g)}}},
       {"workload_identity_config", {{"workload_pool", "${var.project}.svc.id.goog"}}},
       {"database_encryption", {{"state", "ENCRYPTED"}, {"key_name", key.at("id")}}},
       {"addons_config",
        {{"gce_persistent_disk_csi_driver_config", {{"enabled", true}}},
         {"gcp_filestore_csi_driver_config", {{"enabled", shared}}},
         {"dns_cache_config", {{"enabled", true}}}}},
       {"cluster_autoscaling", {{"autoscaling_profile", "OPTIMIZE_UTILIZATION"}}},
       {"logging_config", {{"enable_components", std::move(logs)}}},
       {"monitoring_config", {{"enable_components", Json::array({"SYSTEM_COMPONENTS"})}}},
       {"master_auth", {{"client_certificate_config", {{"issue_client_certificate", false}}}}},
       {"resource_labels", kLabels},
       {"depends_on", Json::array({may.address, "google_project_service.container"})}});
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

void node_pools(Google& g) {
  Terraform& tf = g.tf;
  g.nodes = tf.resource("pools", "google_service_account", "nodes",
                        {{"account_id", "gke-nodes"}, {"display_name", "Nodes of " + g.c.cluster}});
  tf.resource("pools", "google_project_iam_member", "nodes",
              {{"project", "${var.project}"},
               {"role", "roles/container.defaultNodeServiceAccount"},
               {"member", g.nodes.at("member")}});
  const int zones = static_cast<int>(g.c.zones.size());
  for (const Pool& pool : g.c.pools) {
    // A pool of GKE has one type of machine.
    const auto all = groups(pool, {{pool.types.front()}});
    for (const Group& group : all) {
      Json node{
          {"machine_type", pool.types.front()},
          {"spot", group.spot},
          {"disk_size_gb", pool.disk_gib},
          {"disk_type", pool.disk_type.empty() ? "pd-ssd" : pool.disk_type},
          {"image_type", pool.os.empty() ? "COS_CONTAINERD" : pool.os},
          {"service_account", g.nodes.at("email")},
          {"oauth_scopes", Json::array({"https://www.googleapis.com/auth/cloud-platform"})},
          {"labels", to_json(pool.labels)},
          {"metadata", {{"disable-legacy-endpoints", "true"}}},
          {"shielded_instance_config", {{"enable_secure_boot", true}, {"enable_integrity_monitoring", true}}},
          {"workload_metadata_config", {{"mode", "GKE_METADATA"}}},
          {"resource_labels", kLabels}};
      if (!pool.taints.empty()) node["taint"] = taints(pool);
      if (!pool.local_disks.empty()) node["local_nvme_ssd_block_config"] = {{"local_ssd_count", 1}};
      if (pool.gpus > 0) {
        const std::string type = pool.types.front().starts_with("a2-")   ? "nvidia-tesla-a100"
                                 : pool.types.front().starts_with("a3-") ? "nvidia-h100-80gb"
                                 : pool.types.front().starts_with("g2-") ? "nvidia-l4"
                                                                         : "nvidia-tesla-t4";
        node["guest_accelerator"] = Json::array(
            {{{"type", type},
              {"count", pool.gpus},
              {"gpu_driver_installation_config", {{"gpu_driver_version", "INSTALLATION_DISABLED"}}}}});
        node["labels"]["gke-no-default-nvidia-gpu-device-plugin"] = "true";
      }
      Json body{{"name", group.name},
                {"cluster", g.cluster.at("id")},
                {"node_locations", g.c.zones},
                {"management", {{"auto_repair", true}, {"auto_upgrade", true}}},
                {"upgrade_settings", {{"max_surge", 1}, {"max_unavailable", 0}}}};
      if (group.min == group.max) {
        // The number is of each zone.
        body["node_count"] = (group.max + zones - 1) / zones;
      } else {
        body["initial_node_count"] = (group.min + zones - 1) / zones;
        body["autoscaling"] = {{"total_min_node_count", group.min},
                               {"total_max_node_count", group.max},
                               {"location_policy", group.spot || pool.gpus > 0 ? "ANY" : "BALANCED"}};
        body["lifecycle"] = {{"ignore_changes", Json::array({"initial_node_count"})}};
      }
      body["node_config"] = std::move(node);
      tf.resource("pools", "google_container_node_pool", identifier(group.name), std::move(body));
    }
    if (pool.types.size() > 1)
      g.context.warn("one_size_per_pool", g.context.spec().at("pools"),
                     fmt::format("spec.pools.{}", pool.name),
                     fmt::format("a pool of GKE has one type of machine; {} is taken", pool.types.front()),
                     "make a pool of each type");
  }
}

// A service account of the cluster as it is known to the cloud: no key, no second account.
std::string principal(const Google& g, const std::string& ns, const std::string& account) {
  static_cast<void>(g);
  return fmt::format(
      "principal://iam.googleapis.com/projects/${{data.google_project.here.number}}/locations/global/"
      "workloadIdentityPools/${{var.project}}.svc.id.goog/subject/ns/{}/sa/{}",
      ns, account);
}

void names(Google& g) {
  Terraform& tf = g.tf;
  if (!g.c.gateway) return;
  const Block address = tf.resource("dns", "google_compute_address", "gateway",
                                    {{"name", "${var.cluster_name}-gateway"},
                                     {"region", "${var.region}"},
                                     {"address_type", "EXTERNAL"},
                                     {"network_tier", "PREMIUM"}});
  tf.output("gateway_address_name", "Name of the gateway's address", address.at("name"));
  tf.output("gateway_address", "The address itself", address.at("address"));
  if (g.c.zone.empty()) return;
  const Block zone = tf.resource("dns", "google_dns_managed_zone", "main",
                                 {{"name", identifier(g.c.name)},
                                  {"dns_name", g.c.zone + "."},
                                  {"description", "Names of " + g.c.name},
                                  {"dnssec_config", {{"state", "on"}}},
                                  {"cloud_logging_config", {{"enable_logging", true}}},
                                  {"depends_on", Json::array({"google_project_service.dns"})}});
  tf.output("nameservers", "What the registrar of the domain must name", zone.at("name_servers"));
  for (const std::string& host : g.c.hosts) {
    if (host != g.c.zone && !host.ends_with("." + g.c.zone)) continue;
    tf.resource("dns", "google_dns_record_set", identifier(host),
                {{"managed_zone", zone.at("name")},
                 {"name", host + "."},
                 {"type", "A"},
                 {"ttl", 300},
                 {"rrdatas", Json::array({address.at("address")})}});
  }
  const Block role = tf.resource(
      "identity", "google_project_iam_custom_role", "dns_challenges",
      {{"role_id", "dnsChallenges"},
       {"title", "Proves names of a zone"},
       {"permissions", Json::array({"dns.changes.create", "dns.changes.get", "dns.changes.list",
                                    "dns.managedZones.list", "dns.resourceRecordSets.create",
                                    "dns.resourceRecordSets.delete", "dns.resourceRecordSets.get",
                                    "dns.resourceRecordSets.list", "dns.resourceRecordSets.update"})}});
  tf.resource("identity", "google_project_iam_member", "cert-manager",
              {{"project", "${var.project}"},
               {"role", role.at("id")},
               {"member", principal(g, "cert-manager", "cert-manager")}});
}

void bucket(Google& g, const char* file, const std::string& name, const std::string& bucket,
            const std::string& location, int keep, bool protect, const std::string& ns,
            const std::string& account) {
  Json body{
      {"name", bucket},
      {"location", location},
      {"uniform_bucket_level_access", true},
      {"public_access_prevention", "enforced"},
      {"versioning", {{"enabled", true}}},
      {"lifecycle_rule",
       Json::array({{{"action", {{"type", "Delete"}}},
                     {"condition", {{"days_since_noncurrent_time", keep}, {"with_state", "ARCHIVED"}}}}})}};
  if (protect) body["lifecycle"] = {{"prevent_destroy", true}};
  const Block made = g.tf.resource(file, "google_storage_bucket", name, std::move(body));
  g.tf.resource("identity", "google_storage_bucket_iam_member", name,
                {{"bucket", made.at("name")},
                 {"role", "roles/storage.objectAdmin"},
                 {"member", principal(g, ns, account)}});
  g.tf.output(name + "_bucket", "Bucket of " + name, made.at("name"));
}

void buckets(Google& g) {
  if (!g.c.backup_bucket.empty())
    bucket(g, "backup", "backup", g.c.backup_bucket, g.c.backup_region, g.c.keep_days, true, "backup",
           "velero-server");
  if (!g.c.logs_bucket.empty())
    bucket(g, "storage", "logs", g.c.logs_bucket, g.c.region, 7, false, "logging", "loki");
}

void secrets(Google& g) {
  if (g.context.use("secrets") != "external-secrets") return;
  const Block account =
      g.tf.resource("identity", "google_service_account", "external-secrets",
                    {{"account_id", "external-secrets"}, {"display_name", "External Secrets"}});
  g.tf.resource(
      "identity", "google_project_iam_member", "external-secrets",
      {{"project", "${var.project}"},
       {"role", "roles/secretmanager.secretAccessor"},
       {"member", account.at("member")},
       {"condition",
        {{"title", "own-secrets"},
         {"expression",
          fmt::format("resource.name.extract(\"secrets/{{name}}/\").startsWith(\"{}\")", g.c.name)}}}});
  g.tf.resource("identity", "google_service_account_iam_member", "external-secrets",
                {{"service_account_id", account.at("name")},
                 {"role", "roles/iam.workloadIdentityUser"},
                 {"member", "serviceAccount:${var.project}.svc.id.goog[secrets/external-secrets]"}});
  g.tf.output("external_secrets_account", "Account of External Secrets", account.at("email"));
}

void access(Google& g) {
  Terraform& tf = g.tf;
  if (g.c.bastion) {
    tf.resource("access", "google_compute_firewall", "bastion",
                {{"name", "${var.cluster_name}-bastion"},
                 {"network", g.network.at("id")},
                 {"description", "Sessions come through the Identity-Aware Proxy only"},
                 {"direction", "INGRESS"},
                 {"source_ranges", Json::array({"35.235.240.0/20"})},
                 {"target_tags", Json::array({"bastion"})},
                 {"allow", Json::array({{{"protocol", "tcp"}, {"ports", Json::array({"22"})}}})}});
    const Block account = tf.resource("access", "google_service_account", "bastion",
                                      {{"account_id", "bastion"}, {"display_name", "Bastion"}});
    const Block machine = tf.resource(
        "access", "google_compute_instance", "bastion",
        {{"name", "${var.cluster_name}-bastion"},
         {"zone", g.c.zones.front()},
         {"machine_type", "e2-micro"},
         {"tags", Json::array({"bastion"})},
         {"boot_disk", {{"initialize_params", {{"image", "debian-cloud/debian-12"}, {"size", 10}}}}},
         {"network_interface", Json::array({{{"subnetwork", g.subnet.at("id")}}})},
         {"metadata", {{"enable-oslogin", "TRUE"}, {"block-project-ssh-keys", "TRUE"}}},
         {"service_account", {{"email", account.at("email")}, {"scopes", Json::array({"cloud-platform"})}}},
         {"shielded_instance_config",
          {{"enable_secure_boot", true}, {"enable_vtpm", true}, {"enable_integrity_monitoring", true}}}});
    tf.output("bastion_id", "Machine for sessions", machine.at("name"));
  }
  int number = 1;
  for (const auto& [id, networks] : g.c.peers) {
    const std::string name = fmt::format("peer-{}", number++);
    tf.resource("access", "google_compute_network_peering", name,
                {{"name", fmt::format("${{var.cluster_name}}-{}", name)},
                 {"network", g.network.at("self_link")},
                 {"peer_network", id}});
    tf.resource("access", "google_compute_network_peering", name + "-back",
                {{"name", fmt::format("${{var.cluster_name}}-{}-back", name)},
                 {"network", id},
                 {"peer_network", g.network.at("self_link")}});
  }
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
  if (g.c.bastion)
    part.sections.push_back(
        {Chapter::access, "The bastion",
         fmt::format("It has no address: the session goes through the cloud's proxy.\n\n```sh\n"
                     "gcloud compute ssh {}-bastion --zone={} --tunnel-through-iap -- -L 8443:API:443\n```\n",
                     g.c.cluster, g.c.zones.front())});
}

}  // namespace

std::vector<Part> google(const Context& context, const std::vector<Part>& parts) {
  if (context.site() != Site::google) return {};
  const Cloud c = cloud(context, parts);
  Terraform tf;
  Google g{.context = context, .c = c, .tf = tf, .project = context.infrastructure().text("project")};
  variables(g);
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
