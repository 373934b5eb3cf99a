// Quotas of Tenants: not below what runs in their namespace, not above what the nodes have.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "verify/facts.hpp"

namespace tg::verify {

namespace {

constexpr std::array<const char*, 3> kResources{"cpu", "memory", "nvidia.com/gpu"};

bool bounded(const spec::Reader& tenant, std::string_view path, std::string_view resource) {
  return tenant.quantities(path).contains(std::string(resource));
}

// The resource that runs out first, told at the greatest number of the app that takes most of it.
void check_apps(const std::string& name, const spec::Reader& tenant, const std::vector<Pods>& programs,
                std::string_view path, bool limits, Report& report) {
  const Amounts quota = amounts(tenant.quantities(path));
  struct Short {
    const Pods* app = nullptr;
    std::string resource{};
    double sum = 0;
    std::int64_t room = 0;  // replicas that the quota holds
  } worst;
  for (const char* resource : kResources) {
    if (!bounded(tenant, path, resource)) continue;
    Short here{.app = nullptr, .resource = resource, .sum = 0, .room = 0};
    double most = 0;
    for (const Pods& p : programs) {
      const double all = p.tenant == name ? (limits ? p.limits : p.needs).of(resource) * p.max : 0;
      here.sum += all;
      if (all <= most) continue;
      most = all;
      here.app = &p;
    }
    if (here.app == nullptr || here.sum <= quota.of(resource) * (1 + 1e-9)) continue;
    here.room = static_cast<std::int64_t>((quota.of(resource) - (here.sum - most)) / (most / here.app->max));
    if (worst.app == nullptr || here.room < worst.room) worst = here;
  }
  if (worst.app == nullptr) return;
  report.error(
      worst.app->reader, worst.app->bound, "quota_exceeded",
      fmt::format("at {:.0f} replicas the {} of {} is {} in the Tenant {}, whose quota is {}", worst.app->max,
                  limits ? "limit" : "request", worst.resource, shown(worst.resource, worst.sum), name,
                  shown(worst.resource, quota.of(worst.resource))),
      worst.room >= 1 ? fmt::format("allow at most {} replicas, or raise {} of the Tenant", worst.room, path)
                      : fmt::format("raise {} of the Tenant {}", path, name));
}

void check_against_nodes(const Subject& s, const spec::Reader& tenant, const std::vector<Nodes>& all,
                         Report& report) {
  if (all.empty()) return;
  Amounts have;
  for (const Nodes& n : all) {
    if (!n.known) return;
    if (n.control_plane && s.site == "machines") continue;
    have += n.left * n.max;
  }
  const Amounts quota = amounts(tenant.quantities("quota.requests"));
  for (const char* resource : kResources) {
    if (!bounded(tenant, "quota.requests", resource) || quota.of(resource) <= have.of(resource)) continue;
    report.error(
        tenant, fmt::format("quota.requests.{}", resource), "quota_above_nodes",
        fmt::format("{} of {} is granted, and all nodes together leave {}",
                    shown(resource, quota.of(resource)), resource, shown(resource, have.of(resource))),
        fmt::format("grant at most {}, or add nodes", shown(resource, have.of(resource))));
  }
}

// Limits below requests, in the quota and in the defaults, and defaults above the quota.
void check_itself(const spec::Reader& tenant, Report& report) {
  const Amounts requests = amounts(tenant.quantities("quota.requests"));
  const Amounts limits = amounts(tenant.quantities("quota.limits"));
  const Amounts one = amounts(tenant.quantities("defaults.requests"));
  const Amounts one_limit = amounts(tenant.quantities("defaults.limits"));
  for (const char* resource : {"cpu", "memory"}) {
    if (limits.of(resource) > 0 && requests.of(resource) > limits.of(resource))
      report.error(
          tenant, fmt::format("quota.limits.{}", resource), "request_above_limit",
          fmt::format("the quota grants {} of {} as requests and {} as limits",
                      shown(resource, requests.of(resource)), resource, shown(resource, limits.of(resource))),
          fmt::format("set it to {} or more", shown(resource, requests.of(resource))));
    if (one_limit.of(resource) > 0 && one.of(resource) > one_limit.of(resource))
      report.error(
          tenant, fmt::format("defaults.limits.{}", resource), "request_above_limit",
          fmt::format("a container gets {} of {} and may not exceed {}", shown(resource, one.of(resource)),
                      resource, shown(resource, one_limit.of(resource))),
          fmt::format("set it to {} or more", shown(resource, one.of(resource))));
    if (requests.of(resource) > 0 && one.of(resource) > requests.of(resource))
      report.error(
          tenant, fmt::format("defaults.requests.{}", resource), "quota_exceeded",
          fmt::format("one container without requests of its own gets {} of {}, and the quota of all is {}",
                      shown(resource, one.of(resource)), resource, shown(resource, requests.of(resource))),
          fmt::format("set it below {}", shown(resource, requests.of(resource))));
  }
  if (bounded(tenant, "quota.limits", "nvidia.com/gpu"))
    report.error(tenant, "quota.limits.nvidia.com/gpu", "not_enforced",
                 "Kubernetes counts devices in requests only: this bound would hold nothing back",
                 "write it in quota.requests");
  if (tenant.text("isolation") == "none" && tenant.has("quota"))
    report.error(tenant, "quota", "needs_namespace",
                 "a quota holds in a namespace, and isolation: none gives the Tenant none",
                 "write isolation: namespace, or remove quota");
}

// What the apps of a Tenant come to.
struct Counts {
  double pods = 0, volumes = 0, bytes = 0;
};

// By Tenant, in one pass over all programs.
std::map<std::string, Counts> counts_of(const Subject& s, const std::vector<Pods>& programs) {
  std::map<std::string, Counts> out;
  for (const Pods& p : programs) out[p.tenant].pods += p.max;
  for (const auto& [name, app] : s.spec.named("apps")) {
    Counts& c = out[app.text("tenant")];
    for (const auto& [volume, v] : app.named("volumes")) {
      ++c.volumes;
      c.bytes += v.number("size");
    }
  }
  return out;
}

void check_counts(const spec::Reader& tenant, const Counts& counts, Report& report) {
  const auto [pods, volumes, bytes] = counts;
  if (tenant.has("quota.pods") && pods > static_cast<double>(tenant.integer("quota.pods")))
    report.error(tenant, "quota.pods", "quota_exceeded",
                 fmt::format("its apps can have {:.0f} replicas, and the quota is {} pods", pods,
                             tenant.integer("quota.pods")),
                 fmt::format("set it to {:.0f} or more", pods));
  if (tenant.has("quota.volumes") && volumes > static_cast<double>(tenant.integer("quota.volumes")))
    report.error(tenant, "quota.volumes", "quota_exceeded",
                 fmt::format("its apps claim {:.0f} volumes, and the quota is {}", volumes,
                             tenant.integer("quota.volumes")),
                 fmt::format("set it to {:.0f} or more", volumes));
  if (tenant.has("quota.storage") && bytes > tenant.number("quota.storage"))
    report.error(tenant, "quota.storage", "quota_exceeded",
                 fmt::format("its apps claim {}, and the quota is {}", shown("storage", bytes),
                             shown("storage", tenant.number("quota.storage"))),
                 fmt::format("set it to {} or more", shown("storage", bytes)));
}

}  // namespace

void check_quotas(const Subject& s, Report& report) {
  const std::vector<Pods> every = programs(s);
  std::map<std::string, Counts> counts = counts_of(s, every);
  const std::vector<Nodes> all = nodes(s);
  std::map<std::string, std::pair<std::string, std::int64_t>> priorities;
  for (const auto& [name, tenant] : s.all(spec::DocumentKind::tenant)) {
    check_itself(tenant, report);
    check_apps(name, tenant, every, "quota.requests", false, report);
    check_apps(name, tenant, every, "quota.limits", true, report);
    check_against_nodes(s, tenant, all, report);
    check_counts(tenant, counts[name], report);
    for (const auto& [role, r] : tenant.named("roles")) {
      if (r.list("groups").empty() && r.list("users").empty())
        report.error(r, "can", "empty_role", fmt::format("nobody has the role {}", role),
                     "add groups: [NAME], or users: [NAME]");
    }
    if (!tenant.has("priority")) continue;
    const std::string priority = tenant.has("priority.name") ? tenant.text("priority.name") : name;
    if (priority.starts_with("system-"))
      report.error(tenant, "priority.name", "reserved_name",
                   fmt::format("{}: names that begin with system- are those of Kubernetes", priority),
                   "choose another name");
    const auto [other, fresh] =
        priorities.emplace(priority, std::pair(name, tenant.integer("priority.value")));
    if (!fresh && other->second.second != tenant.integer("priority.value"))
      report.error(tenant, "priority.value", "priority_twice",
                   fmt::format("the class {} has the value {} in the Tenant {}", priority,
                               other->second.second, other->second.first),
                   "give the classes different names, or the same value");
  }
}

}  // namespace tg::verify
