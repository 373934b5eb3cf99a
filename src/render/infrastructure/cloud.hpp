// What the clouds have in common: the document's words for network, pools, names and ways in, with their
// defaults filled in. Each cloud then says it in its own terms. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "render/context.hpp"
#include "render/infrastructure/terraform.hpp"

namespace tg::render {

// IPv4 networks as numbers. `index` counts networks of that length from the start of `cidr`:
// subnet("10.0.0.0/16", 20, 1) = "10.0.16.0/20". All arguments are checked before.
std::string subnet(std::string_view cidr, int length, std::uint32_t index);
int prefix_length(std::string_view cidr);
bool overlap(std::string_view a, std::string_view b);

struct Pool {
  std::string name{};
  std::vector<std::string> types{};  // at least one, the preferred first
  std::string os{};                  // empty = the cloud's
  int min = 0, max = 0;
  double spot_share = 0;
  int on_demand_base = 0;
  int disk_gib = 0;
  std::string disk_type{};  // empty = the cloud's SSD
  int gpus = 0;             // of a node
  Labels labels{};          // of the nodes, with that of the pool
  std::vector<std::string> taints{};
  std::string local_disks{};  // storage class
  bool scales() const { return min < max; }
};

// A part of a pool that a cloud makes as one group of equal machines.
struct Group {
  std::string name;  // "standard", "standard-spot", "premium-p5-48xlarge-on-demand"
  std::vector<std::string> types;
  bool spot = false;
  int min = 0, max = 0;
};
// A pool as groups. Groups hold one purchase option and one shape of machine each, and their maxima sum up to
// the pool's: of the nodes above the base, the share is spot. `shapes` are the pool's types by their size.
std::vector<Group> groups(const Pool& pool, const std::vector<std::vector<std::string>>& shapes);

struct Subnet {
  std::string name, cidr, zone;
};

struct Cloud {
  std::string name, cluster;
  std::string region;
  std::vector<std::string> zones;
  std::string network, cidr;
  std::vector<Subnet> subnets;  // as the document names them; empty = to be computed
  std::vector<std::string> nameservers;
  std::string egress;
  std::vector<Pool> pools;
  Labels tags;
  std::string zone;                          // of DNS, may be empty
  std::vector<std::string> hosts;            // published, each once
  std::string state_bucket;                  // may be empty
  std::string logs_bucket;                   // of Loki, empty: it keeps to its volume
  std::string backup_bucket, backup_region;  // empty: copies go elsewhere
  int keep_days = 0;
  bool public_api = false;
  std::vector<std::string> api_from;
  bool bastion = false;
  std::string vpn_peer;  // empty = no VPN
  std::vector<std::string> vpn_networks;
  std::string vpn_key;                                                  // where the shared key stands
  std::vector<std::pair<std::string, std::vector<std::string>>> peers;  // network id and its addresses
  int kubeconfig_days = 0;
  std::string audit;
  bool gateway = false;  // a load balancer stands in front
};
// The pools of the document; one that holds what is asked for if it names none.
std::vector<Pool> pools(const Context& context);
// `parts` say what is published.
Cloud cloud(const Context& context, const std::vector<Part>& parts);

// A path of the document that holds a public key: file, or a variable of Terraform. Null if it names none.
Json public_key(Terraform& tf, const Context& context);

// The part with its module below terraform/, its step and what the runbook says of every module.
Part terraform_part(const Context& context, const Cloud& cloud, const Terraform& tf, std::string_view name);

// What the runbook says of the first apply, behind the credentials of the cloud.
void add_first_apply(Part& part, const Cloud& cloud);

// Lines of shell: a kubeconfig that goes through localhost:8443 to `address`, a variable with the API
// server's name, for kubectl and helm alike.
std::string forwarded_kubeconfig();

// "name" as an identifier of Terraform: other characters become '_'.
std::string identifier(std::string_view name);

}  // namespace tg::render
