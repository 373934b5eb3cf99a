// TrainingRuns: their kind, their chart, how they are reached.
#include <fmt/format.h>

#include "verify/facts.hpp"

namespace tg::verify {

namespace {

void check_kind(const std::string& name, const spec::Reader& run, Report& report) {
  const std::string as = run.text("as");
  if (as == "Job" && run.integer("nodes") > 1)
    report.error(run, "as", "wrong_kind",
                 fmt::format("a Job runs on one node, and {} has {}", name, run.integer("nodes")),
                 "write as: JobSet, or leave it out");
  if (as == "Deployment" && run.integer("nodes") > 1)
    report.error(run, "nodes", "wrong_kind", "copies of a Deployment do not train together",
                 "write replicas, or as: JobSet");
  if (as != "Deployment" && run.has("replicas"))
    report.error(run, "replicas", "wrong_kind",
                 fmt::format("only a Deployment has replicas, {} is a {}", name, as.empty() ? "Job" : as),
                 "write nodes, or as: Deployment");
  if (as != "Deployment" && run.flag("chart.autoscaling.enabled"))
    report.error(
        run, "chart.autoscaling.enabled", "wrong_kind",
        fmt::format("only a Deployment grows with its load, {} is a {}", name, as.empty() ? "Job" : as),
        "write as: Deployment, or enabled: false");
  if (run.integer("chart.autoscaling.min") > run.integer("chart.autoscaling.max"))
    report.error(run, "chart.autoscaling.min", "out_of_range",
                 fmt::format("{} is above max, which is {}", run.integer("chart.autoscaling.min"),
                             run.integer("chart.autoscaling.max")),
                 "lower it, or raise max");
}

}  // namespace

void check_training(const Subject& s, Report& report) {
  const bool gpus = [&] {
    for (const Nodes& n : nodes(s)) {
      if (!n.known || n.whole.gpus > 0) return true;
    }
    return nodes(s).empty();
  }();
  for (const auto& [name, run] : s.all(spec::DocumentKind::training_run)) {
    check_kind(name, run, report);
    if (s.use("training") == "none")
      report.error(run, "image", "needs_component",
                   fmt::format("nobody runs {}: components.training is none", name),
                   "write components.training: jobset");
    if (run.flag("chart.ingress.enabled") && run.text("expose.host").empty())
      report.error(run, "chart.ingress.enabled", "needs_host",
                   "an Ingress without a name takes the requests of all",
                   "add expose.host, or write enabled: false");
    const Amounts needs = amounts(run.quantities("resources.requests"));
    if (needs.gpus > 0 && !gpus && !run.has("pool"))
      report.error(run, "resources", "fits_no_node",
                   fmt::format("{} asks for a GPU, and no pool has one", name),
                   "add a pool with gpu: {vendor: nvidia}");
    const std::string image = run.text("image.repository");
    const auto registries = s.spec.list("components.policy.registries");
    bool known = registries.empty();
    for (const std::string& r : registries) known = known || image == r || image.starts_with(r + "/");
    if (!known && s.use("policy") != "none")
      report.error(run, "image.repository", "registry_not_allowed",
                   fmt::format("{} is in none of components.policy.registries", image),
                   fmt::format("add its registry there, or use {}", registries.front()));
  }
  const auto registries = s.spec.list("components.policy.registries");
  if (registries.empty() || s.use("policy") == "none") return;
  for (const auto& [name, app] : s.spec.named("apps")) {
    for (const char* field : {"image", "canary.image"}) {
      const std::string image = app.text(field);
      bool known = image.empty();
      for (const std::string& r : registries)
        known = known || image.starts_with(r + "/") || image.starts_with(r + ":");
      if (!known)
        report.error(app, field, "registry_not_allowed",
                     fmt::format("{} is in none of components.policy.registries", image),
                     fmt::format("add its registry there, or use {}", registries.front()));
    }
  }
}

}  // namespace tg::verify
