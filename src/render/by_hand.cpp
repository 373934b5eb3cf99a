#include "render/by_hand.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "catalog/charts.hpp"
#include "render/component/continuous.hpp"
#include "render/secrets_by_hand.hpp"

namespace tg::render {

namespace {

std::string source(const catalog::Chart& c) {
  return c.repository.starts_with("oci://") ? fmt::format("{}/{}", c.repository, c.name)
                                            : fmt::format("{} --repo {}", c.name, c.repository);
}

// They come some time after what they are made from, and kubectl refuses to wait for what is not there.
std::string defined(const std::vector<std::string>& names) {
  const std::string all = fmt::format("crd/{}", fmt::join(names, " crd/"));
  return fmt::format(
      "kubectl wait --for=create --timeout=2m {0}\nkubectl wait --for=condition=Established --timeout=2m "
      "{0}\n",
      all);
}

std::string define(const Definitions& d) {
  const catalog::Chart& c = catalog::chart(d.chart);
  std::string out = d.among_templates ? "helm template definitions " : "helm show crds ";
  out += fmt::format("{} --version {}", source(c), c.version);
  for (const std::string& s : d.settings) out += " --set " + s;
  out += " \\\n  | kubectl apply --server-side --force-conflicts -f -\n";
  return out + defined(d.wait_for);
}

std::string install(const std::string& folder, const Release& r) {
  const catalog::Chart& c = catalog::chart(r.chart);
  return fmt::format(
      "helm upgrade --install {0} {1} --version {2} \\\n  --namespace {3} --values {4}/{0}/values.yaml "
      "--wait --timeout 15m\n",
      r.release, source(c), c.version, r.ns, folder);
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
  if (object.find('/') == std::string::npos)
    return fmt::format("kubectl wait {} --all --for={} --timeout={}\n", object, condition, step.timeout);
  // It may not be there yet: what waits for its state refuses that.
  return fmt::format(
      "kubectl wait {0} --for=create --timeout={1}\nkubectl wait {0} --for={2} --timeout={1}\n", object,
      step.timeout, condition);
}

std::string people(const Step& step) {
  return fmt::format("# Now {}, by hand: below. What follows needs it.\n", step.what);
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
  for (const Definitions& d : part.definitions) out += define(d);
  for (const Step& s : part.steps) {
    if (s.kind != "wait" && s.kind != "people") out += command(part, s);
  }
  for (const Release& r : part.releases) out += install(part.folder(), r);
  bool open = false;
  for (const Manifest& m : part.manifests) {
    if (!open) out += "kubectl apply --server-side";
    out += fmt::format(" \\\n  -f {}/{}", part.folder(), m.file);
    open = m.makes.empty();
    if (!open) out += "\n" + defined(m.makes);
  }
  if (open) out += "\n";
  for (const Step& s : part.steps) {
    if (s.kind == "wait") out += wait(s);
    if (s.kind == "people") out += people(s);
  }
  return out;
}

}  // namespace

std::string by_hand(const Context& context, const std::vector<Part>& parts) {
  std::string out;
  for (const Part& p : parts) {
    if (p.where != Where::component && p.where != Where::workload) continue;
    const std::string by = delivered_by(context, p);
    const std::string lines =
        secrets_for(context, p, parts) + (by.empty() ? commands(p) : fmt::format("# delivered by {}\n", by));
    if (!lines.empty()) out += fmt::format("# {}\n{}", p.name, lines);
  }
  return out;
}

}  // namespace tg::render
