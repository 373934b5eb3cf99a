// Settings for kubeadm, the API version of which is v1beta4: arguments are lists of name and value.
#include <fmt/format.h>

#include "catalog/releases.hpp"
#include "render/infrastructure/api_server.hpp"
#include "render/infrastructure/kubelet.hpp"
#include "render/infrastructure/machines.hpp"

namespace tg::render {

namespace {

constexpr std::string_view kApi = "kubeadm.k8s.io/v1beta4";
constexpr std::string_view kSocket = "unix:///run/containerd/containerd.sock";

Json config(std::string_view kind) { return {{"apiVersion", kApi}, {"kind", kind}}; }

Json argument(std::string_view name, std::string_view value) { return {{"name", name}, {"value", value}}; }

Json volume(std::string_view name, std::string_view path, bool writable) {
  return {{"name", name},
          {"hostPath", path},
          {"mountPath", path},
          {"readOnly", !writable},
          {"pathType", "DirectoryOrCreate"}};
}

Json api_server(const Context& context, const std::vector<Host>& all) {
  Json args = Json::array();
  args.push_back(argument("authentication-config", "/etc/kubernetes/authentication/config.yaml"));
  args.push_back(argument("enable-admission-plugins", "NodeRestriction,ExtendedResourceToleration"));
  args.push_back(argument("encryption-provider-config", "/etc/kubernetes/encryption/config.yaml"));
  args.push_back(argument("kubelet-certificate-authority", "/etc/kubernetes/pki/ca.crt"));
  args.push_back(argument("profiling", "false"));
  Json volumes = Json::array({volume("authentication", "/etc/kubernetes/authentication", false),
                              volume("encryption", "/etc/kubernetes/encryption", false)});
  if (!audit_policy(context).is_null()) {
    args.push_back(argument("audit-policy-file", "/etc/kubernetes/audit/policy.yaml"));
    args.push_back(argument("audit-log-path", "/var/log/kubernetes/audit/audit.log"));
    args.push_back(argument("audit-log-maxage", "30"));
    args.push_back(argument("audit-log-maxbackup", "10"));
    args.push_back(argument("audit-log-maxsize", "100"));
    volumes.push_back(volume("audit", "/etc/kubernetes/audit", false));
    volumes.push_back(volume("audit-log", "/var/log/kubernetes/audit", true));
  }
  Json names = Json::array();
  const Endpoint api = endpoint(context, all);
  names.push_back(api.host);
  if (!api.address.empty()) names.push_back(api.address);
  for (const Host& h : all) {
    if (h.role == "worker") continue;
    for (const std::string& n : {h.name, h.address}) {
      if (n != api.host && n != api.address) names.push_back(n);
    }
  }
  return {
      {"extraArgs", std::move(args)}, {"extraVolumes", std::move(volumes)}, {"certSANs", std::move(names)}};
}

Json cluster(const Context& context, const std::vector<Host>& all) {
  const spec::Reader& spec = context.spec();
  const catalog::Kubernetes* release = catalog::kubernetes(context.kubernetes());
  Json out = config("ClusterConfiguration");
  out["clusterName"] = context.cluster_name();
  out["kubernetesVersion"] = fmt::format("v{}", release == nullptr ? std::string_view{} : release->patch);
  out["controlPlaneEndpoint"] = endpoint(context, all).text();
  out["networking"] = {{"podSubnet", context.pod_cidr()},
                       {"serviceSubnet", context.service_cidr()},
                       {"dnsDomain", spec.text("cluster.networks.domain")}};
  out["apiServer"] = api_server(context, all);
  // Prometheus reads both; they ask for a login.
  out["controllerManager"] = {
      {"extraArgs", Json::array({argument("bind-address", "0.0.0.0"), argument("profiling", "false"),
                                 argument("terminated-pod-gc-threshold", "1000")})}};
  out["scheduler"] = {
      {"extraArgs", Json::array({argument("bind-address", "0.0.0.0"), argument("profiling", "false")})}};
  const auto minutes = static_cast<int>(spec.seconds("cluster.etcd.compaction") / 60);
  out["etcd"] = {{"local",
                  {{"dataDir", "/var/lib/etcd"},
                   {"extraArgs",
                    Json::array({argument("auto-compaction-mode", "periodic"),
                                 argument("auto-compaction-retention", minutes % 60 == 0
                                                                           ? fmt::format("{}h", minutes / 60)
                                                                           : fmt::format("{}m", minutes)),
                                 // Metrics without a login: the packet filter leaves the port to the cluster.
                                 argument("listen-metrics-urls", "http://0.0.0.0:2381"),
                                 argument("quota-backend-bytes", "8589934592")})}}}};
  out["encryptionAlgorithm"] = "ECDSA-P256";
  return out;
}

Json registration(const Context& context, const Host& host) {
  Json out{{"name", host.name}, {"criSocket", kSocket}, {"imagePullPolicy", "IfNotPresent"}};
  Json args = Json::array({argument("node-ip", host.address)});
  if (host.role == "control-plane") {
    out["taints"] =
        Json::array({{{"key", "node-role.kubernetes.io/control-plane"}, {"effect", "NoSchedule"}}});
  } else {
    std::string labels;
    Json taints = Json::array();
    if (!host.pool.empty()) {
      for (const auto& [key, value] : context.pool_placement(host.pool).node_selector)
        labels += fmt::format("{}{}={}", labels.empty() ? "" : ",", key, value);
      for (const std::string& written : pool_taints(context, host.pool)) {
        const std::size_t colon = written.rfind(':'), equals = written.find('=');
        Json taint{{"key", written.substr(0, std::min(equals, colon))}};
        if (equals < colon) taint["value"] = written.substr(equals + 1, colon - equals - 1);
        taint["effect"] = written.substr(colon + 1);
        taints.push_back(std::move(taint));
      }
    }
    if (!labels.empty()) args.push_back(argument("node-labels", labels));
    out["taints"] = std::move(taints);  // an empty list: none, not the default ones
  }
  out["kubeletExtraArgs"] = std::move(args);
  return out;
}

}  // namespace

std::vector<Json> kubeadm_config(const Context& context, const std::vector<Host>& all, const Host& host) {
  const std::vector<Host> control = with_role(all, "control-plane");
  const bool first = !control.empty() && control.front().name == host.name;
  if (first) {
    Json init = config("InitConfiguration");
    init["nodeRegistration"] = registration(context, host);
    init["localAPIEndpoint"] = {{"advertiseAddress", host.address}, {"bindPort", 6443}};
    Json kubelet = kubelet_configuration(context);
    kubelet["serverTLSBootstrap"] = true;
    kubelet["rotateCertificates"] = true;
    Json proxy{{"apiVersion", "kubeproxy.config.k8s.io/v1alpha1"},
               {"kind", "KubeProxyConfiguration"},
               {"mode", "iptables"},
               {"metricsBindAddress", "0.0.0.0:10249"}};
    return {std::move(init), cluster(context, all), std::move(kubelet), std::move(proxy)};
  }
  Json join = config("JoinConfiguration");
  join["nodeRegistration"] = registration(context, host);
  // The way in is brought when the machine joins, and gone afterwards.
  join["discovery"] = {{"file", {{"kubeConfigPath", "/run/tidegate/join/discovery.conf"}}}};
  if (host.role == "control-plane")
    join["controlPlane"] = {{"localAPIEndpoint", {{"advertiseAddress", host.address}, {"bindPort", 6443}}}};
  return {std::move(join)};
}

}  // namespace tg::render
