// Pipelines, environments and how a new version takes over.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "verify/facts.hpp"

namespace tg::verify {

namespace {

void check_environments(const spec::Reader& delivery, Report& report) {
  const Named all = delivery.named("environments");
  const std::vector<std::string> known = names(all);
  std::map<std::string, std::string> after;
  for (const auto& [name, e] : all) {
    const std::string earlier = e.text("after");
    if (earlier.empty()) continue;
    after[name] = earlier;
    if (std::find(known.begin(), known.end(), earlier) == known.end())
      report.error(e, "after", "unknown_reference", fmt::format("there is no environment {}", earlier),
                   propose(earlier, known, "environment"));
  }
  std::set<std::string> told;
  for (const auto& [name, e] : all) {
    std::vector<std::string> way{name};
    for (std::string at = name; after.contains(at) && way.size() <= all.size() + 1;) {
      at = after[at];
      way.push_back(at);
      if (at != name) continue;
      if (!told.contains(name))
        report.error(e, "after", "cycle", fmt::format("none can be the first: {}", fmt::join(way, " after ")),
                     "remove after at the first one");
      told.insert(way.begin(), way.end());
      break;
    }
  }
}

// Machines of the forge have no fixed address; whether an existing cluster lets them in is not known here.
void check_runner(const Subject& s, const spec::Reader& delivery, Report& report) {
  const std::string runner = delivery.text("ci.runner");
  if (delivery.text("ci.use") == "none" || !runner.starts_with("ubuntu-") || s.site == "existing") return;
  const std::vector<std::string> from = s.spec.list("access.from");
  const bool open = s.spec.text("access.api") == "public";
  if (open && std::find(from.begin(), from.end(), "0.0.0.0/0") != from.end()) return;
  report.error(delivery, "ci.runner", "hosted_runner",
               fmt::format("{} is a machine of the forge, and {} not let it in", runner,
                           open ? "access.from does" : "the private API server does"),
               "remove runner: a machine of your own with the platform's name as label deploys then");
}

void check_pipeline(const Subject& s, const spec::Reader& delivery, Report& report) {
  const std::string ci = delivery.text("ci.use"), repository = delivery.text("ci.repository");
  if (ci != "none" && repository.empty())
    report.error(delivery, "ci", "needs_repository", "its login is bound to a repository, and none is named",
                 "add repository: OWNER/NAME");
  const std::size_t slash = repository.find('/');
  if (!repository.empty() && (slash == std::string::npos || slash == 0 || slash + 1 == repository.size() ||
                              repository.find("://") != std::string::npos))
    report.error(delivery, "ci.repository", "bad_value", fmt::format("{} is not OWNER/NAME", repository),
                 "write for example example/platform");
  for (const char* field : {"scan.images", "scan.infrastructure"}) {
    const auto words = delivery.texts(field);
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (words[i].first == "none" && words.size() > 1)
        report.error_in(delivery, field, i, words[i].second, "none_and_more", "none stands beside a scanner",
                        "remove none, or all others");
    }
  }
  if (delivery.text("gitops.use") == "fleet" && s.site != "clusterApi" && s.site != "existing")
    report.error(delivery, "gitops.use", "not_here",
                 fmt::format("fleet comes with Rancher, which {} does not have", s.site),
                 "write gitops: argo-cd");
}

}  // namespace

void check_delivery(const Subject& s, Report& report) {
  const spec::Reader delivery = s.spec.sub("delivery");
  check_environments(delivery, report);
  check_pipeline(s, delivery, report);
  check_runner(s, delivery, report);
  if (delivery.text("strategy") == "canary" && s.use("mesh") == "none" && s.use("gateway") == "none")
    report.error(delivery, "strategy", "needs_component",
                 "nothing shares out requests between two versions: there is neither a mesh nor a gateway",
                 "write components.mesh: istio, or strategy: rolling");
}

}  // namespace tg::verify
