#include "render/delivery/scan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "text/emit.hpp"

namespace tg::render {

namespace {

constexpr std::string_view kTrivy = "bin/trivy config --config ci/trivy.yaml .";
// Without its download of texts it needs no other service than the package.
constexpr std::string_view kCheckov =
    "pipx run checkov==3.3.30 --config-file ci/checkov.yaml --directory . --quiet --compact --skip-download";
constexpr std::string_view kHadolint = "git ls-files '*Dockerfile*' | xargs -r bin/hadolint";
constexpr std::string_view kImages =
    "ci/images.sh | while read -r image; do bin/trivy image --exit-code 1 --severity CRITICAL "
    "--ignore-unfixed "
    "\"$image\"; done";

// A check that is wrong for these platforms as a whole.
struct Waiver {
  std::string_view check, reason;
};
constexpr auto kAlways = std::to_array<Waiver>({
    {"CKV_K8S_8", "what listens has probes; workers without a port have nothing to ask"},
    {"CKV_K8S_9", "as CKV_K8S_8"},
    {"CKV_K8S_11", "requests share the processor out; a limit would only slow pods down on idle nodes"},
    {"CKV_K8S_15", "tags are pinned, so a pull at each start would only fail when the registry does"},
    {"CKV_K8S_35", "programs of others take some of their keys by the environment alone"},
    {"CKV_K8S_38", "only pods that ask the API server have a token"},
    {"CKV_K8S_40", "images of others have users of their own, none of them root"},
    {"CKV_K8S_43", "images are pinned by version, and by digest where it is known; updates are proposed"},
    {"CKV_SECRET_6", "takes names of Secrets and of their keys for secrets; a literal one is refused before"},
});
constexpr auto kOnAws = std::to_array<Waiver>({
    {"CKV_AWS_18", "the copies and logs of the platform are read by the platform alone"},
    {"CKV_AWS_111", "the rights of the load balancers' controller are bound by tags"},
    {"CKV_AWS_118", "Performance Insights is on; nobody manages the machines below the database"},
    {"CKV_AWS_144", "the bucket of the copies is itself in another region"},
    {"CKV_AWS_158", "CloudWatch encrypts with a key of its own"},
    {"CKV_AWS_338", "logs of the cloud are kept as long as those of the platform"},
    {"CKV_AWS_356", "lists have no narrower resource"},
    {"CKV_SECRET_4",
     "takes the form of a database's URL for one: what stands in it is filled in by Terraform"},
    {"CKV2_AWS_8", "the database makes its own copies every day"},
    {"CKV2_AWS_19", "the addresses belong to the gateway's load balancer, not to machines"},
    {"CKV2_AWS_27", "statements of users would stand in the log"},
    {"CKV2_AWS_38", "the parent zone has to take part, which nothing here can make"},
    {"CKV2_AWS_39", "who looks up a public name is nothing that has to be kept"},
    {"CKV2_AWS_57", "programs read passwords when they start, so people change them"},
    {"CKV2_AWS_62", "nothing waits for new objects"},
    {"CKV2_AWS_64", "the default policy leaves the key to the account's own rights"},
});

constexpr auto kOnGoogle = std::to_array<Waiver>({
    {"CKV_GCP_12", "Dataplane V2 holds network policies without the add-on of old"},
    {"CKV_GCP_21", "labels come from the defaults of the provider"},
    {"CKV_GCP_38", "the bastion keeps nothing; disks are encrypted by the cloud"},
    {"CKV_GCP_61", "flow logs of the subnet are on; those between pods of a node would double them"},
    {"CKV_GCP_62", "the copies and logs of the platform are read by the platform alone"},
    {"CKV_GCP_65", "groups of Workspace are no part of every organisation"},
    {"CKV_GCP_66", "which images may run is decided by the policies in the cluster"},
    {"CKV_GCP_69", "looks at the first pool, which is removed; those that stay have it"},
});
constexpr auto kOnAzure = std::to_array<Waiver>({
    {"CKV_AZURE_4", "metrics and logs are gathered by the platform's own parts"},
    {"CKV_AZURE_33", "there are no queues"},
    {"CKV_AZURE_40", "an end of the key would lock the cluster out of its Secrets"},
    {"CKV_AZURE_59", "accounts are asked with identities, from addresses that change"},
    {"CKV_AZURE_109", "the API server asks the vault from an address of the cloud"},
    {"CKV_AZURE_112", "a key in software guards what is in software"},
    {"CKV_AZURE_116", "Gatekeeper is installed with the platform's own policies"},
    {"CKV_AZURE_117", "disks are encrypted with keys of the cloud"},
    {"CKV_AZURE_168", "with an overlay network a node has 250 pods unless less is said"},
    {"CKV_AZURE_172", "the driver is not used: External Secrets brings what changes"},
    {"CKV_AZURE_189", "as CKV_AZURE_109"},
    {"CKV_AZURE_206", "logs are kept in one region, the copies in another"},
    {"CKV_AZURE_226", "not every size has a disk of its own for the system"},
    {"CKV_AZURE_232", "the pool without taints carries the platform's parts too"},
    {"CKV2_AZURE_1", "storage is encrypted with keys of the cloud"},
    {"CKV2_AZURE_21", "the copies and logs of the platform are read by the platform alone"},
    {"CKV2_AZURE_31", "AKS guards its nodes by a group of its own, and the bastion's subnet has to be open"},
    {"CKV2_AZURE_32", "as CKV_AZURE_109"},
    {"CKV2_AZURE_33", "as CKV_AZURE_59"},
});

// An object that has to be what scanners warn of. The other checks of its file are left to the project's
// tests.
struct Exception {
  std::string_view part, file;
  std::string_view trivy;  // its checks there, by ' '
  std::string_view reason;
};
constexpr auto kExceptions = std::to_array<Exception>({
    {"local-disks", "provisioner.yaml", "KSV-0017 KSV-0121",
     "makes volumes of the disks of its node: it formats and mounts them"},
    {"upkeep", "kube-bench.yaml", "KSV-0010", "compares the settings of its node's processes and files"},
    {"upkeep", "kured.yaml", "KSV-0010 KSV-0017", "restarts its node"},
});

bool has(const Context& context, const char* list, std::string_view tool) {
  const std::vector<std::string> all = context.spec().list(fmt::format("delivery.scan.{}", list));
  return std::find(all.begin(), all.end(), tool) != all.end();
}

std::string path_of(const Exception& e, const std::vector<Part>& parts) {
  for (const Part& p : parts) {
    if (p.name != e.part) continue;
    for (const Manifest& m : p.manifests) {
      if (m.file == e.file) return fmt::format("{}/{}", p.folder(), m.file);
    }
  }
  return {};
}

// '.' stands for itself.
std::string as_pattern(std::string_view path) {
  std::string out;
  for (const char c : path) out += c == '.' ? std::string("\\.") : std::string(1, c);
  return out;
}

template <typename Waivers>
void add(const Waivers& waivers, Json& checks, std::string& reasons) {
  for (const Waiver& w : waivers) {
    checks.push_back(w.check);
    reasons += fmt::format("# {}: {}\n", w.check, w.reason);
  }
}

Extra checkov(const Context& context, const std::vector<Part>& parts) {
  Json checks = Json::array(), paths = Json::array();
  std::string reasons = "# What is let pass, and why.\n";
  add(kAlways, checks, reasons);
  if (context.site() == Site::aws) add(kOnAws, checks, reasons);
  if (context.site() == Site::google) add(kOnGoogle, checks, reasons);
  if (context.site() == Site::azure) add(kOnAzure, checks, reasons);
  paths.push_back("/tests/");
  reasons += "# /tests/: pods that the policies must refuse\n";
  if (context.cloud()) {
    paths.push_back("versions\\.tf\\.json");
    reasons += "# versions.tf.json: Checkov ends at a required_version that stands in JSON\n";
  }
  for (const Exception& e : kExceptions) {
    const std::string path = path_of(e, parts);
    if (path.empty()) continue;
    paths.push_back(as_pattern(path));
    reasons += fmt::format("# {}: {}\n", path, e.reason);
  }
  return {"checkov.yaml", "# Written by tidegate render. Change the document, not this file.\n" + reasons +
                              text::emit_yaml({{"skip-check", checks}, {"skip-path", paths}})};
}

Extra trivy() {
  const Json settings{{"exit-code", 1},
                      {"severity", Json::array({"HIGH", "CRITICAL"})},
                      {"ignorefile", "ci/trivyignore.yaml"},
                      // Pods that the policies must refuse.
                      {"scan", {{"skip-dirs", Json::array({"**/tests"})}}}};
  return {"trivy.yaml",
          "# Written by tidegate render. Change the document, not this file.\n" + text::emit_yaml(settings)};
}

// By its name and by the one that it had before: releases of Trivy and of its checks know either.
void ignore(Json& all, std::string_view check, const std::string& path, std::string_view reason) {
  for (const std::string& id : {std::string(check), fmt::format("AVD-{}", check)})
    all.push_back({{"id", id}, {"paths", Json::array({"**/" + path})}, {"statement", reason}});
}

Extra trivy_ignore(const std::vector<Part>& parts) {
  Json all = Json::array();
  ignore(all, "KSV-0056", "ci/role.yaml",
         "deploys the Services and Ingresses of programs, in their namespaces");
  for (const Exception& e : kExceptions) {
    const std::string path = path_of(e, parts);
    if (path.empty()) continue;
    for (std::string_view rest = e.trivy; !rest.empty();) {
      const std::string_view check = rest.substr(0, rest.find(' '));
      rest.remove_prefix(std::min(rest.size(), check.size() + 1));
      ignore(all, check, path, e.reason);
    }
  }
  return {"trivyignore.yaml", "# Written by tidegate render. Change the document, not this file.\n" +
                                  text::emit_yaml({{"misconfigurations", std::move(all)}})};
}

Json step(const char* name, std::string_view command) { return {{"name", name}, {"run", command}}; }

}  // namespace

Json scan_steps(const Context& context) {
  Json steps = Json::array();
  if (has(context, "infrastructure", "trivy") || has(context, "images", "trivy"))
    steps.push_back(step("Fetch Trivy and compare its digest", "ci/tools.sh trivy"));
  if (has(context, "infrastructure", "trivy"))
    steps.push_back(step("Search the files for weak settings", kTrivy));
  if (has(context, "infrastructure", "checkov"))
    steps.push_back(step("Compare with Checkov's rules", kCheckov));
  if (has(context, "images", "trivy")) {
    steps.push_back(step("Look at how images are built", fmt::format("ci/tools.sh hadolint; {}", kHadolint)));
    steps.push_back(step("Search the images for known holes", kImages));
  }
  return steps;
}

std::vector<std::string> scan_commands(const Context& context) {
  std::vector<std::string> out{"apt-get update",
                               "apt-get install --yes --no-install-recommends ca-certificates curl git pipx"};
  for (const Json& s : scan_steps(context)) out.push_back(s["run"].get<std::string>());
  return out;
}

std::vector<Extra> scan_settings(const Context& context, const std::vector<Part>& parts) {
  std::vector<Extra> out;
  if (has(context, "infrastructure", "checkov")) out.push_back(checkov(context, parts));
  if (has(context, "infrastructure", "trivy")) {
    out.push_back(trivy());
    out.push_back(trivy_ignore(parts));
  }
  return out;
}

}  // namespace tg::render
