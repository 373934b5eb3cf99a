// Gatekeeper and the six rules: labels, registries, tags, limits, privilege, read-only root. Each with a case
// that passes and one that is refused, for gator. Apps are judged; parts of the platform come from their
// projects.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "render/component/components.hpp"
#include "render/component/ingress.hpp"
#include "render/workload/workloads.hpp"
#include "text/emit.hpp"

namespace tg::render {

namespace {

constexpr const char* kNamespace = "gatekeeper-system";

struct PolicyRule {
  const char* kind;
  const char* name;
  const char* rego;
  Json parameters;  // of the constraint
  Json schema;      // of the parameters
  Json bad;         // changes to a good pod that must be refused
  // Good manners more than safety: people who try things in their own namespace are told, not stopped.
  bool manners = false;
};

// All containers of a pod, whatever list they stand in.
constexpr const char* kContainers =
    "containers[c] { c := input.review.object.spec.containers[_] }\n"
    "containers[c] { c := input.review.object.spec.initContainers[_] }\n"
    "containers[c] { c := input.review.object.spec.ephemeralContainers[_] }\n";

Json text_list() { return {{"type", "array"}, {"items", {{"type", "string"}}}}; }

Json good_pod() {
  Json o = object("v1", "Pod", "good", "apps");
  o["metadata"]["labels"] = {{"app.kubernetes.io/name", "good"}, {"app.kubernetes.io/part-of", "platform"}};
  Json c{
      {"name", "main"},
      {"image", "registry.example.com/app:1.0.0"},
      {"resources", {{"limits", {{"memory", "64Mi"}}}, {"requests", {{"cpu", "10m"}, {"memory", "64Mi"}}}}},
      {"securityContext", {{"readOnlyRootFilesystem", true}, {"privileged", false}}}};
  o["spec"] = {{"containers", Json::array({std::move(c)})}};
  return o;
}

std::vector<PolicyRule> rules(const std::vector<std::string>& registries) {
  std::vector<PolicyRule> out;
  out.push_back({"RequiredLabels",
                 "required-labels",
                 "violation[{\"msg\": msg}] {\n"
                 "  required := input.parameters.labels[_]\n"
                 "  not input.review.object.metadata.labels[required]\n"
                 "  msg := sprintf(\"label %v is missing\", [required])\n"
                 "}\n",
                 {{"labels", {"app.kubernetes.io/name", "app.kubernetes.io/part-of"}}},
                 {{"labels", text_list()}},
                 {{"metadata", {{"labels", {{"app.kubernetes.io/part-of", nullptr}}}}}},
                 true});
  if (!registries.empty()) {
    Json prefixes = Json::array();
    for (const std::string& r : registries) prefixes.push_back(r.ends_with('/') ? r : r + "/");
    out.push_back(
        {"AllowedRegistries",
         "allowed-registries",
         "violation[{\"msg\": msg}] {\n"
         "  c := containers[_]\n"
         "  ok := [yes | prefix := input.parameters.registries[_]; yes := startswith(c.image, prefix)]\n"
         "  not any(ok)\n"
         "  msg := sprintf(\"image %v is from none of %v\", [c.image, input.parameters.registries])\n"
         "}\n",
         {{"registries", std::move(prefixes)}},
         {{"registries", text_list()}},
         {{"image", "evil.example.net/app:1.0.0"}}});
  }
  out.push_back({"FixedTags",
                 "fixed-tags",
                 "violation[{\"msg\": msg}] {\n"
                 "  c := containers[_]\n"
                 "  endswith(c.image, \":latest\")\n"
                 "  msg := sprintf(\"image %v: latest is no version\", [c.image])\n"
                 "}\n"
                 "violation[{\"msg\": msg}] {\n"
                 "  c := containers[_]\n"
                 "  parts := split(c.image, \"/\")\n"
                 "  last := parts[count(parts) - 1]\n"
                 "  not contains(last, \":\")\n"
                 "  not contains(last, \"@\")\n"
                 "  msg := sprintf(\"image %v has no tag\", [c.image])\n"
                 "}\n",
                 Json::object(),
                 Json::object(),
                 {{"image", "registry.example.com/app:latest"}}});
  out.push_back({"LimitsRequired",
                 "limits-required",
                 "violation[{\"msg\": msg}] {\n"
                 "  c := containers[_]\n"
                 "  what := input.parameters.limits[_]\n"
                 "  not c.resources.limits[what]\n"
                 "  msg := sprintf(\"container %v has no limit of %v\", [c.name, what])\n"
                 "}\n"
                 "violation[{\"msg\": msg}] {\n"
                 "  c := containers[_]\n"
                 "  what := input.parameters.requests[_]\n"
                 "  not c.resources.requests[what]\n"
                 "  msg := sprintf(\"container %v has no request of %v\", [c.name, what])\n"
                 "}\n",
                 {{"limits", Json::array({"memory"})}, {"requests", {"cpu", "memory"}}},
                 {{"limits", text_list()}, {"requests", text_list()}},
                 {{"resources", {{"limits", {{"memory", nullptr}}}}}}});
  out.push_back({"NoPrivilege",
                 "no-privileged-containers",
                 "violation[{\"msg\": msg}] {\n"
                 "  c := containers[_]\n"
                 "  c.securityContext.privileged\n"
                 "  msg := sprintf(\"container %v is privileged\", [c.name])\n"
                 "}\n",
                 Json::object(),
                 Json::object(),
                 {{"securityContext", {{"privileged", true}}}}});
  out.push_back({"ReadOnlyRoot",
                 "read-only-root",
                 "violation[{\"msg\": msg}] {\n"
                 "  c := containers[_]\n"
                 "  not c.securityContext.readOnlyRootFilesystem\n"
                 "  msg := sprintf(\"container %v can write to its root file system\", [c.name])\n"
                 "}\n",
                 Json::object(),
                 Json::object(),
                 {{"securityContext", {{"readOnlyRootFilesystem", false}}}},
                 true});
  return out;
}

Json constraint_template(const PolicyRule& rule) {
  std::string lower(rule.kind);
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  Json out = object("templates.gatekeeper.sh/v1", "ConstraintTemplate", lower);
  Json schema{{"type", "object"}};
  if (!rule.schema.empty()) schema["properties"] = rule.schema;
  std::string rego = fmt::format("package {}\n", lower) + kContainers + rule.rego;
  out["spec"] = {
      {"crd",
       {{"spec",
         {{"names", {{"kind", rule.kind}}}, {"validation", {{"openAPIV3Schema", std::move(schema)}}}}}}},
      {"targets", Json::array({{{"target", "admission.k8s.gatekeeper.sh"}, {"rego", std::move(rego)}}})}};
  return out;
}

Json constraint(const PolicyRule& rule, const std::vector<std::string>& namespaces, bool enforce) {
  Json out = object("constraints.gatekeeper.sh/v1beta1", rule.kind, rule.name);
  Json match{{"kinds", Json::array({{{"apiGroups", Json::array({""})}, {"kinds", Json::array({"Pod"})}}})}};
  if (!namespaces.empty()) match["namespaces"] = namespaces;
  out["spec"] = {{"enforcementAction", enforce ? "deny" : "warn"}, {"match", std::move(match)}};
  if (!rule.parameters.empty()) out["spec"]["parameters"] = rule.parameters;
  return out;
}

// The suite that gator runs: a pod that all rules let pass, and for each rule one that it refuses.
void add_cases(Part& part, const std::vector<PolicyRule>& all, const std::vector<std::string>& namespaces,
               const std::vector<std::string>& registries) {
  Json good = good_pod();
  if (!namespaces.empty()) good["metadata"]["namespace"] = namespaces.front();
  if (!registries.empty()) good["spec"]["containers"][0]["image"] = registries.front() + "/app:1.0.0";
  part.extras.push_back({"tests/good.yaml", text::emit_yaml(good)});
  Json tests = Json::array();
  for (const PolicyRule& rule : all) {
    Json bad = good;
    bad["metadata"]["name"] = "bad";
    if (rule.bad.contains("metadata")) {
      bad.merge_patch(rule.bad);
    } else {
      bad["spec"]["containers"][0].merge_patch(rule.bad);
    }
    const std::string file = fmt::format("{}.yaml", rule.name);
    part.extras.push_back({"tests/bad-" + file, text::emit_yaml(bad)});
    part.extras.push_back({"tests/template-" + file, text::emit_yaml(constraint_template(rule))});
    part.extras.push_back({"tests/constraint-" + file, text::emit_yaml(constraint(rule, namespaces, true))});
    tests.push_back({{"name", rule.name},
                     {"template", "template-" + file},
                     {"constraint", "constraint-" + file},
                     {"cases", Json::array({{{"name", "passes"},
                                             {"object", "good.yaml"},
                                             {"assertions", Json::array({{{"violations", "no"}}})}},
                                            {{"name", "is refused"},
                                             {"object", "bad-" + file},
                                             {"assertions", Json::array({{{"violations", "yes"}}})}}})}});
  }
  Json suite{{"kind", "Suite"}, {"apiVersion", "test.gatekeeper.sh/v1alpha1"}, {"tests", std::move(tests)}};
  part.extras.push_back({"tests/suite.yaml", text::emit_yaml(suite)});
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

void add_constraints(const Context& context, Part& part, const PolicyRule& rule,
                     const std::vector<std::string>& namespaces, bool enforce) {
  std::vector<std::string> strict, told;
  const std::set<std::string> open = rule.manners ? open_namespaces(context) : std::set<std::string>{};
  for (const std::string& ns : namespaces) (open.contains(ns) ? told : strict).push_back(ns);
  if (!strict.empty() || namespaces.empty()) part.add("constraints.yaml", constraint(rule, strict, enforce));
  if (told.empty()) return;
  Json o = constraint(rule, told, false);
  o["metadata"]["name"] = fmt::format("{}-advice", rule.name);
  part.add("constraints.yaml", std::move(o));
}

// Only pods where a rule holds are asked about, and the rules themselves: while Gatekeeper is away, the rest
// of the cluster goes on and can bring it back.
void ask_where(Json& values, const std::vector<std::string>& namespaces) {
  if (namespaces.empty()) {
    // Whatever people make beside the platform.
    values["validatingWebhookExemptNamespacesLabels"] = {
        {"app.kubernetes.io/managed-by", Json::array({"tidegate"})},
        {"kubernetes.io/metadata.name", {"kube-node-lease", "kube-public", "kube-system"}}};
    return;
  }
  std::string judged;
  for (const std::string& ns : namespaces) judged += fmt::format("{}'{}'", judged.empty() ? "" : ", ", ns);
  Json out = Json::array();
  out.push_back({{"name", "judged-namespaces"},
                 {"expression", fmt::format("request.resource.group.endsWith('.gatekeeper.sh') || "
                                            "request.namespace in [{}]",
                                            judged)}});
  values["validatingWebhookMatchConditions"] = std::move(out);
}

Json asked_kinds() {
  const Json changes = Json::array({"CREATE", "UPDATE"});
  Json out = Json::array();
  out.push_back({{"apiGroups", Json::array({""})},
                 {"apiVersions", Json::array({"v1"})},
                 {"operations", changes},
                 {"resources", {"pods", "pods/ephemeralcontainers"}}});
  out.push_back({{"apiGroups", {"templates.gatekeeper.sh", "constraints.gatekeeper.sh"}},
                 {"apiVersions", Json::array({"*"})},
                 {"operations", changes},
                 {"resources", Json::array({"*"})}});
  return out;
}

Json values(const Context& context, const std::vector<std::string>& namespaces) {
  const bool enforce = context.component("policy").text("mode") == "enforce";
  Json controller{{"resources", to_json(context.size("policy", "controller"))},
                  {"exemptNamespaces", {"kube-system", kNamespace}}};
  Json audit{{"resources", to_json(context.size("policy", "audit"))}};
  const Placement where = context.add_on_placement();
  // The jobs around its installation run where it does. The namespace has its labels already, and no pod but
  // the API server is let to the webhook: so the job that tries it could never end.
  Json definitions = Json::object();
  Json jobs{{"labelNamespace", {{"enabled", false}}}, {"probeWebhook", {{"enabled", false}}}};
  for (Json* w : {&controller, &audit, &definitions, &jobs}) {
    if (!where.node_selector.empty()) (*w)["nodeSelector"] = to_json(where.node_selector);
    if (!where.tolerations.empty()) (*w)["tolerations"] = where.tolerations;
  }
  Json out{{"replicas", context.replicas("policy", "controller")},
           // The chart lets everything pass while Gatekeeper is away; what must hold must hold then too.
           {"validatingWebhookFailurePolicy", enforce ? "Fail" : "Ignore"},
           {"constraintViolationsLimit", 100},
           {"auditInterval", 300},
           {"validatingWebhookCustomRules", asked_kinds()},
           // Nothing here changes objects on their way in.
           {"disableMutation", true},
           {"crds", std::move(definitions)},
           {"postInstall", std::move(jobs)},
           {"controllerManager", std::move(controller)},
           {"audit", std::move(audit)}};
  ask_where(out, namespaces);
  return out;
}

}  // namespace

std::vector<Part> policy(const Context& context, const std::vector<Part>& parts) {
  if (context.use("policy") != "gatekeeper") {
    if (context.use("policy") == "kyverno") {
      context.refuse("not_supported_yet", context.spec().at("components.policy"), "spec.components.policy",
                     "not supported yet: kyverno", "use gatekeeper");
    }
    return {};
  }
  std::set<std::string> judged;
  for (const Part& p : parts) {
    if (p.where != Where::workload) continue;
    for (const Namespace& n : p.namespaces) {
      if (n.name != "data") judged.insert(n.name);  // databases come from their operators
    }
  }
  // Nothing of one's own runs yet: no rules, and no webhook that could fail.
  if (judged.empty() && !context.spec().has("components.policy")) return {};
  const spec::Reader spec = context.component("policy");
  const std::vector<std::string> namespaces(judged.begin(), judged.end());
  std::vector<std::string> registries = spec.list("registries");
  // A pod is judged with the sidecar that was put into it.
  const bool sidecars =
      std::any_of(judged.begin(), judged.end(), [&](const auto& ns) { return sidecars_in(context, ns); });
  if (!registries.empty() && sidecars) registries.emplace_back(kMeshImages);
  const bool enforce = spec.text("mode") == "enforce";
  Part part = component("policy");
  part.after = {"namespaces", "network-policies"};
  part.namespaces.push_back({.name = kNamespace});
  part.releases.push_back({.chart = "gatekeeper",
                           .release = "gatekeeper",
                           .ns = kNamespace,
                           .values = values(context, namespaces)});
  const std::vector<PolicyRule> all = rules(registries);
  for (const PolicyRule& rule : all) {
    part.add("templates.yaml", constraint_template(rule));
    add_constraints(context, part, rule, namespaces, enforce);
  }
  // A rule is of a kind that its template makes.
  for (Manifest& m : part.manifests) {
    if (m.file != "templates.yaml") continue;
    for (const Json& o : m.objects)
      m.makes.push_back(o["metadata"]["name"].get<std::string>() + ".constraints.gatekeeper.sh");
  }
  add_cases(part, all, namespaces, registries);
  for (const char* what : {"controller-manager", "audit-controller"}) {
    const Labels pods{{"control-plane", what}};
    if (context.has("metrics")) {
      part.edges.push_back({.from = prometheus_peer(),
                            .to = Peer::pods(kNamespace, pods),
                            .ports = {{"metrics", 8888}},
                            .why = "scrapes metrics"});
    }
  }
  // Its installation has jobs of its own beside the two.
  part.edges.push_back(
      {.from = Peer::pods(kNamespace), .to = Peer::api_server(), .why = "reads rules and objects"});
  part.edges.push_back({.from = Peer::api_server(),
                        .to = Peer::pods(kNamespace, {{"control-plane", "controller-manager"}}),
                        .ports = {{"webhook", 8443}},
                        .why = "asks whether an object may be put in"});
  part.sections.push_back(
      {Section::Chapter::weekly, "What breaks a rule",
       "kubectl get constraints\nkubectl get constraints -o json | jq '.items[].status.violations'\n"});
  return {std::move(part)};
}

}  // namespace tg::render
