#include "render/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "catalog/charts.hpp"
#include "catalog/releases.hpp"
#include "render/component/continuous.hpp"

namespace tg::render {

namespace {

using Names = std::set<std::string, std::less<>>;

Names names_of(const std::vector<Part>& parts) {
  Names out;
  for (const Part& p : parts) out.insert(p.name);
  return out;
}

// Whether `name` comes, by way of others, after `other`.
bool comes_after(const std::vector<Part>& parts, const std::string& name, std::string_view other) {
  Names seen;
  std::vector<std::string> left{name};
  while (!left.empty()) {
    const std::string at = std::move(left.back());
    left.pop_back();
    if (!seen.insert(at).second) continue;
    for (const Part& p : parts) {
      if (p.name != at) continue;
      if (std::find(p.after.begin(), p.after.end(), other) != p.after.end()) return true;
      left.insert(left.end(), p.after.begin(), p.after.end());
    }
  }
  return false;
}

// What comes behind charts and manifests, because it is about them.
bool comes_last(const Step& s) { return s.kind == "wait" || s.kind == "people"; }

bool needs_references(const Part& part) {
  return std::any_of(part.secrets.begin(), part.secrets.end(),
                     [](const SecretNeed& s) { return s.from == SecretNeed::From::reference; });
}

// What must be there first: what the part says, and what parts of its kind need without saying. Objects need
// the cluster and their namespace, monitors their kind, and a reference the store that it leads to.
std::vector<std::string> after_of(const Part& part, const std::vector<Part>& parts, const Names& names) {
  std::vector<std::string> out;
  const auto add = [&](const std::string& name) {
    if (name != part.name && names.contains(name) && std::find(out.begin(), out.end(), name) == out.end())
      out.push_back(name);
  };
  for (const std::string& name : part.after) add(name);
  if (part.where == Where::infrastructure || part.where == Where::delivery) return out;
  if (part.name == "namespaces" || !names.contains("namespaces")) {
    for (const Part& p : parts) {
      if (p.where == Where::infrastructure && !p.steps.empty() && !comes_after(parts, p.name, part.name))
        add(p.name);
    }
    return out;
  }
  add("namespaces");
  if (part.name == "network-policies" || part.name == "network") return out;
  if (!comes_after(parts, "monitoring-crds", part.name)) add("monitoring-crds");
  // The store, and where it is in the cluster itself, somebody who opened it.
  for (const char* store : {"secrets", "vault"}) {
    if (needs_references(part) && !comes_after(parts, store, part.name)) add(store);
  }
  return out;
}

Json to_json(const Step& s) {
  Json step{{"kind", s.kind}, {"what", s.what}};
  if (!s.where.empty()) step["where"] = s.where;
  if (!s.timeout.empty()) step["timeout"] = s.timeout;
  return step;
}

Json to_json(const Definitions& d) {
  const catalog::Chart& c = catalog::chart(d.chart);
  return {{"kind", "definitions"},
          {"chart", c.name},
          {"version", c.version},
          {"repository", c.repository},
          {"from", d.among_templates ? "templates" : "crds"},
          {"settings", d.settings},
          {"names", d.wait_for}};
}

Json steps_of(const Part& part) {
  const std::string folder = part.folder();
  Json steps = Json::array();
  for (const Definitions& d : part.definitions) steps.push_back(to_json(d));
  for (const Step& s : part.steps) {
    if (!comes_last(s)) steps.push_back(to_json(s));
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
  for (const Manifest& m : part.manifests) {
    steps.push_back({{"kind", "manifests"}, {"path", folder + "/" + m.file}});
    if (!m.makes.empty()) steps.push_back({{"kind", "definitions"}, {"from", m.file}, {"names", m.makes}});
  }
  for (const Step& s : part.steps) {
    if (comes_last(s)) steps.push_back(to_json(s));
  }
  return steps;
}

}  // namespace

std::string plan_json(const Context& context, const std::vector<Part>& parts, const Tree& tree,
                      const std::vector<OutputUse>& open) {
  const Names names = names_of(parts);
  Json phases = Json::array();
  Json secrets = Json::array();
  for (const Part& part : parts) {
    Tree own = tree.only(part.folder());
    Json phase{{"name", part.name}, {"folder", part.folder()}, {"after", after_of(part, parts, names)}};
    phase["digest"] = own.digest();
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
  Json outputs = Json::array();
  for (const OutputUse& u : open) outputs.push_back({{"file", u.file}, {"path", u.path}, {"output", u.name}});
  const catalog::Kubernetes* release = catalog::kubernetes(context.kubernetes());
  Json plan{{"apiVersion", "tidegate.dev/v1alpha1"},
            {"kind", "Plan"},
            {"platform", context.name()},
            {"kubernetes", release == nullptr ? context.kubernetes() : std::string(release->patch)},
            {"phases", std::move(phases)},
            {"secrets", std::move(secrets)},
            {"outputs", std::move(outputs)},
            {"digest", tree.digest()}};
  return plan.dump(2) + "\n";
}

}  // namespace tg::render
