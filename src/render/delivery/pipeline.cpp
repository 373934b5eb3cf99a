// The pipeline: checks the rendered tree, searches for known holes, and deploys what it may with a token that
// lives as long as the job. A collector: it deploys the parts whose objects all live in namespaces.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "catalog/releases.hpp"
#include "render/delivery/delivery.hpp"
#include "render/delivery/rights.hpp"
#include "render/delivery/scan.hpp"
#include "render/outputs.hpp"
#include "text/emit.hpp"

namespace tg::render {

namespace {

// Actions are pinned by commit: tags of actions were moved by attackers before.
constexpr const char* kCheckout = "actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8";
constexpr const char* kAudience = "kubernetes";

// Whose API servers cannot be told to trust the tokens of others.
std::string_view distrusts(Site site) {
  switch (site) {
    case Site::open_telekom_cloud:
      return "the API servers of CCE trust no tokens of pipelines";
    case Site::google:
      return "the API servers of GKE trust no tokens of pipelines";
    case Site::azure:
      return "the API servers of AKS trust no tokens of pipelines";
    case Site::cluster_api:
      return "the API servers that Cluster API makes trust no tokens of pipelines";
    default:
      return {};
  }
}

// Who made the API server of an existing cluster says whether it trusts tokens, so there it is asked for.
bool by_token(const Context& context) {
  const spec::Reader ci = context.spec().sub("delivery.ci");
  const bool wanted = ci.text("login") == "oidc";
  if (context.site() == Site::existing) return wanted && ci.has("login");
  const std::string_view reason = distrusts(context.site());
  if (reason.empty()) return wanted;
  if (wanted && ci.has("login"))
    context.refuse("not_here", ci.at("login"), ci.where("login"), std::string(reason),
                   "write login: kubeconfig");
  return false;
}

// Machines of GitHub and GitLab come from everywhere, so they reach an API server that everybody reaches.
bool reached_by_all(const Context& context) {
  if (context.site() == Site::existing) return true;  // what its networks let through is not ours
  const spec::Reader access = context.spec().sub("access");
  const std::vector<std::string> from = access.list("from");
  return access.text("api") == "public" && std::find(from.begin(), from.end(), "0.0.0.0/0") != from.end();
}

// Labels of the machine that deploys. One of one's own has the platform's name if the document gives none.
std::vector<std::string> runner(const Context& context) {
  const spec::Reader ci = context.spec().sub("delivery.ci");
  if (const std::string label = ci.text("runner"); !label.empty())
    return label.starts_with("ubuntu-") ? std::vector{label} : std::vector<std::string>{"self-hosted", label};
  if (reached_by_all(context)) return {"ubuntu-24.04"};
  return {"self-hosted", context.name()};
}

std::set<std::string> namespaces_of(const std::vector<Delivered>& all) {
  std::set<std::string> out;
  for (const auto& [ns, rules] : pipeline_rules(all)) out.insert(ns);
  return out;
}

Json scan_job(const Context& context) {
  Json steps = Json::array();
  steps.push_back({{"uses", kCheckout}, {"with", {{"persist-credentials", false}}}});
  for (Json& step : scan_steps(context)) steps.push_back(std::move(step));
  return {{"runs-on", "ubuntu-24.04"},
          {"timeout-minutes", 20},
          {"permissions", {{"contents", "read"}}},
          {"steps", std::move(steps)}};
}

struct Environment {
  std::string name;
  std::string after{};    // job that must be good first, may be empty
  std::string folder{};   // of its own tree, with '/' at the end; empty: the root
  bool approval = false;  // a person must agree
};

// What is different there stands in a tree of its own.
Environment environment(const std::string& name, const spec::Reader& e) {
  Environment out{.name = name, .after = e.text("after"), .approval = e.flag("approval")};
  const auto& members = e.node().members;
  const bool changed = std::any_of(members.begin(), members.end(), [](const text::Member& m) {
    return m.key != "after" && m.key != "approval";
  });
  if (changed) out.folder = fmt::format("environments/{}/", name);
  if (!out.after.empty()) out.after = "deploy-" + out.after;
  return out;
}

// That somebody must agree is a setting of the environment, which no file of the repository makes: a job that
// could start without it ends here.
Json approval_step(const std::string& name) {
  Json step{{"name", "Refuse an environment that nobody guards"}};
  step["run"] = fmt::format(
      "curl --fail --silent --show-error --header \"Authorization: Bearer $GH_TOKEN\" "
      "\"$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/environments/{}\" | jq --exit-status "
      "'[.protection_rules[] | select(.type == \"required_reviewers\")] | length > 0'",
      name);
  step["env"] = {{"GH_TOKEN", "${{ github.token }}"}};
  return step;
}

Json login_step(bool oidc, const std::string& folder) {
  Json login{
      {"name", oidc ? "Get in with the token of this job" : "Get in with the kubeconfig of the environment"},
      {"run", folder + "ci/login.sh"}};
  login["env"] = {{"CLUSTER_SERVER", "${{ vars.CLUSTER_SERVER }}"}, {"CLUSTER_CA", "${{ vars.CLUSTER_CA }}"}};
  if (!oidc) login["env"] = {{"CLUSTER_KUBECONFIG", "${{ secrets.KUBECONFIG }}"}};
  return login;
}

Json deploy_job(const Context& context, const Environment& to) {
  const bool oidc = by_token(context);
  Json permissions{{"contents", "read"}};
  if (oidc) permissions["id-token"] = "write";
  if (to.approval) permissions["actions"] = "read";
  Json steps = Json::array();
  if (to.approval) steps.push_back(approval_step(to.name));
  steps.push_back({{"uses", kCheckout}, {"with", {{"persist-credentials", false}}}});
  steps.push_back({{"name", "Fetch kubectl and helm and compare their digests"},
                   {"run", to.folder + "ci/tools.sh kubectl helm"}});
  steps.push_back(login_step(oidc, to.folder));
  steps.push_back({{"name", "Deploy"}, {"run", to.folder + "ci/deploy.sh"}});
  const std::vector<std::string> machine = runner(context);
  Json job{{"needs", to.after.empty() ? "check" : to.after},
           {"runs-on", machine.size() == 1 ? Json(machine.front()) : Json(machine)},
           {"timeout-minutes", 30},
           {"environment", to.name},
           {"permissions", std::move(permissions)},
           {"concurrency", {{"group", "deploy-" + to.name}, {"cancel-in-progress", false}}},
           {"steps", std::move(steps)}};
  return job;
}

std::string workflow(const Context& context) {
  const spec::Reader ci = context.spec().sub("delivery.ci");
  Json jobs{{"check", scan_job(context)}};
  const auto environments = context.spec().named("delivery.environments");
  if (environments.empty()) {
    jobs["deploy"] = deploy_job(context, {.name = ci.text("environment")});
  } else {
    // Who comes after another waits for it; a person's consent is a rule of the environment itself.
    std::vector<std::string> done;
    for (std::size_t round = 0; round < environments.size(); ++round) {
      for (const auto& [name, e] : environments) {
        const std::string after = e.text("after");
        const bool ready = after.empty() || std::find(done.begin(), done.end(), after) != done.end();
        if (!ready || std::find(done.begin(), done.end(), name) != done.end()) continue;
        jobs["deploy-" + name] = deploy_job(context, environment(name, e));
        done.push_back(name);
      }
    }
  }
  Json out{{"name", "deploy " + context.name()},
           {"on",
            {{"push", {{"branches", Json::array({ci.text("branch")})}}},
             {"pull_request", {{"branches", Json::array({ci.text("branch")})}}}}},
           {"permissions", Json::object()},
           {"jobs", std::move(jobs)}};
  for (auto& [name, job] : out["jobs"].items()) {
    if (name.starts_with("deploy")) job["if"] = "github.event_name == 'push'";
  }
  return text::emit_yaml(out);
}

std::string gitlab(const Context& context) {
  const spec::Reader ci = context.spec().sub("delivery.ci");
  Json out{{"stages", {"check", "deploy"}}};
  out["check"] = {
      {"stage", "check"}, {"image", "docker.io/library/debian:12"}, {"script", scan_commands(context)}};
  out["deploy"] = {
      {"stage", "deploy"},
      {"image", "docker.io/library/debian:12"},
      {"environment", ci.text("environment")},
      {"id_tokens", {{"JOB_TOKEN", {{"aud", kAudience}}}}},
      {"rules", Json::array({{{"if", fmt::format("$CI_COMMIT_BRANCH == \"{}\"", ci.text("branch"))}}})},
      {"script",
       {"apt-get update", "apt-get install --yes --no-install-recommends ca-certificates curl jq",
        "ci/tools.sh kubectl helm", "ci/login.sh", "ci/deploy.sh"}}};
  if (const std::vector<std::string> machine = runner(context); machine.size() > 1)
    out["deploy"]["tags"] = Json::array({machine.back()});
  return text::emit_yaml(out);
}

std::string script(std::initializer_list<std::string> lines) {
  std::string out =
      "#!/usr/bin/env bash\n# Written by tidegate render. Change the document, not this file.\nset -euo "
      "pipefail\ncd \"$(dirname \"${BASH_SOURCE[0]}\")/..\"\n\n";
  for (const std::string& line : lines) out += line + "\n";
  return out;
}

// Each tool at one version, its archive compared with the digest that its project published beside it.
std::string tools_script(const Context& context) {
  const catalog::Kubernetes* release = catalog::kubernetes(context.kubernetes());
  const std::string version(release == nullptr ? catalog::default_kubernetes().patch : release->patch);
  return script({
      fmt::format("kubectl_version={}", version),
      "helm_version=3.22.0",
      "trivy_version=0.67.2",
      "hadolint_version=2.12.0",
      "mkdir -p bin",
      "fetch() { curl --fail --silent --show-error --location --proto '=https' --tlsv1.2 --output \"$2\" "
      "\"$1\"; }",
      "for tool in \"$@\"; do",
      "  case $tool in",
      "    kubectl)",
      "      base=https://dl.k8s.io/release/v$kubectl_version/bin/linux/amd64",
      "      fetch \"$base/kubectl\" bin/kubectl",
      "      fetch \"$base/kubectl.sha256\" bin/kubectl.sha256",
      "      echo \"$(cat bin/kubectl.sha256)  bin/kubectl\" | sha256sum --check --quiet",
      "      chmod 755 bin/kubectl ;;",
      "    helm)",
      "      archive=helm-v$helm_version-linux-amd64.tar.gz",
      "      fetch \"https://get.helm.sh/$archive\" \"bin/$archive\"",
      "      fetch \"https://get.helm.sh/$archive.sha256sum\" bin/helm.sha256",
      "      (cd bin && sha256sum --check --quiet helm.sha256)",
      "      tar -xzf \"bin/$archive\" -C bin --strip-components=1 linux-amd64/helm ;;",
      "    trivy)",
      "      archive=trivy_${trivy_version}_Linux-64bit.tar.gz",
      "      base=https://github.com/aquasecurity/trivy/releases/download/v$trivy_version",
      "      fetch \"$base/$archive\" \"bin/$archive\"",
      "      fetch \"$base/trivy_${trivy_version}_checksums.txt\" bin/trivy.sha256",
      "      (cd bin && grep \" $archive\\$\" trivy.sha256 | sha256sum --check --quiet)",
      "      tar -xzf \"bin/$archive\" -C bin trivy ;;",
      "    hadolint)",
      "      base=https://github.com/hadolint/hadolint/releases/download/v$hadolint_version",
      "      fetch \"$base/hadolint-Linux-x86_64\" bin/hadolint-Linux-x86_64",
      "      fetch \"$base/hadolint-Linux-x86_64.sha256\" bin/hadolint.sha256",
      "      (cd bin && sha256sum --check --quiet hadolint.sha256)",
      "      install -m 755 bin/hadolint-Linux-x86_64 bin/hadolint ;;",
      "    *) echo \"no tool $tool\" >&2; exit 2 ;;",
      "  esac",
      "done",
  });
}

std::string login_script(const Context& context) {
  if (!by_token(context)) {
    return script({
        "umask 077",
        "printf '%s' \"$CLUSTER_KUBECONFIG\" >kubeconfig",
        "KUBECONFIG=kubeconfig bin/kubectl version",
    });
  }
  return script({
      "# The API server trusts tokens of this repository, branch and environment only, and the role lets",
      "# them into the namespaces that are deployed here. Nothing that outlives the job is kept anywhere.",
      "umask 077",
      fmt::format("audience={}", kAudience),
      "if [[ -n ${ACTIONS_ID_TOKEN_REQUEST_URL:-} ]]; then",
      "  JOB_TOKEN=$(curl --fail --silent --show-error -H \"Authorization: bearer "
      "$ACTIONS_ID_TOKEN_REQUEST_TOKEN\" \\",
      "    \"$ACTIONS_ID_TOKEN_REQUEST_URL&audience=$audience\" | jq --raw-output .value)",
      "fi",
      "printf '%s' \"$CLUSTER_CA\" >cluster-ca.crt",
      "export KUBECONFIG=kubeconfig",
      "bin/kubectl config set-cluster platform --server=\"$CLUSTER_SERVER\" "
      "--certificate-authority=cluster-ca.crt --embed-certs",
      "bin/kubectl config set-credentials pipeline --token=\"$JOB_TOKEN\"",
      "bin/kubectl config set-context platform --cluster=platform --user=pipeline",
      "bin/kubectl config use-context platform",
      "rm cluster-ca.crt",
  });
}

std::string install_command(const Release& r, const std::string& folder) {
  const catalog::Chart& c = catalog::chart(r.chart);
  const std::string source = c.repository.starts_with("oci://")
                                 ? fmt::format("{}/{}", c.repository, c.name)
                                 : fmt::format("{} --repo {}", c.name, c.repository);
  return fmt::format(
      "helm upgrade --install {} {} --version {} --namespace {} --values {}/{}/values.yaml "
      "--atomic --wait --timeout 10m\n",
      r.release, source, c.version, r.ns, folder, r.release);
}

// The manager of the fields is that of the operators: two would not let each other change anything.
std::string deploy_script(const std::vector<Part>& parts) {
  std::string out = script({"export KUBECONFIG=kubeconfig", "PATH=$PWD/bin:$PATH", ""});
  out += output_guard(output_uses(parts));
  for (const Delivered& d : delivered(parts)) {
    const std::string folder = d.part->folder();
    for (const Release* r : d.releases) out += install_command(*r, folder);
    for (const Step* s : d.charts)
      out += fmt::format("helm upgrade --install {} {}/{} --namespace {} --atomic --wait --timeout {}\n",
                         d.part->name, folder, s->what, s->where, s->timeout);
    for (const Manifest* m : d.manifests)
      out += fmt::format("kubectl apply --server-side --filename {}/{}\n", folder, m->file);
  }
  return out;
}

// Charts of one's own have their image in their values.
std::string images_script(const Context& context) {
  std::string runs;
  for (const auto& [name, run] : context.all(spec::DocumentKind::training_run))
    runs += fmt::format(" {}:{}", run.text("image.repository"), run.text("image.tag"));
  return script({
      "# Every image that a manifest or a chart of this tree names.",
      "{",
      "  grep -rhoE --exclude-dir=tests --exclude-dir=templates '^ *(- )?image: [^ {]+' components workloads "
      "| sed -E 's/.*image: //; s/\"//g' | grep : "
      "|| true",
      runs.empty() ? "} | sort -u" : fmt::format("  printf '%s\\n'{}\n}} | sort -u", runs),
  });
}

std::vector<Subject> subjects(const Context& context, const std::string& home) {
  if (!by_token(context)) return {{.kind = "ServiceAccount", .name = "pipeline", .ns = home}};
  std::vector<Subject> out;
  for (const std::string& group : pipeline_groups(context)) out.push_back({.kind = "Group", .name = group});
  return out;
}

void add_role(Part& part, const Context& context, const std::vector<Delivered>& all) {
  const std::set<std::string> namespaces = namespaces_of(all);
  if (namespaces.empty()) return;
  const std::string& home = *namespaces.begin();
  if (!by_token(context)) part.add("role.yaml", service_account("pipeline", home));
  const std::vector<Subject> who = subjects(context, home);
  for (const auto& [ns, rules] : pipeline_rules(all)) {
    part.add("role.yaml", role("pipeline", ns, rules));
    part.add("role.yaml", role_binding("pipeline", ns, "Role", "pipeline", who));
  }
}

std::string environments_text(const Context& context) {
  std::string out;
  for (const auto& [name, e] : context.spec().named("delivery.environments")) {
    const Environment to = environment(name, e);
    out += fmt::format(
        "- `{}`{}{}{}\n", name, to.after.empty() ? "" : fmt::format(", after {}", e.text("after")),
        to.approval ? ", when one of its required reviewers agrees (a setting of the environment)" : "",
        to.folder.empty()
            ? ""
            : fmt::format(": has a tree of its own, `tidegate render -f DOCUMENT --environment {} "
                          "-o environments/{}`",
                          name, name));
  }
  return out;
}

std::string runner_text(const Context& context) {
  const std::vector<std::string> machine = runner(context);
  if (machine.size() == 1) return {};
  return fmt::format(
      "The API server cannot be reached from everywhere, so the job that deploys runs on a machine of your "
      "own in its network: register one as a runner of the repository with the label `{}`. It needs bash, "
      "curl, jq and tar, and should do nothing else.\n\n",
      machine.back());
}

std::string token_text(const Context& context) {
  std::string out = "It holds no secret: the API server trusts the token of the job.";
  if (context.site() == Site::existing)
    out += fmt::format(
        " Tell it so: issuer https://token.actions.githubusercontent.com (GitLab: your server), audience "
        "`{}`, the claims of repository, branch and environment as required, and the group `{}`.",
        kAudience, fmt::join(pipeline_groups(context), "`, `"));
  return out + " Set the variables CLUSTER_SERVER and CLUSTER_CA of each environment.\n";
}

// Made of its pieces: a copy of an operator's kubeconfig would hold the operator's key too.
std::string kubeconfig_text(const std::string& ns) {
  return fmt::format(
      "Each environment has the secret KUBECONFIG: that of the service account `pipeline`, which may "
      "change what is deployed here and nothing else. Its token ends; make a new one before:\n\n"
      "```sh\n"
      "server=$(kubectl config view --minify --output jsonpath='{{.clusters[0].cluster.server}}')\n"
      "kubectl config view --minify --raw --flatten \\\n"
      "  --output jsonpath='{{.clusters[0].cluster.certificate-authority-data}}' | base64 --decode >ca.crt\n"
      "token=$(kubectl --namespace {0} create token pipeline --duration 720h)\n"
      "export KUBECONFIG=$PWD/pipeline.kubeconfig\n"
      "kubectl config set-cluster platform --server=\"$server\" --certificate-authority=ca.crt "
      "--embed-certs\n"
      "kubectl config set-credentials pipeline --token=\"$token\"\n"
      "kubectl config set-context platform --cluster=platform --user=pipeline --namespace={0}\n"
      "kubectl config use-context platform\n"
      "unset KUBECONFIG; rm ca.crt\n"
      "```\n",
      ns);
}

std::string explain(const Context& context, const std::vector<Delivered>& all) {
  const spec::Reader ci = context.spec().sub("delivery.ci");
  const std::string environments = environments_text(context);
  std::string out = fmt::format(
      "`ci/` belongs to the root of the repository {} (copy `.github` there). It deploys every change of "
      "branch `{}`{}",
      ci.text("repository"), ci.text("branch"),
      environments.empty() ? fmt::format(" in environment `{}`. ", ci.text("environment"))
                           : fmt::format(", one environment after another:\n\n{}\n", environments));
  out +=
      "What it may do stands in `ci/role.yaml`: exactly the kinds that `ci/deploy.sh` writes. Whatever "
      "grants rights, sets bounds or closes a namespace stays with the operators, who apply it by hand.\n\n";
  out += runner_text(context);
  if (by_token(context)) return out + token_text(context);
  const std::set<std::string> namespaces = namespaces_of(all);
  return out + kubeconfig_text(namespaces.empty() ? "default" : *namespaces.begin());
}

}  // namespace

std::vector<std::string> pipeline_environments(const Context& context) {
  std::vector<std::string> out;
  for (const auto& [name, e] : context.spec().named("delivery.environments")) out.push_back(name);
  if (out.empty()) out.push_back(context.spec().text("delivery.ci.environment"));
  return out;
}

std::vector<std::string> pipeline_groups(const Context& context) {
  if (context.site() != Site::aws)
    return {fmt::format("pipeline:{}", context.spec().text("delivery.ci.repository"))};
  // EKS compares claims with one value each; of several environments the group says which it is.
  std::vector<std::string> out = pipeline_environments(context);
  for (std::string& group : out) group = "pipeline:" + group;
  return out;
}

std::vector<Part> pipeline(const Context& context, const std::vector<Part>& parts) {
  const spec::Reader ci = context.spec().sub("delivery.ci");
  const std::string use = ci.text("use");
  if (use == "none") return {};
  Part part;
  part.where = Where::delivery;
  part.name = "pipeline";
  const std::vector<Delivered> all = delivered(parts);
  const bool github = use == "github-actions";
  part.extras.push_back({github ? ".github/workflows/deploy.yml" : ".gitlab-ci.yml",
                         "# Written by tidegate render. Change the document, not this file.\n" +
                             (github ? workflow(context) : gitlab(context))});
  if (const std::vector<std::string> machine = runner(context); github && machine.size() > 1) {
    // Names of one's own machines are told to those who check workflows.
    const Json known{{"self-hosted-runner", {{"labels", Json::array({machine.back()})}}}};
    part.extras.push_back({".github/actionlint.yaml", text::emit_yaml(known)});
  }
  part.extras.push_back({"tools.sh", tools_script(context), true});
  part.extras.push_back({"login.sh", login_script(context), true});
  part.extras.push_back({"deploy.sh", deploy_script(parts), true});
  for (Extra& e : scan_settings(context, parts)) part.extras.push_back(std::move(e));
  part.extras.push_back({"images.sh", images_script(context), true});
  add_role(part, context, all);
  part.sections.push_back({Section::Chapter::first_steps, "The pipeline", explain(context, all)});
  part.sections.push_back(
      {Section::Chapter::upgrade, "Roll back",
       "helm history RELEASE -n NAMESPACE\nhelm rollback RELEASE REVISION -n NAMESPACE --wait\n"});
  return {std::move(part)};
}

}  // namespace tg::render
