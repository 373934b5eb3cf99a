// The pipeline: checks the rendered tree, searches for known holes, and deploys what it may with a token that
// lives as long as the job. A collector: it deploys the parts whose objects all live in namespaces.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "catalog/releases.hpp"
#include "render/delivery/delivery.hpp"
#include "render/order.hpp"
#include "render/outputs.hpp"
#include "text/emit.hpp"

namespace tg::render {

namespace {

// Actions are pinned by commit: tags of actions were moved by attackers before.
constexpr const char* kCheckout = "actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8";
constexpr const char* kAudience = "kubernetes";

// CCE's API servers trust no tokens of others.
bool by_token(const Context& context) {
  const spec::Reader ci = context.spec().sub("delivery.ci");
  const bool wanted = ci.text("login") == "oidc";
  if (context.site() != Site::open_telekom_cloud) return wanted;
  if (wanted && ci.has("login"))
    context.refuse("not_here", ci.at("login"), ci.where("login"),
                   "the API servers of CCE trust no tokens of pipelines", "write login: kubeconfig");
  return false;
}

bool deployed_by_pipeline(const Part& part) {
  return part.where == Where::workload || part.name == "chat" || part.name == "serving";
}

std::set<std::string> deploy_namespaces(const std::vector<Part>& parts) {
  std::set<std::string> out;
  for (const Part& p : parts) {
    if (!deployed_by_pipeline(p)) continue;
    for (const Namespace& n : p.namespaces) out.insert(n.name);
  }
  return out;
}

Json scan_job(const Context& context) {
  const spec::Reader scan = context.spec().sub("delivery.scan");
  Json steps = Json::array();
  steps.push_back({{"uses", kCheckout}, {"with", {{"persist-credentials", false}}}});
  const auto has = [](const std::vector<std::string>& list, std::string_view tool) {
    return std::find(list.begin(), list.end(), tool) != list.end();
  };
  const std::vector<std::string> infrastructure = scan.list("infrastructure"), images = scan.list("images");
  if (has(infrastructure, "trivy") || has(images, "trivy")) {
    steps.push_back({{"name", "Fetch Trivy and compare its digest"}, {"run", "ci/tools.sh trivy"}});
  }
  if (has(infrastructure, "trivy")) {
    steps.push_back({{"name", "Search the files for weak settings"},
                     {"run", "bin/trivy config --exit-code 1 --severity HIGH,CRITICAL ."}});
  }
  if (has(infrastructure, "checkov")) {
    steps.push_back({{"name", "Compare with Checkov's rules"},
                     {"run", "pipx run checkov==3.2.495 --directory . --quiet --compact"}});
  }
  if (has(images, "trivy")) {
    steps.push_back({{"name", "Look at how images are built"},
                     {"run", "ci/tools.sh hadolint; git ls-files '*Dockerfile*' | xargs -r bin/hadolint"}});
    steps.push_back(
        {{"name", "Search the images for known holes"},
         {"run",
          "ci/images.sh | while read -r image; do bin/trivy image --exit-code 1 --severity CRITICAL "
          "--ignore-unfixed \"$image\"; done"}});
  }
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
  Json job{{"needs", to.after.empty() ? "check" : to.after},
           {"runs-on", context.spec().text("delivery.ci.runner")},
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
      {"stage", "check"},
      {"image", "docker.io/library/debian:12"},
      {"script", {"ci/tools.sh trivy", "bin/trivy config --exit-code 1 --severity HIGH,CRITICAL ."}}};
  out["deploy"] = {
      {"stage", "deploy"},
      {"image", "docker.io/library/debian:12"},
      {"environment", ci.text("environment")},
      {"id_tokens", {{"JOB_TOKEN", {{"aud", kAudience}}}}},
      {"rules", Json::array({{{"if", fmt::format("$CI_COMMIT_BRANCH == \"{}\"", ci.text("branch"))}}})},
      {"script", {"ci/tools.sh kubectl helm", "ci/login.sh", "ci/deploy.sh"}}};
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
      "# The API server trusts tokens of this repository and branch only (authentication-config), and the "
      "role lets",
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

std::string deploy_script(const std::vector<Part>& parts) {
  std::string out = script({"export KUBECONFIG=kubeconfig", "PATH=$PWD/bin:$PATH", ""});
  out += output_guard(output_uses(parts));
  for (const Part* part : in_order(parts)) {
    const Part& p = *part;
    if (!deployed_by_pipeline(p)) continue;
    const std::string folder = p.folder();
    for (const Release& r : p.releases) {
      const catalog::Chart& c = catalog::chart(r.chart);
      const bool oci = c.repository.starts_with("oci://");
      const std::string source = oci ? fmt::format("{}/{}", c.repository, c.name)
                                     : fmt::format("{} --repo {}", c.name, c.repository);
      out += fmt::format(
          "helm upgrade --install {} {} --version {} --namespace {} --values {}/{}/values.yaml "
          "--atomic --wait --timeout 10m\n",
          r.release, source, c.version, r.ns, folder, r.release);
    }
    // Charts of one's own.
    for (const Step& s : p.steps) {
      if (s.kind != "chart") continue;
      out += fmt::format("helm upgrade --install {} {}/{} --namespace {} --atomic --wait --timeout {}\n",
                         p.name, folder, s.what, s.where, s.timeout);
    }
    for (const Manifest& m : p.manifests)
      out += fmt::format("kubectl apply --server-side --field-manager=pipeline --filename {}/{}\n", folder,
                         m.file);
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

// What helm needs for charts of one's own, beside the objects that everybody has.
std::vector<Rule> chart_rules(const std::vector<Part>& parts, const std::string& ns) {
  const bool any = std::any_of(parts.begin(), parts.end(), [&](const Part& p) {
    return deployed_by_pipeline(p) && std::any_of(p.steps.begin(), p.steps.end(), [&](const Step& s) {
             return s.kind == "chart" && s.where == ns;
           });
  });
  if (!any) return {};
  const std::vector<std::string> verbs{"get", "list", "watch", "create", "patch", "update", "delete"};
  return {{{"jobset.x-k8s.io"}, {"jobsets"}, verbs},
          {{"networking.k8s.io"}, {"ingresses"}, verbs},
          {{"monitoring.coreos.com"}, {"servicemonitors"}, verbs}};
}

// Only what helm and apply need, only where the pipeline deploys.
void add_role(Part& part, const Context& context, const std::vector<Part>& parts) {
  const std::set<std::string> namespaces = deploy_namespaces(parts);
  if (namespaces.empty()) return;
  const std::string repository = context.spec().text("delivery.ci.repository");
  Subject who{.kind = "Group", .name = fmt::format("pipeline:{}", repository)};
  if (!by_token(context)) {
    who = {.kind = "ServiceAccount", .name = "pipeline", .ns = *namespaces.begin()};
    part.add("role.yaml", service_account("pipeline", who.ns));
  }
  for (const std::string& ns : namespaces) {
    std::vector<Rule> rules{
        {{"", "apps", "batch", "autoscaling", "policy", "networking.k8s.io", "gateway.networking.k8s.io"},
         {"configmaps", "services", "serviceaccounts", "persistentvolumeclaims", "deployments",
          "statefulsets", "cronjobs", "jobs", "horizontalpodautoscalers", "poddisruptionbudgets",
          "httproutes"},
         {"get", "list", "watch", "create", "patch", "update", "delete"}},
        // helm keeps its releases in Secrets.
        {{""}, {"secrets"}, {"get", "list", "create", "patch", "update", "delete"}},
        {{"", "apps"}, {"pods", "replicasets", "events"}, {"get", "list", "watch"}}};
    for (Rule& r : chart_rules(parts, ns)) rules.push_back(std::move(r));
    part.add("role.yaml", role("pipeline", ns, rules));
    part.add("role.yaml", role_binding("pipeline", ns, "Role", "pipeline", {who}));
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

std::string explain(const Context& context, const std::vector<Part>& parts) {
  const spec::Reader ci = context.spec().sub("delivery.ci");
  std::string out = fmt::format(
      "`ci/` belongs to the root of the repository {} (copy `.github` there). It deploys every change of "
      "branch "
      "`{}`",
      ci.text("repository"), ci.text("branch"));
  const std::string environments = environments_text(context);
  out += environments.empty() ? fmt::format(" in environment `{}`. ", ci.text("environment"))
                              : fmt::format(", one environment after another:\n\n{}\n", environments);
  if (by_token(context))
    return out +
           "It holds no secret: the API server trusts the token of the job. Set the variables CLUSTER_SERVER "
           "and "
           "CLUSTER_CA of each environment.\n";
  const std::set<std::string> namespaces = deploy_namespaces(parts);
  const std::string ns = namespaces.empty() ? "default" : *namespaces.begin();
  return out +
         fmt::format(
             "Each environment has the secret KUBECONFIG: that of the service account `pipeline`, which may "
             "change what is deployed here and nothing else. Its token ends; make a new one before:\n\n"
             "```sh\nkubectl apply --server-side -f ci/role.yaml\n"
             "kubectl config view --minify --flatten > pipeline.kubeconfig\n"
             "KUBECONFIG=pipeline.kubeconfig kubectl config set-credentials pipeline --token=\"$(kubectl -n "
             "{0} create token pipeline --duration 720h)\"\n"
             "KUBECONFIG=pipeline.kubeconfig kubectl config set-context --current --user=pipeline "
             "--namespace={0}\n```\n",
             ns);
}

}  // namespace

std::vector<Part> pipeline(const Context& context, const std::vector<Part>& parts) {
  const spec::Reader ci = context.spec().sub("delivery.ci");
  const std::string use = ci.text("use");
  if (use == "none") return {};
  Part part;
  part.where = Where::delivery;
  part.name = "pipeline";
  const bool github = use == "github-actions";
  part.extras.push_back({github ? ".github/workflows/deploy.yml" : ".gitlab-ci.yml",
                         "# Written by tidegate render. Change the document, not this file.\n" +
                             (github ? workflow(context) : gitlab(context))});
  const std::string runner = ci.text("runner");
  if (github && !runner.starts_with("ubuntu-")) {
    // Names of one's own machines are told to those who check workflows.
    const Json known{{"self-hosted-runner", {{"labels", Json::array({runner})}}}};
    part.extras.push_back({".github/actionlint.yaml", text::emit_yaml(known)});
  }
  part.extras.push_back({"tools.sh", tools_script(context), true});
  part.extras.push_back({"login.sh", login_script(context), true});
  part.extras.push_back({"deploy.sh", deploy_script(parts), true});
  part.extras.push_back({"images.sh", images_script(context), true});
  add_role(part, context, parts);
  part.sections.push_back({Section::Chapter::first_steps, "The pipeline", explain(context, parts)});
  part.sections.push_back(
      {Section::Chapter::upgrade, "Roll back",
       "helm history RELEASE -n NAMESPACE\nhelm rollback RELEASE REVISION -n NAMESPACE --wait\n"});
  return {std::move(part)};
}

}  // namespace tg::render
