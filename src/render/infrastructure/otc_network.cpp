// Network of Open Telekom Cloud: VPC, subnets, the way out of private nodes, and who may reach the nodes.
#include <fmt/format.h>

#include "render/infrastructure/otc.hpp"

namespace tg::render {

namespace {

void vpc(Otc& o) {
  Json body;
  body["name"] = "${var.vpc_name}";
  body["cidr"] = "${var.vpc_cidr}";
  body["tags"] = kOtcTags;
  o.vpc = o.tf.resource("network", "opentelekomcloud_vpc_v1", "main", std::move(body));
}

// The first subnet's addresses are a variable.
void subnet(Otc& o, const Subnet& s, bool first) {
  Json body;
  body["name"] = otc_name(s.name);
  body["vpc_id"] = o.vpc.at("id");
  body["cidr"] = first ? "${var.subnet_cidr}" : s.cidr;
  body["gateway_ip"] =
      expression(fmt::format("cidrhost({}, 1)", first ? "var.subnet_cidr" : literal(s.cidr)));
  body["primary_dns"] = "${var.dns_config[0]}";
  body["secondary_dns"] = "${var.dns_config[1]}";
  body["tags"] = kOtcTags;
  o.subnets.push_back(
      o.tf.resource("network", "opentelekomcloud_vpc_subnet_v1", identifier(s.name), std::move(body)));
}

// Nodes stay private; this is how they pull images.
void way_out(Otc& o) {
  const Block address = otc_address(o, "network", "nat", 300);
  Json gateway;
  gateway["name"] = "${var.cluster_name}";
  gateway["description"] = "Way out of the nodes";
  gateway["spec"] = "1";
  gateway["router_id"] = o.vpc.at("id");
  gateway["internal_network_id"] = o.subnets.front().at("network_id");
  gateway["tags"] = kOtcTags;
  const Block nat = o.tf.resource("network", "opentelekomcloud_nat_gateway_v2", "main", std::move(gateway));
  for (std::size_t i = 0; i < o.subnets.size(); ++i) {
    Json rule;
    rule["nat_gateway_id"] = nat.at("id");
    rule["floating_ip_id"] = address.at("id");
    rule["network_id"] = o.subnets[i].at("network_id");
    o.tf.resource("network", "opentelekomcloud_nat_snat_rule_v2", identifier(o.c.subnets[i].name),
                  std::move(rule));
  }
}

struct Ports {
  const char* protocol = nullptr;  // null = all
  int from = 0, to = 0;            // 0 = all
};

Json rule(const Block& group, const char* why, const Ports& ports) {
  Json out;
  out["security_group_id"] = group.at("id");
  out["direction"] = "ingress";
  out["ethertype"] = "IPv4";
  out["description"] = why;
  if (ports.protocol != nullptr) out["protocol"] = ports.protocol;
  if (ports.from > 0) {
    out["port_range_min"] = ports.from;
    out["port_range_max"] = ports.to;
  }
  return out;
}

void node_rules(Otc& o) {
  const auto put = [&](const char* name, Json body) {
    o.tf.resource("network", "opentelekomcloud_networking_secgroup_rule_v2", name, std::move(body));
  };
  const auto from = [&](const char* name, const char* why, const Ports& ports, const std::string& source) {
    Json body = rule(o.nodes, why, ports);
    body["remote_ip_prefix"] = source;
    put(name, std::move(body));
  };
  Json self = rule(o.nodes, "Nodes among themselves", {});
  self["remote_group_id"] = o.nodes.at("id");
  put("nodes_self", std::move(self));
  const std::string inside = "${var.vpc_cidr}";
  from("nodes_pods", "Pods of other nodes", {}, o.context.pod_cidr());
  from("nodes_kubelet", "Control plane to kubelets", {"tcp", 10250, 10250}, inside);
  from("nodes_tunnel", "Tunnels of the pod network", {"udp", 4789, 4789}, inside);
  from("nodes_ports_tcp", "Load balancers to node ports", {"tcp", 30000, 32767}, inside);
  from("nodes_ports_udp", "Load balancers to node ports", {"udp", 30000, 32767}, inside);
  from("nodes_icmp", "Path MTU and checks of health", {"icmp"}, inside);
  Json out = rule(o.nodes, "Images, updates, the control plane", {});
  out["remote_ip_prefix"] = "0.0.0.0/0";
  out["direction"] = "egress";
  put("nodes_out", std::move(out));
}

void node_group(Otc& o) {
  Json body;
  body["name"] = otc_name("nodes");
  body["description"] = "Nodes of the cluster";
  body["delete_default_rules"] = true;
  o.nodes = o.tf.resource("network", "opentelekomcloud_networking_secgroup_v2", "nodes", std::move(body));
}

}  // namespace

void otc_network(Otc& o) {
  vpc(o);
  bool first = true;
  for (const Subnet& s : o.c.subnets) {
    subnet(o, s, first);
    first = false;
  }
  if (o.c.egress != "none") way_out(o);
  node_group(o);
  node_rules(o);
}

}  // namespace tg::render
