#include "render/render.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "catalog/charts.hpp"
#include "render/context.hpp"
#include "render/label.hpp"
#include "render/parts.hpp"
#include "render/plan.hpp"
#include "render/runbook.hpp"
#include "text/emit.hpp"

namespace tg::render {

namespace {

constexpr std::string_view kHead = "# Written by tidegate render. Change the document, not this file.\n";

void put_part(const Context& context, Part& part, Tree& tree) {
  const std::string folder = part.folder();
  for (const Release& r : part.releases) {
    const catalog::Chart& c = catalog::chart(r.chart);
    Json pin{{"chart", c.name},
             {"version", c.version},
             {"appVersion", c.app},
             {"repository", c.repository},
             {"digest", c.digest.empty() ? Json(nullptr) : Json(c.digest)},
             {"release", r.release},
             {"namespace", r.ns}};
    tree.add(fmt::format("{}/{}/chart.yaml", folder, r.release), std::string(kHead) + text::emit_yaml(pin));
    tree.add(fmt::format("{}/{}/values.yaml", folder, r.release),
             std::string(kHead) + text::emit_yaml(r.values));
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
    tree.add(folder + "/" + m.file, std::move(content));
  }
  for (Extra& e : part.extras) tree.add(folder + "/" + e.path, e.content, e.executable);
}

// Whoever comes after a part stands behind it in the list; what is not there is left out.
void order_parts(std::vector<Part>& parts) {
  std::stable_sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) {
    if (a.where != b.where) return a.where < b.where;
    return a.order < b.order;
  });
  std::set<std::string> known, seen;
  for (const Part& p : parts) known.insert(p.name);
  for (Part& p : parts) {
    std::erase_if(p.after, [&](const std::string& name) { return !known.contains(name); });
    for (const std::string& name : p.after) {
      if (seen.contains(name)) continue;
      std::fprintf(stderr, "part %s is to come after %s, but stands before it\n", p.name.c_str(),
                   name.c_str());
      std::abort();
    }
    seen.insert(p.name);
  }
}

// No pod has a network before there is a cluster, and no monitor a kind before it is defined: whatever stands
// in the cluster comes after the ground that it stands on.
void lay_ground(std::vector<Part>& parts) {
  const auto precede = [](Part& part, const std::string& name) {
    if (std::find(part.after.begin(), part.after.end(), name) == part.after.end())
      part.after.insert(part.after.begin(), name);
  };
  for (Part& p : parts) {
    const bool workload = p.where == Where::workload;
    if (p.where != Where::component && !workload) continue;
    for (const char* ground : {"monitoring-crds", "network", "namespaces"}) {
      if (workload || p.order > component(ground).order) precede(p, ground);
    }
    if (p.name != "namespaces") continue;
    for (const Part& i : parts) {
      if (i.where == Where::infrastructure && !i.steps.empty()) precede(p, i.name);
    }
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

}  // namespace

Result<Rendered> render(const spec::Documents& documents, std::string_view platform) {
  auto chosen = choose(documents, platform);
  if (!chosen) return std::unexpected(std::move(chosen.error()));
  Rendered out;
  spec::Usage usage;
  const Context context(documents, **chosen, usage, out.findings);
  std::vector<Part> parts;
  const auto take = [&parts](std::vector<Part>&& more) {
    for (Part& p : more) parts.push_back(std::move(p));
  };
  for (const Entry& e : entries()) {
    if (e.build != nullptr) take(e.build(context));
  }
  for (const Entry& e : entries()) {
    if (e.collect != nullptr) take(e.collect(context, parts));
  }
  lay_ground(parts);
  order_parts(parts);
  for (Part& p : parts) put_part(context, p, out.tree);
  out.tree.add("RUNBOOK.md", runbook(context, documents, parts));
  out.tree.add("plan.json", plan_json(context, parts, out.tree));
  for (spec::Finding& f : spec::unused(documents, usage)) out.findings.push_back(std::move(f));
  return out;
}

}  // namespace tg::render
