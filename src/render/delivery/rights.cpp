#include "render/delivery/rights.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <string_view>
#include <utility>

#include "catalog/chart_objects.hpp"
#include "render/order.hpp"

namespace tg::render {

namespace {

bool of_programs(const Part& part) {
  return part.where == Where::workload || part.name == "chat" || part.name == "serving";
}

bool for_operators(const Json& object) {
  static constexpr auto kKinds = std::to_array<std::string_view>(
      {"LimitRange", "NetworkPolicy", "ResourceQuota", "Role", "RoleBinding", "Secret"});
  const std::string kind = object.value("kind", std::string());
  return !object["metadata"].contains("namespace") ||
         std::find(kKinds.begin(), kKinds.end(), kind) != kKinds.end();
}

bool for_operators(const Release& release) {
  const auto makes = catalog::chart_objects(release.chart);
  return makes.empty() || std::any_of(makes.begin(), makes.end(), [](const auto& o) { return o.cluster; });
}

Delivered of_part(const Part& part) {
  Delivered out{.part = &part};
  for (const Release& r : part.releases) {
    if (!for_operators(r)) out.releases.push_back(&r);
  }
  for (const Step& s : part.steps) {
    if (s.kind == "chart") out.charts.push_back(&s);
  }
  for (const Manifest& m : part.manifests) {
    if (std::none_of(m.objects.begin(), m.objects.end(), [](const Json& o) { return for_operators(o); }))
      out.manifests.push_back(&m);
  }
  return out;
}

// The name of a kind in addresses, as API servers make it of their own kinds and of most others.
std::string resource_of(std::string kind) {
  std::transform(kind.begin(), kind.end(), kind.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (kind.ends_with("s") || kind.ends_with("x") || kind.ends_with("ch")) return kind + "es";
  if (kind.ends_with("y")) return kind.substr(0, kind.size() - 1) + "ies";
  return kind + "s";
}

std::string group_of(const std::string& api_version) {
  const std::size_t slash = api_version.find('/');
  return slash == std::string::npos ? std::string() : api_version.substr(0, slash);
}

using Kind = std::pair<std::string, std::string>;  // group and resource

// Of one namespace. What is applied is never deleted; helm deletes what a chart no longer has.
struct Written {
  std::set<Kind> applied{}, installed{};
  bool waited = false;  // somebody waits for its pods
};

// Every kind that the training chart can make (training_chart.cpp).
constexpr auto kOwnChart = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"", "persistentvolumeclaims"},
    {"", "serviceaccounts"},
    {"", "services"},
    {"apps", "deployments"},
    {"autoscaling", "horizontalpodautoscalers"},
    {"batch", "jobs"},
    {"jobset.x-k8s.io", "jobsets"},
    {"monitoring.coreos.com", "servicemonitors"},
    {"networking.k8s.io", "ingresses"},
    {"policy", "poddisruptionbudgets"},
});

std::map<std::string, Written> written(const std::vector<Delivered>& all) {
  std::map<std::string, Written> out;
  for (const Delivered& d : all) {
    for (const Release* r : d.releases) {
      for (const auto& o : catalog::chart_objects(r->chart))
        out[r->ns].installed.emplace(o.group, o.resource);
    }
    for (const Step* s : d.charts) out[s->where].installed.insert(kOwnChart.begin(), kOwnChart.end());
    for (const Manifest* m : d.manifests) {
      for (const Json& o : m->objects)
        out[o["metadata"]["namespace"].get<std::string>()].applied.emplace(
            group_of(o["apiVersion"].get<std::string>()), resource_of(o["kind"].get<std::string>()));
    }
  }
  return out;
}

// One rule for each group.
void add_rules(std::vector<Rule>& out, const std::set<Kind>& kinds, const std::vector<std::string>& verbs) {
  std::string last;
  for (const auto& [group, resource] : kinds) {
    if (out.empty() || last != group || out.back().verbs != verbs) out.push_back({{group}, {}, verbs});
    out.back().resources.push_back(resource);
    last = group;
  }
}

}  // namespace

std::vector<Delivered> delivered(const std::vector<Part>& parts) {
  std::vector<Delivered> out;
  for (const Part* p : in_order(parts)) {
    if (!of_programs(*p)) continue;
    if (Delivered d = of_part(*p); !d.empty()) out.push_back(std::move(d));
  }
  return out;
}

std::map<std::string, std::vector<Rule>> pipeline_rules(const std::vector<Delivered>& all) {
  std::map<std::string, std::vector<Rule>> out;
  for (auto& [ns, w] : written(all)) {
    std::vector<Rule>& rules = out[ns];
    for (const Kind& k : w.installed) w.applied.erase(k);
    add_rules(rules, w.applied, {"get", "create", "patch"});
    if (w.installed.empty()) continue;
    add_rules(rules, w.installed, {"get", "list", "watch", "create", "patch", "update", "delete"});
    rules.push_back({{""}, {"secrets"}, {"get", "list", "create", "patch", "update", "delete"}});
    // What helm waits for.
    rules.push_back({{"", "apps"}, {"pods", "replicasets"}, {"get", "list", "watch"}});
  }
  return out;
}

}  // namespace tg::render
