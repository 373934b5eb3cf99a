// deploy_infra.sh: from nothing to a cluster that Fleet fills, phase by phase. Every step looks first and
// leaves alone what is as wanted, so it may be run again at any time. The body is constant text; what differs
// between platforms stands in the variables in front of it.
#include <fmt/format.h>

#include <string_view>

#include "catalog/charts.hpp"
#include "render/component/continuous.hpp"
#include "render/component/knative.hpp"
#include "render/infrastructure/cluster_api.hpp"
#include "render/infrastructure/script.hpp"

namespace tg::render {

namespace {

constexpr std::string_view kFunctions = R"BASH(
say() { printf '\n== %s\n' "$*"; }
fail() { printf 'deploy_infra.sh: %s\n' "$1" >&2; [[ -z ${2:-} ]] || printf 'hint: %s\n' "$2" >&2; exit 1; }
# What is secret lies here for a moment; nothing of it outlives this run, however it ends.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
managing() { kubectl --context "$context" "$@"; }
workload() { kubectl --kubeconfig "$kubeconfig" "$@"; }
apply() { "$1" apply --server-side --force-conflicts --field-manager=tidegate --filename "$2"; }
# The files hold a name that cannot exist where the variable of the environment belongs.
with_hostname() { sed "s/rancher-hostname\.invalid/$rancher_hostname/g"; }

# install RELEASE NAMESPACE CHART VERSION REPOSITORY [ARGUMENT...]
install() {
  local release=$1 namespace=$2 chart=$3 version=$4 repository=$5 source
  shift 5
  source=("$chart" --repo "$repository")
  [[ $repository != oci://* ]] || source=("$repository/$chart")
  helm --kube-context "$context" upgrade --install "$release" "${source[@]}" --version "$version" \
    --namespace "$namespace" --create-namespace --values "$here/$release/values.yaml" --wait --timeout 15m "$@"
}

# until_there SECONDS WHAT...: kubectl wait refuses what does not exist yet.
until_there() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    (( SECONDS < end )) || fail "waited in vain for: $*"
    sleep 5
  done
}

# Values never stand in arguments, where every user of this machine could read them.
secret_exists() { "$1" --namespace "$2" get secret "$3" >/dev/null 2>&1; }
secret_from_folder() {
  "$1" --namespace "$2" create secret generic "$3" --from-file="$4" --dry-run=client --output yaml |
    "$1" apply --server-side --force-conflicts --field-manager=tidegate --filename -
}
secret_generated() { # NAMESPACE NAME PREFIX KEY...
  local namespace=$1 name=$2 prefix=$3 folder key
  shift 3
  if secret_exists workload "$namespace" "$name"; then return; fi
  folder=$(mktemp -d -p "$work")
  for key in "$@"; do printf '%s%s' "$prefix" "$(openssl rand -hex 16)" >"$folder/$key"; done
  secret_from_folder workload "$namespace" "$name" "$folder"
  rm -r "$folder"
}
secret_copied() { # NAMESPACE NAME FROM_NAMESPACE FROM_NAME KEY...
  local namespace=$1 name=$2 from_namespace=$3 from=$4 folder key
  shift 4
  folder=$(mktemp -d -p "$work")
  for key in "$@"; do
    workload --namespace "$from_namespace" get secret "$from" --output "jsonpath={.data.$key}" | base64 --decode >"$folder/$key"
  done
  secret_from_folder workload "$namespace" "$name" "$folder"
  rm -r "$folder"
}
secret_given() { # NAMESPACE NAME KEY VARIABLE
  local folder
  if [[ -z ${!4:-} ]]; then
    secret_exists workload "$1" "$2" || printf 'secret %s/%s is not there: export %s and run this phase again\n' "$1" "$2" "$4" >&2
    return
  fi
  folder=$(mktemp -d -p "$work")
  printf '%s' "${!4}" >"$folder/$3"
  secret_from_folder workload "$1" "$2" "$folder"
  rm -r "$folder"
}
secret_wanted() { # NAMESPACE NAME KEY
  if secret_exists workload "$1" "$2"; then return; fi
  printf 'secret %s/%s is not there; what needs it waits. Make it with:\n  kubectl --kubeconfig %s -n %s create secret generic %s --from-file=%s=FILE\n' \
    "$1" "$2" "$kubeconfig" "$1" "$2" "$3" >&2
}
)BASH";

constexpr std::string_view kPreflight = R"BASH(
preflight() {
  local tool missing=() client
  for tool in "${tools[@]}"; do command -v "$tool" >/dev/null || missing+=("$tool"); done
  (( ${#missing[@]} == 0 )) || fail "not installed: ${missing[*]}" "docker, kind, kubectl, helm and openssl are needed"
  docker info >/dev/null 2>&1 || fail "Docker does not answer" "start it, and add yourself to the group docker"
  # kubectl works with servers one minor older or newer.
  client=$(kubectl version --client --output json | sed -nE 's/.*"minor": "([0-9]+).*/\1/p' | head -n 1)
  (( client >= ${kubernetes#1.} - 1 && client <= ${kubernetes#1.} + 1 )) ||
    fail "kubectl 1.$client does not fit Kubernetes $kubernetes" "install kubectl $kubernetes"
  for variable in "${variables[@]}"; do
    [[ -n ${!variable:-} ]] || fail "$variable is not set" "export $variable=…"
  done
  [[ $rancher_hostname =~ ^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$ ]] ||
    fail "'$rancher_hostname' is not a host name" "write it without https:// and without a path"
  [[ $rancher_hostname != *.ngrok.io ]] || printf 'names below ngrok.io are no longer given out; use NAME.ngrok-free.app or your own\n' >&2
  [[ $management =~ ^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$ ]] || fail "'$management' cannot be the name of a cluster"
  if [[ -r /proc/sys/fs/inotify/max_user_instances ]] && (( $(</proc/sys/fs/inotify/max_user_instances) < 512 )); then
    printf 'nodes in containers need more watches: sudo sysctl fs.inotify.max_user_instances=1024 fs.inotify.max_user_watches=524288\n' >&2
  fi
}
)BASH";

constexpr std::string_view kProviders = R"BASH(
providers() {
  say "Turtles and the providers of Cluster API"
  # Turtles and Cluster API come with Rancher; its chart of providers needs their types.
  until_there 600 managing get crd capiproviders.turtles-capi.cattle.io
  managing --namespace cattle-turtles-system rollout status deployment/rancher-turtles-controller-manager --timeout=10m
  install_providers
  apply managing "$here/manifests/infra/capi-providers.yaml"
  managing wait capiproviders.turtles-capi.cattle.io --all --all-namespaces --for=condition=Ready --timeout=15m
  until_there 600 managing get crd clusterclasses.cluster.x-k8s.io dockerclustertemplates.infrastructure.cluster.x-k8s.io
}
)BASH";

constexpr std::string_view kCluster = R"BASH(
# Calico from its chart, as a ConfigMap that Cluster API applies as soon as the API server answers: without a
# network neither Rancher's nor Fleet's agent could start.
network() {
  local folder size
  folder=$(mktemp -d -p "$work")
  calico_chart >"$folder/calico.yaml"
  size=$(stat --format %s "$folder/calico.yaml")
  (( size <= 900 * 1024 )) || fail "Calico's objects have $((size / 1024)) KiB, a ConfigMap of a ClusterResourceSet takes 900"
  managing --namespace "$workspace" create configmap calico --from-file="$folder/calico.yaml" --dry-run=client --output yaml |
    managing apply --server-side --force-conflicts --field-manager=tidegate --filename -
  rm -r "$folder"
}

# The address of the API server inside Docker's network is of no use to this machine.
write_kubeconfig() {
  local port temporary
  until_there 900 managing --namespace "$workspace" get secret "$cluster-kubeconfig"
  temporary=$(mktemp -p "$work")
  managing --namespace "$workspace" get secret "$cluster-kubeconfig" --output 'jsonpath={.data.value}' | base64 --decode >"$temporary"
  until_there 300 docker port "$cluster-lb" 6443/tcp
  port=$(docker port "$cluster-lb" 6443/tcp | head -n 1)
  kubectl --kubeconfig "$temporary" config set-cluster "$cluster" --server="https://127.0.0.1:${port##*:}" >/dev/null
  chmod 600 "$temporary"
  mv "$temporary" "$kubeconfig"
}

cluster() {
  say "Workload cluster $cluster"
  network
  apply managing "$here/manifests/infra/capi-cluster.yaml"
  write_kubeconfig
  managing --namespace "$workspace" wait "clusters.cluster.x-k8s.io/$cluster" --for=condition=ControlPlaneInitialized --timeout=20m
  until_there 900 workload get --raw /readyz
  # One of them alone is larger than a ConfigMap may be. Cluster API tries the rest again until they are there.
  calico_definitions | apply workload -
  workload wait nodes --all --for=condition=Ready --timeout=15m
  autoscaler
}
)BASH";

constexpr std::string_view kWait = R"BASH(
status() {
  managing --namespace "$workspace" get clusters.cluster.x-k8s.io,machinedeployments,machines
  managing get bundles -A
  managing get bundledeployments -A
}

wait_for_all() {
  say "Import and delivery"
  # Turtles makes the cluster known to Rancher, the Fleet add-on to Fleet.
  until_there 900 managing --namespace "$workspace" get "clusters.fleet.cattle.io/$cluster"
  managing --namespace "$workspace" wait "clusters.fleet.cattle.io/$cluster" --for=condition=Ready --timeout=30m
  managing --namespace "$workspace" wait bundles --all --for=condition=Ready --timeout=30m
  status
  printf '\nkubeconfig: %s\nports of this machine: %s/portforward.sh\n' "$kubeconfig" "$here"
}
)BASH";

std::string install_line(const Release& r, std::string_view more = {}) {
  const catalog::Chart& c = catalog::chart(r.chart);
  const std::string version =
      r.chart == "rancher" ? std::string("\"$rancher_version\"") : std::string(c.version);
  return fmt::format("  install {} {} {} {} {}{}\n", r.release, r.ns, c.name, version, c.repository, more);
}

std::string install_of(const Part& part, std::string_view release, std::string_view more = {}) {
  for (const Release& r : part.releases) {
    if (r.release == release) return install_line(r, more);
  }
  return {};
}

// What the user gave for a field, as the shell sees it.
std::string value_of(const spec::Given& given) {
  return given.env.empty() ? shell_word(given.text) : "${" + given.env + ":-}";
}

std::string head(const Context& context) {
  const spec::Reader site = context.infrastructure();
  const bool existing = site.has("management.existing");
  const spec::Given hostname = site.given("management.rancher.hostname");
  const spec::Given version = site.given("management.rancher.version");
  std::vector<std::string> variables, tools{"docker", "kubectl", "helm", "openssl"};
  if (!existing) tools.insert(tools.begin() + 1, "kind");
  for (const char* path : {"management.expose.ngrok.apiKey", "management.expose.ngrok.authToken"}) {
    const auto s = site.secret(path);
    if (s && s->how == spec::SecretRef::How::env) variables.push_back(s->name);
  }
  if (!hostname.env.empty()) variables.push_back(hostname.env);
  std::string out =
      "#!/usr/bin/env bash\n# Written by tidegate render. Change the document, not this file.\n"
      "# Makes the managing cluster, the workload cluster and all that Fleet brings to it. May be run "
      "again.\n"
      "# usage: ./deploy_infra.sh "
      "[preflight|management|rancher|providers|stack|cluster|secrets|wait|status]...\n"
      "set -euo pipefail\n"
      "here=$(cd \"$(dirname \"${BASH_SOURCE[0]}\")\" && pwd)\n\n";
  out += fmt::format("management=${{CLUSTER_NAME:-{}}}\n", shell_word(site.text("management.kind.name")));
  out += existing ? fmt::format("context={}\n", shell_word(site.text("management.existing.context")))
                  : std::string("context=kind-$management\n");
  out += fmt::format("rancher_hostname={}\n", value_of(hostname));
  const std::string pinned(version.text.empty() ? catalog::chart("rancher").version
                                                : std::string_view(version.text));
  out += fmt::format("rancher_version=${{RANCHER_VERSION:-{}}}\nrancher_version=${{rancher_version#v}}\n",
                     pinned);
  out += fmt::format("kubernetes={}\nworkspace={}\ncluster={}\nchart={}\n", context.kubernetes(),
                     gitops_workspace(context), context.cluster_name(), gitops_chart(context));
  out += fmt::format("kubeconfig=$here/{}\ntree=$(dirname \"$here\")\n", workload_kubeconfig(context));
  out += fmt::format("tools={}\nvariables={}\n", shell_list(tools), shell_list(variables));
  return out;
}

std::string management(const Context& context, const Part& part) {
  std::string out = "\nmanagement() {\n  say \"Managing cluster $management\"\n";
  if (!context.infrastructure().has("management.existing")) {
    out +=
        "  kind get clusters 2>/dev/null | grep --quiet --line-regexp \"$management\" ||\n"
        "    kind create cluster --name \"$management\" --config "
        "\"$here/manifests/infra/kind-cluster-with-extramounts.yaml\" --wait 5m\n";
  }
  out += "  apply managing \"$here/manifests/infra/namespaces.yaml\"\n";
  out += install_of(part, "cert-manager");
  return out + "}\n";
}

std::string rancher(const Context& context, const Part& part) {
  const spec::Reader site = context.infrastructure();
  std::string out = "\nrancher() {\n";
  if (site.has("management.expose.ngrok")) {
    out += "  local folder\n  say \"Tunnel to $rancher_hostname\"\n  folder=$(mktemp -d -p \"$work\")\n";
    const auto line = [&](const char* path, const char* key) {
      const auto s = site.secret(path);
      if (!s) return std::string();
      if (s->how == spec::SecretRef::How::file)
        return fmt::format("  tr --delete '\\n' <{} >\"$folder/{}\"\n", shell_word(s->name), key);
      return fmt::format("  printf '%s' \"${{{}:-}}\" >\"$folder/{}\"\n", s->name, key);
    };
    out += line("management.expose.ngrok.apiKey", "API_KEY");
    out += line("management.expose.ngrok.authToken", "AUTHTOKEN");
    out +=
        "  secret_from_folder managing ngrok-operator ngrok-operator-credentials \"$folder\"\n"
        "  rm -r \"$folder\"\n";
    out += install_of(part, "ngrok-operator");
  }
  out += "  say \"Rancher $rancher_version\"\n";
  out += install_of(part, "rancher", " --set-string hostname=\"$rancher_hostname\"");
  if (site.has("management.expose.ngrok")) {
    out +=
        "  with_hostname <\"$here/manifests/infra/rancher-endpoint.yaml\" |\n"
        "    managing apply --server-side --force-conflicts --field-manager=tidegate --filename -\n";
  }
  out +=
      "  until_there 600 managing get settings.management.cattle.io/server-url\n"
      "  kubectl kustomize \"$here/manifests/infra/rancher\" | with_hostname |\n"
      "    managing apply --server-side --force-conflicts --field-manager=tidegate --filename -\n"
      "}\n";
  return out;
}

std::string stack(const Context& context) {
  std::string out = "\nstack() {\n  say \"Chart $chart\"\n";
  if (context.spec().text("delivery.gitops.use") == "fleet") {
    out +=
        "  helm --kube-context \"$context\" upgrade --install \"$chart\" "
        "\"$tree/components/85-gitops/$chart\" \\\n"
        "    --namespace \"$workspace\" --set provider=docker --wait --timeout 5m\n";
  } else {
    out += "  apply managing \"$here/manifests/infra/capi-clusterclass.yaml\"\n";
  }
  return out + "}\n";
}

std::string network(const std::vector<Part>& parts) {
  std::string out;
  for (const Part& p : parts) {
    if (p.name != "network") continue;
    for (const Definitions& d : p.definitions) {
      const catalog::Chart& c = catalog::chart(d.chart);
      out += fmt::format(
          "\ncalico_definitions() {{\n  helm template definitions {} --repo {} --version {}\n}}\n", c.name,
          c.repository, c.version);
    }
    for (const Release& r : p.releases) {
      const catalog::Chart& c = catalog::chart(r.chart);
      out += fmt::format(
          "\ncalico_chart() {{\n  helm template {} {} --repo {} --version {} --namespace {} \\\n"
          "    --values \"$tree/{}/{}/values.yaml\"\n}}\n",
          r.release, c.name, c.repository, c.version, r.ns, p.folder(), r.release);
    }
  }
  return out;
}

std::string autoscaler(const Context& context) {
  if (cluster_autoscaler(context).empty()) return "\nautoscaler() { :; }\n";
  return "\nautoscaler() {\n"
         "  apply managing \"$here/manifests/infra/cluster-autoscaler.yaml\"\n"
         "  managing --namespace \"$workspace\" rollout status deployment/cluster-autoscaler "
         "--timeout=5m\n}\n";
}

// Generated ones first: copies come after what they copy.
std::string secrets(const std::vector<Part>& parts) {
  std::string made, copied, given;
  constexpr std::string_view kCopy = "copy of ", kEnv = "env ";
  for (const Part& p : parts) {
    for (const SecretNeed& s : p.secrets) {
      if (p.where == Where::infrastructure) continue;
      std::string keys;
      for (const std::string& k : s.keys) keys += " " + shell_word(k);
      const std::string ref = s.reference;
      if (s.from == SecretNeed::From::generated) {
        made += fmt::format("  secret_generated {} {} {}{}\n", s.ns, s.name,
                            s.name == kLiteLlmKey ? "sk-" : "''", keys);
      } else if (ref.starts_with(kCopy)) {
        const std::string from = ref.substr(kCopy.size());
        const std::size_t slash = from.find('/');
        copied += fmt::format("  secret_copied {} {} {} {}{}\n", s.ns, s.name, from.substr(0, slash),
                              from.substr(slash + 1), keys);
      } else if (ref.starts_with(kEnv)) {
        given += fmt::format("  secret_given {} {}{} {}\n", s.ns, s.name, keys, ref.substr(kEnv.size()));
      } else {
        given += fmt::format("  secret_wanted {} {}{}\n", s.ns, s.name, keys);
      }
    }
  }
  std::string out = "\nsecrets() {\n  say \"Secrets\"\n";
  for (const Part& p : parts) {
    if (p.name == "namespaces")
      out += fmt::format("  apply workload \"$tree/{}/{}\"\n", p.folder(), p.manifests.front().file);
  }
  return out + made + copied + given + "}\n";
}

constexpr std::string_view kMain = R"BASH(
phases=("$@")
(( $# )) || phases=(preflight management rancher providers stack cluster secrets wait)
for phase in "${phases[@]}"; do
  case $phase in
    preflight | management | rancher | providers | stack | cluster | secrets | status) "$phase" ;;
    wait) wait_for_all ;;
    *) fail "no phase $phase" "phases are: preflight management rancher providers stack cluster secrets wait status" ;;
  esac
done
)BASH";

}  // namespace

std::vector<Extra> cluster_api_scripts(const Context& context, const Part& part,
                                       const std::vector<Part>& parts) {
  std::string text = head(context);
  text += kFunctions;
  text += kPreflight;
  text += management(context, part);
  text += rancher(context, part);
  text += "\ninstall_providers() {\n" + install_of(part, "rancher-turtles-providers") + "}\n";
  text += kProviders;
  text += stack(context);
  text += network(parts);
  text += autoscaler(context);
  text += kCluster;
  text += secrets(parts);
  text += kWait;
  text += kMain;
  return {{.path = "deploy_infra.sh", .content = std::move(text), .executable = true}};
}

}  // namespace tg::render
