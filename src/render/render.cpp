#include "render/render.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "catalog/charts.hpp"
#include "render/component/continuous.hpp"
#include "render/context.hpp"
#include "render/label.hpp"
#include "render/order.hpp"
#include "render/parts.hpp"
#include "render/plan.hpp"
#include "render/runbook.hpp"
#include "text/emit.hpp"

namespace tg::render {

namespace {

constexpr std::string_view kHead = "# Written by tidegate render. Change the document, not this file.\n";

// "Deployment web, Service web, … (12 more)"
std::string objects_text(const std::vector<Json>& objects) {
  constexpr std::size_t kShown = 6;
  std::string out;
  for (std::size_t i = 0; i < std::min(kShown, objects.size()); ++i) {
    const Json& o = objects[i];
    out += fmt::format("{}{} {}", i == 0 ? "" : ", ", o.value("kind", std::string("object")),
                       o.contains("metadata") ? o["metadata"].value("name", std::string()) : std::string());
  }
  if (objects.size() > kShown) out += fmt::format(", … ({} more)", objects.size() - kShown);
  return out;
}

// Puts the files of a part into the tree; tells of them if `files` is not null.
void put_part(const Context& context, Part& part, Tree& tree, std::vector<OriginFile>* files) {
  const std::string folder = part.folder();
  const auto put = [&](std::string path, std::string content, bool executable, const std::string& what) {
    if (files != nullptr) files->push_back({path, what});
    tree.add(std::move(path), std::move(content), executable);
  };
  for (const Release& r : part.releases) {
    const catalog::Chart& c = catalog::chart(r.chart);
    Json pin{{"chart", c.name},
             {"version", c.version},
             {"appVersion", c.app},
             {"repository", c.repository},
             {"digest", c.digest.empty() ? Json(nullptr) : Json(c.digest)},
             {"release", r.release},
             {"namespace", r.ns}};
    const std::string what =
        fmt::format("of the chart {} {}, release {} in {}", c.name, c.version, r.release, r.ns);
    put(fmt::format("{}/{}/chart.yaml", folder, r.release), std::string(kHead) + text::emit_yaml(pin), false,
        "pin " + what);
    put(fmt::format("{}/{}/values.yaml", folder, r.release), std::string(kHead) + text::emit_yaml(r.values),
        false, "values " + what);
  }
  for (Manifest& m : part.manifests) {
    std::string content(kHead);
    bool first = true;
    for (Json& o : m.objects) {
      label_object(context, part, o);
      if (!first) content += "---\n";
      first = false;
      content += text::emit_yaml(o);
    }
    put(folder + "/" + m.file, std::move(content), false,
        files == nullptr ? std::string() : objects_text(m.objects));
  }
  for (Extra& e : part.extras) put(folder + "/" + e.path, e.content, e.executable, {});
}

// Whoever comes after a part stands behind it in the list; what is not there is left out.
void order_parts(std::vector<Part>& parts) {
  std::set<std::string> known;
  for (const Part& p : parts) known.insert(p.name);
  for (Part& p : parts)
    std::erase_if(p.after, [&](const std::string& name) { return !known.contains(name); });
  std::vector<Part> ordered;
  for (const Part* p : in_order(parts)) ordered.push_back(*p);
  parts = std::move(ordered);
}

// No pod has a network before there is a cluster, and no monitor a kind before it is defined: whatever stands
// in the cluster comes after the ground that it stands on. What hands others on cannot wait for what it hands
// on.
void lay_ground(const Context& context, std::vector<Part>& parts) {
  const auto precede = [](Part& part, const std::string& name) {
    if (std::find(part.after.begin(), part.after.end(), name) == part.after.end())
      part.after.insert(part.after.begin(), name);
  };
  std::vector<std::string> infrastructure;
  std::set<std::string> handed_on;
  for (const Part& p : parts) {
    if (p.where == Where::infrastructure && !p.steps.empty()) infrastructure.push_back(p.name);
    if (!delivered_by(context, p).empty()) handed_on.insert(p.name);
  }
  for (Part& p : parts) {
    const bool last = p.where == Where::workload || p.where == Where::delivery;
    const bool hands_on = p.name == "gitops";
    if (p.where != Where::component && !last) continue;
    if (p.definitions.empty() && p.releases.empty() && p.manifests.empty() && p.steps.empty()) continue;
    for (const char* ground : {"monitoring-crds", "network", "namespaces"}) {
      if (hands_on && handed_on.contains(ground)) continue;
      if (last || p.order > component(ground).order) precede(p, ground);
    }
    if (p.name != "namespaces" && !hands_on) continue;
    for (const std::string& name : infrastructure) precede(p, name);
  }
}

Result<const spec::Document*> choose(const spec::Documents& documents, std::string_view platform) {
  const spec::Document* found = nullptr;
  std::string names;
  for (const spec::Document& d : documents.all) {
    if (d.kind != spec::DocumentKind::platform) continue;
    if (!platform.empty() && d.name != platform) continue;
    names += (names.empty() ? "" : ", ") + d.name;
    if (found != nullptr && platform.empty())
      return fail("many_platforms", fmt::format("there is more than one Platform: {}", names),
                  "choose one with --platform NAME");
    found = &d;
  }
  if (found == nullptr) {
    return fail("no_platform",
                platform.empty() ? std::string("there is no Platform in these files")
                                 : fmt::format("there is no Platform {} in these files", platform),
                "begin one with: tidegate init");
  }
  return found;
}

// Builds all parts. With origins each entry of the table gets a Usage of its own, so that what it read is
// known apart from what others did.
class Builder {
 public:
  Builder(const spec::Documents& documents, const spec::Document& platform, const Context& context,
          bool traced)
      : documents_(documents), platform_(platform), context_(context), traced_(traced) {}

  std::vector<Part> all() {
    for (const Entry& e : entries()) {
      if (e.build != nullptr) take(e, [&e](const Context& c) { return e.build(c); });
    }
    for (const Entry& e : entries()) {
      if (e.collect != nullptr) take(e, [&](const Context& c) { return e.collect(c, parts_); });
    }
    return std::move(parts_);
  }

  // Of a part that all() gave.
  Origin* origin(const Part& p) {
    const auto it = origins_.find(place(p));
    return it == origins_.end() ? nullptr : &it->second;
  }

 private:
  template <class F>
  void take(const Entry& entry, F build) {
    std::vector<Part> made = build(context_);
    if (traced_) {
      spec::Usage usage;
      std::vector<spec::Finding> told_already;
      const std::vector<Part> again = build(Context(documents_, platform_, usage, told_already));
      note(entry, again, spec::reads(documents_, usage));
    }
    for (Part& p : made) parts_.push_back(std::move(p));
  }

  void note(const Entry& entry, const std::vector<Part>& made, const std::vector<spec::Read>& reads) {
    std::set<std::string> names;
    for (const Part& p : made) names.insert(owner_of(p));
    for (const Part& p : made) {
      Origin& origin = origins_[place(p)];
      origin.part = p.name;
      origin.collected = entry.collect != nullptr;
      for (const spec::Read& r : reads) {
        // Parts that have names (apps, Tenants) come from one call.
        const std::string owner = owner_of(r);
        if (made.size() == 1 || owner == owner_of(p) || !names.contains(owner)) origin.reads.push_back(r);
      }
    }
  }

  static std::string place(const Part& p) { return p.folder() + "/" + p.name; }

  static std::string owner_of(const Part& p) {
    constexpr std::string_view kTenant = "tenant-";
    return p.name.starts_with(kTenant) ? p.name.substr(kTenant.size()) : p.name;
  }

  // The named thing that a field belongs to: the app, the data service, the document beside the Platform.
  static std::string owner_of(const spec::Read& r) {
    if (r.document->kind != spec::DocumentKind::platform) return r.document->name;
    for (const std::string_view map : {"spec.apps.", "spec.data."}) {
      if (r.where.starts_with(map))
        return r.where.substr(map.size(), r.where.find('.', map.size()) - map.size());
    }
    return {};
  }

  const spec::Documents& documents_;
  const spec::Document& platform_;
  const Context& context_;
  const bool traced_;
  std::vector<Part> parts_;
  std::map<std::string, Origin> origins_;
};

Rendered build(const spec::Documents& documents, const spec::Document& platform, spec::Usage& usage,
               std::vector<Origin>* origins, const OutputValues* outputs) {
  Rendered out;
  const Context context(documents, platform, usage, out.findings);
  Builder builder(documents, platform, context, origins != nullptr);
  std::vector<Part> parts = builder.all();
  lay_ground(context, parts);
  order_parts(parts);
  const std::vector<OutputUse> uses = output_uses(parts);
  if (outputs != nullptr)
    outputs->fill(parts, out.findings);
  else
    out.open = uses;
  for (Part& p : parts) {
    Origin* origin = builder.origin(p);
    put_part(context, p, out.tree, origin == nullptr ? nullptr : &origin->files);
    if (origin != nullptr) origins->push_back(std::move(*origin));
  }
  out.tree.add("RUNBOOK.md", runbook(context, documents, parts, uses));
  out.tree.add("plan.json", plan_json(context, parts, out.tree, out.open));
  if (origins != nullptr) {
    origins->push_back(
        {{},
         true,
         {{"RUNBOOK.md", "what its people need"}, {"plan.json", "what apply does, in which order"}},
         {}});
  }
  // Other Platforms in the same files are rendered on their own.
  for (const spec::Document& d : documents.all) {
    if (d.kind == spec::DocumentKind::platform && &d != &platform) usage.mark_all(d.node);
  }
  return out;
}

bool told(const std::vector<spec::Finding>& findings, const spec::Finding& f) {
  return std::any_of(findings.begin(), findings.end(), [&](const spec::Finding& other) {
    return other.code == f.code && other.at.str() == f.at.str() && other.path == f.path;
  });
}

// What an environment changes is read by rendering it: its findings, and the places that it used.
Result<> try_environment(const spec::Documents& documents, const std::string& platform,
                         const std::string& name, spec::Usage& usage, std::vector<spec::Finding>& out) {
  std::vector<spec::Finding> findings;
  const auto changed = spec::in_environment(documents, platform, name, findings);
  if (!changed) return std::unexpected(changed.error());
  auto chosen = choose(*changed, platform);
  if (!chosen) return std::unexpected(std::move(chosen.error()));
  for (spec::Finding& f : build(*changed, **chosen, usage, nullptr, nullptr).findings)
    findings.push_back(std::move(f));
  for (spec::Finding& f : findings) {
    if (told(out, f)) continue;
    f.message = fmt::format("in the environment {}: {}", name, f.message);
    out.push_back(std::move(f));
  }
  return {};
}

}  // namespace

Result<Rendered> render(const spec::Documents& documents, std::string_view platform,
                        std::vector<Origin>* origins, std::string_view environment,
                        const OutputValues* outputs) {
  auto chosen = choose(documents, platform);
  if (!chosen) return std::unexpected(std::move(chosen.error()));
  const std::string name = (*chosen)->name;
  spec::Usage usage;
  if (!environment.empty()) {
    std::vector<spec::Finding> findings;
    auto changed = spec::in_environment(documents, name, environment, findings);
    if (!changed) return std::unexpected(std::move(changed.error()));
    auto own = choose(*changed, name);
    if (!own) return std::unexpected(std::move(own.error()));
    Rendered out = build(*changed, **own, usage, nullptr, outputs);
    out.findings.insert(out.findings.begin(), findings.begin(), findings.end());
    for (spec::Finding& f : spec::unused(*changed, usage)) out.findings.push_back(std::move(f));
    return out;
  }
  Rendered out = build(documents, **chosen, usage, origins, outputs);
  for (const auto& [other, overlay] :
       spec::Reader(documents, **chosen).sub("spec").named("delivery.environments")) {
    if (overlay.node().members.empty()) continue;
    if (auto done = try_environment(documents, name, other, usage, out.findings); !done)
      return std::unexpected(done.error());
  }
  for (spec::Finding& f : spec::unused(documents, usage)) out.findings.push_back(std::move(f));
  return out;
}

}  // namespace tg::render
