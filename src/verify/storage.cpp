// Volumes: what the clouds allow, who can share one, what local disks hold.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "catalog/instances.hpp"
#include "text/suggest.hpp"
#include "verify/facts.hpp"

namespace tg::verify {

namespace {

constexpr double kGi = 1024.0 * 1024.0 * 1024.0;
constexpr double kMi = 1024.0 * 1024.0;

const spec::Reader* find(const Named& named, std::string_view name) {
  for (const auto& [other, reader] : named) {
    if (other == name) return &reader;
  }
  return nullptr;
}

void check_default(const Subject& s, const Named& all, const std::vector<Claim>& claimed, Report& report) {
  std::vector<std::string> defaults;
  const spec::Reader* second = nullptr;
  for (const auto& [name, c] : all) {
    if (!c.flag("default")) continue;
    if (!defaults.empty() && second == nullptr) second = &c;
    defaults.push_back(name);
    if (is_static(s, name, c))
      report.error(
          c, "default", "static_default",
          fmt::format("{} gives each claim a whole disk of a host: every claim without a class would "
                      "take one",
                      name),
          "make another class the default, or write dynamic: true");
  }
  if (second != nullptr)
    report.error(*second, "default", "default_class",
                 fmt::format("{} and {} are both the default class", defaults[0], defaults[1]),
                 "keep default: true at one of them");
  if (all.empty() || !defaults.empty()) return;
  const auto claim =
      std::find_if(claimed.begin(), claimed.end(), [](const Claim& c) { return c.class_name.empty(); });
  if (claim == claimed.end()) return;
  report.error(s.spec, "storage.classes", "default_class",
               fmt::format("no class is the default, and {} names none", claim->what),
               "write default: true at one class, or name a class there");
}

// Fast volumes of Google hang on machines of the newer families only.
void check_machines(const Subject& s, const spec::Reader& c, Report& report) {
  if (s.site != "google" || c.text("kind") != "block") return;
  if (c.integer("iops") <= 3000 && c.number("throughput") <= 0) return;
  for (const auto& [name, pool] : s.spec.named("pools")) {
    for (const std::string& type : pool.list("instanceTypes")) {
      if (catalog::takes_hyperdisks(type)) continue;
      report.error(c, c.has("iops") ? "iops" : "throughput", "disk_not_for_machine",
                   fmt::format("volumes with operations of their own are hyperdisks, which {} of the pool {} "
                               "does not take",
                               type, name),
                   "use machines of c3, c4 or n4 there, or leave iops at 3000");
      return;
    }
  }
}

// Operations a second that a fast volume of a cloud gives for each GiB, and what such a volume is called.
struct FastVolume {
  std::string_view site, name;
  double per_gib;
};
constexpr std::array<FastVolume, 3> kFastVolumes{
    {{"aws", "gp3", 500}, {"google", "a hyperdisk", 500}, {"azure", "Premium SSD v2", 500}}};

bool newer_machines(const Subject& s) {
  for (const auto& [name, pool] : s.spec.named("pools")) {
    const std::vector<std::string> types = pool.list("instanceTypes");
    if (std::any_of(types.begin(), types.end(), catalog::takes_hyperdisks)) return true;
  }
  return false;
}

// The smallest volume of a cold class, in GiB, and what it is called.
std::pair<double, std::string_view> smallest_cold(const Subject& s) {
  if (s.site == "aws") return {125, "st1 volumes begin at 125Gi"};
  if (s.site == "google" && newer_machines(s)) return {2048, "cold hyperdisks begin at 2Ti"};
  return {0, {}};
}

void check_class(const Subject& s, const std::string& name, const spec::Reader& c, Report& report) {
  const std::string kind = c.text("kind");
  for (const char* field : {"iops", "throughput"}) {
    if (c.has(field) && kind != "block")
      report.error(c, field, "not_for_kind", fmt::format("a class of kind {} has no {} to set", kind, field),
                   "remove it, or write kind: block");
  }
  if (c.has("dynamic") && kind != "local")
    report.error(c, "dynamic", "not_for_kind",
                 fmt::format("only a local class is dynamic, {} is {}", name, kind),
                 "remove it: other classes make volumes at each claim anyway");
  if (c.has("server") && kind != "shared")
    report.error(c, "server", "not_for_kind",
                 fmt::format("only a shared class has a server, {} is {}", name, kind),
                 "remove it, or write kind: shared");
  check_machines(s, c, report);
  const auto iops = static_cast<double>(c.integer("iops"));
  if (s.site == "aws" && kind == "block" && iops > 80000)
    report.error(c, "iops", "above_provider",
                 fmt::format("a gp3 volume gives 80,000 at most, {:.0f} are asked for", iops),
                 "ask for 80000 or fewer");
  const double most = s.site == "aws" ? std::max(iops, 3000.0) * 0.25 * kMi : 0;
  if (most > 0 && c.number("throughput") > most)
    report.error(c, "throughput", "above_provider",
                 fmt::format("gp3 gives 0.25 MiB/s for each operation, so {:.0f} give {} a second at most",
                             std::max(iops, 3000.0), shown("memory", most)),
                 fmt::format("raise iops to {:.0f}, or lower throughput", c.number("throughput") / kMi * 4));
  if (kind == "cold" && !s.cloud() && !c.flag("existing"))
    report.error(c, "kind", "not_here", fmt::format("{} has no cold disks", s.site), "use block or local");
  if (kind == "block" && s.hosts() && !c.flag("existing"))
    report.error(c, "kind", "not_here", fmt::format("{} has no disks that move between nodes", s.site),
                 "use local, shared with a server, or existing: true");
  if (kind == "shared" && !s.cloud() && !c.has("server") && !c.flag("existing"))
    report.error(c, "kind", "needs_server",
                 fmt::format("{} is shared, and {} offers no files: an NFS server is needed", name, s.site),
                 "add server: HOST");
  if (!is_static(s, name, c) || c.flag("existing")) return;
  bool disks = false;
  for (const auto& [pool, p] : s.spec.named("pools")) disks = disks || p.text("localDisks") == name;
  if (s.hosts()) {
    for (const auto& [host, h] : s.infrastructure().named("hosts"))
      disks = disks || h.has("localDisks." + name);
  }
  if (!disks)
    report.error(
        c, "kind", "no_local_disks", fmt::format("no pool and no host has disks for {}", name),
        s.hosts()
            ? fmt::format("add localDisks: {{{}: {{path: …, size: …}}}} to a host, or dynamic: true", name)
            : fmt::format("add localDisks: {} to a pool whose machines have disks", name));
}

void check_claim(const Subject& s, const Claim& claim, const Named& all, Report& report) {
  const spec::Reader* c = find(all, claim.class_name);
  if (c == nullptr) return;
  const std::string kind = c->text("kind");
  const auto iops = static_cast<double>(c->integer("iops"));
  const auto fast = std::find_if(kFastVolumes.begin(), kFastVolumes.end(),
                                 [&](const FastVolume& v) { return v.site == s.site; });
  if (fast != kFastVolumes.end() && kind == "block" && iops > 3000 &&
      claim.bytes / kGi * fast->per_gib < iops) {
    const double needed = std::ceil(iops / fast->per_gib);
    report.error(
        claim.reader, claim.size, "iops_need_size",
        fmt::format("{} claims {}, and {:.0f} operations a second need {:.0f}Gi: {} gives {:.0f} for "
                    "each GiB",
                    claim.what, shown("memory", claim.bytes), iops, needed, fast->name, fast->per_gib),
        fmt::format("claim {:.0f}Gi or more, or a class with fewer", needed));
  }
  const auto [least, why] = smallest_cold(s);
  if (kind == "cold" && claim.bytes < least * kGi)
    report.error(claim.reader, claim.size, "volume_too_small",
                 fmt::format("{} claims {}, and {}", claim.what, shown("memory", claim.bytes), why),
                 fmt::format("claim {:.0f}Gi or more, or a class of kind block", least));
  if (claim.shared && kind != "shared")
    report.error(claim.reader, claim.reader.has(claim.class_path) ? claim.class_path : claim.size,
                 "volume_not_shared",
                 fmt::format("several pods mount {}, and a volume of {} ({}) is on one node at a time",
                             claim.what, claim.class_name, kind),
                 "name a class of kind shared, or allow one replica");
}

// Static local volumes are claimed whole: as many claims as disks, each not above its disk.
void check_disks(const Subject& s, const Named& all, const std::vector<Claim>& claimed, Report& report) {
  if (!s.hosts()) return;
  for (const auto& [name, c] : all) {
    if (!is_static(s, name, c)) continue;
    std::vector<double> disks;
    for (const auto& [host, h] : s.infrastructure().named("hosts")) {
      if (h.has("localDisks." + name)) disks.push_back(h.number(fmt::format("localDisks.{}.size", name)));
    }
    if (disks.empty()) continue;
    const double largest = *std::max_element(disks.begin(), disks.end());
    double taken = 0;
    for (const Claim& claim : claimed) {
      if (claim.class_name != name) continue;
      taken += claim.count;
      if (claim.bytes > largest) {
        report.error(claim.reader, claim.size, "local_volumes",
                     fmt::format("{} claims {}, and the largest disk of {} holds {}", claim.what,
                                 shown("memory", claim.bytes), name, shown("memory", largest)),
                     fmt::format("claim {} or less", shown("memory", largest)));
      } else if (taken > static_cast<double>(disks.size())) {
        report.error(claim.reader, claim.class_path, "local_volumes",
                     fmt::format("{} has {} disks, each for one claim, and {:.0f} are claimed with {}", name,
                                 disks.size(), taken, claim.what),
                     "add a disk, or claim another class");
      }
    }
  }
}

// One small machine: all claims together fit its disk.
void check_room(const Subject& s, const Named& all, const std::vector<Claim>& claimed, Report& report) {
  if (s.site != "k3s") return;
  const Named hosts = s.infrastructure().named("hosts");
  double have = 0;
  for (const auto& [name, host] : hosts) {
    const auto q = host.quantities("resources");
    const auto it = q.find("storage");
    if (it == q.end()) return;
    have += amounts({{"memory", it->second}}).memory;
  }
  double need = 0;
  const Claim* greatest = nullptr;
  for (const Claim& c : claimed) {
    if (const spec::Reader* of = find(all, c.class_name); of != nullptr && is_static(s, c.class_name, *of))
      continue;
    need += c.bytes * c.count;
    if (greatest == nullptr || c.bytes * c.count > greatest->bytes * greatest->count) greatest = &c;
  }
  if (greatest == nullptr || need <= have) return;
  report.error(greatest->reader, greatest->size, "disk_too_small",
               fmt::format("all volumes together are {}, and the hosts have {}; the largest is {}",
                           shown("memory", need), shown("memory", have), greatest->what),
               "claim less, or give the hosts larger disks");
}

void check_types(const Subject& s, Report& report) {
  if (!s.cloud()) return;
  const auto known = catalog::disk_types(s.site);
  const auto check = [&](const spec::Reader& reader, std::string_view path) {
    const std::string type = reader.text(path);
    if (type.empty() || std::find(known.begin(), known.end(), type) != known.end()) return;
    const std::string near = text::did_you_mean(type, known);
    report.error(reader, path, "unknown_disk_type", fmt::format("{} has no disks of type {}", s.site, type),
                 near.empty() ? fmt::format("choose one of {}", text::join_words(known, "or")) : near);
  };
  for (const auto& [name, pool] : s.spec.named("pools")) check(pool, "disk.type");
  for (const auto& [name, run] : s.all(spec::DocumentKind::training_run)) {
    for (const auto& [volume, v] : run.named("volumes")) check(v, "type");
  }
}

}  // namespace

void check_storage(const Subject& s, Report& report) {
  const Named all = classes(s);
  const std::vector<Claim> claimed = claims(s);
  check_default(s, all, claimed, report);
  for (const auto& [name, c] : all) check_class(s, name, c, report);
  for (const Claim& claim : claimed) check_claim(s, claim, all, report);
  check_disks(s, all, claimed, report);
  check_room(s, all, claimed, report);
  check_types(s, report);
  if (s.spec.text("backup.volumes") == "snapshots") {
    const bool can =
        std::any_of(all.begin(), all.end(), [](const auto& c) { return c.second.text("kind") == "block"; });
    if (!all.empty() && !can)
      report.error(s.spec, "backup.volumes", "no_snapshots",
                   "no class is of kind block: none can make snapshots", "write volumes: fileSystem");
    else if (s.spec.has("storage.snapshots") && !s.spec.flag("storage.snapshots"))
      report.error(s.spec, "backup.volumes", "no_snapshots", "storage.snapshots is false",
                   "write storage.snapshots: true, or volumes: fileSystem");
  }
}

}  // namespace tg::verify
