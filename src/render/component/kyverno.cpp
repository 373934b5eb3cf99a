// Kyverno: the rules in CEL, as ValidatingPolicies (ClusterPolicy has ended with 1.19). Kyverno hands each to
// the API server as a ValidatingAdmissionPolicy: it holds while Kyverno is away, and no pod waits for a
// webhook.
#include <fmt/format.h>

#include "render/component/components.hpp"
#include "render/component/observability.hpp"
#include "render/component/policy.hpp"
#include "text/emit.hpp"

namespace tg::render {

namespace {

constexpr const char* kNamespace = "kyverno";
constexpr int kMetrics = 8000;

// One thing that must be true, and a CEL expression of what is said where it is not.
struct Check {
  std::string expression, message;
};
struct Code {
  std::vector<std::pair<const char*, std::string>> variables{};
  std::vector<Check> checks{};
};

// The lists differ in the type of their entries: without dyn() they could not be joined.
constexpr const char* kLasting = "dyn(object.spec.containers) + dyn(object.spec.?initContainers.orValue([]))";
constexpr const char* kDebuggers = " + dyn(object.spec.?ephemeralContainers.orValue([]))";

// A list of texts is written in CEL as in JSON.
template <class Texts>
std::string cel(const Texts& texts) {
  return Json(texts).dump();
}

// The rule holds if no container fits `breaks`; `says` goes before what names those that do.
Code no_container(const std::string& containers, const std::string& breaks, const std::string& names,
                  const std::string& says) {
  return {{{"containers", containers},
           {"wrong", fmt::format("variables.containers.filter(c, {}).map(c, string({}))", breaks, names)}},
          {{"size(variables.wrong) == 0", fmt::format("'{}: ' + variables.wrong.join(', ')", says)}}};
}

Code limits() {
  const auto without = [](const auto& wanted, const char* kind) {
    return fmt::format(
        "variables.containers.filter(c, !{}.all(what, what in c.?resources.?{}.orValue({{}})))"
        ".map(c, string(c.name))",
        cel(wanted), kind);
  };
  const auto check = [](const char* variable, const char* kind, const auto& wanted) {
    return Check{fmt::format("size(variables.{}) == 0", variable),
                 fmt::format("'without a {} of {}: ' + variables.{}.join(', ')", kind,
                             fmt::join(wanted, " and "), variable)};
  };
  return {{{"containers", kLasting},
           {"unlimited", without(kNeededLimits, "limits")},
           {"unasked", without(kNeededRequests, "requests")}},
          {check("unlimited", "limit", kNeededLimits), check("unasked", "request", kNeededRequests)}};
}

Code code_of(const PolicyRule& rule, const PolicyWork& work) {
  const std::string all = std::string(kLasting) + kDebuggers;
  switch (rule.demand) {
    case Demand::labels:
      return {{{"missing", fmt::format("{}.filter(label, !(label in object.metadata.?labels.orValue({{}})))",
                                       cel(kNeededLabels))}},
              {{"size(variables.missing) == 0", "'labels are missing: ' + variables.missing.join(', ')"}}};
    case Demand::registries:
      return no_container(all,
                          fmt::format("!{}.exists(from, c.image.startsWith(from))", cel(work.registries)),
                          "c.image", fmt::format("from none of {}", fmt::join(work.registries, ", ")));
    case Demand::tags:
      return no_container(all, "c.image.endsWith(':latest') || !c.image.matches('[:@][^/]+$')", "c.image",
                          "without the tag of a version");
    case Demand::limits:  // what is put in to debug has no resources of its own
      return limits();
    case Demand::privilege:
      return no_container(all, "c.?securityContext.?privileged.orValue(false)", "c.name", "privileged");
    case Demand::read_only_root:
      break;
  }
  return no_container(all, "!c.?securityContext.?readOnlyRootFilesystem.orValue(false)", "c.name",
                      "can write to its root file system");
}

// Pods alone: what a namespace gives to those that ask for nothing is in no template of theirs.
Json where(const PolicyScope& scope) {
  Json pods{{"apiGroups", Json::array({""})},
            {"apiVersions", Json::array({"v1"})},
            {"operations", {"CREATE", "UPDATE"}},
            {"resources", {"pods", "pods/ephemeralcontainers"}}};
  return {{"namespaceSelector", namespace_selector(scope.namespaces)},
          {"resourceRules", Json::array({std::move(pods)})}};
}

Json policy_object(const Code& code, const PolicyScope& scope, bool enforce) {
  Json out = object("policies.kyverno.io/v1", "ValidatingPolicy", scope.name);
  Json& spec = out["spec"];
  spec["validationActions"] = scope.enforce ? Json::array({"Deny"}) : Json::array({"Audit", "Warn"});
  spec["failurePolicy"] = enforce ? "Fail" : "Ignore";
  // Without controllers of pods, or it would not become the API server's own.
  spec["autogen"] = {{"podControllers", {{"controllers", Json::array()}}},
                     {"validatingAdmissionPolicy", {{"enabled", true}}}};
  spec["matchConstraints"] = where(scope);
  for (const auto& [name, expression] : code.variables)
    spec["variables"].push_back({{"name", name}, {"expression", expression}});
  for (const Check& c : code.checks)
    spec["validations"].push_back({{"expression", c.expression}, {"messageExpression", c.message}});
  return out;
}

// One result that `kyverno test` must come to.
Json expected(const std::string& policy, const std::string& pod, const char* result) {
  return {{"policy", policy},
          {"isValidatingPolicy", true},
          {"kind", "Pod"},
          {"resources", Json::array({pod})},
          {"result", result}};
}

// A pod that all rules let pass, and for each rule one that it refuses.
void add_cases(Part& part, const PolicyWork& work) {
  const Json good = good_pod(work);
  const Json ns = good["metadata"]["namespace"];
  part.extras.push_back({"tests/good.yaml", text::emit_yaml(good)});
  Json pods = Json::array({"good.yaml"}), results = Json::array();
  for (const PolicyRule& rule : work.rules) {
    const std::string file = fmt::format("bad-{}.yaml", rule.name);
    part.extras.push_back({"tests/" + file, text::emit_yaml(bad_pod(work, rule))});
    pods.push_back(file);
    for (const PolicyScope& scope : policy_scopes(work, rule)) {
      if (!scope.namespaces.empty() && scope.namespaces.front() != ns) continue;
      results.push_back(expected(scope.name, "good", "pass"));
      results.push_back(expected(scope.name, fmt::format("bad-{}", rule.name), "fail"));
    }
  }
  Json labels{{"name", ns}, {"labels", {{"kubernetes.io/metadata.name", ns}}}};
  Json values{{"apiVersion", "cli.kyverno.io/v1alpha1"},
              {"kind", "Values"},
              {"metadata", {{"name", "namespaces"}}},
              {"namespaceSelector", Json::array({std::move(labels)})}};
  part.extras.push_back({"tests/values.yaml", text::emit_yaml(values)});
  Json test{{"apiVersion", "cli.kyverno.io/v1alpha1"},
            {"kind", "Test"},
            {"metadata", {{"name", "policies"}}},
            {"policies", Json::array({"../policies.yaml"})},
            {"resources", std::move(pods)},
            {"variables", "values.yaml"},
            {"results", std::move(results)}};
  part.extras.push_back({"tests/kyverno-test.yaml", text::emit_yaml(test)});
}

Json values(const Context& context) {
  const Json monitor{{"enabled", observability::stack(context)}};
  const int replicas = context.replicas("policy", "admission");
  Json admission{{"replicas", replicas},
                 {"podDisruptionBudget", {{"enabled", replicas > 1}}},
                 {"container", {{"resources", to_json(context.size("policy", "admission"))}}},
                 {"serviceMonitor", monitor}};
  Json reports{{"resources", to_json(context.size("policy", "reports"))}, {"serviceMonitor", monitor}};
  const Placement at = context.add_on_placement();
  Json out{{"features",
            {{"generateValidatingAdmissionPolicy", {{"enabled", true}}},
             {"validatingAdmissionPolicyReports", {{"enabled", true}}}}},
           {"admissionController", std::move(admission)},
           {"reportsController", std::move(reports)},
           // They make, change and delete objects; these rules only judge.
           {"backgroundController", {{"enabled", false}}},
           {"cleanupController", {{"enabled", false}}}};
  // Of the jobs around an upgrade too.
  if (!at.node_selector.empty()) out["global"]["nodeSelector"] = to_json(at.node_selector);
  if (!at.tolerations.empty()) out["global"]["tolerations"] = at.tolerations;
  return out;
}

void add_edges(Part& part, const Context& context) {
  const auto pods = [](const char* what) {
    return Peer::pods(kNamespace, {{"app.kubernetes.io/component", what}});
  };
  if (observability::stack(context)) {
    for (const char* what : {"admission-controller", "reports-controller"})
      part.edges.push_back({.from = prometheus_peer(),
                            .to = pods(what),
                            .ports = {{"metrics-port", kMetrics}},
                            .why = "scrapes metrics"});
  }
  part.edges.push_back(
      {.from = Peer::pods(kNamespace), .to = Peer::api_server(), .why = "reads rules and objects"});
  part.edges.push_back({.from = Peer::api_server(),
                        .to = pods("admission-controller"),
                        .ports = {{"https", 9443}},
                        .why = "asks whether a rule may be put in"});
}

}  // namespace

Part kyverno(const Context& context, const PolicyWork& work) {
  Part part = component("policy");
  part.after = {"namespaces", "network-policies"};
  part.namespaces.push_back({.name = kNamespace});
  part.releases.push_back(
      {.chart = "kyverno", .release = "kyverno", .ns = kNamespace, .values = values(context)});
  for (const PolicyRule& rule : work.rules) {
    const Code code = code_of(rule, work);
    for (const PolicyScope& scope : policy_scopes(work, rule))
      part.add("policies.yaml", policy_object(code, scope, work.enforce));
  }
  add_cases(part, work);
  add_edges(part, context);
  part.sections.push_back(
      {Section::Chapter::weekly, "What breaks a rule",
       "kubectl get policyreports -A\n"
       "kubectl get policyreports -A -o json | jq '.items[] | {pod: .scope.name, rules: [.results[] | "
       "select(.result == \"fail\") | .policy]} | select(.rules != [])'\n"});
  part.sections.push_back({Section::Chapter::troubleshooting,
                           "A pod breaks no rule and is refused, or breaks one and is let in",
                           "Each rule is a ValidatingAdmissionPolicy that Kyverno made. One is missing where "
                           "the rule is not ready, "
                           "and until then a webhook of Kyverno judges.\n\n```sh\n"
                           "kubectl get validatingpolicies\n"
                           "kubectl get validatingadmissionpolicies,validatingadmissionpolicybindings\n"
                           "kubectl -n kyverno logs deployment/kyverno-admission-controller --tail=50\n"
                           "# the cases of each rule, without a cluster\n"
                           "kyverno test components/28-policy/tests\n```\n"});
  return part;
}

}  // namespace tg::render
