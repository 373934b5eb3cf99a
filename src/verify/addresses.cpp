// Address ranges: pods, services, machines, virtual networks, VPN and peers must not overlap (a packet has
// one way), subnets lie in their network, hosts in theirs.
#include <fmt/format.h>

#include "verify/cidr.hpp"
#include "verify/rules.hpp"

namespace tg::verify {

namespace {

// One range of the document, for comparison with all others.
struct Range {
  Cidr cidr;
  text::Position at;
  std::string where;
  std::string what;  // "the pods"
};

class Ranges {
 public:
  void add(const spec::Reader& reader, const std::string& path, std::string what) {
    if (const auto cidr = parse_cidr(reader.text(path)))
      all_.push_back({*cidr, reader.at(path), reader.where(path), std::move(what)});
  }
  // Each network of a list.
  void add_each(const spec::Reader& reader, const std::string& path, const std::string& what) {
    const auto networks = reader.texts(path);
    for (std::size_t i = 0; i < networks.size(); ++i) {
      if (const auto cidr = parse_cidr(networks[i].first))
        all_.push_back({*cidr, networks[i].second, fmt::format("{}[{}]", reader.where(path), i), what});
    }
  }
  void compare(Report& report) const {
    for (std::size_t i = 0; i < all_.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        const Range &a = all_[i], &b = all_[j];
        if (!a.cidr.overlaps(b.cidr)) continue;
        report.error_at(a.at, a.where, "address_overlap",
                        fmt::format("{} of {} overlaps {} of {} ({})", a.cidr.str(), a.what, b.cidr.str(),
                                    b.what, b.where),
                        "choose a range that nothing else uses");
      }
    }
  }

 private:
  std::vector<Range> all_;
};

void check_hosts(const Subject& s, Report& report) {
  const spec::Reader site = s.infrastructure();
  const auto lan = s.site == "machines" ? parse_cidr(site.text("network.cidr")) : std::nullopt;
  std::vector<std::pair<std::string, std::string>> seen;  // address, host
  for (const auto& [name, host] : site.named("hosts")) {
    const std::string address = host.text("address");
    const auto parsed = parse_cidr(address);
    if (!parsed) continue;
    if (lan && !lan->contains(parsed->base)) {
      report.error(host, "address", "address_outside", fmt::format("{} is not in {}", address, lan->str()),
                   "correct the address or infrastructure.machines.network.cidr");
    }
    for (const auto& [other, owner] : seen) {
      if (other == address) {
        report.error(host, "address", "address_taken",
                     fmt::format("{} is the address of {} already", address, owner),
                     "give each host its own address");
      }
    }
    seen.emplace_back(address, name);
  }
}

void check_subnets(const Subject& s, Report& report) {
  const spec::Reader site = s.infrastructure();
  const auto network = parse_cidr(site.text("network.cidr"));
  if (!network) return;
  Ranges subnets;
  for (const auto& [name, subnet] : site.named("network.subnets")) {
    const auto cidr = parse_cidr(subnet.text("cidr"));
    if (!cidr) continue;
    if (!network->contains(*cidr)) {
      report.error(subnet, "cidr", "address_outside",
                   fmt::format("{} is not in {}", cidr->str(), network->str()),
                   "choose a range inside network.cidr");
    }
    if (cidr->bits > 28) {
      report.error(subnet, "cidr", "subnet_too_small",
                   fmt::format("/{} has {} addresses, a cluster needs 16 at least", cidr->bits, cidr->size()),
                   "choose /28 or larger");
    }
    subnets.add(subnet, "cidr", "subnet " + name);
  }
  subnets.compare(report);
}

// EKS gives Services addresses of three private ranges, in networks from /24 to /12.
void check_eks_services(const Subject& s, Report& report) {
  const auto services = parse_cidr(s.spec.text("cluster.networks.services"));
  if (!services) return;
  for (const char* range : {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"}) {
    const auto taken = parse_cidr(range);
    if (taken->contains(services->base) && services->bits >= std::max(taken->bits, 12)) return;
  }
  report.error(s.spec, "cluster.networks.services", "network_not_private",
               fmt::format("EKS takes no network such as {} for services", services->str()),
               "choose one from /12 to /24 in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16");
}

// Each node takes a /24 of the pods' network, on nodes that are not the cloud's own.
void check_room(const Subject& s, Report& report) {
  const auto pods = parse_cidr(s.spec.text("cluster.networks.pods"));
  const auto services = parse_cidr(s.spec.text("cluster.networks.services"));
  if (services && services->bits > 27)
    report.error(
        s.spec, "cluster.networks.services", "network_too_small",
        fmt::format("/{} has {} addresses, and each service takes one", services->bits, services->size()),
        "choose /24 or larger");
  std::int64_t most = 0;
  if (s.hosts()) {
    most = static_cast<std::int64_t>(s.infrastructure().named("hosts").size());
  } else {
    for (const auto& [name, pool] : s.spec.named("pools")) most += pool.integer("count.max");
  }
  if (!pods || s.site == "aws" || s.site == "existing") return;  // AWS gives pods addresses of its subnets
  const std::int64_t room = pods->bits > 24 ? 0 : std::int64_t{1} << (24 - pods->bits);
  if (most > room)
    report.error(s.spec, "cluster.networks.pods", "network_too_small",
                 fmt::format("/{} has a /24 for {} nodes, and there can be {}", pods->bits, room, most),
                 "choose a larger network, such as a /16");
}

}  // namespace

void check_addresses(const Subject& s, Report& report) {
  Ranges ranges;
  const spec::Reader site = s.infrastructure();
  const bool cloud =
      s.site == "aws" || s.site == "google" || s.site == "azure" || s.site == "openTelekomCloud";
  if (cloud || s.site == "machines")
    ranges.add(site, "network.cidr", cloud ? "the virtual network" : "the machines");
  if (s.site == "k3s") {
    for (const auto& [name, host] : site.named("hosts")) ranges.add(host, "address", "host " + name);
  }
  ranges.add(s.spec, "cluster.networks.pods", "the pods");
  ranges.add(s.spec, "cluster.networks.services", "the services");
  ranges.add_each(s.spec, "access.vpn.networks", "the VPN's far side");
  for (const spec::Reader& peering : s.spec.entries("access.peering"))
    ranges.add_each(peering, "networks", "a peer");
  ranges.compare(report);
  check_room(s, report);
  if (s.site == "aws") check_eks_services(s, report);
  if (s.site == "machines" || s.site == "k3s") check_hosts(s, report);
  if (cloud) check_subnets(s, report);
}

}  // namespace tg::verify
