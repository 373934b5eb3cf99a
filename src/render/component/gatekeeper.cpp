// Gatekeeper: the rules in Rego, with cases for gator.
#include <fmt/format.h>

#include "render/component/components.hpp"
#include "render/component/observability.hpp"
#include "render/component/policy.hpp"
#include "render/workload/data.hpp"
#include "text/emit.hpp"

namespace tg::render {

namespace {

constexpr const char* kNamespace = "gatekeeper-system";

// A rule as Gatekeeper has it: the kind of its constraints, what they may be told, and what breaks it.
struct Template {
  const char* kind;
  std::string rego;
  Json parameters;  // of the constraint
};

// All containers of a pod, whatever list they stand in.
constexpr const char* kContainers =
    "containers[c] { c := input.review.object.spec.containers[_] }\n"
    "containers[c] { c := input.review.object.spec.initContainers[_] }\n";
constexpr const char* kDebuggers = "containers[c] { c := input.review.object.spec.ephemeralContainers[_] }\n";

constexpr const char* kLabels =
    "violation[{\"msg\": msg}] {\n"
    "  required := input.parameters.labels[_]\n"
    "  not input.review.object.metadata.labels[required]\n"
    "  msg := sprintf(\"label %v is missing\", [required])\n"
    "}\n";
constexpr const char* kRegistries =
    "violation[{\"msg\": msg}] {\n"
    "  c := containers[_]\n"
    "  ok := [yes | prefix := input.parameters.registries[_]; yes := startswith(c.image, prefix)]\n"
    "  not any(ok)\n"
    "  msg := sprintf(\"image %v is from none of %v\", [c.image, input.parameters.registries])\n"
    "}\n";
constexpr const char* kTags =
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
    "}\n";
constexpr const char* kLimits =
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
    "}\n";
constexpr const char* kPrivilege =
    "violation[{\"msg\": msg}] {\n"
    "  c := containers[_]\n"
    "  c.securityContext.privileged\n"
    "  msg := sprintf(\"container %v is privileged\", [c.name])\n"
    "}\n";
constexpr const char* kReadOnlyRoot =
    "violation[{\"msg\": msg}] {\n"
    "  c := containers[_]\n"
    "  not c.securityContext.readOnlyRootFilesystem\n"
    "  msg := sprintf(\"container %v can write to its root file system\", [c.name])\n"
    "}\n";

Template template_of(const PolicyRule& rule, const PolicyWork& work) {
  const std::string all = std::string(kContainers) + kDebuggers;
  switch (rule.demand) {
    case Demand::labels:
      return {"RequiredLabels", all + kLabels, {{"labels", kNeededLabels}}};
    case Demand::registries:
      return {"AllowedRegistries", all + kRegistries, {{"registries", work.registries}}};
    case Demand::tags:
      return {"FixedTags", all + kTags, Json::object()};
    case Demand::limits:  // what is put in to debug has no resources of its own
      return {"LimitsRequired",
              std::string(kContainers) + kLimits,
              {{"limits", kNeededLimits}, {"requests", kNeededRequests}}};
    case Demand::privilege:
      return {"NoPrivilege", all + kPrivilege, Json::object()};
    case Demand::read_only_root:
      break;
  }
  return {"ReadOnlyRoot", all + kReadOnlyRoot, Json::object()};
}

Json constraint_template(const Template& t) {
  std::string lower(t.kind);
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  Json out = object("templates.gatekeeper.sh/v1", "ConstraintTemplate", lower);
  Json schema{{"type", "object"}};
  for (const auto& [name, value] : t.parameters.items())
    schema["properties"][name] = {{"type", "array"}, {"items", {{"type", "string"}}}};
  std::string rego = fmt::format("package {}\n{}", lower, t.rego);
  out["spec"] = {
      {"crd",
       {{"spec", {{"names", {{"kind", t.kind}}}, {"validation", {{"openAPIV3Schema", std::move(schema)}}}}}}},
      {"targets", Json::array({{{"target", "admission.k8s.gatekeeper.sh"}, {"rego", std::move(rego)}}})}};
  return out;
}

Json constraint(const Template& t, const PolicyScope& scope) {
  Json out = object("constraints.gatekeeper.sh/v1beta1", t.kind, scope.name);
  Json match{{"kinds", Json::array({{{"apiGroups", Json::array({""})}, {"kinds", Json::array({"Pod"})}}})}};
  if (!scope.namespaces.empty()) match["namespaces"] = scope.namespaces;
  out["spec"] = {{"enforcementAction", scope.enforce ? "deny" : "warn"}, {"match", std::move(match)}};
  if (!t.parameters.empty()) out["spec"]["parameters"] = t.parameters;
  return out;
}

void add_rule(Part& part, const PolicyWork& work, const PolicyRule& rule) {
  const Template t = template_of(rule, work);
  part.add("templates.yaml", constraint_template(t));
  for (const PolicyScope& scope : policy_scopes(work, rule)) {
    Json o = constraint(t, scope);
    if (scope.namespaces.empty()) o["spec"]["match"]["namespaceSelector"] = namespace_selector({});
    part.add("constraints.yaml", std::move(o));
  }
}

// The suite that gator runs: a pod that all rules let pass, and for each rule one that it refuses.
void add_cases(Part& part, const PolicyWork& work) {
  part.extras.push_back({"tests/good.yaml", text::emit_yaml(good_pod(work))});
  Json tests = Json::array();
  for (const PolicyRule& rule : work.rules) {
    const Template t = template_of(rule, work);
    const std::string file = fmt::format("{}.yaml", rule.name);
    part.extras.push_back({"tests/bad-" + file, text::emit_yaml(bad_pod(work, rule))});
    part.extras.push_back({"tests/template-" + file, text::emit_yaml(constraint_template(t))});
    part.extras.push_back(
        {"tests/constraint-" + file, text::emit_yaml(constraint(t, {rule.name, work.namespaces, true}))});
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

Json values(const Context& context, const PolicyWork& work) {
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
           {"validatingWebhookFailurePolicy", work.enforce ? "Fail" : "Ignore"},
           {"constraintViolationsLimit", 100},
           {"auditInterval", 300},
           {"validatingWebhookCustomRules", asked_kinds()},
           // Nothing here changes objects on their way in.
           {"disableMutation", true},
           {"crds", std::move(definitions)},
           {"postInstall", std::move(jobs)},
           {"controllerManager", std::move(controller)},
           {"audit", std::move(audit)}};
  ask_where(out, work.namespaces);
  return out;
}

void add_edges(Part& part, const Context& context) {
  const Peer webhook = Peer::pods(kNamespace, {{"control-plane", "controller-manager"}});
  if (observability::stack(context)) {
    for (const char* what : {"controller-manager", "audit-controller"})
      part.edges.push_back({.from = prometheus_peer(),
                            .to = Peer::pods(kNamespace, {{"control-plane", what}}),
                            .ports = {{"metrics", 8888}},
                            .why = "scrapes metrics"});
    part.add("monitor.yaml",
             pod_monitor("gatekeeper", kNamespace, {{"gatekeeper.sh/system", "yes"}}, "metrics"));
  }
  // Its installation has jobs of its own beside the two.
  part.edges.push_back(
      {.from = Peer::pods(kNamespace), .to = Peer::api_server(), .why = "reads rules and objects"});
  part.edges.push_back({.from = Peer::api_server(),
                        .to = webhook,
                        .ports = {{"webhook", 8443}},
                        .why = "asks whether an object may be put in"});
}

}  // namespace

Part gatekeeper(const Context& context, const PolicyWork& work) {
  Part part = component("policy");
  part.after = {"namespaces", "network-policies"};
  part.namespaces.push_back({.name = kNamespace});
  part.releases.push_back(
      {.chart = "gatekeeper", .release = "gatekeeper", .ns = kNamespace, .values = values(context, work)});
  for (const PolicyRule& rule : work.rules) add_rule(part, work, rule);
  // A rule is of a kind that its template makes.
  for (Manifest& m : part.manifests) {
    if (m.file != "templates.yaml") continue;
    for (const Json& o : m.objects)
      m.makes.push_back(o["metadata"]["name"].get<std::string>() + ".constraints.gatekeeper.sh");
  }
  add_cases(part, work);
  add_edges(part, context);
  part.sections.push_back(
      {Section::Chapter::weekly, "What breaks a rule",
       "kubectl get constraints\nkubectl get constraints -o json | jq '.items[].status.violations'\n"});
  return part;
}

}  // namespace tg::render
