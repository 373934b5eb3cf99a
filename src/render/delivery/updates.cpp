// Who proposes newer versions of charts, images, modules and actions.
#include "render/delivery/delivery.hpp"
#include "text/emit.hpp"

namespace tg::render {

namespace {

Json renovate(const Context& context) {
  Json out{{"$schema", "https://docs.renovatebot.com/renovate-schema.json"},
           {"extends", {"config:recommended", ":pinDigests", "helpers:pinGitHubActionDigests"}},
           {"schedule", Json::array({"before 6am on monday"})},
           {"labels", Json::array({"dependencies"})}};
  out["kubernetes"] = {{"managerFilePatterns", Json::array({"/(components|workloads)/.+\\.yaml$/"})}};
  // Charts are pinned in chart.yaml files, which no manager of its own reads.
  out["customManagers"] = Json::array(
      {{{"customType", "regex"},
        {"managerFilePatterns", Json::array({"/chart\\.yaml$/"})},
        {"matchStrings",
         Json::array({"chart: (?<depName>\\S+)\\nversion: \"?(?<currentValue>[^\"\\s]+)\"?\\n(?:.*\\n)?"
                      "repository: (?<registryUrl>https\\S+)"})},
        {"datasourceTemplate", "helm"}}});
  out["packageRules"] =
      Json::array({{{"matchUpdateTypes", Json::array({"major"})}, {"dependencyDashboardApproval", true}}});
  if (const std::string team = context.spec().text("contacts.team"); !team.empty())
    out["reviewers"] = Json::array({"team:" + team});
  return out;
}

Json dependabot() {
  const auto entry = [](const char* what, const char* where) {
    return Json{{"package-ecosystem", what}, {"directory", where}, {"schedule", {{"interval", "weekly"}}}};
  };
  return {
      {"version", 2},
      {"updates", Json::array({entry("github-actions", "/"), entry("terraform", "/infrastructure/terraform"),
                               entry("docker", "/workloads")})}};
}

}  // namespace

std::vector<Part> updates(const Context& context) {
  const std::string use = context.spec().text("delivery.updates");
  if (use == "none") return {};
  Part part;
  part.where = Where::delivery;
  part.name = "updates";
  if (use == "renovate") {
    part.extras.push_back({"renovate.json", renovate(context).dump(2) + "\n"});
  } else {
    part.extras.push_back({".github/dependabot.yml", text::emit_yaml(dependabot())});
  }
  return {std::move(part)};
}

}  // namespace tg::render
