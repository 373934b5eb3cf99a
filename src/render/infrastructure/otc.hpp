// Open Telekom Cloud: the pieces of open_telekom_cloud.cpp and what they share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "render/infrastructure/cloud.hpp"

namespace tg::render {

// What the pieces of the module refer to. One thread; lives while the module is made.
struct Otc {
  const Context& context;
  const Cloud& c;
  Terraform& tf;
  Block vpc{}, cluster{}, nodes{}, key_pair{};  // nodes: their security group
  std::vector<Block> subnets{};                 // as c.subnets
};

// Tags of every resource that can carry them.
inline constexpr const char* kOtcTags = "${var.tags}";
// The pool whose sizes are variables of their own; null if there is none.
const Pool* otc_first_pool(const Cloud& c, bool gpu);
// "${var.cluster_name}-nodes".
std::string otc_name(std::string_view suffix);
// "https://obs.eu-de.otc.t-systems.com"; `region` may be a reference.
std::string otc_endpoint(std::string_view service, std::string_view region);
// A public address with its own bandwidth.
Block otc_address(Otc& o, std::string_view file, std::string_view name, int megabits, Json publicip = {});

// In this order: each refers to what those before it made.
void otc_variables(Otc& o);
void otc_network(Otc& o);
void otc_cluster(Otc& o);
void otc_addons(Otc& o);
void otc_pools(Otc& o);
void otc_access(Otc& o);
void otc_gateway(Otc& o);
void otc_buckets(Otc& o);
void otc_sections(Part& part, const Otc& o);

}  // namespace tg::render
