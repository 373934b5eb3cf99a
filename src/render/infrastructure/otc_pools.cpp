// Nodes of CCE: one pool of equal machines for each pool of the document, and the key of their login.
#include <fmt/format.h>

#include "render/infrastructure/otc.hpp"

namespace tg::render {

namespace {

Json taints(const Pool& pool) {
  Json out = Json::array();
  for (const std::string& t : pool.taints) {
    const std::size_t colon = t.rfind(':');
    const std::size_t equals = t.find('=');
    const bool value = equals != std::string::npos && equals < colon;
    Json taint;
    taint["key"] = t.substr(0, value ? equals : colon);
    taint["value"] = value ? t.substr(equals + 1, colon - equals - 1) : std::string();
    taint["effect"] = t.substr(colon + 1);
    out.push_back(std::move(taint));
  }
  return out;
}

void key_pair(Otc& o) {
  Json key;
  key["name"] = otc_name("nodes");
  const Json public_half = public_key(o.tf, o.context);
  const bool made_here = public_half.is_null();
  if (made_here) {
    const spec::Reader site = o.context.infrastructure();
    o.context.warn("private_key_in_state", site.at("keyPair"), site.where("keyPair.publicKey"),
                   "a key pair is made for the nodes, and its private half lies in Terraform's state, "
                   "readable to all who read that",
                   "make one with ssh-keygen and name its public half");
  } else {
    key["public_key"] = public_half;
  }
  o.key_pair = o.tf.resource("pools", "opentelekomcloud_compute_keypair_v2", "nodes", std::move(key));
  o.tf.output("node_pool_keypair_name", "Name of the nodes' key pair", o.key_pair.at("name"));
  o.tf.output("node_pool_keypair_private_key",
              made_here ? "Private half of the nodes' key pair" : "Empty: the pair was made elsewhere",
              o.key_pair.at("private_key"), true);
  o.tf.output("node_pool_keypair_public_key", "Public half of the nodes' key pair",
              o.key_pair.at("public_key"));
}

// The first pool with and the first without GPUs have variables; the others say what the document says.
enum class Sized { by_variables, by_gpu_variables, by_document };

void machine(Json& body, const Pool& p, Sized sized) {
  switch (sized) {
    case Sized::by_variables:
      body["flavor"] = "${var.flavor}";
      body["os"] = "${var.os}";
      body["initial_node_count"] = "${var.initial_node_count}";
      return;
    case Sized::by_gpu_variables:
      body["flavor"] = "${var.gpu_flavor}";
      break;
    case Sized::by_document:
      body["flavor"] = p.types.front();
  }
  body["os"] = p.os.empty() ? "${var.os}" : p.os;
  body["initial_node_count"] = p.min;
}

Json data_disk(const Pool& p, Sized sized) {
  Json out;
  switch (sized) {
    case Sized::by_variables:
      out["size"] = "${var.node_storage_size}";
      out["volumetype"] = "${var.node_storage_type}";
      break;
    case Sized::by_gpu_variables:
      out["size"] = "${var.gpu_node_storage_size}";
      out["volumetype"] = "${var.gpu_node_storage_type}";
      break;
    case Sized::by_document:
      out["size"] = p.disk_gib;
      out["volumetype"] = p.disk_type.empty() ? "SSD" : p.disk_type;
  }
  return out;
}

void scale(Json& body, const Pool& p, int priority) {
  body["scale_enable"] = true;
  body["min_node_count"] = p.min;
  body["max_node_count"] = p.max;
  body["scale_down_cooldown_time"] = 15;
  body["priority"] = priority;
  // From the first day on the autoscaler has the number.
  body["lifecycle"]["ignore_changes"] = Json::array({"initial_node_count"});
}

Json node_pool(const Otc& o, const Pool& p, Sized sized) {
  Json body;
  body["cluster_id"] = o.cluster.at("id");
  body["name"] = p.name;
  machine(body, p, sized);
  body["availability_zone"] = o.c.zones.size() == 1 ? "${var.availability_zone}" : "random";
  body["key_pair"] = o.key_pair.at("name");
  body["runtime"] = "containerd";
  body["subnet_id"] = o.subnets.front().at("network_id");
  body["security_group_ids"] = Json::array({o.nodes.at("id")});
  body["root_volume"]["size"] = 50;
  body["root_volume"]["volumetype"] = "SSD";
  body["data_volumes"] = Json::array({data_disk(p, sized)});
  body["k8s_tags"] = to_json(p.labels);
  body["user_tags"] = kOtcTags;
  if (!p.taints.empty()) body["taints"] = taints(p);
  return body;
}

}  // namespace

void otc_pools(Otc& o) {
  key_pair(o);
  const Pool* gpu = otc_first_pool(o.c, true);
  const Pool* cpu = otc_first_pool(o.c, false);
  int priority = 1;
  for (const Pool& p : o.c.pools) {
    const Sized sized = &p == gpu   ? Sized::by_gpu_variables
                        : &p == cpu ? Sized::by_variables
                                    : Sized::by_document;
    Json body = node_pool(o, p, sized);
    if (p.scales()) scale(body, p, priority++);
    o.tf.resource("pools", "opentelekomcloud_cce_node_pool_v3", identifier(p.name), std::move(body));
    if (p.types.size() > 1)
      o.context.warn("one_size_per_pool", o.context.spec().at("pools"), fmt::format("spec.pools.{}", p.name),
                     fmt::format("a pool of CCE has one size of machine; {} is taken", p.types.front()),
                     "make a pool of each size");
  }
}

}  // namespace tg::render
