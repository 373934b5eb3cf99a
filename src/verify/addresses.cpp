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
  spec::Reader reader;
  std::string path;
  std::string what;  // "the pods"
};

class Ranges {
 public:
  void add(const spec::Reader& reader, const std::string& path, std::string what) {
    if (const auto cidr = parse_cidr(reader.text(path)))
      all_.push_back({*cidr, reader, path, std::move(what)});
  }
  void add_text(const spec::Reader& reader, const std::string& path, std::string_view text,
                std::string what) {
    if (const auto cidr = parse_cidr(text)) all_.push_back({*cidr, reader, path, std::move(what)});
  }
  void compare(Report& report) const {
    for (std::size_t i = 0; i < all_.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (!all_[i].cidr.overlaps(all_[j].cidr)) continue;
        report.error(all_[i].reader, all_[i].path, "address_overlap",
                     fmt::format("{} of {} overlaps {} of {} ({})", all_[i].cidr.str(), all_[i].what,
                                 all_[j].cidr.str(), all_[j].what, all_[j].reader.where(all_[j].path)),
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
  for (const std::string& network : s.spec.list("access.vpn.networks"))
    ranges.add_text(s.spec, "access.vpn.networks", network, "the VPN's far side");
  for (const spec::Reader& peering : s.spec.entries("access.peering")) {
    for (const std::string& network : peering.list("networks"))
      ranges.add_text(peering, "networks", network, "a peer");
  }
  ranges.compare(report);
  if (s.site == "machines" || s.site == "k3s") check_hosts(s, report);
  if (cloud) check_subnets(s, report);
}

}  // namespace tg::verify
