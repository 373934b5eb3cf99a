// Machines with k3s: one pinned binary, its settings as files, and what a small machine needs.
#include <fmt/format.h>

#include "catalog/releases.hpp"
#include "render/infrastructure/api_server.hpp"
#include "render/infrastructure/copies.hpp"
#include "render/infrastructure/hosts.hpp"
#include "render/infrastructure/infrastructure.hpp"
#include "render/infrastructure/kubelet.hpp"
#include "render/infrastructure/runbook.hpp"
#include "render/infrastructure/script.hpp"
#include "text/emit.hpp"

namespace tg::render {

namespace {

constexpr std::string_view kEtc = "/etc/rancher/k3s";
constexpr std::string_view kData = "/var/lib/rancher/k3s";

constexpr std::string_view kInstall = R"sh(
# The checksum of the binary. Empty: the list of checksums that the release publishes decides.
INSTALL_K3S_SHA256=${INSTALL_K3S_SHA256:-}

as_root
host=$(this_host "${1:-}")
case $(uname -m) in
  x86_64) asset=k3s sums=sha256sum-amd64.txt ;;
  aarch64) asset=k3s-arm64 sums=sha256sum-arm64.txt ;;
  *) die "k3s has no release for $(uname -m)" ;;
esac
service=k3s
if [[ ${role[$host]} == agent ]]; then service=k3s-agent; fi

# The binary itself, checked; no program from the internet is run to install it.
release=https://github.com/k3s-io/k3s/releases/download/${INSTALL_K3S_VERSION/+/%2B}
have=
if [[ -x /usr/local/bin/k3s ]]; then have=$(/usr/local/bin/k3s --version | awk 'NR == 1 {print $3}'); fi
if [[ $have != "$INSTALL_K3S_VERSION" ]]; then
  want=$INSTALL_K3S_SHA256
  if [[ -z $want ]]; then
    fetch "$release/$sums" "$work/sums"
    want=$(awk -v name="$asset" '$2 == name {print $1}' "$work/sums")
  fi
  [[ $want =~ ^[0-9a-f]{64}$ ]] || die "no SHA-256 of $asset $INSTALL_K3S_VERSION"
  fetch "$release/$asset" "$work/k3s"
  printf '%s  %s\n' "$want" "$work/k3s" | sha256sum --check --quiet - ||
    die "$asset $INSTALL_K3S_VERSION is not what its release says: nothing was installed"
  put "$work/k3s" /usr/local/bin/k3s 0755
fi
for name in kubectl crictl ctr; do
  if [[ $(readlink "/usr/local/bin/$name" || true) != k3s ]]; then ln -sfn k3s "/usr/local/bin/$name"; fi
done

# The secret with which machines join is made on the first server and never leaves root's hands.
if [[ $host == "${servers[0]}" && ! -s /etc/rancher/k3s/token ]]; then
  (umask 077; head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >/etc/rancher/k3s/token)
fi
if [[ -f /etc/rancher/k3s/token ]]; then chmod 0600 /etc/rancher/k3s/token; fi
[[ -s /etc/rancher/k3s/token ]] || die "no token: run.sh brings it from ${servers[0]}"
if [[ ${role[$host]} == server ]]; then install -d -m 0700 /var/lib/rancher/k3s/server; fi

enable_service "$service.service"
# What was written since the process began counts, by this run or another.
newest=$(find /etc/rancher/k3s /usr/local/bin/k3s "/etc/systemd/system/$service.service" -type f ! -name k3s.yaml \
  -printf '%T@\n' | sort -n | tail -1)
if booted; then
  started=$(date -d "$(systemctl show --property ActiveEnterTimestamp --value "$service.service")" +%s)
  if (( ${newest%.*} > started )); then restart_service "$service.service"; fi
fi
if [[ ${role[$host]} == server ]]; then
  enable_service k3s-copy.timer
  if booted; then wait_for 300 /usr/local/bin/k3s kubectl get --raw /readyz; fi
fi
if booted && [[ ${role[$host]} == server ]]; then
  # Ready it becomes with its network, which may be a chart of its own.
  wait_for 300 /usr/local/bin/k3s kubectl get node "$host"
fi
say "$service $INSTALL_K3S_VERSION runs on $host"
)sh";

// A copy of SQLite while it is in use, with the keys without which it cannot be read.
constexpr std::string_view kCopy = R"sh(set -euo pipefail
umask 077
place=/var/backups/k3s
data=/var/lib/rancher/k3s/server
mkdir -p "$place"
scratch=$(mktemp -d "$place/.new.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
if [[ -f $data/db/state.db ]]; then
  sqlite3 "$data/db/state.db" ".timeout 30000" ".backup '$scratch/state.db'"
  [[ $(sqlite3 "$scratch/state.db" 'PRAGMA quick_check') == ok ]] || { echo 'the copy is damaged' >&2; exit 1; }
else
  k3s etcd-snapshot save --name copy --dir "$scratch" >/dev/null
fi
file=$place/k3s-$(date -u +%Y%m%dT%H%M%SZ).tar.gz
tar --create --gzip --file "$scratch/copy.tar.gz" --directory "$scratch" --exclude copy.tar.gz . --directory "$data" token tls cred
mv "$scratch/copy.tar.gz" "$file"
# The oldest beyond the number that is kept.
find "$place" -maxdepth 1 -name 'k3s-*.tar.gz' -printf '%f\n' | sort -r | tail -n "+$((keep + 1))" |
  while read -r old; do rm -f "$place/$old"; done
if [[ -x /usr/local/sbin/upload-copy ]]; then /usr/local/sbin/upload-copy "$file"; fi
)sh";

constexpr std::string_view kSteps = R"sh(
step prepare prepare.sh "${all[@]}"
step servers k3s.sh "${servers[0]}"
for target in "${servers[@]:1}" "${agents[@]}"; do
  on "${servers[0]}" 'cat /etc/rancher/k3s/token' |
    on "$target" "sh -c 'umask 077; mkdir -p /etc/rancher/k3s; cat >/etc/rancher/k3s/token'"
done
step servers k3s.sh "${servers[@]:1}"
step agents k3s.sh "${agents[@]}"
if (( ! ${#wanted[@]} )) || [[ " ${wanted[*]} " == *" kubeconfig "* ]]; then
  (umask 077; on "${servers[0]}" "$place/kubeconfig.sh $(id -un)" >"$platform.kubeconfig")
  say "wrote $platform.kubeconfig; it is good for $kubeconfig_hours hours"
fi
)sh";

bool several_servers(const std::vector<Host>& all) { return with_role(all, "server").size() > 1; }

std::string plugin(const Context& context) {
  const std::string written = context.spec().text("cluster.networks.plugin");
  return written.empty() ? "flannel" : written;
}

Json server_config(const Context& context, const std::vector<Host>& all) {
  const spec::Reader& spec = context.spec();
  const spec::Reader networks = spec.sub("cluster.networks");
  Json out{{"write-kubeconfig-mode", "0600"},
           {"cluster-cidr", context.pod_cidr()},
           {"service-cidr", context.service_cidr()},
           {"cluster-domain", networks.text("domain")},
           {"secrets-encryption", true},
           {"protect-kernel-defaults", true}};
  const std::string provider = spec.text("cluster.encryptionAtRest.provider");
  out["secrets-encryption-provider"] = provider.empty() ? "secretbox" : provider;
  if (plugin(context) == "flannel") {
    // Between machines that may be anywhere, pods talk in a tunnel that is encrypted.
    out["flannel-backend"] = all.size() > 1 ? "wireguard-native" : "vxlan";
  } else {
    out["flannel-backend"] = "none";
    out["disable-network-policy"] = true;
  }
  Json disable = Json::array();
  if (context.use("gateway") != "traefik") disable.push_back("traefik");
  if (context.use("gateway") == "none") disable.push_back("servicelb");
  if (!disable.empty()) out["disable"] = std::move(disable);
  Json names = Json::array();
  const Endpoint api = endpoint(context, all);
  names.push_back(api.host);
  for (const Host& h : with_role(all, "server")) {
    if (h.name != api.host) names.push_back(h.name);
    if (h.address != api.host) names.push_back(h.address);
  }
  out["tls-san"] = std::move(names);
  Json api_args = Json::array({"profiling=false"});
  if (!authentication_configuration(context, false).is_null())
    api_args.push_back(fmt::format("authentication-config={}/authentication.yaml", kEtc));
  if (!audit_policy(context).is_null()) {
    api_args.push_back(fmt::format("audit-policy-file={}/audit-policy.yaml", kEtc));
    api_args.push_back(fmt::format("audit-log-path={}/server/logs/audit.log", kData));
    api_args.push_back("audit-log-maxage=30");
    api_args.push_back(fmt::format("audit-log-maxbackup={}", context.small() ? 3 : 10));
    api_args.push_back(fmt::format("audit-log-maxsize={}", context.small() ? 20 : 100));
  }
  api_args.push_back("enable-admission-plugins=NodeRestriction,ExtendedResourceToleration");
  out["kube-apiserver-arg"] = std::move(api_args);
  out["kube-controller-manager-arg"] = Json::array({"profiling=false", "terminated-pod-gc-threshold=100"});
  out["kube-scheduler-arg"] = Json::array({"profiling=false"});
  if (several_servers(all)) {
    const int hours = static_cast<int>(spec.seconds("cluster.etcd.compaction") / 60);
    out["etcd-arg"] =
        Json::array({"auto-compaction-mode=periodic", fmt::format("auto-compaction-retention={}m", hours)});
    out["etcd-disable-snapshots"] = true;  // k3s-copy makes them, and sends them away
  }
  return out;
}

Json node_config(const Context& context, const std::vector<Host>& all, const Host& host) {
  Json out{{"node-name", host.name}, {"node-ip", host.address}};
  const std::vector<Host> servers = with_role(all, "server");
  out["token-file"] = fmt::format("{}/token", kEtc);
  if (servers.front().name != host.name) {
    out["server"] = fmt::format("https://{}:6443", servers.front().address);
  } else if (servers.size() > 1) {
    out["cluster-init"] = true;
  }
  if (host.pool.empty()) return out;
  const Placement placement = context.pool_placement(host.pool);
  Json labels = Json::array(), taints = Json::array();
  for (const auto& [key, value] : placement.node_selector) labels.push_back(fmt::format("{}={}", key, value));
  for (const std::string& t : pool_taints(context, host.pool)) taints.push_back(t);
  if (!labels.empty()) out["node-label"] = std::move(labels);
  if (!taints.empty()) out["node-taint"] = std::move(taints);
  return out;
}

// The Traefik that k3s brings, with what this platform wants of it.
Json traefik(const Context& context) {
  Json values{{"deployment", {{"replicas", context.replicas("k3s", "traefik")}}},
              {"providers",
               {{"kubernetesGateway", {{"enabled", true}}},
                {"kubernetesIngress", {{"enabled", false}}},
                {"kubernetesCRD", {{"enabled", true}}}}},
              // Gateways are made with the routes.
              {"gateway", {{"enabled", false}}},
              {"gatewayClass", {{"enabled", true}, {"name", "traefik"}}},
              // Local keeps the client's address.
              {"service", {{"spec", {{"type", "LoadBalancer"}, {"externalTrafficPolicy", "Local"}}}}},
              {"global", {{"checkNewVersion", false}, {"sendAnonymousUsage", false}}},
              {"resources", to_json(context.size("k3s", "traefik"))}};
  Json out = object("helm.cattle.io/v1", "HelmChartConfig", "traefik", "kube-system");
  out["spec"] = {{"valuesContent", text::emit_yaml(values)}};
  return out;
}

Extra unit(std::string_view name, std::string_view word) {
  return settings(fmt::format("files/{0}/etc/systemd/system/{1}.service", word, name),
                  "The process of k3s; its settings are in /etc/rancher/k3s.",
                  fmt::format("[Unit]\n"
                              "Description=Lightweight Kubernetes ({0})\n"
                              "Documentation=https://k3s.io\n"
                              "Wants=network-online.target\n"
                              "After=network-online.target tidegate-firewall.service\n"
                              "\n"
                              "[Service]\n"
                              "Type={1}\n"
                              "ExecStartPre=-/sbin/modprobe br_netfilter\n"
                              "ExecStartPre=-/sbin/modprobe overlay\n"
                              "ExecStart=/usr/local/bin/k3s {0}\n"
                              "KillMode=process\n"
                              "Delegate=yes\n"
                              "LimitNOFILE=1048576\n"
                              "LimitNPROC=infinity\n"
                              "LimitCORE=infinity\n"
                              "TasksMax=infinity\n"
                              "TimeoutStartSec=0\n"
                              "Restart=always\n"
                              "RestartSec=5s\n"
                              "\n"
                              "[Install]\n"
                              "WantedBy=multi-user.target\n",
                              word, word == "server" ? "notify" : "exec"));
}

void add_copies(const Context& context, Part& part) {
  const spec::Reader snapshots = context.spec().sub("cluster.etcd.snapshots");
  const std::string when = calendar(snapshots.text("schedule"));
  if (when.empty()) {
    context.refuse("cannot_render", snapshots.at("schedule"), snapshots.where("schedule"),
                   "a day of the month and of the week together cannot be scheduled on a host",
                   "name one of them and write * for the other");
  }
  Timed copy{
      .name = "k3s-copy", .description = "Copy of the cluster's store", .calendar = when, .folder = "server"};
  copy.program = fmt::format(
      "#!/usr/bin/env bash\n# Written by tidegate render. Change the document, not this file.\n"
      "# A copy of the store of k3s and of the keys that belong to it.\nkeep={}\n{}",
      snapshots.integer("keep"), kCopy);
  for (Extra& e : timed(copy)) part.extras.push_back(std::move(e));
  Upload up = upload(context, "/usr/local/bin/k3s kubectl", "k3s");
  if (up.program.empty()) return;
  part.extras.push_back(
      {.path = "files/server/usr/local/sbin/upload-copy", .content = up.program, .executable = true});
  for (SecretNeed& s : up.secrets) part.secrets.push_back(std::move(s));
}

}  // namespace

std::vector<Part> k3s(const Context& context) {
  if (context.site() != Site::k3s) return {};
  Part part;
  part.where = Where::infrastructure;
  part.name = "k3s";
  const std::vector<Host> all = hosts(context);
  const std::vector<Host> servers = with_role(all, "server"), agents = with_role(all, "agent");
  if (servers.empty()) {
    const spec::Reader site = context.infrastructure();
    context.refuse("cannot_render", site.at("hosts"), site.where("hosts"), "no host is a server",
                   "write role: server at one of the hosts, or at three");
    return {};
  }
  if (servers.size() % 2 == 0) {
    const spec::Reader site = context.infrastructure();
    context.refuse("cannot_render", site.at("hosts"), site.where("hosts"),
                   fmt::format("{} servers stand still as soon as one is gone: more than half must agree",
                               servers.size()),
                   "take one, three or five");
  }
  const catalog::Kubernetes* release = catalog::kubernetes(context.kubernetes());
  if (release == nullptr) return {};
  add_host_base(context, all, part);
  part.extras.push_back(
      script("k3s.sh",
             "Servers and agents: k3s in the pinned release, from files and a checked binary.\n"
             "Usage: k3s.sh [HOST], as root, after prepare.sh.",
             fmt::format("INSTALL_K3S_VERSION={}\n", release->k3s) + std::string(kInstall).substr(1)));
  part.extras.push_back(script_kubeconfig());
  part.extras.push_back(script_run(std::string(kSteps).substr(1)));
  const std::string server = fmt::format("files/server{}", kEtc);
  part.extras.push_back(
      yaml_settings(server + "/config.yaml", "Settings of every server.", server_config(context, all)));
  if (Json login = authentication_configuration(context, false); !login.is_null())
    part.extras.push_back(
        yaml_settings(server + "/authentication.yaml", "Who may log in by a token from outside.", login));
  if (Json policy = audit_policy(context); !policy.is_null())
    part.extras.push_back(
        yaml_settings(server + "/audit-policy.yaml", "What the API server writes down.", policy));
  for (const Host& h : all) {
    part.extras.push_back(yaml_settings(fmt::format("files/hosts/{}{}/config.yaml.d/node.yaml", h.name, kEtc),
                                        "What only this node has.", node_config(context, all, h)));
    Json kubelet = kubelet_configuration(context);
    kubelet.erase("cgroupDriver");  // k3s knows that of its containerd
    kubelet.update(kubelet_reserves(context, h));
    part.extras.push_back(yaml_settings(
        fmt::format("files/hosts/{}{}/agent/etc/kubelet.conf.d/50-platform.conf", h.name, kData),
        "Merged over the settings that k3s gives its kubelet.", kubelet));
  }
  part.extras.push_back(unit("k3s", "server"));
  if (!agents.empty()) part.extras.push_back(unit("k3s-agent", "agent"));
  if (context.use("gateway") == "traefik") {
    part.extras.push_back(
        yaml_settings(fmt::format("files/server{}/server/manifests/traefik-config.yaml", kData),
                      "Values for the Traefik that k3s installs.", traefik(context)));
  }
  add_copies(context, part);
  add_operators(part);
  const auto names_of = [](const std::vector<Host>& some) {
    std::string out;
    for (const Host& h : some) out += (out.empty() ? "" : ",") + h.name;
    return out;
  };
  const auto step = [&part](std::string_view name, std::string where, std::string_view timeout) {
    part.steps.push_back({.kind = "script",
                          .what = fmt::format("run.sh {}", name),
                          .where = std::move(where),
                          .timeout = std::string(timeout)});
  };
  step("prepare", names_of(all), "20m");
  step("servers", names_of(servers), "15m");
  if (!agents.empty()) step("agents", names_of(agents), "15m");
  part.steps.push_back({.kind = "kubeconfig", .what = "run.sh kubeconfig", .where = servers.front().name});
  part.steps.push_back({.kind = "wait", .what = "nodes Ready", .timeout = "10m"});
  for (Section& s : k3s_sections(context, all)) part.sections.push_back(std::move(s));
  return {std::move(part)};
}

}  // namespace tg::render
