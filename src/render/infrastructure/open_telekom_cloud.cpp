// Open Telekom Cloud: network, CCE cluster, node pools, ways in and add-ons as Terraform.
#include <fmt/format.h>

#include <algorithm>

#include "render/infrastructure/infrastructure.hpp"
#include "render/infrastructure/otc.hpp"

namespace tg::render {

namespace {

Json account() {
  Json out;
  out["region"] = "${var.region_name}";
  out["access_key"] = "${var.otc_access_key}";
  out["secret_key"] = "${var.otc_secret_key}";
  out["domain_name"] = "${var.domain_name}";
  out["tenant_id"] = "${var.tenant_id}";
  out["auth_url"] = otc_endpoint("iam", "${var.region_name}") + "/v3";
  return out;
}

void provider(Otc& o) {
  o.tf.require("opentelekomcloud", "opentelekomcloud/opentelekomcloud", "~> 1.36.54");
  o.tf.require("local", "hashicorp/local", "~> 2.5");
  o.tf.provider("opentelekomcloud", account());
  if (o.c.backup_bucket.empty()) return;
  Json other = account();
  other["alias"] = "backup";
  other["region"] = o.c.backup_region;
  // Each region has a project of its own; the one that every account has bears the region's name.
  other.erase("tenant_id");
  other["tenant_name"] = o.c.backup_region;
  other["auth_url"] = otc_endpoint("iam", o.c.backup_region) + "/v3";
  o.tf.provider("opentelekomcloud", std::move(other));
}

// The object store speaks S3. Its keys are read from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, never from
// variables.
void state(Otc& o) {
  if (o.c.state_bucket.empty()) return;
  Json out;
  out["bucket"] = o.c.state_bucket;
  out["key"] = o.c.name + "/terraform.tfstate";
  out["region"] = o.c.region;
  out["endpoints"]["s3"] = otc_endpoint("obs", o.c.region);
  out["encrypt"] = true;
  out["use_lockfile"] = true;
  for (const char* skipped : {"credentials_validation", "region_validation", "requesting_account_id",
                              "metadata_api_check", "s3_checksum"})
    out[fmt::format("skip_{}", skipped)] = true;
  o.tf.backend("s3", std::move(out));
}

}  // namespace

const Pool* otc_first_pool(const Cloud& c, bool gpu) {
  const auto it =
      std::find_if(c.pools.begin(), c.pools.end(), [&](const Pool& p) { return (p.gpus > 0) == gpu; });
  return it == c.pools.end() ? nullptr : &*it;
}

std::string otc_name(std::string_view suffix) { return fmt::format("${{var.cluster_name}}-{}", suffix); }

std::string otc_endpoint(std::string_view service, std::string_view region) {
  return fmt::format("https://{}.{}.otc.t-systems.com", service, region);
}

Block otc_address(Otc& o, std::string_view file, std::string_view name, int megabits, Json publicip) {
  publicip["type"] = "5_bgp";
  Json bandwidth;
  bandwidth["name"] = otc_name(name);
  bandwidth["size"] = megabits;
  bandwidth["share_type"] = "PER";
  bandwidth["charge_mode"] = "traffic";
  Json body;
  body["publicip"] = std::move(publicip);
  body["bandwidth"] = std::move(bandwidth);
  body["tags"] = kOtcTags;
  return o.tf.resource(file, "opentelekomcloud_vpc_eip_v1", name, std::move(body));
}

std::vector<Part> open_telekom_cloud(const Context& context, const std::vector<Part>& parts) {
  if (context.site() != Site::open_telekom_cloud) return {};
  Cloud c = cloud(context, parts);
  if (c.subnets.empty())
    c.subnets.push_back({"nodes", subnet(c.cidr, std::max(20, prefix_length(c.cidr)), 0), ""});
  if (c.bastion) {
    const spec::Reader access = context.spec().sub("access");
    context.refuse("not_here", access.at("bastion"), access.where("bastion"),
                   "a private cluster of Open Telekom Cloud is reached by VPN or by a peered network",
                   "write access.vpn or access.peering");
  }
  Terraform tf;
  Otc o{.context = context, .c = c, .tf = tf};
  provider(o);
  state(o);
  otc_variables(o);
  otc_network(o);
  otc_cluster(o);
  otc_addons(o);
  otc_pools(o);
  otc_access(o);
  otc_gateway(o);
  otc_buckets(o);
  Part part = terraform_part(context, c, tf, "open-telekom-cloud");
  otc_sections(part, o);
  return {std::move(part)};
}

}  // namespace tg::render
