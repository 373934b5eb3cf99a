#include "render/runbook.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "catalog/releases.hpp"
#include "render/care.hpp"

namespace tg::render {

namespace {

using Chapter = Section::Chapter;

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
    out.push_back(
        {Chapter::upgrade, "Kubernetes",
         fmt::format(
             "This platform runs {} (support ends {}). Set `cluster.version` one minor higher, render, "
             "read the difference, then apply; never skip a minor.\n",
             release->patch, release->ends)});
  }
  return out;
}

std::string secrets_table(const std::vector<Part>& parts) {
  std::string rows;
  for (const Part& p : parts) {
    for (const SecretNeed& s : p.secrets) {
      rows += fmt::format("| {}/{} | {} | {} | {} |\n", s.ns, s.name, fmt::join(s.keys, ", "),
                          s.from == SecretNeed::From::generated ? "generated at apply" : s.reference, s.why);
    }
  }
  if (rows.empty()) return {};
  return "## Secrets\nNone of them is in these files.\n\n| secret | keys | from | for "
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

std::string runbook(const Context& context, const std::vector<Part>& parts) {
  std::map<Chapter, std::vector<Section>> chapters;
  for (const Part& p : parts) {
    for (const Section& s : p.sections) chapters[s.chapter].push_back(s);
    for (const Alert& a : p.alerts)
      chapters[Chapter::troubleshooting].push_back(
          {Chapter::troubleshooting, "Alert " + a.name, a.action + "\n"});
  }
  for (Section& s : general(context, parts)) chapters[s.chapter].push_back(std::move(s));
  for (Section& s : care(context, parts)) chapters[s.chapter].push_back(std::move(s));
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
  out += "\n## Parts\n" + parts_table(parts) + "## Who talks to whom\n" + diagram(context, parts) + "\n";
  for (const ChapterTitle& c : kChapters) {
    const auto it = chapters.find(c.chapter);
    if (it == chapters.end()) continue;
    out += fmt::format("## {}\n", c.title);
    for (const Section& s : it->second) out += fmt::format("### {}\n{}\n", s.title, body(s.text));
  }
  return out + secrets_table(parts);
}

}  // namespace tg::render
