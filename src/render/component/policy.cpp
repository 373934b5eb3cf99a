// The six rules for pods: labels, registries, tags, limits, privilege, read-only root. Each with a pod that
// it must refuse. Apps are judged; parts of the platform come from their projects.
#include "render/component/policy.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "render/component/components.hpp"
#include "render/component/ingress.hpp"
#include "render/workload/workloads.hpp"

namespace tg::render {

namespace {

std::vector<PolicyRule> rules(bool registries) {
  std::vector<PolicyRule> out;
  out.push_back({Demand::labels,
                 "required-labels",
                 {{"metadata", {{"labels", {{"app.kubernetes.io/part-of", nullptr}}}}}},
                 true});
  if (registries)
    out.push_back({Demand::registries, "allowed-registries", {{"image", "evil.example.net/app:1.0.0"}}});
  out.push_back({Demand::tags, "fixed-tags", {{"image", "registry.example.com/app:latest"}}});
  out.push_back({Demand::limits, "limits-required", {{"resources", {{"limits", {{"memory", nullptr}}}}}}});
  out.push_back(
      {Demand::privilege, "no-privileged-containers", {{"securityContext", {{"privileged", true}}}}});
  out.push_back({Demand::read_only_root,
                 "read-only-root",
                 {{"securityContext", {{"readOnlyRootFilesystem", false}}}},
                 true});
  return out;
}

// Namespaces of one's own programs; databases come from their operators.
std::set<std::string> judged_namespaces(const std::vector<Part>& parts) {
  std::set<std::string> out;
  for (const Part& p : parts) {
    if (p.where != Where::workload) continue;
    for (const Namespace& n : p.namespaces) {
      if (n.name != "data") out.insert(n.name);
    }
  }
  return out;
}

// Namespaces in which people, and the runs that they start, make pods of their own.
std::set<std::string> open_namespaces(const Context& context) {
  const auto homes = tenant_homes(context);
  std::set<std::string> out;
  for (const auto& [name, tenant] : context.all(spec::DocumentKind::tenant)) {
    const auto home = homes.find(name);
    if (home == homes.end()) continue;
    for (const auto& [role, r] : tenant.named("roles")) {
      for (const std::string& word : r.list("can")) {
        if (word == "run-workloads" || word == "manage") out.insert(home->second.ns);
      }
    }
  }
  return out;
}

std::vector<std::string> registries(const Context& context, const std::set<std::string>& judged) {
  std::vector<std::string> out = context.component("policy").list("registries");
  if (out.empty()) return out;
  // A pod is judged with the sidecar that was put into it.
  if (std::any_of(judged.begin(), judged.end(), [&](const auto& ns) { return sidecars_in(context, ns); }))
    out.emplace_back(kMeshImages);
  for (std::string& r : out) {
    if (!r.ends_with('/')) r += '/';
  }
  return out;
}

}  // namespace

std::vector<PolicyScope> policy_scopes(const PolicyWork& work, const PolicyRule& rule) {
  PolicyScope strict{.name = rule.name, .enforce = work.enforce};
  PolicyScope told{.name = fmt::format("{}-advice", rule.name), .enforce = false};
  for (const std::string& ns : work.namespaces)
    (rule.manners && work.open.contains(ns) ? told : strict).namespaces.push_back(ns);
  std::vector<PolicyScope> out;
  if (!strict.namespaces.empty() || work.namespaces.empty()) out.push_back(std::move(strict));
  if (!told.namespaces.empty()) out.push_back(std::move(told));
  return out;
}

Json namespace_selector(const std::vector<std::string>& namespaces) {
  constexpr const char* kName = "kubernetes.io/metadata.name";
  Json out = Json::array();
  if (!namespaces.empty()) {
    out.push_back({{"key", kName}, {"operator", "In"}, {"values", namespaces}});
  } else {
    out.push_back({{"key", kName},
                   {"operator", "NotIn"},
                   {"values", {"kube-node-lease", "kube-public", "kube-system"}}});
    out.push_back({{"key", "app.kubernetes.io/managed-by"},
                   {"operator", "NotIn"},
                   {"values", Json::array({"tidegate"})}});
  }
  return {{"matchExpressions", std::move(out)}};
}

Json good_pod(const PolicyWork& work) {
  Json o = object("v1", "Pod", "good", work.namespaces.empty() ? "apps" : work.namespaces.front());
  o["metadata"]["labels"] = {{"app.kubernetes.io/name", "good"}, {"app.kubernetes.io/part-of", "platform"}};
  const std::string from = work.registries.empty() ? "registry.example.com/" : work.registries.front();
  Json c{
      {"name", "main"},
      {"image", from + "app:1.0.0"},
      {"resources", {{"limits", {{"memory", "64Mi"}}}, {"requests", {{"cpu", "10m"}, {"memory", "64Mi"}}}}},
      {"securityContext", {{"readOnlyRootFilesystem", true}, {"privileged", false}}}};
  o["spec"] = {{"containers", Json::array({std::move(c)})}};
  return o;
}

Json bad_pod(const PolicyWork& work, const PolicyRule& rule) {
  Json out = good_pod(work);
  out["metadata"]["name"] = fmt::format("bad-{}", rule.name);
  (rule.bad.contains("metadata") ? out : out["spec"]["containers"][0]).merge_patch(rule.bad);
  return out;
}

std::vector<Part> policy(const Context& context, const std::vector<Part>& parts) {
  const std::string use = context.use("policy");
  if (use == "none") return {};
  const std::set<std::string> judged = judged_namespaces(parts);
  // Nothing of one's own runs yet: no rules, and no webhook that could fail.
  if (judged.empty() && !context.spec().has("components.policy")) return {};
  PolicyWork work{.registries = registries(context, judged),
                  .namespaces = {judged.begin(), judged.end()},
                  .open = open_namespaces(context),
                  .enforce = context.component("policy").text("mode") == "enforce"};
  work.rules = rules(!work.registries.empty());
  return {use == "kyverno" ? kyverno(context, work) : gatekeeper(context, work)};
}

}  // namespace tg::render
