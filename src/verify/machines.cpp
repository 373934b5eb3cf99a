// Hosts of one's own: roles, quorum, load balancers. Control planes of Cluster API too.
#include <fmt/format.h>

#include <algorithm>

#include "verify/cidr.hpp"
#include "verify/facts.hpp"

namespace tg::verify {

namespace {

struct Roles {
  Named controls, balancers, workers;
};

Roles by_role(const Named& hosts) {
  Roles out;
  for (const auto& h : hosts) {
    const std::string role = h.second.text("role");
    (role == "controlPlane" || role == "server" ? out.controls
     : role == "loadBalancer"                   ? out.balancers
                                                : out.workers)
        .push_back(h);
  }
  return out;
}

void check_quorum(const Subject& s, const Roles& roles, Report& report) {
  const std::string word = s.site == "k3s" ? "server" : "controlPlane";
  if (roles.controls.empty()) {
    report.error(s.infrastructure(), "hosts", "no_control_plane", "no host is a control plane",
                 fmt::format("write role: {} at one host, or at three", word));
    return;
  }
  if (roles.controls.size() % 2 == 0)
    report.error(roles.controls.back().second, "role", "even_control_planes",
                 fmt::format("{} control planes survive no more losses than {}: the store needs a majority",
                             roles.controls.size(), roles.controls.size() - 1),
                 fmt::format("make it {} or {}", roles.controls.size() - 1, roles.controls.size() + 1));
}

void check_balancers(const Subject& s, const Roles& roles, Report& report) {
  const spec::Reader site = s.infrastructure();
  const std::string shared = site.text("virtualAddress");
  if (roles.controls.size() > 1 && roles.balancers.empty() && !s.spec.has("cluster.endpoint"))
    report.error(site, "hosts", "needs_load_balancer",
                 fmt::format("{} control planes have no address in common", roles.controls.size()),
                 "add a host with role: loadBalancer, or cluster.endpoint");
  if (!shared.empty() && roles.balancers.size() < 2)
    report.error(site, "virtualAddress", "virtual_address",
                 fmt::format("{} is shared by two load balancers, and there {} {}", shared,
                             roles.balancers.size() == 1 ? "is" : "are", roles.balancers.size()),
                 "add a second host with role: loadBalancer, or remove virtualAddress");
  if (shared.empty() && roles.balancers.size() > 1)
    report.error(roles.balancers.back().second, "role", "virtual_address",
                 fmt::format("{} load balancers have no address in common", roles.balancers.size()),
                 "add virtualAddress: a free address of the network");
  const auto lan = parse_cidr(site.text("network.cidr"));
  const auto address = parse_cidr(shared);
  if (lan && address && !lan->contains(*address))
    report.error(site, "virtualAddress", "address_outside",
                 fmt::format("{} is not in {}", shared, lan->str()), "choose a free address of the network");
  for (const auto& [name, host] : site.named("hosts")) {
    if (!shared.empty() && host.text("address") == shared)
      report.error(site, "virtualAddress", "address_taken",
                   fmt::format("{} is the address of {}", shared, name),
                   "choose a free address of the network");
  }
}

// The endpoint leads to a load balancer, the virtual address or the only control plane.
void check_endpoint(const Subject& s, const Roles& roles, Report& report) {
  const std::string endpoint = s.spec.text("cluster.endpoint");
  if (endpoint.empty() || roles.balancers.empty()) return;
  const std::string host = endpoint.substr(0, endpoint.rfind(':'));
  if (host == s.infrastructure().text("virtualAddress")) return;
  for (const auto& [name, other] : s.infrastructure().named("hosts")) {
    if (host != name && host != other.text("address")) continue;
    if (other.text("role") != "loadBalancer")
      report.error(s.spec, "cluster.endpoint", "endpoint_elsewhere",
                   fmt::format("{} is a {}, and the load balancer is {}", host, other.text("role"),
                               roles.balancers.front().first),
                   fmt::format("write {}:6443", roles.balancers.front().first));
    return;
  }
  // A name of the DNS that the documents do not know may be right, an address is not.
  if (!parse_cidr(host))
    report.warning(s.spec, "cluster.endpoint", "endpoint_elsewhere",
                   fmt::format("{} is the name of no host: nothing here makes it lead to {}", host,
                               roles.balancers.front().first),
                   fmt::format("write {}:6443, or see to it that the DNS knows the name",
                               roles.balancers.front().first));
  else
    report.error(s.spec, "cluster.endpoint", "endpoint_elsewhere",
                 fmt::format("{} is the address of no host", host),
                 fmt::format("write {}:6443", roles.balancers.front().first));
}

void check_host(const std::string& name, const spec::Reader& host, const Named& pools, Report& report) {
  if (host.text("role") == "loadBalancer") {
    for (const char* field : {"pool", "localDisks"}) {
      if (host.has(field))
        report.error(host, field, "not_for_role", fmt::format("{} is a load balancer and no node", name),
                     "remove it");
    }
  }
  const Amounts has = amounts(host.quantities("resources"));
  bool gpu_pool = false;
  for (const auto& [pool, p] : pools)
    gpu_pool = gpu_pool || (pool == host.text("pool") && p.text("gpu.vendor") == "nvidia");
  const bool known = host.text("pool").empty() || std::any_of(pools.begin(), pools.end(), [&](const auto& p) {
                       return p.first == host.text("pool");
                     });
  if (has.gpus > 0 && !gpu_pool && known)
    report.error(
        host, "resources", "gpu_not_declared",
        fmt::format("{} has {:.0f} GPUs and is in no pool with GPUs: they would stand idle", name, has.gpus),
        "add a pool with gpu: {vendor: nvidia} and name it");
  if (gpu_pool && host.has("resources") && has.gpus <= 0)
    report.error(
        host, "resources", "gpu_count_wrong",
        fmt::format("{} is in the pool {} of GPUs and its resources name none", name, host.text("pool")),
        "add nvidia.com/gpu: NUMBER");
  std::map<std::string, std::string> paths;
  for (const auto& [storage_class, disk] : host.named("localDisks")) {
    const auto [other, fresh] = paths.emplace(disk.text("path"), storage_class);
    if (!fresh)
      report.error(disk, "path", "path_taken",
                   fmt::format("{} of {} is the disk of {} already", disk.text("path"), name, other->second),
                   "mount each disk at its own directory");
  }
}

void check_pools(const Subject& s, const Named& hosts, const Named& pools, Report& report) {
  for (const auto& [name, pool] : pools) {
    for (const char* field : {"count", "instanceTypes", "spot", "disk"}) {
      if (pool.has(field))
        report.error(
            pool, field, "not_here",
            fmt::format("the nodes of {} are the hosts that name it: {} would change nothing", name, field),
            "remove it");
    }
    const bool used =
        std::any_of(hosts.begin(), hosts.end(), [&](const auto& h) { return h.second.text("pool") == name; });
    if (!used)
      report.error(s.spec, "pools." + name, "empty_pool", fmt::format("no host is in the pool {}", name),
                   fmt::format("write pool: {} at a host, or remove the pool", name));
  }
}

}  // namespace

void check_machines(const Subject& s, Report& report) {
  if (s.site == "clusterApi") {
    const std::int64_t n = s.spec.integer("cluster.controlPlane.replicas");
    if (n > 0 && n % 2 == 0)
      report.error(s.spec, "cluster.controlPlane.replicas", "even_control_planes",
                   fmt::format("{} control planes survive no more losses than {}: the store needs a majority",
                               n, n - 1),
                   fmt::format("write {} or {}", n - 1, n + 1));
    return;
  }
  if (!s.hosts()) return;
  const Named hosts = s.infrastructure().named("hosts");
  const Named pools = s.spec.named("pools");
  const Roles roles = by_role(hosts);
  check_quorum(s, roles, report);
  if (s.site == "machines") {
    check_balancers(s, roles, report);
    check_endpoint(s, roles, report);
  }
  for (const auto& [name, host] : hosts) check_host(name, host, pools, report);
  check_pools(s, hosts, pools, report);
}

}  // namespace tg::verify
