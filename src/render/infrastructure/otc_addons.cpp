// Add-ons of CCE: disks, metrics of nodes, the autoscaler, the GPU driver, the cloud's own monitoring.
#include <fmt/format.h>

#include <algorithm>

#include "render/component/components.hpp"
#include "render/infrastructure/otc.hpp"

namespace tg::render {

namespace {

const std::string kRegion = "${var.region_name}";

// An add-on of the cloud at the version that it offers for this cluster; an upgrade is made on purpose.
void addon(Otc& o, const char* name, const char* resource, const Json& basic, Json custom) {
  Json query;
  query["addon_name"] = name;
  query["cluster_type"] = "VirtualMachine";
  query["cluster_version"] = o.cluster.at("cluster_version");
  const Block offered =
      o.tf.data("addons", "opentelekomcloud_cce_addon_templates_v3", resource, std::move(query));
  Json values;
  for (const char* key : {"image_version", "swr_addr", "swr_user", "platform"})
    values["basic"][key] = offered.at(fmt::format("addons[0].{}", key));
  values["basic"].update(basic);
  values["custom"] = std::move(custom);
  Json body;
  body["cluster_id"] = o.cluster.at("id");
  body["template_name"] = name;
  body["template_version"] = offered.at("addons[0].addon_version");
  body["values"] = std::move(values);
  body["lifecycle"]["ignore_changes"] = Json::array({"template_version", "values"});
  o.tf.resource("addons", "opentelekomcloud_cce_addon_v3", resource, std::move(body));
}

// Disks and file systems of the cloud as volumes.
void everest(Otc& o) {
  Json basic;
  basic["bms_url"] = fmt::format("bms.{}.otc.t-systems.com", kRegion);
  basic["ecsEndpoint"] = otc_endpoint("ecs", kRegion);
  for (const auto& [key, host] : {std::pair{"evs_url", "evs"}, std::pair{"obs_url", "obs"},
                                  std::pair{"iam_url", "iam"}, std::pair{"sfs_turbo_url", "sfs-turbo"}})
    basic[key] = fmt::format("{}.{}.otc.t-systems.com", host, kRegion);
  Json custom;
  custom["cluster_id"] = o.cluster.at("id");
  custom["project_id"] = "${var.tenant_id}";
  custom["default_vpc_id"] = o.vpc.at("id");
  addon(o, "everest", "everest", basic, std::move(custom));
}

void autoscaler(Otc& o) {
  const bool scales =
      std::any_of(o.c.pools.begin(), o.c.pools.end(), [](const Pool& p) { return p.scales(); });
  if (!scales || o.context.spec().text("components.autoscaling.nodes") == "none") return;
  int most = 0;
  for (const Pool& p : o.c.pools) most += p.max;
  Json basic;
  basic["cceEndpoint"] = otc_endpoint("cce", kRegion);
  basic["ecsEndpoint"] = otc_endpoint("ecs", kRegion);
  basic["region"] = kRegion;
  Json custom;
  custom["cluster_id"] = o.cluster.at("id");
  custom["tenant_id"] = "${var.tenant_id}";
  custom["expander"] = "priority";
  custom["maxNodesTotal"] = most;
  custom["coresTotal"] = 32000;
  custom["memoryTotal"] = 128000;
  custom["maxNodeProvisionTime"] = 15;
  custom["maxEmptyBulkDeleteFlag"] = 10;
  custom["scaleDownEnabled"] = true;
  custom["scaleDownUnneededTime"] = 10;
  custom["scaleDownUtilizationThreshold"] = 0.5;
  custom["scaleDownDelayAfterAdd"] = 10;
  custom["scaleDownDelayAfterDelete"] = 10;
  custom["scaleDownDelayAfterFailure"] = 3;
  custom["scaleUpUnscheduledPodEnabled"] = true;
  custom["scaleUpUtilizationEnabled"] = false;
  custom["unremovableNodeRecheckTimeout"] = 5;
  addon(o, "autoscaler", "autoscaler", basic, std::move(custom));
}

void monitoring(Otc& o, const Json& region) {
  Json custom;
  custom["retention"] = o.context.component("metrics").text("retention");
  custom["enable_nodeAffinity"] = false;
  custom["deploy_mode"] = "server";
  addon(o, "cie-collector", "monitoring", region, std::move(custom));
}

}  // namespace

void otc_addons(Otc& o) {
  const Json region{{"region", kRegion}};
  everest(o);
  addon(o, "metrics-server", "metrics_server", Json::object(), Json::object());
  autoscaler(o);
  if (otc_first_pool(o.c, true) != nullptr && gpu_software(o.context) != "none")
    addon(o, "gpu-beta", "gpu", region, {{"is_driver_from_nvidia", true}});
  if (o.context.use("metrics") == "cce-monitoring") monitoring(o, region);
}

}  // namespace tg::render
