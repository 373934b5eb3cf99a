#include "catalog/charts.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

namespace tg::catalog {

namespace {

constexpr auto kCharts = std::to_array<Chart>({
    {"alloy", "1.11.1", "v1.18.1", "https://grafana.github.io/helm-charts", "Apache-2.0"},
    {"argo-cd", "10.1.1", "v3.4.4", "https://argoproj.github.io/argo-helm", "Apache-2.0"},
    {"aws-ebs-csi-driver", "2.64.0", "1.64.0", "https://kubernetes-sigs.github.io/aws-ebs-csi-driver",
     "Apache-2.0"},
    {"aws-load-balancer-controller", "3.5.0", "v3.5.0", "https://aws.github.io/eks-charts", "Apache-2.0"},
    {"base", "1.30.3", "1.30.3", "https://istio-release.storage.googleapis.com/charts", "Apache-2.0"},
    {"cert-manager", "v1.21.1", "v1.21.1", "oci://quay.io/jetstack/charts", "Apache-2.0"},
    {"cilium", "1.20.0", "1.20.0", "https://helm.cilium.io", "Apache-2.0"},
    {"cloudnative-pg", "0.29.0", "1.30.0", "https://cloudnative-pg.github.io/charts", "Apache-2.0"},
    {"cluster-autoscaler", "9.59.0", "1.35.0", "https://kubernetes.github.io/autoscaler", "Apache-2.0"},
    {"cni", "1.30.3", "1.30.3", "https://istio-release.storage.googleapis.com/charts", "Apache-2.0"},
    {"crd.projectcalico.org.v1", "v3.32.1", "v3.32.1", "https://docs.tigera.io/calico/charts", "Apache-2.0"},
    {"csi-driver-nfs", "4.13.4", "4.13.4",
     "https://raw.githubusercontent.com/kubernetes-csi/csi-driver-nfs/master/charts", "Apache-2.0"},
    {"dcgm-exporter", "4.8.2", "4.8.2", "https://nvidia.github.io/dcgm-exporter/helm-charts", "Apache-2.0"},
    {"eck-operator", "3.2.0", "3.2.0", "https://helm.elastic.co", "Elastic-2.0"},
    {"external-dns", "1.21.1", "0.21.0", "https://kubernetes-sigs.github.io/external-dns", "Apache-2.0"},
    {"external-secrets", "2.9.0", "v2.9.0", "https://charts.external-secrets.io", "Apache-2.0"},
    {"fleet", "0.16.1", "0.16.1", "https://rancher.github.io/fleet-helm-charts", "Apache-2.0"},
    {"fleet-crd", "0.16.1", "0.16.1", "https://rancher.github.io/fleet-helm-charts", "Apache-2.0"},
    {"fluent-bit", "0.58.1", "5.1.1", "https://fluent.github.io/helm-charts", "Apache-2.0"},
    {"fluentd", "0.6.0", "1.19.3", "https://fluent.github.io/helm-charts", "Apache-2.0"},
    {"gatekeeper", "3.23.0", "v3.23.0", "https://open-policy-agent.github.io/gatekeeper/charts",
     "Apache-2.0"},
    {"gateway", "1.30.3", "1.30.3", "https://istio-release.storage.googleapis.com/charts", "Apache-2.0"},
    {"gateway-crds-helm", "v1.9.0", "v1.9.0", "oci://docker.io/envoyproxy", "Apache-2.0"},
    {"gateway-helm", "v1.9.0", "v1.9.0", "oci://docker.io/envoyproxy", "Apache-2.0"},
    {"gpu-operator", "v26.7.0", "v26.7.0", "https://helm.ngc.nvidia.com/nvidia", "Apache-2.0"},
    {"grafana", "12.11.1", "13.2.0", "https://grafana-community.github.io/helm-charts", "Apache-2.0"},
    {"ingress-nginx", "4.15.1", "1.15.1", "https://kubernetes.github.io/ingress-nginx", "Apache-2.0"},
    {"istiod", "1.30.3", "1.30.3", "https://istio-release.storage.googleapis.com/charts", "Apache-2.0"},
    {"jaeger", "4.11.1", "2.19.0", "https://jaegertracing.github.io/helm-charts", "Apache-2.0"},
    {"jobset", "0.12.0", "", "oci://registry.k8s.io/jobset/charts", "Apache-2.0"},
    {"karpenter", "1.14.1", "1.14.1", "oci://public.ecr.aws/karpenter", "Apache-2.0"},
    {"keda", "2.20.2", "2.20.2", "https://kedacore.github.io/charts", "Apache-2.0"},
    {"keda-add-ons-http", "0.15.0", "0.15.0", "https://kedacore.github.io/charts", "Apache-2.0"},
    {"knative-operator", "v1.23.0", "", "https://knative.github.io/operator", "Apache-2.0"},
    {"kube-prometheus-stack", "88.5.3", "v0.93.1", "https://prometheus-community.github.io/helm-charts",
     "Apache-2.0"},
    {"kubeflow-trainer", "2.3.0", "", "oci://ghcr.io/kubeflow/charts", "Apache-2.0"},
    {"kueue", "0.19.2", "v0.19.2", "oci://registry.k8s.io/kueue/charts", "Apache-2.0"},
    {"loki", "18.11.0", "3.7.6", "https://grafana-community.github.io/helm-charts", "Apache-2.0"},
    {"metrics-server", "3.13.1", "0.8.1", "https://kubernetes-sigs.github.io/metrics-server", "Apache-2.0"},
    {"ngrok-operator", "0.24.0", "0.22.0", "https://charts.ngrok.com", "MIT"},
    {"node-feature-discovery", "0.19.0", "v0.19.0", "oci://registry.k8s.io/nfd/charts", "Apache-2.0"},
    {"nvidia-device-plugin", "0.20.0", "0.20.0", "https://nvidia.github.io/k8s-device-plugin", "Apache-2.0"},
    {"ollama", "1.77.0", "0.32.15", "https://otwld.github.io/ollama-helm", "MIT"},
    {"open-webui", "16.0.0", "0.11.0", "https://helm.openwebui.com", "MIT"},
    {"openbao", "0.27.0", "v2.5.2", "https://openbao.github.io/openbao-helm", "MPL-2.0"},
    {"opentelemetry-collector", "0.170.0", "0.158.0",
     "https://open-telemetry.github.io/opentelemetry-helm-charts", "Apache-2.0"},
    {"opentelemetry-operator", "0.122.0", "0.158.0",
     "https://open-telemetry.github.io/opentelemetry-helm-charts", "Apache-2.0"},
    {"prometheus-adapter", "5.3.0", "v0.12.0", "https://prometheus-community.github.io/helm-charts",
     "Apache-2.0"},
    {"prometheus-blackbox-exporter", "11.17.2", "v0.28.0",
     "https://prometheus-community.github.io/helm-charts", "Apache-2.0"},
    {"prometheus-kafka-exporter", "3.1.1", "v1.9.0", "https://prometheus-community.github.io/helm-charts",
     "Apache-2.0"},
    {"prometheus-mysql-exporter", "2.14.0", "v0.19.0", "https://prometheus-community.github.io/helm-charts",
     "Apache-2.0"},
    {"prometheus-nginx-exporter", "1.23.1", "1.5.3", "https://prometheus-community.github.io/helm-charts",
     "Apache-2.0"},
    {"prometheus-pgbouncer-exporter", "0.10.1", "v0.12.1",
     "https://prometheus-community.github.io/helm-charts", "Apache-2.0"},
    {"prometheus-operator-crds", "31.0.1", "v0.93.1", "https://prometheus-community.github.io/helm-charts",
     "Apache-2.0"},
    {"prometheus-postgres-exporter", "8.2.0", "v0.20.1", "https://prometheus-community.github.io/helm-charts",
     "Apache-2.0"},
    {"prometheus-pushgateway", "3.8.0", "v1.11.3", "https://prometheus-community.github.io/helm-charts",
     "Apache-2.0"},
    {"prometheus-rabbitmq-exporter", "2.1.2", "1.0.0", "https://prometheus-community.github.io/helm-charts",
     "Apache-2.0"},
    {"prometheus-redis-exporter", "6.29.0", "v1.89.0", "https://prometheus-community.github.io/helm-charts",
     "Apache-2.0"},
    {"rancher", "2.15.0", "v2.15.0", "https://releases.rancher.com/server-charts/stable", "Apache-2.0"},
    {"rancher-turtles-providers", "0.27.0", "0.27.0", "https://rancher.github.io/turtles", "Apache-2.0"},
    {"strimzi-kafka-operator", "1.2.0", "1.2.0", "https://strimzi.io/charts", "Apache-2.0"},
    {"tempo", "2.2.4", "2.10.8", "https://grafana-community.github.io/helm-charts", "Apache-2.0"},
    {"tigera-operator", "v3.32.1", "v3.32.1", "https://docs.tigera.io/calico/charts", "Apache-2.0"},
    {"traefik", "41.3.0", "v3.7.11", "https://traefik.github.io/charts", "Apache-2.0"},
    {"valkey", "0.11.0", "9.1.1", "https://valkey.io/valkey-helm", "BSD-3-Clause"},
    {"velero", "12.1.0", "1.18.1", "https://vmware-tanzu.github.io/helm-charts", "Apache-2.0"},
    {"vertical-pod-autoscaler", "0.11.0", "1.7.1", "https://kubernetes.github.io/autoscaler", "Apache-2.0"},
    {"vllm-stack", "0.1.12", "", "https://vllm-project.github.io/production-stack", "Apache-2.0"},
    {"ztunnel", "1.30.3", "1.30.3", "https://istio-release.storage.googleapis.com/charts", "Apache-2.0"},
});

}  // namespace

std::span<const Chart> charts() { return kCharts; }

const Chart& chart(std::string_view name) {
  const auto it =
      std::find_if(kCharts.begin(), kCharts.end(), [&](const Chart& c) { return c.name == name; });
  if (it != kCharts.end()) return *it;
  std::fprintf(stderr, "no chart %.*s in the catalog\n", static_cast<int>(name.size()), name.data());
  std::abort();
}

}  // namespace tg::catalog
