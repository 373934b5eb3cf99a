// Who runs TrainingRuns: JobSet, Kubeflow's Trainer above it, Kueue in front of it, or the whole Kubeflow.
#include <fmt/format.h>

#include "catalog/images.hpp"
#include "render/component/components.hpp"
#include "render/workload/workloads.hpp"
#include "text/emit.hpp"

namespace tg::render {

namespace {

// The operators stay apart from the runs, whose quotas and policies are their own.
constexpr const char* kNamespace = "training-system";
constexpr const char* kKubeflow = "26.03.1";

void place(const Context& context, Json& values) {
  const Placement where = context.add_on_placement();
  if (!where.node_selector.empty()) values["nodeSelector"] = to_json(where.node_selector);
  if (!where.tolerations.empty()) values["tolerations"] = where.tolerations;
}

// The chart's own default is an image of no release.
Json jobset_values(const Context& context) {
  const int replicas = context.replicas("training", "jobset");
  Json controller{{"replicas", replicas}, {"resources", to_json(context.size("training", "jobset"))}};
  controller["podDisruptionBudget"] = {{"enabled", replicas > 1}};
  place(context, controller);
  return {
      {"image",
       {{"repository", "registry.k8s.io/jobset/jobset"}, {"tag", "v0.12.0"}, {"pullPolicy", "IfNotPresent"}}},
      {"controller", std::move(controller)}};
}

void add_jobset(const Context& context, Part& part) {
  part.releases.push_back(
      {.chart = "jobset", .release = "jobset", .ns = kNamespace, .values = jobset_values(context)});
}

// The chart's own way to bring it is a job that is root and fetches kubectl from the internet at each
// upgrade.
Json torch_runtime(const Context& context) {
  const Json container{{"name", "node"},
                       {"image", catalog::image("torch-runtime")},
                       // What a run takes that says nothing of its own.
                       {"resources", to_json(context.size("training", "runtime"))},
                       {"env", Json::array({env("HOME", "/tmp")})},
                       {"volumeMounts", Json::array({{{"name", "tmp"}, {"mountPath", "/tmp"}}})},
                       {"securityContext",
                        {{"allowPrivilegeEscalation", false},
                         {"readOnlyRootFilesystem", true},
                         {"capabilities", {{"drop", Json::array({"ALL"})}}}}}};
  const Json pod{{"volumes", Json::array({volume_scratch("tmp", "8Gi")})},
                 {"securityContext",
                  {{"runAsNonRoot", true},
                   {"runAsUser", 65532},
                   {"runAsGroup", 65532},
                   {"fsGroup", 65532},
                   {"seccompProfile", {{"type", "RuntimeDefault"}}}}},
                 {"containers", Json::array({container})}};
  Json job = Json::object();
  job["metadata"]["labels"] = {{"trainer.kubeflow.org/trainjob-ancestor-step", "trainer"}};
  job["spec"]["template"]["spec"] = pod;
  Json out = object("trainer.kubeflow.org/v1alpha1", "ClusterTrainingRuntime", "torch-distributed");
  out["metadata"]["labels"] = {{"trainer.kubeflow.org/framework", "torch"}};
  out["spec"]["mlPolicy"] = {{"numNodes", 1}, {"torch", Json::object()}};
  out["spec"]["template"]["spec"]["replicatedJobs"] =
      Json::array({{{"name", "node"}, {"template", std::move(job)}}});
  return out;
}

// JobSet comes with it: one owner.
void add_trainer(const Context& context, Part& part) {
  Json manager{{"replicas", context.replicas("training", "trainer")},
               {"resources", to_json(context.size("training", "trainer"))}};
  place(context, manager);
  Json jobset = jobset_values(context);
  jobset["install"] = true;
  Json values{{"jobset", std::move(jobset)},
              {"manager", std::move(manager)},
              {"dataCache", {{"enabled", false}}},
              {"runtimes", {{"defaultEnabled", false}}}};
  part.releases.push_back({.chart = "kubeflow-trainer",
                           .release = "kubeflow-trainer",
                           .ns = kNamespace,
                           .values = std::move(values)});
  part.add("runtimes.yaml", torch_runtime(context));
  part.sections.push_back({Section::Chapter::first_steps, "Train",
                           "kubectl get clustertrainingruntimes\n"
                           "kubectl get trainjobs,jobsets -A\n"});
}

// Queues over what the tenants may take: a run waits until all of it fits.
void add_kueue(const Context& context, Part& part) {
  const int replicas = context.replicas("training", "kueue");
  Json manager{{"replicas", replicas},
               {"manager", {{"resources", to_json(context.size("training", "kueue"))}}},
               {"podDisruptionBudget", {{"enabled", replicas > 1}}}};
  place(context, manager);
  part.releases.push_back({.chart = "kueue",
                           .release = "kueue",
                           .ns = kNamespace,
                           .values = {{"controllerManager", std::move(manager)}}});
  Json flavor = object("kueue.x-k8s.io/v1beta2", "ResourceFlavor", "default");
  flavor["spec"] = Json::object();
  part.add("queues.yaml", std::move(flavor));
  for (const auto& [name, tenant] : context.all(spec::DocumentKind::tenant)) {
    const Labels quota = tenant.quantities("quota.requests");
    const auto home = tenant_home(context, name);
    if (!home || quota.empty()) continue;
    Json covered = Json::array(), amounts = Json::array();
    for (const auto& [resource, amount] : quota) {
      covered.push_back(resource);
      amounts.push_back({{"name", resource}, {"nominalQuota", amount}});
    }
    Json queue = object("kueue.x-k8s.io/v1beta2", "ClusterQueue", name);
    queue["spec"] = {
        {"namespaceSelector", {{"matchLabels", {{"kubernetes.io/metadata.name", home->ns}}}}},
        {"queueingStrategy", "BestEffortFIFO"},
        {"preemption", {{"withinClusterQueue", "LowerPriority"}}},
        {"resourceGroups",
         Json::array(
             {{{"coveredResources", std::move(covered)},
               {"flavors", Json::array({{{"name", "default"}, {"resources", std::move(amounts)}}})}}})}};
    part.add("queues.yaml", std::move(queue));
    Json local = object("kueue.x-k8s.io/v1beta2", "LocalQueue", "default", home->ns);
    local["spec"] = {{"clusterQueue", name}};
    part.add("queues.yaml", std::move(local));
    part.namespaces.push_back({.name = home->ns});
  }
}

void add_kubeflow(Part& part) {
  const Json kustomization{
      {"apiVersion", "kustomize.config.k8s.io/v1beta1"},
      {"kind", "Kustomization"},
      {"resources", Json::array({fmt::format(
                        "https://github.com/kubeflow/community-distribution//example?ref={}", kKubeflow)})}};
  part.extras.push_back({"kubeflow/kustomization.yaml", text::emit_yaml(kustomization)});
  part.steps.push_back({.kind = "kustomize", .what = "kubeflow", .timeout = "30m"});
  part.sections.push_back(
      {Section::Chapter::first_steps, "Kubeflow",
       fmt::format(
           "The community distribution {} is fetched when the platform is applied. It brings its own "
           "Istio, cert-manager and users, and was not proven together with this platform: try it in a "
           "staging cluster first.\n\n    kubectl get pods -n kubeflow\n",
           kKubeflow)});
}

}  // namespace

std::string training_use(const Context& context) {
  std::string use = context.use("training");
  if (!use.empty()) return use;
  return context.all(spec::DocumentKind::training_run).empty() ? "none" : "jobset";
}

std::vector<Part> training(const Context& context) {
  const std::string use = training_use(context);
  if (use == "none") return {};
  Part part = component("training");
  part.after = {"namespaces", "network-policies", "certificates"};
  if (use == "kubeflow") {
    add_kubeflow(part);
    return {std::move(part)};
  }
  part.namespaces.push_back({.name = kNamespace});
  const Peer pods = Peer::pods(kNamespace);
  part.edges.push_back({.from = pods, .to = Peer::api_server(), .why = "watches its objects"});
  part.edges.push_back({.from = Peer::api_server(),
                        .to = pods,
                        .ports = {{"webhook", 9443}},
                        .why = "asks whether a run may be started so"});
  if (use == "kubeflow-trainer") {
    add_trainer(context, part);
  } else {
    add_jobset(context, part);
  }
  if (use == "kueue") {
    part.edges.push_back(
        {.from = Peer::api_server(), .to = pods, .ports = {{"visibility", 8082}}, .why = "shows what waits"});
    add_kueue(context, part);
  }
  return {std::move(part)};
}

}  // namespace tg::render
