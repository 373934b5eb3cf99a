// Tenants: a namespace of its own with what its pods may take together, who may do what in it, and a wall
// around it that only DNS, its own pods and the models are let through.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "render/component/components.hpp"
#include "render/workload/workloads.hpp"
#include "spec/value_cluster.hpp"

namespace tg::render {

namespace {

using Quantities = std::map<std::string, std::string>;

constexpr const char* kDefault = "default";  // the Tenant of the gateway that always exists

Level level_of(const std::string& word) {
  if (word == "privileged") return Level::privileged;
  return word == "baseline" ? Level::baseline : Level::restricted;
}

// A Tenant with limits of the API alone needs no place in the cluster.
bool has_namespace(const std::set<std::string>& used, const std::string& name, const spec::Reader& spec) {
  if (spec.text("isolation") == "none") return false;
  for (const char* field : {"quota", "defaults", "roles", "priority", "podSecurity", "secrets"}) {
    if (spec.has(field)) return true;
  }
  return used.contains(name);
}

// Tenants in which an app runs.
std::set<std::string> used_tenants(const Context& context) {
  std::set<std::string> out;
  for (const auto& [name, app] : context.spec().named("apps")) out.insert(app.text("tenant"));
  return out;
}

// Only what an API server counts: of devices it counts requests, which equal the limits anyway.
Json quota(const spec::Reader& spec) {
  Json hard = Json::object();
  for (const auto& [resource, amount] : spec.quantities("quota.requests"))
    hard["requests." + resource] = amount;
  for (const auto& [resource, amount] : spec.quantities("quota.limits")) {
    if (resource.find('/') == std::string::npos) hard["limits." + resource] = amount;
  }
  if (spec.has("quota.pods")) hard["pods"] = std::to_string(spec.integer("quota.pods"));
  if (spec.has("quota.volumes"))
    hard["persistentvolumeclaims"] = std::to_string(spec.integer("quota.volumes"));
  if (spec.has("quota.storage")) hard["requests.storage"] = spec.text("quota.storage");
  return hard;
}

// Share of a quantity, rounded down to what Kubernetes can write.
std::string part_of(const std::string& resource, const std::string& amount, double share) {
  const double all = spec::parse_quantity(amount).value_or(0) * share;
  if (resource == "cpu") return fmt::format("{}m", std::max(1L, std::lround(std::floor(all * 1000))));
  return fmt::format("{}Mi", std::max(1L, std::lround(std::floor(all / (1 << 20)))));
}

// A quota refuses every container that says nothing: without defaults such pods would never start.
Json limit_range(const std::string& ns, const spec::Reader& spec) {
  Quantities requests = spec.quantities("defaults.requests");
  Quantities limits = spec.quantities("defaults.limits");
  if (requests.empty()) {
    for (const auto& [resource, amount] : spec.quantities("quota.requests")) {
      if (resource == "cpu" || resource == "memory") requests[resource] = part_of(resource, amount, 0.01);
    }
  }
  if (limits.empty()) {
    for (const auto& [resource, amount] : requests) {
      if (resource == "cpu" || resource == "memory") limits[resource] = part_of(resource, amount, 2);
    }
  }
  if (requests.empty() && limits.empty()) return {};
  Json item{{"type", "Container"}};
  if (!requests.empty()) item["defaultRequest"] = to_json(Labels(requests));
  if (!limits.empty()) item["default"] = to_json(Labels(limits));
  Json out = object("v1", "LimitRange", "defaults", ns);
  out["spec"] = {{"limits", Json::array({std::move(item)})}};
  return out;
}

const std::vector<std::string> kRead{"get", "list", "watch"};
const std::vector<std::string> kWrite{"get", "list", "watch", "create", "update", "patch", "delete"};

// The rules behind a word of `can`. None of them reaches a shell in a pod, a token of a ServiceAccount or
// rights of others: whoever may run pods has no more than the namespace's own default account, which has
// nothing.
std::vector<Rule> rules_of(const Context& context, const std::string& word) {
  const std::string training = training_use(context);
  std::vector<Rule> runs{{{""}, {"pods"}, kWrite},
                         {{"batch"}, {"jobs", "cronjobs"}, kWrite},
                         {{"apps"}, {"deployments"}, kWrite}};
  if (training == "jobset" || training == "kubeflow-trainer" || training == "kubeflow")
    runs.push_back({{"jobset.x-k8s.io"}, {"jobsets"}, kWrite});
  if (training == "kubeflow-trainer" || training == "kubeflow") {
    runs.push_back({{"trainer.kubeflow.org"}, {"trainjobs"}, kWrite});
    runs.push_back({{"trainer.kubeflow.org"}, {"trainingruntimes"}, kRead});
  }
  const Rule logs{{""}, {"pods/log"}, {"get", "list"}};
  if (word == "view") {
    return {{{""},
             {"pods", "services", "endpoints", "configmaps", "events", "persistentvolumeclaims",
              "resourcequotas", "limitranges", "serviceaccounts"},
             kRead},
            {{"apps"}, {"deployments", "replicasets", "statefulsets", "daemonsets"}, kRead},
            {{"batch"}, {"jobs", "cronjobs"}, kRead},
            {{"autoscaling"}, {"horizontalpodautoscalers"}, kRead},
            {{"networking.k8s.io"}, {"networkpolicies"}, kRead},
            {{"policy"}, {"poddisruptionbudgets"}, kRead}};
  }
  if (word == "logs") return {{{""}, {"pods"}, kRead}, logs};
  if (word == "run-workloads") {
    runs.push_back(logs);
    runs.push_back({{""}, {"configmaps"}, kWrite});
    runs.push_back({{""}, {"events"}, kRead});
    return runs;
  }
  if (word == "use-volumes") {
    return {{{""}, {"persistentvolumeclaims"}, kWrite},
            {{"snapshot.storage.k8s.io"}, {"volumesnapshots"}, kWrite}};
  }
  if (word == "expose") {
    return {{{""}, {"services"}, kWrite},
            {{"gateway.networking.k8s.io"}, {"httproutes", "grpcroutes"}, kWrite}};
  }
  if (word == "read-secrets") return {{{""}, {"secrets"}, kRead}};
  // manage: everything of the namespace but quotas, policies and rights.
  std::vector<Rule> all = runs;
  all.push_back(logs);
  all.push_back({{""}, {"configmaps", "secrets", "services", "persistentvolumeclaims"}, kWrite});
  all.push_back({{""}, {"events", "serviceaccounts", "resourcequotas", "limitranges"}, kRead});
  all.push_back({{"apps"}, {"statefulsets", "replicasets"}, kWrite});
  all.push_back({{"autoscaling"}, {"horizontalpodautoscalers"}, kWrite});
  all.push_back({{"policy"}, {"poddisruptionbudgets"}, kWrite});
  all.push_back({{"gateway.networking.k8s.io"}, {"httproutes", "grpcroutes"}, kWrite});
  all.push_back({{"snapshot.storage.k8s.io"}, {"volumesnapshots"}, kWrite});
  return all;
}

void add_role(const Context& context, Part& part, const std::string& ns, const std::string& name,
              const spec::Reader& spec) {
  std::vector<Rule> rules;
  for (const std::string& word : spec.list("can")) {
    for (Rule& rule : rules_of(context, word)) {
      const bool known = std::any_of(rules.begin(), rules.end(), [&](const Rule& r) {
        return r.groups == rule.groups && r.resources == rule.resources && r.verbs == rule.verbs;
      });
      if (!known) rules.push_back(std::move(rule));
    }
  }
  part.add("roles.yaml", role(name, ns, rules));
  std::vector<Subject> subjects;
  for (const std::string& group : spec.list("groups")) subjects.push_back({"Group", group, {}});
  for (const std::string& user : spec.list("users")) subjects.push_back({"User", user, {}});
  if (!subjects.empty()) part.add("roles.yaml", role_binding(name, ns, "Role", name, subjects));
}

// What each role comes to, asked of the cluster itself, and that nothing was bound beside the document.
std::string audit(const std::string& ns, const spec::Reader& spec) {
  std::string lines;
  for (const auto& [role_name, r] : spec.named("roles")) {
    for (const std::string& group : r.list("groups"))
      lines += fmt::format("kubectl auth can-i --list --namespace {} --as anyone --as-group {}\n", ns, group);
    for (const std::string& user : r.list("users"))
      lines += fmt::format("kubectl auth can-i --list --namespace {} --as {}\n", ns, user);
  }
  if (lines.empty()) return {};
  return lines + fmt::format("kubectl get rolebindings --namespace {} --output wide\n", ns);
}

std::string secret_name(std::string path) {
  std::replace_if(path.begin(), path.end(), [](char c) { return c == '/' || c == '_' || c == '.'; }, '-');
  return path;
}

std::string priority_name(const std::string& tenant, const spec::Reader& spec) {
  if (!spec.has("priority")) return {};
  const std::string name = spec.text("priority.name");
  return name.empty() ? tenant : name;
}

void add_priority(Part& part, const std::string& tenant, const spec::Reader& spec) {
  const std::string name = priority_name(tenant, spec);
  if (name.empty()) return;
  Json out = object("scheduling.k8s.io/v1", "PriorityClass", name);
  out["value"] = spec.integer("priority.value");
  out["globalDefault"] = false;
  out["preemptionPolicy"] = "PreemptLowerPriority";
  const std::string about = spec.text("priority.description");
  out["description"] = about.empty() ? fmt::format("Pods of tenant {}", tenant) : about;
  part.add("priority.yaml", std::move(out));
}

Part tenant_part(const Context& context, const std::string& name, const spec::Reader& spec) {
  Part part;
  part.where = Where::workload;
  part.name = "tenant-" + name;
  part.after = {"namespaces", "network-policies"};
  Labels labels{{"tidegate.dev/tenant", name}};
  if (spec.has("tier")) labels["tidegate.dev/tier"] = spec.text("tier");
  const Level level = level_of(spec.text("podSecurity"));
  part.namespaces.push_back({.name = name,
                             .level = level,
                             .reason = level == Level::restricted ? "" : "Tenant " + name + " asks for it",
                             .labels = std::move(labels)});
  if (Json hard = quota(spec); !hard.empty()) {
    Json o = object("v1", "ResourceQuota", "compute", name);
    o["spec"] = {{"hard", std::move(hard)}};
    part.add("quota.yaml", std::move(o));
  }
  if (Json range = limit_range(name, spec); !range.empty()) part.add("quota.yaml", std::move(range));
  part.add("roles.yaml", service_account("default", name));
  for (const auto& [role_name, r] : spec.named("roles")) add_role(context, part, name, role_name, r);
  add_priority(part, name, spec);
  // The wall is the default deny of every namespace; these are its only doors.
  part.edges.push_back(
      {.from = Peer::pods(name), .to = Peer::pods(name), .why = "pods of one tenant know each other"});
  if (const ModelApi api = model_api(context); api.port != 0 && spec.has("routes")) {
    part.edges.push_back({.from = Peer::pods(name),
                          .to = api.pods,
                          .ports = {{"http", api.port}},
                          .why = "the tenant asks its models"});
  }
  for (const std::string& path : spec.list("secrets")) {
    part.secrets.push_back({.name = secret_name(path),
                            .ns = name,
                            .from = SecretNeed::From::reference,
                            .reference = "vault " + path,
                            .why = "brought for tenant " + name});
  }
  part.sections.push_back({Section::Chapter::access, "Tenant " + name,
                           fmt::format("kubectl -n {0} get pods\n"
                                       "kubectl -n {0} describe resourcequota\n",
                                       name)});
  if (const std::string review = audit(name, spec); !review.empty())
    part.sections.push_back({Section::Chapter::monthly, "Who may do what in " + name, review});
  return part;
}

}  // namespace

std::map<std::string, TenantHome> tenant_homes(const Context& context) {
  const std::set<std::string> used = used_tenants(context);
  std::map<std::string, TenantHome> out;
  for (const auto& [name, spec] : context.all(spec::DocumentKind::tenant)) {
    if (has_namespace(used, name, spec))
      out.try_emplace(name, TenantHome{.ns = name, .priority_class = priority_name(name, spec)});
  }
  return out;
}

std::optional<TenantHome> tenant_home(const Context& context, const std::string& tenant) {
  const auto homes = tenant_homes(context);
  const auto it = homes.find(tenant);
  if (it == homes.end()) return std::nullopt;
  return it->second;
}

std::vector<Part> tenants(const Context& context) {
  const std::set<std::string> used = used_tenants(context);
  std::vector<Part> out;
  for (const auto& [name, spec] : context.all(spec::DocumentKind::tenant)) {
    if (name != kDefault && has_namespace(used, name, spec)) out.push_back(tenant_part(context, name, spec));
  }
  return out;
}

}  // namespace tg::render
