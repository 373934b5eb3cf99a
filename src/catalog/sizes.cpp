#include "catalog/sizes.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

namespace tg::catalog {

namespace {

constexpr auto kWorkloads = std::to_array<Workload>({
    {"certificates", "controller", {2, 1}, {{"25m", "64Mi", "", "256Mi"}, {"10m", "48Mi", "", "96Mi"}}},
    {"certificates", "webhook", {2, 1}, {{"10m", "32Mi", "", "128Mi"}, {"5m", "24Mi", "", "64Mi"}}},
    {"certificates", "cainjector", {1, 1}, {{"10m", "64Mi", "", "256Mi"}, {"5m", "32Mi", "", "96Mi"}}},
    {"gpu", "operator", {1, 1}, {{"100m", "128Mi", "", "512Mi"}, {"50m", "128Mi", "", "256Mi"}}},
    {"gpu", "toolkit", {-1, -1}, {{"20m", "64Mi", "", "256Mi"}, {"20m", "64Mi", "", "256Mi"}}},
    {"gpu", "device-plugin", {-1, -1}, {{"20m", "64Mi", "", "256Mi"}, {"20m", "64Mi", "", "256Mi"}}},
    {"gpu", "feature-discovery", {-1, -1}, {{"20m", "64Mi", "", "256Mi"}, {"20m", "64Mi", "", "256Mi"}}},
    {"gpu", "dcgm-exporter", {-1, -1}, {{"50m", "256Mi", "", "1Gi"}, {"50m", "256Mi", "", "512Mi"}}},
    {"network", "tigera-operator", {1, 1}, {{"50m", "128Mi", "", "512Mi"}, {"20m", "64Mi", "", "256Mi"}}},
    {"node-autoscaling",
     "cluster-autoscaler",
     {2, 1},
     {{"50m", "256Mi", "", "768Mi"}, {"20m", "128Mi", "", "384Mi"}}},
    {"node-autoscaling", "karpenter", {2, 1}, {{"250m", "512Mi", "", "1Gi"}, {"100m", "384Mi", "", "768Mi"}}},
    {"names", "external-dns", {1, 1}, {{"20m", "64Mi", "", "192Mi"}, {"10m", "48Mi", "", "128Mi"}}},
    {"balancer-controller",
     "controller",
     {2, 1},
     {{"50m", "128Mi", "", "384Mi"}, {"20m", "64Mi", "", "256Mi"}}},
    {"upkeep", "kured", {-1, -1}, {{"10m", "32Mi", "", "128Mi"}, {"10m", "32Mi", "", "64Mi"}}},
    {"upkeep", "kube-bench", {1, 1}, {{"50m", "64Mi", "", "256Mi"}, {"20m", "32Mi", "", "128Mi"}}},
    {"k3s", "traefik", {2, 1}, {{"100m", "128Mi", "", "256Mi"}, {"50m", "48Mi", "", "96Mi"}}},
    {"data", "postgresql", {1, 1}, {{"250m", "512Mi", "", "1Gi"}, {"50m", "96Mi", "", "192Mi"}}},
    {"data", "valkey", {1, 1}, {{"250m", "512Mi", "", "1Gi"}, {"20m", "32Mi", "", "96Mi"}}},
    {"data", "valkey-init", {0, 0}, {{"10m", "16Mi", "", "64Mi"}, {"10m", "16Mi", "", "64Mi"}}},
    {"data", "kafka", {1, 1}, {{"500m", "2Gi", "", "4Gi"}, {"200m", "768Mi", "", "1Gi"}}},
    {"data", "kafka-topics", {1, 1}, {{"100m", "256Mi", "", "512Mi"}, {"50m", "160Mi", "", "256Mi"}}},
    {"data", "exporter", {1, 1}, {{"20m", "32Mi", "", "128Mi"}, {"10m", "24Mi", "", "64Mi"}}},
    {"operators", "cloudnative-pg", {2, 1}, {{"50m", "128Mi", "", "256Mi"}, {"20m", "96Mi", "", "160Mi"}}},
    {"operators", "strimzi", {1, 1}, {{"200m", "384Mi", "", "512Mi"}, {"100m", "256Mi", "", "384Mi"}}},
    {"scaling", "keda-operator", {2, 1}, {{"100m", "128Mi", "", "512Mi"}, {"20m", "64Mi", "", "192Mi"}}},
    {"scaling", "keda-metrics", {2, 1}, {{"50m", "96Mi", "", "256Mi"}, {"20m", "48Mi", "", "128Mi"}}},
    {"scaling", "keda-webhooks", {2, 1}, {{"20m", "48Mi", "", "128Mi"}, {"10m", "32Mi", "", "64Mi"}}},
    {"scaling", "vpa-recommender", {1, 1}, {{"50m", "256Mi", "", "512Mi"}, {"20m", "128Mi", "", "256Mi"}}},
    {"scaling", "vpa-updater", {1, 1}, {{"50m", "128Mi", "", "256Mi"}, {"20m", "64Mi", "", "128Mi"}}},
    {"scaling", "vpa-admission", {2, 1}, {{"50m", "128Mi", "", "256Mi"}, {"20m", "64Mi", "", "128Mi"}}},
    {"training", "jobset", {2, 1}, {{"100m", "128Mi", "", "512Mi"}, {"20m", "64Mi", "", "192Mi"}}},
    {"training", "trainer", {1, 1}, {{"100m", "128Mi", "", "512Mi"}, {"20m", "64Mi", "", "192Mi"}}},
    {"training", "runtime", {0, 0}, {{"1", "2Gi", "", "16Gi"}, {"500m", "1Gi", "", "4Gi"}}},
    {"training", "kueue", {2, 1}, {{"250m", "256Mi", "", "512Mi"}, {"50m", "128Mi", "", "256Mi"}}},
    {"backup", "velero", {1, 1}, {{"100m", "128Mi", "", "512Mi"}, {"20m", "64Mi", "", "256Mi"}}},
    {"backup", "node-agent", {-1, -1}, {{"100m", "128Mi", "", "1Gi"}, {"20m", "64Mi", "", "512Mi"}}},
    {"backup", "copy", {0, 0}, {{"20m", "32Mi", "", "128Mi"}, {"20m", "32Mi", "", "128Mi"}}},
    {"gateway", "controller", {2, 1}, {{"100m", "256Mi", "", "1Gi"}, {"20m", "96Mi", "", "256Mi"}}},
    {"gateway", "proxy", {2, 1}, {{"250m", "256Mi", "", "1Gi"}, {"50m", "96Mi", "", "256Mi"}}},
    {"gateway", "limits", {1, 1}, {{"50m", "64Mi", "", "256Mi"}, {"10m", "32Mi", "", "64Mi"}}},
    {"gateway", "login", {2, 1}, {{"20m", "32Mi", "", "128Mi"}, {"10m", "24Mi", "", "64Mi"}}},
    {"policy", "controller", {3, 1}, {{"100m", "256Mi", "", "512Mi"}, {"20m", "96Mi", "", "256Mi"}}},
    {"policy", "audit", {1, 1}, {{"100m", "256Mi", "", "512Mi"}, {"20m", "96Mi", "", "256Mi"}}},
    {"policy", "admission", {3, 1}, {{"100m", "256Mi", "", "512Mi"}, {"50m", "128Mi", "", "384Mi"}}},
    {"policy", "reports", {1, 1}, {{"100m", "128Mi", "", "256Mi"}, {"20m", "64Mi", "", "192Mi"}}},
    {"secrets", "external-secrets", {2, 1}, {{"50m", "96Mi", "", "256Mi"}, {"10m", "48Mi", "", "128Mi"}}},
    {"secrets", "webhook", {2, 1}, {{"20m", "48Mi", "", "128Mi"}, {"5m", "24Mi", "", "64Mi"}}},
    {"secrets", "openbao", {3, 1}, {{"250m", "256Mi", "", "512Mi"}, {"20m", "96Mi", "", "256Mi"}}},
    {"mesh", "istiod", {2, 1}, {{"250m", "512Mi", "", "2Gi"}, {"50m", "128Mi", "", "512Mi"}}},
    {"mesh", "ztunnel", {-1, -1}, {{"100m", "128Mi", "", "512Mi"}, {"20m", "48Mi", "", "128Mi"}}},
    {"mesh", "cni", {-1, -1}, {{"50m", "64Mi", "", "256Mi"}, {"10m", "32Mi", "", "128Mi"}}},
    {"mesh", "sidecar", {0, 0}, {{"50m", "96Mi", "", "512Mi"}, {"10m", "48Mi", "", "128Mi"}}},
    {"chat", "sockets", {1, 1}, {{"20m", "32Mi", "", "128Mi"}, {"10m", "16Mi", "", "64Mi"}}},
    {"chat", "open-webui", {1, 1}, {{"250m", "768Mi", "", "1536Mi"}, {"200m", "448Mi", "", "704Mi"}}},
    {"storage", "local-path", {1, 1}, {{"20m", "32Mi", "", "128Mi"}, {"5m", "24Mi", "", "64Mi"}}},
    {"storage", "local-disks", {-1, -1}, {{"10m", "32Mi", "", "128Mi"}, {"10m", "32Mi", "", "128Mi"}}},
    {"storage", "snapshot-controller", {2, 1}, {{"20m", "32Mi", "", "128Mi"}, {"10m", "24Mi", "", "64Mi"}}},
    {"serving", "tidegate", {1, 1}, {{"500m", "256Mi", "", "1Gi"}, {"100m", "128Mi", "", "384Mi"}}},
    {"serving", "model", {0, 0}, {{"1", "4Gi", "", "4Gi"}, {"500m", "768Mi", "", "1Gi"}}},
    {"serving", "litellm", {1, 1}, {{"200m", "512Mi", "", "1Gi"}, {"100m", "384Mi", "", "640Mi"}}},
    {"knative", "operator", {1, 1}, {{"50m", "100Mi", "", "256Mi"}, {"20m", "64Mi", "", "128Mi"}}},
    {"knative", "webhook", {1, 1}, {{"20m", "64Mi", "", "256Mi"}, {"10m", "48Mi", "", "128Mi"}}},
    {"management", "rancher", {1, 1}, {{"250m", "1Gi", "", "3Gi"}, {"250m", "1Gi", "", "2Gi"}}},
    {"management", "ngrok-operator", {1, 1}, {{"20m", "64Mi", "", "256Mi"}, {"10m", "48Mi", "", "128Mi"}}},
    {"management",
     "cluster-autoscaler",
     {1, 1},
     {{"20m", "96Mi", "", "384Mi"}, {"10m", "64Mi", "", "256Mi"}}},
    {"gitops", "argo-cd", {1, 1}, {{"50m", "128Mi", "", "512Mi"}, {"20m", "96Mi", "", "256Mi"}}},
    {"gitops", "argo-cd-controller", {1, 1}, {{"100m", "512Mi", "", "1Gi"}, {"50m", "256Mi", "", "512Mi"}}},
    {"serving", "ollama", {1, 1}, {{"1", "4Gi", "", "8Gi"}, {"1", "768Mi", "2500m", "1Gi"}}},
    {"dashboards", "grafana", {1, 1}, {{"100m", "256Mi", "", "512Mi"}, {"50m", "128Mi", "", "224Mi"}}},
    {"dashboards", "sidecar", {1, 0}, {{"20m", "96Mi", "", "160Mi"}, {"", "", "", ""}}},
    {"logs", "alloy", {-1, -1}, {{"100m", "192Mi", "", "384Mi"}, {"40m", "88Mi", "", "152Mi"}}},
    {"logs", "alloy-reloader", {-1, -1}, {{"5m", "16Mi", "", "32Mi"}, {"1m", "8Mi", "", "24Mi"}}},
    {"logs", "elastic-operator", {1, 1}, {{"100m", "160Mi", "", "1Gi"}, {"50m", "128Mi", "", "512Mi"}}},
    {"logs", "elasticsearch", {3, 1}, {{"500m", "4Gi", "", "4Gi"}, {"200m", "1Gi", "", "1Gi"}}},
    {"logs", "kibana", {1, 1}, {{"100m", "1Gi", "", "1Gi"}, {"100m", "768Mi", "", "1Gi"}}},
    {"logs", "logstash", {1, 1}, {{"200m", "2Gi", "", "2Gi"}, {"100m", "1Gi", "", "1Gi"}}},
    {"logs", "loki", {1, 1}, {{"250m", "1Gi", "", "2Gi"}, {"50m", "160Mi", "", "256Mi"}}},
    {"logs", "loki-gateway", {2, 0}, {{"50m", "32Mi", "", "64Mi"}, {"", "", "", ""}}},
    {"logs", "loki-distributor", {3, 0}, {{"250m", "256Mi", "", "512Mi"}, {"", "", "", ""}}},
    {"logs", "loki-ingester", {3, 0}, {{"500m", "2Gi", "", "4Gi"}, {"", "", "", ""}}},
    {"logs", "loki-querier", {3, 0}, {{"500m", "512Mi", "", "2Gi"}, {"", "", "", ""}}},
    {"logs", "loki-query-frontend", {2, 0}, {{"100m", "256Mi", "", "512Mi"}, {"", "", "", ""}}},
    {"logs", "loki-query-scheduler", {2, 0}, {{"50m", "128Mi", "", "256Mi"}, {"", "", "", ""}}},
    {"logs", "loki-index-gateway", {2, 0}, {{"100m", "512Mi", "", "1Gi"}, {"", "", "", ""}}},
    {"logs", "loki-compactor", {1, 0}, {{"100m", "256Mi", "", "1Gi"}, {"", "", "", ""}}},
    {"logs", "loki-cache", {1, 0}, {{"100m", "614Mi", "", "614Mi"}, {"", "", "", ""}}},
    {"logs", "fluent-bit", {-1, -1}, {{"50m", "64Mi", "", "128Mi"}, {"20m", "32Mi", "", "64Mi"}}},
    {"logs", "fluentd", {1, 1}, {{"200m", "384Mi", "", "768Mi"}, {"50m", "160Mi", "", "256Mi"}}},
    {"logs", "sweeper", {1, 1}, {{"10m", "16Mi", "100m", "32Mi"}, {"10m", "16Mi", "100m", "32Mi"}}},
    {"metrics", "prometheus", {1, 1}, {{"500m", "2Gi", "", "4Gi"}, {"100m", "244Mi", "", "384Mi"}}},
    {"metrics", "alertmanager", {2, 1}, {{"20m", "64Mi", "", "128Mi"}, {"5m", "20Mi", "", "48Mi"}}},
    {"metrics", "config-reloader", {1, 1}, {{"10m", "32Mi", "", "64Mi"}, {"2m", "12Mi", "", "24Mi"}}},
    {"metrics", "operator", {1, 1}, {{"100m", "128Mi", "", "256Mi"}, {"10m", "40Mi", "", "64Mi"}}},
    {"metrics", "kube-state-metrics", {1, 1}, {{"50m", "128Mi", "", "256Mi"}, {"10m", "40Mi", "", "64Mi"}}},
    {"metrics", "node-exporter", {-1, -1}, {{"50m", "32Mi", "", "64Mi"}, {"10m", "16Mi", "", "32Mi"}}},
    {"metrics", "exporter", {1, 1}, {{"20m", "64Mi", "", "128Mi"}, {"10m", "32Mi", "", "64Mi"}}},
    {"metrics-server",
     "metrics-server",
     {2, 1},
     {{"100m", "200Mi", "", "400Mi"}, {"50m", "70Mi", "", "128Mi"}}},
    {"traces", "tempo", {1, 1}, {{"200m", "1Gi", "", "2Gi"}, {"50m", "256Mi", "", "512Mi"}}},
    {"traces", "jaeger", {1, 1}, {{"200m", "512Mi", "", "1Gi"}, {"50m", "192Mi", "", "384Mi"}}},
});

}  // namespace

std::span<const Workload> workloads() { return kWorkloads; }

const Workload& workload(std::string_view component, std::string_view name) {
  const auto it = std::find_if(kWorkloads.begin(), kWorkloads.end(),
                               [&](const Workload& w) { return w.component == component && w.name == name; });
  if (it != kWorkloads.end()) return *it;
  std::fprintf(stderr, "no workload %.*s of %.*s in the catalog\n", static_cast<int>(name.size()),
               name.data(), static_cast<int>(component.size()), component.data());
  std::abort();
}

const Size& size(std::string_view component, std::string_view name, Profile profile) {
  return workload(component, name).size[static_cast<std::size_t>(profile)];
}

int replicas(std::string_view component, std::string_view name, Profile profile) {
  return workload(component, name).replicas[static_cast<std::size_t>(profile)];
}

}  // namespace tg::catalog
