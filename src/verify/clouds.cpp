// Clouds: regions and zones, types of machines, sizes, what lies beside the platform.
#include <fmt/format.h>

#include <algorithm>

#include "catalog/instances.hpp"
#include "text/suggest.hpp"
#include "verify/cidr.hpp"
#include "verify/facts.hpp"

namespace tg::verify {

namespace {

std::string one_of(std::span<const std::string_view> all) {
  const std::size_t shown = std::min<std::size_t>(all.size(), 6);
  return fmt::format("{}{}", text::join_words(all.first(shown), "or"), all.size() > shown ? " …" : "");
}

void check_region(const Subject& s, const spec::Reader& site, Report& report) {
  const std::string region = site.text("region");
  const auto all = catalog::regions(s.site);
  if (std::find(all.begin(), all.end(), region) == all.end()) {
    const std::string near = text::did_you_mean(region, all);
    report.error(site, "region", "unknown_region", fmt::format("{} has no region {}", s.site, region),
                 near.empty() ? fmt::format("choose {}", one_of(all)) : near);
    return;
  }
  const std::vector<std::string> known = catalog::zones(s.site, region);
  const auto zones = site.texts("zones");
  std::vector<std::string> seen;
  for (std::size_t i = 0; i < zones.size(); ++i) {
    const auto& [zone, at] = zones[i];
    const std::vector<std::string_view> words(known.begin(), known.end());
    if (std::find(known.begin(), known.end(), zone) == known.end())
      report.error_in(site, "zones", i, at, "zone_elsewhere",
                      fmt::format("{} is no zone of {}", zone, region),
                      fmt::format("choose {}", one_of(words)));
    if (std::find(seen.begin(), seen.end(), zone) != seen.end())
      report.error_in(site, "zones", i, at, "zone_twice", fmt::format("{} stands above already", zone),
                      "remove it");
    seen.push_back(zone);
  }
  if (s.site == "aws" && zones.size() == 1)
    report.error(site, "zones", "too_few_zones", "the control plane of EKS wants subnets in two zones",
                 "add a zone");
}

void check_type(const Subject& s, const spec::Reader& pool, std::size_t i, const std::string& type,
                const text::Position& at, Report& report) {
  const catalog::MachineType found = catalog::machine_type(s.site, type);
  if (found.name == catalog::TypeName::known) return;
  if (found.name == catalog::TypeName::foreign) {
    for (const char* other : {"aws", "google", "azure", "openTelekomCloud"}) {
      if (catalog::machine_type(other, type).name != catalog::TypeName::known) continue;
      report.error_in(
          pool, "instanceTypes", i, at, "unknown_instance_type",
          fmt::format("{} is a type of {}, and the platform is on {}", type, other, s.site),
          fmt::format("choose one of {}, such as {}", s.site, catalog::machine_types(s.site).front()));
      return;
    }
    const std::vector<std::string> types = catalog::machine_types(s.site);
    const std::string near = text::did_you_mean(type, std::span<const std::string>(types));
    report.error_in(pool, "instanceTypes", i, at, "unknown_instance_type",
                    fmt::format("{} has no machines of type {}", s.site, type),
                    near.empty() ? fmt::format("write it as {}", types.front()) : near);
    return;
  }
  if (!pool.has("resources"))
    report.warning(pool, "instanceTypes", "type_not_known",
                   fmt::format("{} is not in the catalog: sums leave its nodes out", type),
                   "add resources: {cpu: …, memory: …} to the pool");
}

void check_pools(const Subject& s, Report& report) {
  for (const auto& [name, pool] : s.spec.named("pools")) {
    const auto types = pool.texts("instanceTypes");
    for (std::size_t i = 0; i < types.size(); ++i)
      check_type(s, pool, i, types[i].first, types[i].second, report);
    if (s.site == "openTelekomCloud" && types.size() > 1)
      report.error_in(pool, "instanceTypes", 1, types[1].second, "not_here",
                      "a node pool of openTelekomCloud has one type", "make a pool for each type");
    if (s.site == "openTelekomCloud" && pool.has("spot"))
      report.error(pool, "spot", "not_here", "openTelekomCloud has no spot machines for node pools",
                   "remove spot");
  }
}

void check_flavor(const Subject& s, Report& report) {
  const std::string flavor = s.spec.text("cluster.controlPlane.flavor");
  if (!s.spec.has("cluster.controlPlane.flavor")) return;
  const auto all = catalog::control_plane_flavors();
  if (s.site != "openTelekomCloud") {
    report.error(s.spec, "cluster.controlPlane.flavor", "not_here",
                 fmt::format("{} chooses the size of its control plane itself", s.site), "remove it");
    return;
  }
  if (std::find(all.begin(), all.end(), flavor) != all.end()) return;
  const bool machine = catalog::machine_type(s.site, flavor).name != catalog::TypeName::foreign;
  const std::string near = text::did_you_mean(flavor, all);
  report.error(s.spec, "cluster.controlPlane.flavor", "unknown_flavor",
               machine ? fmt::format("{} is a size of machines, a control plane has its own", flavor)
                       : fmt::format("{} is no size of a control plane", flavor),
               near.empty() ? fmt::format("choose {}", one_of(all)) : near);
}

void check_otc(const spec::Reader& site, Report& report) {
  for (const char* field : {"account.domainName", "account.tenantId"}) {
    const spec::Given given = site.given(field);
    if (given.text.empty() && given.env.empty())
      report.error(site, field, "empty_value", "it is empty: every call to the cloud would be refused",
                   "write the name, or {env: NAME}");
  }
  const auto servers = site.texts("network.nameservers");
  if (servers.empty()) return;
  const auto internal = parse_cidr("100.125.0.0/16");
  const auto first = parse_cidr(servers.front().first);
  if (first && internal && !internal->contains(*first))
    report.error_in(
        site, "network.nameservers", 0, servers.front().second, "nameserver_outside",
        fmt::format("{} does not know the names that nodes need to join the cluster", servers.front().first),
        "put a resolver of the cloud first: 100.125.4.25");
}

// `machine`: the type without "db.". Databases come in the sizes of machines, and serverless.
void check_database_type(const spec::Reader& d, const std::string& machine, Report& report) {
  if (machine == "serverless" || catalog::machine_type("aws", machine).name != catalog::TypeName::foreign)
    return;
  const std::vector<std::string> types = catalog::machine_types("aws");
  const auto near = text::nearest(machine, std::span<const std::string>(types), 1);
  report.error(d, "instanceType", "unknown_instance_type",
               fmt::format("there are no databases of type db.{}", machine),
               fmt::format("write db.{}", near.empty() ? "r6g.large" : near.front()));
}

void check_data(const Subject& s, Report& report) {
  for (const auto& [name, d] : s.spec.named("data")) {
    if (d.text("use") != "aurora-postgresql") {
      if (d.has("instanceType"))
        report.error(d, "instanceType", "not_for_kind",
                     fmt::format("{} runs in the cluster and has no machine of its own", d.text("use")),
                     "remove it, or set resources");
      continue;
    }
    const std::string type = d.text("instanceType");
    if (s.site != "aws" || type.empty()) continue;
    if (type.starts_with("db.")) {
      check_database_type(d, type.substr(3), report);
    } else {
      report.error(d, "instanceType", "unknown_instance_type",
                   fmt::format("{} is no type of a database: they begin with db.", type),
                   catalog::machine_type("aws", type).name == catalog::TypeName::known
                       ? "write db." + type
                       : "write db.r6g.large");
    }
    for (const char* field : {"class", "size", "resources", "topics"}) {
      if (d.has(field))
        report.error(d, field, "not_for_kind",
                     fmt::format("the cloud runs {}: {} would change nothing", name, field), "remove it");
    }
  }
}

void check_backup(const Subject& s, const spec::Reader& site, Report& report) {
  const std::string region = s.spec.text("backup.store.region");
  if (!region.empty() && region == site.text("region"))
    report.error(s.spec, "backup.store.region", "backup_beside",
                 fmt::format("copies in {} are lost with the platform, which is in {} too", region, region),
                 "choose another region");
  const auto all = catalog::regions(s.site);
  if (!region.empty() && std::find(all.begin(), all.end(), region) == all.end()) {
    const std::string near = text::did_you_mean(region, all);
    report.error(s.spec, "backup.store.region", "unknown_region",
                 fmt::format("{} has no region {}", s.site, region),
                 near.empty() ? fmt::format("choose {}", one_of(all)) : near);
  }
}

}  // namespace

void check_clouds(const Subject& s, Report& report) {
  check_flavor(s, report);
  if (!s.cloud()) return;
  const spec::Reader site = s.infrastructure();
  check_region(s, site, report);
  check_pools(s, report);
  check_data(s, report);
  check_backup(s, site, report);
  if (s.site == "openTelekomCloud") check_otc(site, report);
  const std::string zone = site.text("dns.zone"), domain = s.spec.text("domain");
  if (!zone.empty() && !domain.empty() && domain != zone && !domain.ends_with("." + zone))
    report.error(site, "dns.zone", "zone_elsewhere",
                 fmt::format("{} does not hold names below {}", zone, domain),
                 fmt::format("write {}", domain));
  if (site.text("network.egress") == "none")
    report.warning(site, "network.egress", "no_egress", "nodes cannot pull images from the internet",
                   "write egress: nat, unless a mirror is in the network");
  if (!site.has("keyPair")) return;
  const auto key = site.secret("keyPair.publicKey");
  if (!key)
    report.warning(site, "keyPair", "key_in_state", "the private half of the pair will be in the state",
                   "name a public key: {file: ~/.ssh/id_ed25519.pub}");
}

}  // namespace tg::verify
