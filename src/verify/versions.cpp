// Versions: what is offered, what has ended, what goes with what.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "catalog/releases.hpp"
#include "text/suggest.hpp"
#include "verify/facts.hpp"

namespace tg::verify {

namespace {

constexpr int kNotice = 120;  // days before an end that are worth a word

// Days from 1970 of "2026-11-21".
int days(std::string_view date) {
  const auto part = [&](std::size_t from, std::size_t length) {
    int value = 0;
    for (const char c : date.substr(std::min(from, date.size()), length)) value = value * 10 + (c - '0');
    return value;
  };
  const std::chrono::year_month_day day{std::chrono::year(part(0, 4)),
                                        std::chrono::month(static_cast<unsigned>(part(5, 2))),
                                        std::chrono::day(static_cast<unsigned>(part(8, 2)))};
  return static_cast<int>(std::chrono::sys_days(day).time_since_epoch().count());
}

std::string offered(std::span<const std::string_view> minors) { return text::join_words(minors, "and"); }

std::vector<std::string_view> minors_of(const Subject& s) {
  std::vector<std::string_view> out;
  if (s.site == "openTelekomCloud") {
    const auto all = catalog::cce_versions();
    out.assign(all.begin(), all.end());
  } else {
    for (const catalog::Kubernetes& k : catalog::kubernetes_releases()) out.push_back(k.minor);
  }
  return out;
}

std::string version_of(const Subject& s) {
  std::string version = s.spec.text("cluster.version");
  if (!version.empty()) return version;
  return std::string(s.site == "openTelekomCloud" ? catalog::cce_versions().back()
                                                  : catalog::default_kubernetes().minor);
}

// False if the version is not offered at all.
bool check_kubernetes(const Subject& s, const std::string& version, Report& report) {
  const std::vector<std::string_view> all = minors_of(s);
  if (std::find(all.begin(), all.end(), version) == all.end()) {
    const bool cce = s.site == "openTelekomCloud";
    const bool old = catalog::compare_minor(version, all.front()) < 0;
    report.error(
        s.spec, "cluster.version", "version_not_offered",
        old   ? fmt::format("Kubernetes {} is past its end{}", version, cce ? " on openTelekomCloud" : "")
        : cce ? fmt::format("openTelekomCloud does not offer Kubernetes {} yet", version)
              : fmt::format("Kubernetes {} is not supported by the parts of the platform yet", version),
        fmt::format("choose one of {}", offered(all)));
    return false;
  }
  const catalog::Kubernetes* k = catalog::kubernetes(version);
  if (k == nullptr || s.site == "openTelekomCloud") return true;
  const int left = days(k->ends) - days(s.today);
  if (left < 0)
    report.warning(s.spec, "cluster.version", "version_ended",
                   fmt::format("Kubernetes {} got its last patch on {}", version, k->ends),
                   fmt::format("plan the upgrade to {}", all.back()));
  else if (left < kNotice)
    report.warning(s.spec, "cluster.version", "version_ends",
                   fmt::format("Kubernetes {} gets patches until {}, {} days more", version, k->ends, left),
                   fmt::format("plan the upgrade to {}", all.back()));
  return true;
}

void check_windows(const Subject& s, const std::string& version, Report& report) {
  for (const catalog::Window& w : catalog::windows()) {
    const bool site = w.component == "infrastructure";
    if (site ? s.site != w.use : s.use(w.component) != w.use) continue;
    if (catalog::compare_minor(version, w.first) >= 0 && catalog::compare_minor(version, w.last) <= 0)
      continue;
    report.error(s.spec, "cluster.version", "version_mismatch",
                 fmt::format("{} {} goes with Kubernetes {} to {}, and {} is wanted", w.use, w.release,
                             w.first, w.last, version),
                 catalog::compare_minor(version, w.first) < 0
                     ? fmt::format("choose {} or newer", w.first)
                     : fmt::format("choose {} or older, or another {}", w.last, w.component));
  }
  if (s.use("gateway") == "ingress-nginx")
    report.warning(s.spec, "components.gateway.use", "retired",
                   "ingress-nginx got its last release on 2026-03-20: holes found since stay open",
                   "write gateway: envoy-gateway");
}

struct Majors {
  std::string_view use;
  std::string_view all;  // with '|' around each, oldest first
};
constexpr auto kMajors = std::to_array<Majors>({{"postgresql", "|14|15|16|17|18|"},
                                                {"timescaledb", "|15|16|17|18|"},
                                                {"aurora-postgresql", "|13|14|15|16|17|"},
                                                {"valkey", "|8|9|"},
                                                {"kafka", "|4|"}});

void check_data(const Subject& s, Report& report) {
  for (const auto& [name, d] : s.spec.named("data")) {
    const std::string version = d.text("version"), use = d.text("use");
    if (version.empty()) continue;
    const std::string major = version.substr(0, version.find('.'));
    for (const Majors& m : kMajors) {
      if (m.use != use || m.all.find(fmt::format("|{}|", major)) != std::string_view::npos) continue;
      std::string words(m.all.substr(1, m.all.size() - 2));
      for (std::size_t bar = words.find('|'); bar != std::string::npos; bar = words.find('|'))
        words.replace(bar, 1, ", ");
      report.error(d, "version", "version_not_offered", fmt::format("{} {} is not offered", use, version),
                   fmt::format("choose one of {}", words));
    }
  }
}

void check_os(const Subject& s, const std::string& version, Report& report) {
  if (s.site != "openTelekomCloud") return;
  static constexpr std::array<std::string_view, 3> kAll{"EulerOS 2.9", "HCE OS 2.0", "Ubuntu 22.04"};
  const bool tunnel = s.spec.text("cluster.networks.plugin") == "overlay_l2";
  for (const auto& [name, pool] : s.spec.named("pools")) {
    const std::string os = pool.text("os");
    if (os.empty()) continue;
    if (std::find(kAll.begin(), kAll.end(), os) == kAll.end()) {
      const std::string near = text::did_you_mean(os, kAll);
      report.error(pool, "os", "unknown_os",
                   fmt::format("nodes of Kubernetes {} cannot have {}", version, os),
                   near.empty() ? fmt::format("choose {}", text::join_words(kAll, "or")) : near);
    } else if (os == "Ubuntu 22.04" && tunnel) {
      report.error(pool, "os", "version_mismatch",
                   "Ubuntu 22.04 does not go with the tunnel network overlay_l2",
                   "choose HCE OS 2.0 or EulerOS 2.9, or plugin: vpc-router");
    }
  }
}

void check_rancher(const Subject& s, Report& report) {
  if (s.site != "clusterApi") return;
  const spec::Reader site = s.infrastructure();
  std::string version = site.given("management.rancher.version").text;
  if (version.starts_with('v')) version.erase(0, 1);
  if (version.empty() || version.starts_with("2.15")) return;
  report.error(
      site, "management.rancher.version", "version_mismatch",
      fmt::format("Rancher {} brings another Turtles than 0.27, which installs Cluster API 1.13", version),
      "write 2.15, or leave it out");
}

}  // namespace

void check_versions(const Subject& s, Report& report) {
  const std::string version = version_of(s);
  if (s.site != "existing" && check_kubernetes(s, version, report)) check_windows(s, version, report);
  check_data(s, report);
  check_os(s, version, report);
  check_rancher(s, report);
}

}  // namespace tg::verify
