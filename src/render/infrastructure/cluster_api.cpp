// The managing cluster: kind on this machine or one that is there, Rancher whose Turtles installs Cluster
// API, the tunnel by which clusters reach Rancher, and the objects that describe the workload cluster.
#include "render/infrastructure/cluster_api.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "catalog/charts.hpp"
#include "render/component/continuous.hpp"
#include "text/emit.hpp"

namespace tg::render {

namespace {

constexpr std::string_view kHead = "# Written by tidegate render. Change the document, not this file.\n";
// What Turtles 0.27 was built with.
constexpr const char* kClusterApi = "v1.13.3";
constexpr const char* kRancher = "cattle-system";
constexpr const char* kTurtles = "cattle-turtles-system";
constexpr const char* kNgrok = "ngrok-operator";

// A name that can stand in the files until the variable of the environment is known.
std::string hostname(const Context& context) {
  const spec::Given given = context.infrastructure().given("management.rancher.hostname");
  return given.text.empty() ? "rancher-hostname.invalid" : given.text;
}

bool tunnel(const Context& context) { return context.infrastructure().has("management.expose.ngrok"); }

Json resources_of(const Context& context, std::string_view part, std::string_view workload) {
  return to_json(context.size(part, workload));
}

void add_charts(const Context& context, Part& part) {
  part.releases.push_back(
      {.chart = "cert-manager",
       .release = "cert-manager",
       .ns = "cert-manager",
       .values = {{"crds", {{"enabled", true}, {"keep", true}}},
                  {"global", {{"leaderElection", {{"namespace", "cert-manager"}}}}},
                  {"replicaCount", 1},
                  {"resources", resources_of(context, "certificates", "controller")},
                  {"webhook", {{"resources", resources_of(context, "certificates", "webhook")}}},
                  {"cainjector", {{"resources", resources_of(context, "certificates", "cainjector")}}}}});
  if (tunnel(context)) {
    const Json size = resources_of(context, "management", "ngrok-operator");
    part.releases.push_back(
        {.chart = "ngrok-operator",
         .release = "ngrok-operator",
         .ns = kNgrok,
         // Only endpoints that we make: no Ingress or Gateway of this cluster is published.
         .values = {{"credentials", {{"secret", {{"name", "ngrok-operator-credentials"}}}}},
                    {"ingress", {{"enabled", false}}},
                    {"gateway", {{"enabled", false}}},
                    {"bindings", {{"enabled", false}}},
                    {"resources", size},
                    {"agent", {{"resources", size}}}}});
  }
  Json rancher{
      {"replicas", 1},
      // TLS ends at the tunnel; agents trust what their system trusts, not an authority of Rancher's.
      {"tls", tunnel(context) ? "external" : "ingress"},
      {"agentTLSMode", "system-store"},
      {"ingress", {{"enabled", !tunnel(context)}}},
      {"service", {{"type", "ClusterIP"}}},
      // The first start fetches its own charts and may take longer than the two minutes of the default.
      {"startupProbe", {{"failureThreshold", 60}}},
      {"resources", resources_of(context, "management", "rancher")}};
  if (const std::string name = context.infrastructure().given("management.rancher.hostname").text;
      !name.empty())
    rancher["hostname"] = name;
  part.releases.push_back(
      {.chart = "rancher", .release = "rancher", .ns = kRancher, .values = std::move(rancher)});
  const Json kubeadm{{"enabled", true}, {"enableAutomaticUpdate", false}, {"version", kClusterApi}};
  Json providers{{"bootstrapKubeadm", kubeadm}, {"controlplaneKubeadm", kubeadm}};
  // Turns clusters of Cluster API into clusters of Fleet, by name and namespace.
  providers["addonFleet"] = {{"enabled", context.spec().text("delivery.gitops.use") == "fleet"}};
  part.releases.push_back({.chart = "rancher-turtles-providers",
                           .release = "rancher-turtles-providers",
                           .ns = kTurtles,
                           .values = {{"providers", std::move(providers)}}});
}

// The provider of machines. Docker is for development: who may reach the socket is root on this machine.
void add_provider(Part& part) {
  part.add("manifests/infra/capi-providers.yaml", object("v1", "Namespace", "capd-system"));
  Json p = object("turtles-capi.cattle.io/v1alpha1", "CAPIProvider", "docker", "capd-system");
  p["spec"] = {
      {"name", "docker"},
      {"type", "infrastructure"},
      {"version", kClusterApi},
      {"enableAutomaticUpdate", false},
      {"features", {{"clusterTopology", true}, {"machinePool", false}, {"clusterResourceSet", true}}}};
  part.add("manifests/infra/capi-providers.yaml", std::move(p));
}

Json namespace_object(const std::string& name, const Json& labels) {
  Json o = object("v1", "Namespace", name);
  if (!labels.empty()) o["metadata"]["labels"] = labels;
  return o;
}

void add_manifests(const Context& context, Part& part) {
  const std::string workspace = gitops_workspace(context);
  const char* spaces = "manifests/infra/namespaces.yaml";
  part.add(spaces, namespace_object(workspace, {{"cluster-api.cattle.io/rancher-auto-import", "true"}}));
  for (const char* ns : {"cert-manager", kRancher, kTurtles})
    part.add(spaces, namespace_object(ns, Json::object()));
  if (tunnel(context)) {
    part.add(spaces, namespace_object(kNgrok, Json::object()));
    Json endpoint = object("ngrok.k8s.ngrok.com/v1alpha1", "AgentEndpoint", "rancher", kRancher);
    endpoint["spec"] = {{"url", "https://" + hostname(context)},
                        {"description", "Rancher of " + context.name()},
                        {"bindings", Json::array({"public"})},
                        {"upstream", {{"url", fmt::format("http://rancher.{}:80", kRancher)}}}};
    part.add("manifests/infra/rancher-endpoint.yaml", std::move(endpoint));
  }
  add_provider(part);
  // With Fleet the class comes with the chart, so that one command brings class and applications.
  if (context.spec().text("delivery.gitops.use") != "fleet") {
    for (Json& o : cluster_class(context)) part.add("manifests/infra/capi-clusterclass.yaml", std::move(o));
  }
  for (Json& o : workload_cluster(context)) part.add("manifests/infra/capi-cluster.yaml", std::move(o));
  for (Json& o : cluster_autoscaler(context))
    part.add("manifests/infra/cluster-autoscaler.yaml", std::move(o));
}

// Settings that Rancher makes at its first start with other values; put over them by server-side apply.
void add_rancher_patches(const Context& context, Part& part) {
  const std::vector<std::pair<std::string, std::string>> settings{
      {"server-url", "https://" + hostname(context)},
      {"agent-tls-mode", "system-store"},
      {"telemetry-opt", "out"}};
  std::string text(kHead);
  bool first = true;
  for (const auto& [name, value] : settings) {
    Json o = object("management.cattle.io/v3", "Setting", name);
    o["value"] = value;
    if (!first) text += "---\n";
    first = false;
    text += text::emit_yaml(o);
  }
  part.extras.push_back({"manifests/infra/rancher/rancher-patches.yaml", std::move(text)});
  const Json kustomization{{"apiVersion", "kustomize.config.k8s.io/v1beta1"},
                           {"kind", "Kustomization"},
                           {"resources", Json::array({"rancher-patches.yaml"})}};
  part.extras.push_back(
      {"manifests/infra/rancher/kustomization.yaml", std::string(kHead) + text::emit_yaml(kustomization)});
}

void add_kind(const Context& context, Part& part) {
  const spec::Reader site = context.infrastructure();
  if (site.has("management.existing")) return;
  Json kind{{"kind", "Cluster"},
            {"apiVersion", "kind.x-k8s.io/v1alpha4"},
            {"name", site.text("management.kind.name")},
            {"nodes",
             Json::array({{{"role", "control-plane"},
                           {"image", fmt::format("docker.io/kindest/node:v{}.0", context.kubernetes())},
                           // The provider starts machines as containers beside this one.
                           {"extraMounts", Json::array({{{"hostPath", "/var/run/docker.sock"},
                                                         {"containerPath", "/var/run/docker.sock"}}})}}})}};
  part.extras.push_back(
      {"manifests/infra/kind-cluster-with-extramounts.yaml",
       std::string(kHead) +
           "# Whoever may use this node is root on this machine by Docker's socket: for development only.\n" +
           text::emit_yaml(kind)});
}

void add_sections(const Context& context, Part& part) {
  const std::string workspace = gitops_workspace(context), cluster = context.cluster_name();
  const std::string kubeconfig = workload_kubeconfig(context);
  part.sections.push_back(
      {.chapter = Section::Chapter::first_steps,
       .title = "From nothing to running models",
       .text = fmt::format(
           "Docker, kind, kubectl, helm and openssl are needed, and with a tunnel an account at ngrok with a "
           "domain "
           "(`NAME.ngrok-free.app` or your own).\n\n```sh\nexport NGROK_API_KEY=… NGROK_AUTHTOKEN=… "
           "RANCHER_HOSTNAME=…\ncd infrastructure && ./deploy_infra.sh\n```\n\nA second run changes nothing. "
           "One "
           "phase alone: `./deploy_infra.sh PHASE`, phases are: {0}.\n\nBy hand, one step after another: the "
           "managing cluster with Rancher and Turtles, the chart, then Calico's objects and the Cluster of "
           "`manifests/infra/capi-cluster.yaml`.\n\n```sh\n"
           "(cd infrastructure && ./deploy_infra.sh preflight management rancher providers)\n"
           "helm install {1} {2}/{1} --namespace {3} --set provider=docker\n"
           "(cd infrastructure && ./deploy_infra.sh cluster secrets wait)\n```\n\n"
           "`provider=docker` installs the ClusterClass and the applications, `provider=apps` the "
           "applications "
           "only.\n\nThe managing node holds Docker's socket: whoever may use it is root on this machine. "
           "For "
           "development only.\n",
           "preflight management rancher providers stack cluster secrets wait", gitops_chart(context),
           "components/85-gitops", workspace)});
  part.sections.push_back(
      {.chapter = Section::Chapter::access,
       .title = "The two clusters",
       .text = fmt::format(
           "```sh\nkubectl -n {0} get clusters,machinedeployments,machines\n"
           "KUBECONFIG=infrastructure/{1} kubectl get nodes\n"
           "KUBECONFIG=infrastructure/{1} kubectl get pods -A\n```\n\nRancher's first password:\n\n"
           "```sh\nkubectl -n cattle-system get secret bootstrap-secret -o "
           "jsonpath='{{.data.bootstrapPassword}}' | base64 -d\n```\n",
           workspace, kubeconfig)});
  if (context.component("autoscaling").text("nodes") == "cluster-autoscaler") {
    part.sections.push_back(
        {.chapter = Section::Chapter::daily,
         .title = "Watch nodes come and go",
         .text = fmt::format(
             "```sh\nkubectl -n {0} logs -f deployment/cluster-autoscaler\n"
             "kubectl -n {0} get machinedeployments -w\n```\n\nThe bounds of a pool are annotations of "
             "its machine deployment in `capi-cluster.yaml`; change them in the document. A container is "
             "not held to the size that it announces: what a pool promises must be there on this "
             "machine.\n",
             workspace)});
  }
  part.sections.push_back(
      {.chapter = Section::Chapter::troubleshooting,
       .title = "The cluster is not imported, bundles wait",
       .text = fmt::format(
           "Nodes that stay `NotReady` have no network yet: `kubectl -n {0} get clusterresourcesetbinding "
           "-o yaml` says whether Calico was applied. Agents that cannot reach Rancher: open "
           "`https://{1}/ping` from another machine. If an agent must come up before the network, set "
           "`spec.hostNetwork: true` of the Fleet cluster: `kubectl -n {0} patch clusters.fleet.cattle.io "
           "{2} --type merge --patch '{{\"spec\":{{\"hostNetwork\":true}}}}'`.\n",
           workspace, hostname(context), cluster)});
  part.sections.push_back(
      {.chapter = Section::Chapter::upgrade,
       .title = "Kubernetes of the workload cluster",
       .text = "One minor at a time: change `cluster.version`, render, `./deploy_infra.sh cluster`. "
               "Cluster API replaces the control plane first, then the pools.\n"});
}

}  // namespace

std::string workload_kubeconfig(const Context& context) {
  return fmt::format("kubeconfig-{}.yaml", context.cluster_name());
}

std::vector<Part> cluster_api(const Context& context, const std::vector<Part>& parts) {
  if (context.site() != Site::cluster_api) return {};
  const spec::Reader site = context.infrastructure();
  if (const std::string provider = site.text("provider"); provider != "docker") {
    context.refuse("cannot_render", site.at("provider"), site.where("provider"),
                   fmt::format("there is no ClusterClass for {} here", provider),
                   "write provider: docker, or infrastructure: existing with a cluster that you made");
    return {};
  }
  Part part;
  part.where = Where::infrastructure;
  part.name = "cluster-api";
  add_charts(context, part);
  add_manifests(context, part);
  add_rancher_patches(context, part);
  add_kind(context, part);
  if (tunnel(context)) {
    const auto key = site.secret("management.expose.ngrok.apiKey"),
               token = site.secret("management.expose.ngrok.authToken");
    part.secrets.push_back(
        {.name = "ngrok-operator-credentials",
         .ns = kNgrok,
         .keys = {"API_KEY", "AUTHTOKEN"},
         .from = SecretNeed::From::reference,
         .reference = fmt::format("{}, {}", key ? describe(*key) : "", token ? describe(*token) : ""),
         .why = "the tunnel to Rancher; made in the managing cluster"});
  }
  for (Extra& e : cluster_api_scripts(context, part, parts)) part.extras.push_back(std::move(e));
  part.steps.push_back(
      {.kind = "script", .what = "deploy_infra.sh", .where = "this machine", .timeout = "60m"});
  part.steps.push_back(
      {.kind = "wait", .what = "cluster/" + context.cluster_name() + " Available", .timeout = "20m"});
  add_sections(context, part);
  return {std::move(part)};
}

}  // namespace tg::render
