// The public address of what is published on Open Telekom Cloud, and the names that lead to it.
#include "render/infrastructure/otc.hpp"

namespace tg::render {

namespace {

// The gateway's address is there before the names that point to it, and outlives the gateway's Service.
Block balancer_address(Otc& o) {
  Json balancer;
  balancer["name"] = otc_name("gateway");
  balancer["vip_subnet_id"] = o.subnets.front().at("subnet_id");
  balancer["tags"] = kOtcTags;
  const Block front =
      o.tf.resource("dns", "opentelekomcloud_lb_loadbalancer_v2", "gateway", std::move(balancer));
  const Block address = otc_address(o, "dns", "gateway", 300, Json{{"port_id", front.at("vip_port_id")}});
  o.tf.output("gateway_balancer_id", "Load balancer of the gateway", front.at("id"));
  o.tf.output("gateway_address", "Address of the gateway", address.at("publicip[0].ip_address"));
  return address;
}

void record(Otc& o, const Block& zone, const std::string& host, const Block& address) {
  Json body;
  body["zone_id"] = zone.at("id");
  body["name"] = host + ".";
  body["type"] = "A";
  body["ttl"] = 300;
  body["records"] = Json::array({address.at("publicip[0].ip_address")});
  body["tags"] = kOtcTags;
  o.tf.resource("dns", "opentelekomcloud_dns_recordset_v2", identifier(host), std::move(body));
}

}  // namespace

void otc_gateway(Otc& o) {
  if (!o.c.gateway) return;
  const Block address = balancer_address(o);
  if (o.c.zone.empty()) return;
  Json body;
  body["name"] = o.c.zone + ".";
  body["type"] = "public";
  body["tags"] = kOtcTags;
  const Block zone = o.tf.resource("dns", "opentelekomcloud_dns_zone_v2", "main", std::move(body));
  for (const std::string& host : o.c.hosts) record(o, zone, host, address);
}

}  // namespace tg::render
