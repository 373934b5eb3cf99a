// TrainingRuns: each a chart of its own, whose values are all that the document says of it.
#include <fmt/format.h>

#include <algorithm>

#include "render/component/components.hpp"
#include "render/workload/training_chart.hpp"
#include "render/workload/workloads.hpp"
#include "text/emit.hpp"

namespace tg::render {

namespace {

constexpr const char* kNamespace = "training";
constexpr const char* kChartVersion = "1.0.0";

// Everything of the document that decides more than one value.
struct Run {
  std::string name;
  std::string kind;
  std::int64_t nodes = 1, replicas = 1;
  bool grows = false;
  spec::Reader spec;
  bool many() const { return nodes > 1 || replicas > 1 || grows; }
  Labels pods() const { return {{"app.kubernetes.io/name", name}, {"app.kubernetes.io/instance", name}}; }
};

Run read(const Context& context, const std::string& name, const spec::Reader& spec) {
  Run run{.name = name, .kind = spec.text("as"), .spec = spec};
  run.nodes = spec.integer("nodes");
  run.replicas = spec.integer("replicas");
  run.grows = spec.flag("chart.autoscaling.enabled");
  if (run.kind.empty()) run.kind = run.nodes > 1 ? "JobSet" : "Job";
  if (run.kind == "Job" && run.nodes > 1) {
    context.refuse("too_many_nodes", spec.at("nodes"), spec.where("nodes"),
                   fmt::format("{}: a Job trains on one node", name), "write as: JobSet, or leave as out");
  }
  if (run.grows && run.kind != "Deployment") {
    context.refuse("nothing_grows", spec.at("chart"), spec.where("chart.autoscaling"),
                   fmt::format("{}: a {} has no replicas that could follow the processor", name, run.kind),
                   "write as: Deployment, or take autoscaling out");
  }
  return run;
}

// Where it runs: the pool that the document names, else the first with GPUs.
Placement place(const Context& context, const spec::Reader& spec) {
  std::string pool = spec.text("pool");
  if (pool.empty()) {
    for (const auto& [name, p] : context.spec().named("pools")) {
      if (const std::string vendor = p.text("gpu.vendor"); !vendor.empty() && vendor != "none") {
        pool = name;
        break;
      }
    }
  }
  return pool.empty() ? Placement{} : context.pool_placement(pool);
}

std::string kind_of_class(const Context& context, const std::string& storage_class) {
  for (const auto& [name, c] : context.spec().named("storage.classes")) {
    if (name == storage_class) return c.text("kind");
  }
  return {};
}

// The first volume gives the values of all; a volume repeats only what differs from it.
Json persistence(const Context& context, const Run& run) {
  Json out{{"enabled", false}, {"storageClass", ""},  {"accessMode", "ReadWriteOnce"}, {"size", "100Gi"},
           {"volumeType", ""}, {"perReplica", false}, {"volumes", Json::object()}};
  bool first = true;
  for (const auto& [name, volume] : run.spec.named("volumes")) {
    std::string storage_class = volume.text("class");
    if (storage_class.empty()) storage_class = context.default_storage_class();
    const std::string access =
        kind_of_class(context, storage_class) == "shared" ? "ReadWriteMany" : "ReadWriteOnce";
    const std::string type = volume.text("type");
    if (!type.empty() && context.site() != Site::open_telekom_cloud) {
      context.refuse(
          "volume_type_not_here", volume.at("type"), volume.where("type"),
          fmt::format("{}: only openTelekomCloud takes the type of a volume from its claim", run.name),
          "name a storage class of that type");
    }
    if (run.many() && access == "ReadWriteOnce") {
      out["perReplica"] = true;
      context.warn(
          "volume_not_shared", volume.at(), volume.where(""),
          fmt::format("{}: {} is held by one node at a time: each replica gets one of its own, and it goes "
                      "with the replica",
                      run.name, name),
          "use a class of kind: shared for what must stay");
    }
    Json entry{{"mountPath", volume.text("mount")}};
    const auto put = [&](const char* key, const std::string& value) {
      if (first) {
        out[key] = value;
      } else if (out[key] != value) {
        entry[key] = value;
      }
    };
    put("storageClass", storage_class);
    put("accessMode", access);
    put("size", volume.text("size"));
    put("volumeType", type);
    out["volumes"][name] = std::move(entry);
    out["enabled"] = true;
    first = false;
  }
  return out;
}

Json values(const Context& context, const Run& run) {
  const spec::Reader& s = run.spec;
  const Placement where = place(context, s);
  Resources size{s.quantities("resources.requests"), s.quantities("resources.limits")};
  for (const auto& [resource, amount] : size.requests) {
    if (resource.find('/') != std::string::npos) size.limits.emplace(resource, amount);
  }
  const std::string metrics = s.text("expose.metrics");
  Json out{{"kind", run.kind}, {"replicaCount", run.replicas}, {"nodes", run.nodes}};
  out["image"] = {{"repository", s.text("image.repository")},
                  {"tag", s.text("image.tag")},
                  {"pullPolicy", s.text("image.pullPolicy")}};
  out["command"] = s.list("command");
  out["env"] = Json::object();
  // The policy of required labels asks for it.
  out["labels"] = {{"app.kubernetes.io/part-of", context.name()}};
  out["resources"] = to_json(size);
  out["service"] = {{"type", s.text("expose.service")}, {"port", s.integer("expose.port")}};
  out["metrics"] = {{"enabled", metrics != "none" && context.use("metrics") == "prometheus"},
                    {"path", metrics == "none" ? "/metrics" : metrics}};
  out["ingress"] = {{"enabled", s.flag("chart.ingress.enabled")},
                    {"className", s.text("chart.ingress.className")},
                    {"annotations", Json::object()},
                    {"host", s.text("expose.host")},
                    {"path", "/"},
                    {"tlsSecretName", ""}};
  out["nodeSelector"] = to_json(where.node_selector);
  out["tolerations"] = where.tolerations;
  out["priorityClassName"] = "";
  out["persistence"] = persistence(context, run);
  out["autoscaling"] = {{"enabled", run.grows},
                        {"minReplicas", s.integer("chart.autoscaling.min")},
                        {"maxReplicas", s.integer("chart.autoscaling.max")},
                        {"targetCPUUtilizationPercentage", 70}};
  out["strategy"] = context.spec().text("delivery.strategy");
  out["next"] = {{"tag", ""}, {"replicas", 1}, {"active", false}};
  out["restart"] = {{"attempts", s.integer("restart.attempts")}};
  out["terminationGracePeriodSeconds"] = static_cast<std::int64_t>(s.seconds("restart.checkpointGrace"));
  out["queue"] = training_use(context) == "kueue" ? "default" : "";
  out["scratch"] = {{"tmp", "10Gi"}, {"sharedMemory", "8Gi"}};
  out["podSecurityContext"] = {{"runAsNonRoot", true},
                               {"runAsUser", 65532},
                               {"runAsGroup", 65532},
                               {"fsGroup", 65532},
                               {"fsGroupChangePolicy", "OnRootMismatch"},
                               {"seccompProfile", {{"type", "RuntimeDefault"}}}};
  out["securityContext"] = {{"allowPrivilegeEscalation", false},
                            {"readOnlyRootFilesystem", true},
                            {"capabilities", {{"drop", Json::array({"ALL"})}}}};
  return out;
}

void add_chart(Part& part, const Context& context, const Run& run, const std::string& path) {
  const Json chart{{"apiVersion", "v2"},
                   {"name", run.name},
                   {"description", fmt::format("Training run {} of {}", run.name, context.name())},
                   {"type", "application"},
                   {"version", kChartVersion},
                   {"appVersion", run.spec.text("image.tag")},
                   {"kubeVersion", ">= 1.34.0-0"}};
  part.extras.push_back({path + "/Chart.yaml", text::emit_yaml(chart)});
  part.extras.push_back({path + "/values.yaml", text::emit_yaml(values(context, run))});
  for (Extra& e : training_templates()) {
    e.path = fmt::format("{}/{}", path, e.path);
    part.extras.push_back(std::move(e));
  }
  part.steps.push_back({.kind = "chart", .what = path, .where = kNamespace, .timeout = "10m"});
}

Dashboard dashboard(const Run& run) {
  const std::string pods = fmt::format("namespace=\"{}\",pod=~\"{}-.*\"", kNamespace, run.name);
  Dashboard out{.uid = "training-" + run.name, .title = run.name, .folder = "Training"};
  const auto add = [&](const char* title, std::string expr, const char* legend, const char* unit) {
    out.panels.push_back({.title = title, .queries = {{std::move(expr), legend}}, .unit = unit});
  };
  // The exporter names the pod that holds a GPU, and its monitor lets that name stand.
  add("GPU use", fmt::format("avg by (pod, gpu) (DCGM_FI_DEV_GPU_UTIL{{{}}}) / 100", pods), "{{pod}} {{gpu}}",
      "percentunit");
  add("GPU memory", fmt::format("sum by (pod, gpu) (DCGM_FI_DEV_FB_USED{{{}}}) * 1048576", pods),
      "{{pod}} {{gpu}}", "bytes");
  add("Processor",
      fmt::format("sum by (pod) (rate(container_cpu_usage_seconds_total{{{},container=\"train\"}}[5m]))",
                  pods),
      "{{pod}}", "cores");
  add("Memory",
      fmt::format("sum by (pod) (container_memory_working_set_bytes{{{},container=\"train\"}})", pods),
      "{{pod}}", "bytes");
  add("Volumes",
      fmt::format("max by (persistentvolumeclaim) (kubelet_volume_stats_used_bytes{{namespace=\"{}\"}} / "
                  "kubelet_volume_stats_capacity_bytes{{namespace=\"{}\"}})",
                  kNamespace, kNamespace),
      "{{persistentvolumeclaim}}", "percentunit");
  add("Restarts", fmt::format("sum by (pod) (kube_pod_container_status_restarts_total{{{}}})", pods),
      "{{pod}}", "short");
  return out;
}

// How a version takes over from the one before: only a Deployment has requests to share out.
std::string next_version(const Run& run, const std::string& path, const std::string& strategy) {
  const std::string upgrade =
      fmt::format("helm -n {0} upgrade {1} workloads/{1}/{2} --reuse-values", kNamespace, run.name, path);
  if (run.kind != "Deployment")
    return fmt::format(
        "Write its tag into `image.tag` of the TrainingRun and render: the changed run gets a name of its "
        "own "
        "and begins from the last checkpoint. Train some steps in staging first:\n\n```sh\n{} --set "
        "image.tag=TAG\n```\n",
        upgrade);
  if (strategy == "canary")
    return fmt::format(
        "A share of the pods first; Service and claims stay. Look at errors and times of both, then take the "
        "tag over into the document, or take it out:\n\n```sh\n{0} --set next.tag=TAG --set "
        "next.replicas=1\n{0} --set image.tag=TAG --set next.tag=\n{0} --set next.tag=\n```\n",
        upgrade);
  if (strategy == "blue-green")
    return fmt::format(
        "Both versions stand side by side; requests go over at once, and back as fast:\n\n```sh\n{0} --set "
        "next.tag=TAG --set next.replicas={1}\n{0} --set next.active=true\n{0} --set next.active=false\n{0} "
        "--set image.tag=TAG --set next.tag= --set next.active=false\n```\n",
        upgrade, run.replicas);
  return fmt::format("Pod by pod, and never fewer than before:\n\n```sh\n{} --set image.tag=TAG\n```\n",
                     upgrade);
}

Part run_part(const Context& context, const Run& run) {
  const spec::Reader& s = run.spec;
  Part part;
  part.where = Where::workload;
  part.name = run.name;
  part.after = {"namespaces", "network-policies", "storage", "training"};
  part.namespaces.push_back({.name = kNamespace});
  const std::string path = s.text("chart.path");
  add_chart(part, context, run, path);
  const Peer pods = Peer::pods(kNamespace, run.pods());
  const int port = static_cast<int>(s.integer("expose.port"));
  if (run.nodes > 1)
    part.edges.push_back({.from = pods, .to = pods, .why = "nodes of one run exchange gradients"});
  part.edges.push_back({.from = pods,
                        .to = Peer::everywhere(),
                        .ports = {{"https", 443}},
                        .why = "fetches data sets and models"});
  if (context.use("metrics") == "prometheus") {
    if (s.text("expose.metrics") != "none") {
      part.edges.push_back(
          {.from = prometheus_peer(), .to = pods, .ports = {{"http", port}}, .why = "scrapes metrics"});
    }
    part.dashboards.push_back(dashboard(run));
  }
  if (const std::string host = s.text("expose.host"); !host.empty() && !s.flag("chart.ingress.enabled")) {
    part.published.push_back({.host = host,
                              .ns = kNamespace,
                              .service = run.name,
                              .port = port,
                              .pods = run.pods(),
                              .pod_port = port});
  }
  if (!run.many()) {
    for (const auto& [name, volume] : s.named("volumes"))
      part.keeps.push_back({.ns = kNamespace, .name = fmt::format("{}-{}", run.name, name)});
  }
  part.sections.push_back(
      {Section::Chapter::first_steps, "Train " + run.name,
       fmt::format("helm upgrade --install {0} workloads/{0}/{1} --namespace {2}\n"
                   "kubectl -n {2} get jobs,jobsets,pods -l app.kubernetes.io/instance={0}\n"
                   "kubectl -n {2} logs -l app.kubernetes.io/instance={0} -f\n",
                   run.name, path, kNamespace)});
  part.sections.push_back({Section::Chapter::upgrade, "A new version of " + run.name,
                           next_version(run, path, context.spec().text("delivery.strategy"))});
  part.sections.push_back(
      {Section::Chapter::upgrade, "Back to the last training image",
       fmt::format("helm -n {0} history {1}\nhelm -n {0} rollback {1}\n", kNamespace, run.name)});
  return part;
}

}  // namespace

std::vector<Part> training_runs(const Context& context) {
  std::vector<Part> out;
  for (const auto& [name, spec] : context.all(spec::DocumentKind::training_run))
    out.push_back(run_part(context, read(context, name, spec)));
  return out;
}

}  // namespace tg::render
