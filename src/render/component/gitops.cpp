// Continuous delivery: what the folders of components hold is handed to Fleet or Argo CD, which keep the
// cluster like it. The folders stay what they are for any platform; here only objects that carry them are
// made.
//
// Fleet: a chart by reference is a HelmOp, own manifests are a Bundle. All stand in one chart, which also
// holds the ClusterClass when the cluster is made by Cluster API: provider=docker installs both,
// provider=apps only the applications. Its templates are plain YAML; conditions stand in comments, which Helm
// reads too.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "catalog/charts.hpp"
#include "render/component/components.hpp"
#include "render/component/continuous.hpp"
#include "render/infrastructure/cluster_api.hpp"
#include "render/label.hpp"
#include "render/order.hpp"
#include "text/emit.hpp"

namespace tg::render {

namespace {

constexpr std::string_view kHead = "# Written by tidegate render. Change the document, not this file.\n";
constexpr const char* kFleet = "cattle-fleet-system";
constexpr const char* kArgo = "argocd";
// etcd takes 1.5 MiB of one object, and the content is stored again for each cluster.
constexpr std::size_t kLargest = 900UL * 1024;

// Objects of one file that are delivered together.
struct Piece {
  std::string name;  // of the Bundle or HelmOp, unique
  const Part* part = nullptr;
  const Release* release = nullptr;
  std::vector<const Manifest*> manifests{};
  std::vector<std::string> after{};
};

std::string stem(const std::string& file) { return file.substr(0, file.rfind('.')); }

// Models and the gateway in front of them change on their own, so their files are bundles of their own.
// So is what makes kinds that what follows is of.
bool one_by_one(const Part& part) {
  return part.name == "serving" || std::any_of(part.manifests.begin(), part.manifests.end(),
                                               [](const Manifest& m) { return !m.makes.empty(); });
}

// Charts of a part first, then its manifests: together, or one behind the other.
std::vector<Piece> pieces_of(const Part& part) {
  std::vector<Piece> out;
  std::vector<std::string> before;
  for (const Release& r : part.releases) {
    out.push_back({.name = r.release, .part = &part, .release = &r});
    before.push_back(r.release);
  }
  if (one_by_one(part)) {
    for (const Manifest& m : part.manifests) {
      out.push_back({.name = stem(m.file), .part = &part, .manifests = {&m}, .after = before});
      before = {out.back().name};
    }
  } else if (!part.manifests.empty()) {
    // A single file that says more than the part gives its name: knative-serving.
    const std::string first = stem(part.manifests.front().file);
    const bool tells = part.manifests.size() == 1 && first.starts_with(part.name + "-");
    Piece together{.name = tells ? first : part.name, .part = &part, .after = before};
    if (std::find(before.begin(), before.end(), together.name) != before.end()) together.name += "-objects";
    for (const Manifest& m : part.manifests) together.manifests.push_back(&m);
    out.push_back(std::move(together));
  }
  return out;
}

std::vector<Piece> pieces(const Context& context, const std::vector<Part>& parts, std::string_view by) {
  std::vector<const Part*> taken;
  for (const Part* p : in_order(parts)) {
    if (delivered_by(context, *p) == by) taken.push_back(p);
  }
  std::map<std::string, std::string> last;  // of a part: what is ready when all of it is
  std::vector<Piece> out;
  for (const Part* p : taken) {
    std::vector<std::string> before;
    for (const std::string& name : p->after) {
      if (const auto it = last.find(name); it != last.end()) before.push_back(it->second);
    }
    if (before.empty() && p->name != "namespaces" && last.contains("namespaces"))
      before = {last["namespaces"]};
    for (Piece& piece : pieces_of(*p)) {
      if (piece.after.empty()) piece.after = before;
      last[p->name] = piece.name;
      out.push_back(std::move(piece));
    }
  }
  return out;
}

// Actions of Helm in a text that is not Helm's.
std::string escaped(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    if (text.compare(at, 2, "{{") == 0) {
      out += "{{ \"{{\" }}";
      at += 2;
    } else {
      out += text[at++];
    }
  }
  return out;
}

std::string target_cluster(const Context& context) {
  return context.site() == Site::cluster_api ? context.cluster_name() : std::string("local");
}

Json fleet_base(const Context& context, std::string_view kind, const Piece& piece) {
  // The namespace is the release's, so that one chart serves every workspace.
  Json out = object("fleet.cattle.io/v1alpha1", kind, piece.name);
  out["metadata"]["labels"] = {{"app.kubernetes.io/name", piece.name},
                               {"app.kubernetes.io/part-of", context.name()},
                               {"app.kubernetes.io/component", piece.part->name},
                               {"app.kubernetes.io/managed-by", "Helm"}};
  Json spec = Json::object();
  Json depends = Json::array();
  for (const std::string& name : piece.after) depends.push_back({{"name", name}});
  if (!depends.empty()) spec["dependsOn"] = std::move(depends);
  spec["targets"] = Json::array({{{"clusterName", target_cluster(context)}}});
  // What somebody changes by hand is put right again.
  spec["correctDrift"] = {{"enabled", true}};
  out["spec"] = std::move(spec);
  return out;
}

Json helm_op(const Context& context, const Piece& piece) {
  const catalog::Chart& c = catalog::chart(piece.release->chart);
  Json out = fleet_base(context, "HelmOp", piece);
  Json helm{{"releaseName", piece.release->release}};
  if (c.repository.starts_with("oci://")) {
    helm["repo"] = fmt::format("{}/{}", c.repository, c.name);
  } else {
    helm["chart"] = c.name;
    helm["repo"] = c.repository;
  }
  helm["version"] = c.version;
  helm["values"] = piece.release->values;
  helm["atomic"] = false;
  helm["timeoutSeconds"] = 900;
  // Values are ours to the letter: Fleet's own templates are off.
  helm["disablePreProcess"] = true;
  out["spec"]["namespace"] = piece.release->ns;
  out["spec"]["helm"] = std::move(helm);
  return out;
}

Json bundle(const Context& context, const Piece& piece) {
  Json out = fleet_base(context, "Bundle", piece);
  out["spec"]["defaultNamespace"] = "default";
  // Namespaces and Secrets' homes are there before Fleet's agent is.
  out["spec"]["helm"] = {{"takeOwnership", true}, {"disablePreProcess", true}};
  Json resources = Json::array();
  for (const Manifest* m : piece.manifests) {
    std::string content;
    for (Json o : m->objects) {
      label_object(context, *piece.part, o);
      if (!content.empty()) content += "---\n";
      content += text::emit_yaml(o);
    }
    resources.push_back({{"name", m->file}, {"content", std::move(content)}});
  }
  out["spec"]["resources"] = std::move(resources);
  return out;
}

void add_chart_files(const Context& context, Part& part, const std::string& folder) {
  const bool makes_cluster = context.site() == Site::cluster_api;
  const Json chart{
      {"apiVersion", "v2"},
      {"name", gitops_chart(context)},
      {"description", fmt::format("What Fleet brings to the cluster {}.", target_cluster(context))},
      {"type", "application"},
      {"version", "1.0.0"},
      {"kubeVersion", ">=1.34.0-0"}};
  const std::string provider =
      makes_cluster ? context.infrastructure().text("provider") : std::string("apps");
  const Json schema{{"$schema", "http://json-schema.org/draft-07/schema#"},
                    {"type", "object"},
                    {"additionalProperties", false},
                    {"properties",
                     {{"provider",
                       {{"type", "string"},
                        {"enum", makes_cluster ? Json::array({provider, "apps"}) : Json::array({"apps"})},
                        {"description", "docker: ClusterClass and applications. apps: applications only."}}},
                      {"global", {{"type", "object"}}}}}};
  part.extras.push_back({folder + "/Chart.yaml", std::string(kHead) + text::emit_yaml(chart)});
  part.extras.push_back(
      {folder + "/values.yaml", std::string(kHead) + text::emit_yaml(Json{{"provider", provider}})});
  part.extras.push_back({folder + "/values.schema.json", schema.dump(2) + "\n"});
  if (!makes_cluster) return;
  std::string text =
      std::string(kHead) + fmt::format("# {{{{- if eq .Values.provider \"{}\" }}}}\n", provider);
  bool first = true;
  for (Json o : cluster_class(context)) {
    o["metadata"].erase("namespace");
    if (!first) text += "---\n";
    first = false;
    text += escaped(text::emit_yaml(o));
  }
  part.extras.push_back({folder + "/templates/capi-clusterclass.yaml", text + "# {{- end }}\n"});
}

std::vector<Part> fleet(const Context& context, const std::vector<Part>& parts) {
  Part part = component("gitops");
  part.after = {"gitops-controller"};
  const std::string folder = gitops_chart(context);
  add_chart_files(context, part, folder);
  std::set<std::string> known;
  for (const Piece& piece : pieces(context, parts, "fleet")) {
    if (!known.insert(piece.name).second) {
      context.refuse("bundle_twice", context.spec().at("delivery.gitops"), "spec.delivery.gitops",
                     fmt::format("two parts would be the bundle {}", piece.name), "rename one of them");
      continue;
    }
    const Json o = piece.release != nullptr ? helm_op(context, piece) : bundle(context, piece);
    const std::string text = text::emit_yaml(o);
    if (text.size() > kLargest) {
      context.refuse("bundle_too_large", context.spec().at("delivery.gitops"), "spec.delivery.gitops",
                     fmt::format("bundle {} has {} KiB, Fleet takes 900", piece.name, text.size() / 1024),
                     "deliver with argo-cd, which reads the repository, or leave gitops out");
      continue;
    }
    part.extras.push_back(
        {fmt::format("{}/templates/{}-bundle.yaml", folder, piece.name), std::string(kHead) + escaped(text)});
  }
  part.steps.push_back(
      {.kind = "chart", .what = folder, .where = gitops_workspace(context), .timeout = "5m"});
  part.sections.push_back(
      {.chapter = Section::Chapter::daily,
       .title = "What Fleet brought",
       .text = fmt::format(
           "```sh\nkubectl get bundles -A\nkubectl get bundledeployments -A\n"
           "kubectl -n {0} get helmops,bundles\n```\n\nA bundle that is `NotReady` says why in its "
           "status. `WaitApplied` waits for what it depends on.\n",
           gitops_workspace(context))});
  part.sections.push_back(
      {.chapter = Section::Chapter::upgrade,
       .title = "A change of the document",
       .text = fmt::format(
           "```sh\ntidegate render -f DOCUMENT -o .\nhelm upgrade --install {0} {1}/{0} --namespace "
           "{2}\n```\n\nFleet rolls it out in the order of `dependsOn`.\n",
           folder, part.folder(), gitops_workspace(context))});
  return {std::move(part)};
}

Json application(const Context& context, const Piece& piece, int wave) {
  Json out =
      object("argoproj.io/v1alpha1", "Application", fmt::format("{}-{}", context.name(), piece.name), kArgo);
  out["metadata"]["annotations"] = {{"argocd.argoproj.io/sync-wave", std::to_string(wave)}};
  const spec::Reader ci = context.spec().sub("delivery.ci");
  Json source = Json::object();
  if (piece.release != nullptr) {
    const catalog::Chart& c = catalog::chart(piece.release->chart);
    std::string_view repository = c.repository;
    if (repository.starts_with("oci://")) repository.remove_prefix(6);
    source = {{"repoURL", repository},
              {"chart", c.name},
              {"targetRevision", c.version},
              {"helm", {{"releaseName", piece.release->release}, {"valuesObject", piece.release->values}}}};
  } else {
    std::string files;
    for (const Manifest* m : piece.manifests) files += (files.empty() ? "" : ",") + m->file;
    source = {{"repoURL", fmt::format("https://github.com/{}.git", ci.text("repository"))},
              {"targetRevision", ci.text("branch")},
              {"path", piece.part->folder()},
              {"directory", {{"include", piece.manifests.size() == 1 ? files : "{" + files + "}"}}}};
  }
  out["spec"] = {
      {"project", "default"},
      {"source", std::move(source)},
      {"destination",
       {{"server", "https://kubernetes.default.svc"},
        {"namespace", piece.release != nullptr ? piece.release->ns : "default"}}},
      {"syncPolicy",
       {{"automated", {{"prune", true}, {"selfHeal", true}}},
        {"syncOptions", Json::array({"ServerSideApply=true", "ApplyOutOfSyncOnly=true"})},
        {"retry",
         {{"limit", 10}, {"backoff", {{"duration", "30s"}, {"factor", 2}, {"maxDuration", "5m"}}}}}}}};
  return out;
}

std::vector<Part> argo(const Context& context, const std::vector<Part>& parts) {
  const spec::Reader& spec = context.spec();
  Part part = component("gitops");
  part.after = {"gitops-controller"};
  int wave = 0;
  bool manifests = false;
  for (const Piece& piece : pieces(context, parts, "argo-cd")) {
    manifests |= piece.release == nullptr;
    part.add("applications.yaml", application(context, piece, wave++));
  }
  if (manifests && spec.text("delivery.ci.repository").empty()) {
    context.refuse("missing_field", spec.at("delivery.gitops"), "spec.delivery.ci.repository",
                   "Argo CD reads the manifests from a repository, and none is named",
                   "write delivery: {ci: {repository: OWNER/NAME}}, or gitops: fleet");
  }
  part.sections.push_back(
      {.chapter = Section::Chapter::daily,
       .title = "What Argo CD brought",
       .text = "`kubectl -n argocd get applications` names what is not `Synced` and `Healthy`.\n"});
  return {std::move(part)};
}

Json argo_values(const Context& context) {
  const Json resources = to_json(context.size("gitops", "argo-cd"));
  return {{"dex", {{"enabled", false}}},
          {"notifications", {{"enabled", false}}},
          {"applicationSet", {{"resources", resources}}},
          {"configs", {{"cm", {{"admin.enabled", "true"}, {"users.anonymous.enabled", "false"}}}}},
          {"controller", {{"resources", to_json(context.size("gitops", "argo-cd-controller"))}}},
          {"repoServer", {{"resources", resources}}},
          {"redis", {{"resources", resources}}},
          {"server", {{"resources", resources}}}};
}

}  // namespace

std::string gitops_workspace(const Context& context) {
  return context.site() == Site::cluster_api ? context.name() : std::string("fleet-local");
}

std::string gitops_chart(const Context& context) {
  std::string name = context.spec().text("delivery.gitops.chart");
  return name.empty() ? context.name() : name;
}

std::string delivered_by(const Context& context, const Part& part) {
  if (part.name == "cluster-api") return "deploy_infra.sh";
  if (part.where != Where::component && part.where != Where::workload) return {};
  // Fleet's agent is a pod like others: it cannot bring the network that it needs itself.
  if (part.name == "network" && context.site() == Site::cluster_api) return "clusterResourceSet";
  std::string use = context.spec().text("delivery.gitops.use");
  if (use == "none" || part.name == "gitops" || part.name == "gitops-controller") return {};
  return use;
}

// Where the controller does not come with the managing cluster's Rancher.
std::vector<Part> gitops_controller(const Context& context) {
  const std::string use = context.spec().text("delivery.gitops.use");
  Part part = component("gitops-controller");
  part.after = {"namespaces", "network-policies"};
  std::string ns;
  if (use == "argo-cd") {
    ns = kArgo;
    part.releases.push_back(
        {.chart = "argo-cd", .release = "argo-cd", .ns = ns, .values = argo_values(context)});
    part.namespaces.push_back({.name = ns});
  } else if (use == "fleet" && context.site() != Site::cluster_api) {
    ns = kFleet;
    part.releases.push_back({.chart = "fleet-crd", .release = "fleet-crd", .ns = ns});
    part.releases.push_back(
        {.chart = "fleet",
         .release = "fleet",
         .ns = ns,
         // Bundles come by the chart and charts by reference: nothing clones repositories.
         .values = {{"gitops", {{"enabled", false}}}, {"helmops", {{"enabled", true}}}}});
    part.namespaces.push_back(
        {.name = ns, .level = Level::baseline, .reason = "Fleet's chart sets no profile"});
  } else {
    return {};
  }
  const Peer self = Peer::pods(ns);
  part.edges = {{.from = self, .to = self, .why = "its parts talk to each other"},
                {.from = self, .to = Peer::api_server(), .why = "keeps the cluster like the description"},
                {.from = self, .to = Peer::everywhere(), .ports = {{"https", 443}}, .why = "fetches charts"}};
  return {std::move(part)};
}

std::vector<Part> gitops(const Context& context, const std::vector<Part>& parts) {
  const std::string use = context.spec().text("delivery.gitops.use");
  if (use == "fleet") return fleet(context, parts);
  if (use == "argo-cd") return argo(context, parts);
  return {};
}

}  // namespace tg::render
