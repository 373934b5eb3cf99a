#include "render/runbook.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "catalog/releases.hpp"
#include "render/architecture.hpp"
#include "render/by_hand.hpp"
#include "render/care.hpp"
#include "render/secrets_by_hand.hpp"
#include "text/emit.hpp"

namespace tg::render {

namespace {

using Chapter = Section::Chapter;

// The chapter behind which OpenBao takes values.
constexpr std::string_view kLetRead = "Let the operator read secrets";

struct ChapterTitle {
  Chapter chapter;
  const char* title;
};
constexpr std::array<ChapterTitle, 11> kChapters{{{Chapter::overview, "Overview"},
                                                  {Chapter::access, "Access"},
                                                  {Chapter::first_steps, "First steps"},
                                                  {Chapter::daily, "Every day"},
                                                  {Chapter::weekly, "Every week"},
                                                  {Chapter::monthly, "Every month"},
                                                  {Chapter::upgrade, "Upgrade"},
                                                  {Chapter::backup, "Backup"},
                                                  {Chapter::restore, "Restore drill"},
                                                  {Chapter::troubleshooting, "When something is wrong"},
                                                  {Chapter::cost, "Cost and size"}}};

// Text of a section: what is not a command stays as it is; lines of commands become a block.
std::string body(const std::string& text) {
  const bool command = text.starts_with("kubectl") || text.starts_with("helm") || text.starts_with("sudo") ||
                       text.starts_with("velero") || text.starts_with("tofu") ||
                       text.starts_with("tidegate") || text.starts_with("./");
  return command ? fmt::format("```sh\n{}{}```\n", text, text.ends_with('\n') ? "" : "\n")
                 : text + (text.ends_with('\n') ? "" : "\n");
}

std::string group_name(const Peer& peer) {
  switch (peer.kind) {
    case Peer::Kind::pods: {
      for (const char* key : {"app.kubernetes.io/name", "app.kubernetes.io/component", "app"}) {
        if (const auto it = peer.labels.find(key); it != peer.labels.end()) return peer.ns + "/" + it->second;
      }
      return peer.ns;
    }
    case Peer::Kind::any_pod:
      return "any pod";
    case Peer::Kind::cidr:
      return peer.cidr;
    case Peer::Kind::everywhere:
      return "internet";
    case Peer::Kind::api_server:
      return "API server";
    case Peer::Kind::nodes:
      return "nodes";
  }
  return {};
}

Json plain(const text::Node& node) {
  switch (node.kind) {
    case text::Node::Kind::mapping: {
      Json out = Json::object();
      for (const text::Member& m : node.members) out[m.key] = plain(m.value);
      return out;
    }
    case text::Node::Kind::sequence: {
      Json out = Json::array();
      for (const text::Node& item : node.items) out.push_back(plain(item));
      return out;
    }
    case text::Node::Kind::scalar:
      break;
  }
  if (!node.plain) return node.text;
  switch (text::resolve(node)) {
    case text::ScalarType::boolean:
      return text::as_boolean(node);
    case text::ScalarType::integer:
    case text::ScalarType::floating: {
      Json number = Json::parse(node.text, nullptr, false);
      return number.is_discarded() ? Json(node.text) : number;
    }
    default:
      return node.text;
  }
}

// What makes this platform differ from any other, in one place: the documents, merged. They hold no secret.
std::string settings_of(const spec::Documents& documents) {
  std::string out;
  for (const spec::Document& d : documents.all)
    out += (out.empty() ? "" : "---\n") + text::emit_yaml(plain(d.node));
  return fmt::format(
      "## The document\nEvery setting of this platform that is not a default stands here and nowhere else: "
      "change it in the document, "
      "render again, read the difference.\n\n```yaml\n{}```\n\n",
      out);
}

// What is rendered before the infrastructure stands has names where values belong.
Section from_outputs(const std::vector<OutputUse>& uses) {
  std::map<std::string, std::set<std::string>> files;
  for (const OutputUse& u : uses) files[u.name].insert(u.file);
  std::string rows;
  for (const auto& [name, where] : files)
    rows += fmt::format("| {} | `{}` |\n", name, fmt::join(where, "`, `"));
  return {
      Chapter::first_steps, "What only the infrastructure knows",
      "Until these outputs of Terraform are known, the files hold their names. Write them down and render "
      "again:\n\n```sh\ntofu -chdir=infrastructure/terraform output -json |\n"
      "  jq 'map_values(select(.sensitive | not))' > outputs.json\n"
      "tidegate render -f DOCUMENT -o .\n```\n\n"
      "`outputs.json` holds no secret: keep it beside the document and name it whenever you render. The "
      "commands below and the pipeline refuse to go on while a name is left.\n\n"
      "| output | file |\n|---|---|\n" +
          rows};
}

std::string in_order(const Context& context, const std::vector<Part>& parts,
                     const std::vector<OutputUse>& uses) {
  return fmt::format(
      "From the folder of this file, with the cluster in `KUBECONFIG`, after the infrastructure and the "
      "Secrets above. `plan.json` says the same to programs, with what comes after what. Every line may be "
      "repeated; as one piece they end at the first that fails.\n\n```sh\n(\nset -eo pipefail\n{}{})\n```\n",
      output_guard(uses), by_hand(context, parts));
}

// What the platform itself says without asking any part.
std::vector<Section> general(const Context& context, const std::vector<Part>& parts) {
  std::vector<Section> out;
  std::string namespaces;
  std::set<std::string> names;
  for (const Part& p : parts) {
    for (const Namespace& n : p.namespaces) names.insert(n.name);
  }
  for (const std::string& n : names) namespaces += fmt::format("kubectl get pods -n {}\n", n);
  out.push_back(
      {Chapter::daily, "Are all pods well",
       "kubectl get pods -A --field-selector=status.phase!=Running,status.phase!=Succeeded\n" + namespaces});
  out.push_back(
      {Chapter::daily, "What happened", "kubectl get events -A --sort-by=.lastTimestamp | tail -n 30\n"});
  out.push_back({Chapter::daily, "Logs of one pod, and of all pods of an app",
                 "kubectl logs -n NAMESPACE POD -f\nkubectl logs -n NAMESPACE -l app.kubernetes.io/name=NAME "
                 "--tail=100\n"});
  out.push_back(
      {Chapter::weekly, "Space on volumes",
       "kubectl get --raw /api/v1/nodes/NODE/proxy/metrics | grep kubelet_volume_stats_available_bytes\n"});
  out.push_back({Chapter::monthly, "Requests against use", "kubectl top pods -A --sort-by=memory\n"});
  out.push_back(
      {Chapter::monthly, "What was learned",
       fmt::format(
           "An hour of {} together: the alerts that fired and what helped, the last restore drill, what "
           "changed in the document and why, "
           "what this file did not say. What was missing becomes an alert, a line of the document or "
           "a word here, so that it is known to all.\n",
           context.spec().text("contacts.team").empty() ? "the team"
                                                        : context.spec().text("contacts.team"))});
  out.push_back({Chapter::monthly, "Newer releases", "tidegate render -f DOCUMENT --diff THIS_FOLDER\n"});
  out.push_back({Chapter::troubleshooting, "A pod is Pending",
                 "kubectl describe pod -n NAMESPACE POD | sed -n '/Events/,$p'\nkubectl top nodes\nkubectl "
                 "get pvc -A\n"});
  out.push_back({Chapter::troubleshooting, "A pod needs more memory than it has",
                 "kubectl top pods -A --sort-by=memory\nkubectl logs -n NAMESPACE POD --previous\n"});
  out.push_back(
      {Chapter::troubleshooting, "A way is closed",
       "Every way between pods is an edge of this platform; the annotation `tidegate.dev/why` of a policy "
       "says "
       "what it is for. A way that is missing here is missing in the document: an app's `uses`.\n"});
  const catalog::Kubernetes* release = catalog::kubernetes(context.kubernetes());
  if (release != nullptr) {
    // Both days are constants: what ended before the renderer was made has ended whenever this is read.
    const bool over = release->ends < catalog::catalog_date();
    std::string window =
        fmt::format("support {} {}", over ? "by the project ended on" : "ends", release->ends);
    if (over && context.site() == Site::open_telekom_cloud)
      window += fmt::format(
          "; the cloud looks after its own builds of {} for longer, by its own list of versions, and offers "
          "none newer than {}",
          release->minor, catalog::cce_versions().back());
    out.push_back({Chapter::upgrade, "Kubernetes",
                   fmt::format("This platform runs {} ({}). Set `cluster.version` one minor higher, render, "
                               "read the difference, then apply; never skip a minor.\n",
                               release->patch, window)});
  }
  return out;
}

// What the commands of this book need, and how to see that it is new enough.
Section tools(const Context& context, const std::vector<Part>& parts) {
  const bool terraform = std::any_of(parts.begin(), parts.end(), [](const Part& p) {
    return std::any_of(p.steps.begin(), p.steps.end(), [](const Step& s) { return s.kind == "terraform"; });
  });
  std::string rows = fmt::format(
      "| kubectl | {} or one minor beside it | `kubectl version --client` |\n"
      "| helm | 3.18 or newer | `helm version --short` |\n",
      context.kubernetes());
  rows +=
      "| jq | 1.6 or newer | `jq --version` |\n"
      "| openssl | 3.0 or newer | `openssl version` |\n";
  if (terraform) rows += "| tofu or terraform | 1.11 or newer | `tofu version` |\n";
  if (context.use("mesh") == "istio")
    rows += fmt::format("| istioctl, to look into the mesh | {} | `istioctl version` |\n",
                        catalog::chart("istiod").version);
  const bool velero = std::any_of(parts.begin(), parts.end(), [](const Part& p) {
    return std::any_of(p.releases.begin(), p.releases.end(),
                       [](const Release& r) { return r.chart == "velero"; });
  });
  if (velero) rows += "| velero | 1.18 | `velero version --client-only` |\n";
  return {Chapter::first_steps, "Tools on your machine",
          "| tool | version | shown by |\n|---|---|---|\n" + rows};
}

std::string from_text(const SecretNeed& s) {
  switch (s.from) {
    case SecretNeed::From::generated:
      return "made here";
    case SecretNeed::From::asked:
      return fmt::format("`{}`", s.reference);
    case SecretNeed::From::reference:
      break;
  }
  return s.reference;
}

std::string secrets_table(const std::vector<Part>& parts) {
  std::string rows;
  for (const Part& p : parts) {
    for (const SecretNeed& s : p.secrets) {
      rows += fmt::format("| {}/{} | {} | {} | {} |\n", s.ns, s.name, fmt::join(s.keys, ", "), from_text(s),
                          s.why);
    }
  }
  if (rows.empty()) return {};
  return "## Secrets\nNone of them is in these files; First steps says how each is made.\n"
         "\n| secret | keys | from | for "
         "|\n|---|---|---|---|\n" +
         rows + "\n";
}

std::string parts_table(const std::vector<Part>& parts) {
  std::string out = "| part | folder | charts |\n|---|---|---|\n";
  for (const Part& p : parts) {
    std::string charts;
    for (const Release& r : p.releases) {
      const catalog::Chart& c = catalog::chart(r.chart);
      charts += fmt::format("{}{} {}", charts.empty() ? "" : ", ", c.name, c.version);
    }
    out += fmt::format("| {} | `{}` | {} |\n", p.name, p.folder(), charts.empty() ? "–" : charts);
  }
  return out + "\n";
}

// Whoever renders this platform again names its outputs.
std::string with_outputs(std::string text) {
  for (const std::string_view line :
       {"tidegate render -f DOCUMENT -o .\n", "tidegate render -f DOCUMENT --diff THIS_FOLDER\n"}) {
    for (std::size_t at = text.find(line); at != std::string::npos; at = text.find(line, at + line.size()))
      text.insert(at + line.size() - 1, " --outputs outputs.json");
  }
  return text;
}

}  // namespace

std::string diagram(const Context&, const std::vector<Part>& parts) {
  std::map<std::string, std::string> ids;
  std::set<std::string> lines;
  const auto id = [&ids](const Peer& peer) {
    const std::string name = group_name(peer);
    const auto [it, fresh] = ids.try_emplace(name, fmt::format("n{}", ids.size()));
    return it->second;
  };
  for (const Part& p : parts) {
    for (const Edge& e : p.edges) {
      // Watching and the API server are everywhere and would hide the rest.
      if (e.to.kind == Peer::Kind::api_server || e.from.kind == Peer::Kind::api_server ||
          e.why == "scrapes metrics")
        continue;
      const std::string from = id(e.from), to = id(e.to);
      lines.insert(fmt::format("  {} -->|{}| {}\n", from, e.why, to));
    }
  }
  std::string out = "```mermaid\nflowchart LR\n";
  for (const auto& [name, node] : ids) out += fmt::format("  {}[\"{}\"]\n", node, name);
  for (const std::string& line : lines) out += line;
  return out + "```\n";
}

std::string runbook(const Context& context, const spec::Documents& documents, const std::vector<Part>& parts,
                    const std::vector<OutputUse>& uses) {
  std::map<Chapter, std::vector<Section>> chapters;
  const auto cluster = std::find_if(parts.begin(), parts.end(),
                                    [](const Part& p) { return p.where != Where::infrastructure; });
  for (const Part& p : parts) {
    // Behind the infrastructure, before the first use of what stands on it.
    if (cluster != parts.end() && &p == &*cluster) {
      auto& first = chapters[Chapter::first_steps];
      if (!uses.empty()) first.push_back(from_outputs(uses));
      for (Section& s : secrets_before(context, parts)) first.push_back(std::move(s));
      first.push_back({Chapter::first_steps, "Put everything in place", in_order(context, parts, uses)});
    }
    for (const Section& s : p.sections) chapters[s.chapter].push_back(s);
    const bool opened = std::any_of(p.sections.begin(), p.sections.end(),
                                    [](const Section& s) { return s.title == kLetRead; });
    if (Section s = opened ? secrets_of_own_vault(context, parts) : Section(); !s.text.empty())
      chapters[s.chapter].push_back(std::move(s));
  }
  auto& first = chapters[Chapter::first_steps];
  first.insert(first.begin(), tools(context, parts));
  for (Section& s : general(context, parts)) chapters[s.chapter].push_back(std::move(s));
  for (Section& s : care(context, parts)) chapters[s.chapter].push_back(std::move(s));
  // A collector repeats what it took over, and a part may know better than all do.
  for (auto& [chapter, sections] : chapters) {
    std::set<std::string> titles;
    std::erase_if(sections, [&](const Section& s) { return !titles.insert(s.title).second; });
  }
  std::string out = fmt::format("# {}: runbook\n\n", context.name());
  const spec::Reader& spec = context.spec();
  const auto contact = [&](const char* path, const char* what) {
    if (const std::string value = spec.text(path); !value.empty())
      out += fmt::format("- {}: {}\n", what, value);
  };
  contact("contacts.team", "Team");
  contact("contacts.email", "Mail");
  contact("contacts.slack", "Slack");
  contact("contacts.issues", "Issues");
  contact("contacts.docs", "Documentation");
  contact("domain", "Domain");
  out += "\n## Architecture\n" + architecture(context, parts) + "\n## Parts\n" + parts_table(parts) +
         "## Who talks to whom\n" + diagram(context, parts) + "\n";
  for (const ChapterTitle& c : kChapters) {
    const auto it = chapters.find(c.chapter);
    if (it == chapters.end()) continue;
    out += fmt::format("## {}\n", c.title);
    for (const Section& s : it->second) {
      const std::string text = body(s.text);
      out += fmt::format("### {}\n{}\n", s.title, uses.empty() ? text : with_outputs(text));
    }
  }
  return out + settings_of(documents) + secrets_table(parts);
}

}  // namespace tg::render
