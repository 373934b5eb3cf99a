// What an infrastructure does not have: parts, settings and services of others.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "verify/facts.hpp"

namespace tg::verify {

namespace {

// A field, or one of its words, that only some infrastructures have.
struct Place {
  std::string_view path;
  std::string_view word;   // empty: the field itself
  std::string_view sites;  // with '|' around each
  std::string_view hint;
};
constexpr std::string_view kClouds = "|aws|google|azure|openTelekomCloud|";
constexpr std::string_view kOwn = "|machines|k3s|";
constexpr std::string_view kOwnControl = "|machines|k3s|clusterApi|";
constexpr auto kPlaces = std::to_array<Place>({
    {"cluster.controlPlane.replicas", "", "|clusterApi|", "remove it; hosts say their role themselves"},
    {"cluster.endpoint", "", "|machines|k3s|clusterApi|existing|", "remove it: the cloud gives the address"},
    {"cluster.etcd", "", kOwnControl, "remove it: whoever runs the control plane cares for its store"},
    {"cluster.swap", "zram", kOwn, "write swap: none"},
    {"cluster.networks.plugin", "flannel", "|k3s|", "write plugin: calico, or leave it out"},
    {"cluster.networks.plugin", "calico", "|machines|k3s|clusterApi|", "leave plugin out"},
    {"cluster.networks.plugin", "overlay_l2", "|openTelekomCloud|", "leave plugin out"},
    {"cluster.networks.plugin", "vpc-router", "|openTelekomCloud|", "leave plugin out"},
    {"cluster.networks.plugin", "cloud", kClouds, "write plugin: calico, or leave it out"},
    {"cluster.encryptionAtRest.provider", "kms", kClouds, "write encryptionAtRest: secretbox"},
    {"cluster.encryptionAtRest.provider", "secretbox", kOwnControl, "write encryptionAtRest: kms"},
    {"cluster.encryptionAtRest.provider", "aescbc", kOwnControl, "write encryptionAtRest: kms"},
    {"components.gateway.use", "traefik", "|k3s|", "write gateway: envoy-gateway"},
    {"components.gateway.nodePorts", "", "|machines|clusterApi|existing|",
     "remove it: the gateway has an address of its own"},
    {"components.logs.use", "cloudwatch", "|aws|", "write logs: loki"},
    {"components.metrics.use", "cce-monitoring", "|openTelekomCloud|", "write metrics: prometheus"},
    {"components.autoscaling.nodes", "karpenter", "|aws|azure|", "write nodes: cluster-autoscaler"},
    {"components.autoscaling.nodes", "cloud", "|google|azure|openTelekomCloud|",
     "write nodes: cluster-autoscaler"},
    {"components.autoscaling.nodes", "cluster-autoscaler", "|aws|google|azure|openTelekomCloud|clusterApi|",
     "write nodes: none: hosts are not made by programs here"},
    {"components.secrets.from.awsSecretsManager", "", "|aws|", "write from: {vault: {…}}"},
    {"components.secrets.from.googleSecretManager", "", "|google|", "write from: {vault: {…}}"},
    {"components.secrets.from.azureKeyVault", "", "|azure|", "write from: {vault: {…}}"},
    {"access.vpn", "", kClouds, "remove it: networks of one's own are joined by their routers"},
    {"access.peering", "", kClouds, "remove it"},
    {"access.bastion", "true", kClouds, "write bastion: false: the hosts are reached by ssh"},
    {"backup.store.bucket", "", kClouds, "write store: {s3: {…}}: there is no cloud that has the bucket"},
    {"backup.store.region", "", kClouds, "write store: {s3: {…}}: there is no cloud that has the bucket"},
    {"upkeep.reboot", "", kOwn, "remove it: nodes of a cloud are replaced"},
    {"storage.snapshots", "true", kClouds, "remove it: no driver here makes copies of volumes"},
});

bool allowed(std::string_view sites, std::string_view site) {
  return sites.find(fmt::format("|{}|", site)) != std::string_view::npos;
}

bool written(const spec::Reader& spec, const Place& p) {
  if (!spec.has(p.path)) return false;
  if (p.word.empty()) return true;
  return p.word == "true" ? spec.flag(p.path) : spec.text(p.path) == p.word;
}

}  // namespace

void check_places(const Subject& s, Report& report) {
  for (const Place& p : kPlaces) {
    if (allowed(p.sites, s.site) || !written(s.spec, p)) continue;
    if (s.site == "existing" &&
        (p.word == "calico" || p.path.starts_with("backup") || p.path == "storage.snapshots"))
      continue;  // what is there is not known
    report.error(s.spec, p.path, "not_here",
                 p.word.empty() || p.word == "true" ? fmt::format("{} has no such thing", s.site)
                                                    : fmt::format("{} cannot be used on {}", p.word, s.site),
                 std::string(p.hint));
  }
  for (const auto& [name, d] : s.spec.named("data")) {
    if (d.text("use") == "aurora-postgresql" && s.site != "aws")
      report.error(d, "use", "not_here", fmt::format("aurora-postgresql cannot be used on {}", s.site),
                   "write use: postgresql");
  }
}

}  // namespace tg::verify
