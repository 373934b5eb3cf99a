// Ways into a private network of Open Telekom Cloud: VPN and peered networks.
#include <fmt/format.h>

#include <algorithm>

#include "render/infrastructure/otc.hpp"

namespace tg::render {

namespace {

// Its two ends stand in two zones, also where the nodes are in one.
std::vector<std::string> two_zones(const Cloud& c) {
  std::vector<std::string> zones = c.zones;
  for (const char* more : {"-01", "-02"}) {
    const std::string zone = c.region + more;
    if (zones.size() < 2 && std::find(zones.begin(), zones.end(), zone) == zones.end()) zones.push_back(zone);
  }
  zones.resize(std::min<std::size_t>(zones.size(), 2));
  return zones;
}

Json public_end(const char* number) {
  Json out;
  out["type"] = "5_bgp";
  out["bandwidth_name"] = otc_name(fmt::format("vpn-{}", number));
  out["bandwidth_size"] = 50;
  out["charge_mode"] = "traffic";
  return out;
}

Block vpn_gateway(Otc& o) {
  Json local = Json::array();
  for (const Block& s : o.subnets) local.push_back(s.at("cidr"));
  Json body;
  body["name"] = "${var.cluster_name}";
  body["availability_zones"] = two_zones(o.c);
  body["vpc_id"] = o.vpc.at("id");
  body["local_subnets"] = std::move(local);
  body["connect_subnet"] = o.subnets.front().at("network_id");
  body["ha_mode"] = "active-standby";
  body["eip1"] = public_end("1");
  body["eip2"] = public_end("2");
  body["tags"] = kOtcTags;
  return o.tf.resource("access", "opentelekomcloud_enterprise_vpn_gateway_v5", "main", std::move(body));
}

Block vpn_peer(Otc& o) {
  Json body;
  body["name"] = otc_name("peer");
  body["id_type"] = "ip";
  body["id_value"] = o.c.vpn_peer;
  body["tags"] = kOtcTags;
  return o.tf.resource("access", "opentelekomcloud_enterprise_vpn_customer_gateway_v5", "peer",
                       std::move(body));
}

Json ike() {
  Json out;
  out["ike_version"] = "v2";
  out["authentication_algorithm"] = "sha2-256";
  out["encryption_algorithm"] = "aes-256";
  out["dh_group"] = "group15";
  out["lifetime_seconds"] = 86400;
  return out;
}

Json ipsec() {
  Json out;
  out["authentication_algorithm"] = "sha2-256";
  out["encryption_algorithm"] = "aes-256";
  out["pfs"] = "group15";
  out["transform_protocol"] = "esp";
  out["lifetime_seconds"] = 3600;
  return out;
}

struct Tunnel {
  const char* role;
  const char* address;
};

void tunnel(Otc& o, const Tunnel& t, const Block& gateway, const Block& peer, const Block& key) {
  Json body;
  body["name"] = otc_name(t.role);
  body["gateway_id"] = gateway.at("id");
  body["gateway_ip"] = gateway.at(t.address);
  body["customer_gateway_id"] = peer.at("id");
  body["vpn_type"] = "static";
  body["ha_role"] = t.role;
  body["peer_subnets"] = o.c.vpn_networks;
  body["psk"] = key.value();
  body["ikepolicy"] = ike();
  body["ipsecpolicy"] = ipsec();
  body["tags"] = kOtcTags;
  o.tf.resource("access", "opentelekomcloud_enterprise_vpn_connection_v5", t.role, std::move(body));
}

void vpn(Otc& o) {
  Variable shared;
  shared.name = "vpn_pre_shared_key";
  shared.type = "string";
  shared.description = fmt::format("Shared key of the VPN: {}", o.c.vpn_key);
  shared.sensitive = true;
  const Block key = o.tf.variable(shared);
  const Block gateway = vpn_gateway(o);
  const Block peer = vpn_peer(o);
  tunnel(o, {"master", "eip1[0].id"}, gateway, peer, key);
  tunnel(o, {"slave", "eip2[0].id"}, gateway, peer, key);
  o.tf.output("vpn_addresses", "This end of the tunnels",
              Json::array({gateway.at("eip1[0].ip_address"), gateway.at("eip2[0].ip_address")}));
}

void route(Otc& o, const std::string& name, const Json& vpc, const Json& destination, const Block& peer) {
  Json body;
  body["type"] = "peering";
  body["vpc_id"] = vpc;
  body["destination"] = destination;
  body["nexthop"] = peer.at("id");
  o.tf.resource("access", "opentelekomcloud_vpc_route_v2", name, std::move(body));
}

// Routes on both sides: the other network belongs to the same account.
void peering(Otc& o) {
  int number = 1;
  for (const auto& [id, networks] : o.c.peers) {
    const std::string name = fmt::format("peer_{}", number);
    Json body;
    body["name"] = otc_name(std::to_string(number++));
    body["vpc_id"] = o.vpc.at("id");
    body["peer_vpc_id"] = id;
    const Block peer =
        o.tf.resource("access", "opentelekomcloud_vpc_peering_connection_v2", name, std::move(body));
    int count = 1;
    for (const std::string& network : networks)
      route(o, fmt::format("{}_to_{}", name, count++), o.vpc.at("id"), network, peer);
    route(o, name + "_back", id, o.vpc.at("cidr"), peer);
  }
}

}  // namespace

void otc_access(Otc& o) {
  if (!o.c.vpn_peer.empty()) vpn(o);
  peering(o);
}

}  // namespace tg::render
