#include "render/plan.hpp"

#include <fmt/format.h>

#include "catalog/charts.hpp"
#include "catalog/releases.hpp"
#include "render/component/continuous.hpp"

namespace tg::render {

namespace {

Json to_json(const Step& s) {
  Json step{{"kind", s.kind}, {"what", s.what}};
  if (!s.where.empty()) step["where"] = s.where;
  if (!s.timeout.empty()) step["timeout"] = s.timeout;
  return step;
}

// What is waited for comes of the charts and manifests, so it stands behind them.
Json steps_of(const Part& part) {
  const std::string folder = part.folder();
  Json steps = Json::array();
  for (const Step& s : part.steps) {
    if (s.kind != "wait") steps.push_back(to_json(s));
  }
  for (const Release& r : part.releases) {
    const catalog::Chart& c = catalog::chart(r.chart);
    steps.push_back({{"kind", "helm"},
                     {"release", r.release},
                     {"namespace", r.ns},
                     {"chart", c.name},
                     {"version", c.version},
                     {"repository", c.repository},
                     {"digest", c.digest.empty() ? Json(nullptr) : Json(c.digest)},
                     {"values", fmt::format("{}/{}/values.yaml", folder, r.release)}});
  }
  for (const Manifest& m : part.manifests)
    steps.push_back({{"kind", "manifests"}, {"path", folder + "/" + m.file}});
  for (const Step& s : part.steps) {
    if (s.kind == "wait") steps.push_back(to_json(s));
  }
  return steps;
}

}  // namespace

std::string plan_json(const Context& context, const std::vector<Part>& parts, const Tree& tree) {
  Json phases = Json::array();
  Json secrets = Json::array();
  for (const Part& part : parts) {
    Tree own = tree.only(part.folder());
    Json phase{
        {"name", part.name}, {"folder", part.folder()}, {"after", part.after}, {"digest", own.digest()}};
    // Apply leaves these steps to it and only waits for them.
    if (const std::string by = delivered_by(context, part); !by.empty()) phase["deliveredBy"] = by;
    phase["steps"] = steps_of(part);
    phases.push_back(std::move(phase));
    for (const SecretNeed& s : part.secrets) {
      Json secret{{"name", s.name}, {"namespace", s.ns}, {"keys", s.keys}};
      secret["from"] = s.from == SecretNeed::From::generated ? "generated" : s.reference;
      secret["why"] = s.why;
      secrets.push_back(std::move(secret));
    }
  }
  const catalog::Kubernetes* release = catalog::kubernetes(context.kubernetes());
  Json plan{{"apiVersion", "tidegate.dev/v1alpha1"},
            {"kind", "Plan"},
            {"platform", context.name()},
            {"kubernetes", release == nullptr ? context.kubernetes() : std::string(release->patch)},
            {"phases", std::move(phases)},
            {"secrets", std::move(secrets)},
            {"digest", tree.digest()}};
  return plan.dump(2) + "\n";
}

}  // namespace tg::render
