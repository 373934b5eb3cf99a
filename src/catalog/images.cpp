#include "catalog/images.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

namespace tg::catalog {

namespace {

constexpr auto kImages = std::to_array<Image>({
    {"kube-bench", "docker.io/aquasec/kube-bench", "v0.15.0"},
    {"kured", "ghcr.io/kubereboot/kured", "1.21.0"},
    {"local-volume-provisioner", "registry.k8s.io/sig-storage/local-volume-provisioner", "v2.8.0"},
    {"busybox", "docker.io/library/busybox", "1.37.0"},
    {"curl", "docker.io/curlimages/curl", "8.17.0"},
    {"postgresql", "docker.io/library/postgres", "17.7-bookworm"},
    {"postgres-exporter", "quay.io/prometheuscommunity/postgres-exporter", "v0.18.1"},
    {"local-path-provisioner", "docker.io/rancher/local-path-provisioner", "v0.0.37"},
    {"busybox", "docker.io/library/busybox", "1.37.0"},
    {"snapshot-controller", "registry.k8s.io/sig-storage/snapshot-controller", "v8.6.0"},
    // The firewall's module fits one line of Envoy only: both move together.
    {"envoy-coraza", "ghcr.io/tetratelabs/built-on-envoy/composer", "0.6.0"},
    {"oauth2-proxy", "quay.io/oauth2-proxy/oauth2-proxy", "v7.13.0"},
    {"rclone", "docker.io/rclone/rclone", "1.71.2"},
    {"velero-plugin-for-aws", "docker.io/velero/velero-plugin-for-aws", "v1.14.1"},
    {"velero-plugin-for-gcp", "docker.io/velero/velero-plugin-for-gcp", "v1.14.1"},
    {"velero-plugin-for-microsoft-azure", "docker.io/velero/velero-plugin-for-microsoft-azure", "v1.14.1"},
    {"cnpg-postgresql-16", "ghcr.io/cloudnative-pg/postgresql", "16.11-standard-trixie"},
    {"cnpg-postgresql-17", "ghcr.io/cloudnative-pg/postgresql", "17.7-standard-trixie"},
    {"cnpg-postgresql-18", "ghcr.io/cloudnative-pg/postgresql", "18.1-standard-trixie"},
    {"cnpg-timescaledb-17", "ghcr.io/clevyr/cloudnativepg-timescale", "17.5"},
    {"llama-server", "ghcr.io/ggml-org/llama.cpp", "server-b11176"},
    {"llama-server-cuda", "ghcr.io/ggml-org/llama.cpp", "server-cuda-b11176"},
    {"torch-runtime", "docker.io/pytorch/pytorch", "2.13.0-cuda13.0-cudnn9-runtime"},
    {"vllm", "docker.io/vllm/vllm-openai", "v0.18.2"},
    {"ollama", "docker.io/ollama/ollama", "0.32.15"},
    {"tidegate", "ghcr.io/tidegate/tidegate", "0.1.0"},
    {"cluster-autoscaler", "registry.k8s.io/autoscaling/cluster-autoscaler", "v1.35.0"},
    // 1.82.7 and 1.82.8 carried somebody else's code: a version is taken only after it was looked at.
    {"litellm", "ghcr.io/berriai/litellm", "v1.105.0"},
    {"ollama", "docker.io/ollama/ollama", "0.32.15"},
    // Kubernetes' own image of it has no shell.
    {"kubectl", "docker.io/alpine/kubectl", "1.35.4"},
});

}  // namespace

std::span<const Image> images() { return kImages; }

std::string image(std::string_view name) {
  const auto it =
      std::find_if(kImages.begin(), kImages.end(), [&](const Image& i) { return i.name == name; });
  if (it == kImages.end()) {
    std::fprintf(stderr, "no image %.*s in the catalog\n", static_cast<int>(name.size()), name.data());
    std::abort();
  }
  return fmt::format("{}:{}{}{}", it->repository, it->tag, it->digest.empty() ? "" : "@", it->digest);
}

}  // namespace tg::catalog
