#include "render/by_hand.hpp"

#include <fmt/format.h>

#include "catalog/charts.hpp"
#include "render/component/continuous.hpp"
#include "render/secrets_by_hand.hpp"

namespace tg::render {

namespace {

std::string install(const std::string& folder, const Release& r) {
  const catalog::Chart& c = catalog::chart(r.chart);
  const std::string from = c.repository.starts_with("oci://")
                               ? fmt::format("{}/{}", c.repository, c.name)
                               : fmt::format("{} --repo {}", c.name, c.repository);
  return fmt::format(
      "helm upgrade --install {0} {1} --version {2} \\\n  --namespace {3} --values {4}/{0}/values.yaml "
      "--wait --timeout 15m\n",
      r.release, from, c.version, r.ns, folder);
}

// "tigerastatus/calico Available", "clusterpolicy/cluster-policy state=ready", "nodes Ready".
std::string wait(const Step& step) {
  const std::size_t blank = step.what.find(' ');
  const std::string object = step.what.substr(0, blank);
  const std::string state = blank == std::string::npos ? std::string("Ready") : step.what.substr(blank + 1);
  const std::size_t equals = state.find('=');
  const std::string condition =
      equals == std::string::npos
          ? fmt::format("condition={}", state)
          : fmt::format("jsonpath='{{.status.{}}}'={}", state.substr(0, equals), state.substr(equals + 1));
  return fmt::format("kubectl wait {}{} --for={} --timeout={}\n", object,
                     object.find('/') == std::string::npos ? " --all" : "", condition, step.timeout);
}

std::string command(const Part& part, const Step& step) {
  const std::string folder = part.folder();
  if (step.kind == "kustomize")
    return fmt::format("kubectl apply --server-side -k {}/{}\n", folder, step.what);
  if (step.kind == "chart")
    // A component's chart is a release of its own name; those of workloads bear theirs.
    return fmt::format("helm upgrade --install {} {}/{} --namespace {}\n",
                       part.where == Where::component ? step.what : part.name, folder, step.what, step.where);
  return fmt::format("{}/{}\n", folder, step.what);
}

std::string commands(const Part& part) {
  std::string out;
  for (const Step& s : part.steps) {
    if (s.kind != "wait") out += command(part, s);
  }
  for (const Release& r : part.releases) out += install(part.folder(), r);
  if (!part.manifests.empty()) {
    out += "kubectl apply --server-side";
    for (const Manifest& m : part.manifests) out += fmt::format(" \\\n  -f {}/{}", part.folder(), m.file);
    out += "\n";
  }
  for (const Step& s : part.steps) {
    if (s.kind == "wait") out += wait(s);
  }
  return out;
}

}  // namespace

std::string by_hand(const Context& context, const std::vector<Part>& parts) {
  std::string out;
  for (const Part& p : parts) {
    // Of the delivery the rights of the pipeline are applied.
    if (p.where == Where::infrastructure) continue;
    const std::string by = delivered_by(context, p);
    const std::string lines =
        secrets_for(context, p, parts) + (by.empty() ? commands(p) : fmt::format("# delivered by {}\n", by));
    if (!lines.empty()) out += fmt::format("# {}\n{}", p.name, lines);
  }
  return out;
}

}  // namespace tg::render
