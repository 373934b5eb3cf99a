// The CCE cluster of Open Telekom Cloud, its agency, its kubeconfig and the place of its audit log.
#include <fmt/format.h>

#include "render/infrastructure/otc.hpp"

namespace tg::render {

namespace {

// CCE acts for the account: once in a project it must be allowed to.
Block agency(Otc& o) {
  const Block project =
      o.tf.data("cluster", "opentelekomcloud_identity_project_v3", "here", {{"name", "${var.region_name}"}});
  Json role;
  role["project"] = project.at("name");
  role["roles"] = Json::array({"Tenant Administrator"});
  Json body;
  body["name"] = "cce_admin_trust";
  body["description"] = "Cloud Container Engine makes nodes, disks and load balancers of clusters";
  body["delegated_domain_name"] = "op_svc_cce";
  body["project_role"] = Json::array({std::move(role)});
  return o.tf.resource("cluster", "opentelekomcloud_identity_agency_v3", "cce", std::move(body));
}

// Who may reach a public API server, beside the network itself.
void publish(Otc& o, Json& body) {
  body["eip"] = otc_address(o, "cluster", "api", 10).at("publicip[0].ip_address");
  Json from = o.c.api_from;
  from.push_back("${var.vpc_cidr}");
  body["api_access_trustlist"] = std::move(from);
}

Json settings(const Otc& o) {
  const Context& context = o.context;
  std::string plugin = context.spec().text("cluster.networks.plugin");
  if (plugin.empty() || plugin == "cloud") plugin = "overlay_l2";
  // Judged by its own list of versions, which trails the project's.
  const std::string version = context.spec().has("cluster.version") ? context.kubernetes() : "1.34";
  Json body;
  body["name"] = "${var.cluster_name}";
  body["cluster_type"] = "VirtualMachine";
  body["flavor_id"] = "${var.flavor_id}";
  body["cluster_version"] = "v" + version;
  body["vpc_id"] = o.vpc.at("id");
  body["subnet_id"] = o.subnets.front().at("network_id");
  body["container_network_type"] = plugin;
  body["container_network_cidr"] = context.pod_cidr();
  body["kubernetes_svc_ip_range"] = context.service_cidr();
  body["authentication_mode"] = "rbac";
  body["kube_proxy_mode"] = "ipvs";
  // Three masters stand in three zones.
  if (context.spec().text("cluster.controlPlane.flavor").starts_with("cce.s2")) body["multi_az"] = true;
  if (context.infrastructure().flag("addons.icAgent")) {
    // A cluster that Terraform makes has no ICAgent without this.
    const Json agent = Json::array({{{"addonTemplateName", "icagent"}}});
    body["annotations"]["cluster.install.addons.external/install"] = agent.dump();
  }
  return body;
}

void kubeconfig(Otc& o) {
  const Block config = o.tf.data("cluster", "opentelekomcloud_cce_cluster_kubeconfig_v3", "main",
                                 {{"cluster_id", o.cluster.at("id")}, {"duration", o.c.kubeconfig_days}});
  Json body;
  body["content"] = config.at("kubeconfig");
  body["filename"] = "${path.module}/kubeconfig";
  body["file_permission"] = "0600";
  body["directory_permission"] = "0700";
  const Block file = o.tf.resource("cluster", "local_sensitive_file", "kubeconfig", std::move(body));
  o.tf.output("kubeconfig", "Path of the kubeconfig", file.at("filename"));
}

// Logs of the control plane go here once they are switched on in the console; no resource does that.
void audit_log(Otc& o) {
  Json group;
  group["group_name"] = otc_name("control-plane");
  group["ttl_in_days"] = 30;
  group["tags"] = kOtcTags;
  const Block all =
      o.tf.resource("cluster", "opentelekomcloud_lts_group_v2", "control_plane", std::move(group));
  Json stream;
  stream["group_id"] = all.at("id");
  stream["stream_name"] = "audit";
  stream["ttl_in_days"] = 30;
  stream["tags"] = kOtcTags;
  const Block audit = o.tf.resource("cluster", "opentelekomcloud_lts_stream_v2", "audit", std::move(stream));
  o.tf.output("audit_stream", "Stream for the audit log of the API server", audit.at("id"));
}

void outputs(Otc& o) {
  o.tf.output("client_key_data", "Key of the cluster's first user",
              o.cluster.at("certificate_users[0].client_key_data"), true);
  o.tf.output("client_certificate_data", "Certificate of the cluster's first user",
              o.cluster.at("certificate_users[0].client_certificate_data"), true);
  o.tf.output("cluster_private_ip", "Address of the API server in the VPC", o.cluster.at("internal"));
  o.tf.output("cluster_certificate_authority_data", "Authority that the API server's certificate is from",
              o.cluster.at("certificate_clusters[0].certificate_authority_data"), true);
}

}  // namespace

void otc_cluster(Otc& o) {
  const Block trust = agency(o);
  Json body = settings(o);
  if (o.c.public_api) publish(o, body);
  body["depends_on"] = Json::array({trust.address});
  o.cluster = o.tf.resource("cluster", "opentelekomcloud_cce_cluster_v3", "main", std::move(body));
  kubeconfig(o);
  if (o.c.audit != "none") audit_log(o);
  outputs(o);
}

}  // namespace tg::render
