// containerd and the packages of Kubernetes: where they come from, which release, and how containerd is set.
#include <fmt/format.h>

#include "catalog/releases.hpp"
#include "render/infrastructure/machines.hpp"

namespace tg::render {

namespace {

// The line of containerd that is looked after; 1.x is not.
constexpr std::string_view kContainerd = "2.2.*";
constexpr std::string_view kPause = "registry.k8s.io/pause:3.10.1";

std::string source(std::string_view uri, std::string_view suite, std::string_view parts,
                   std::string_view key) {
  std::string out = fmt::format("Types: deb\nURIs: {}\nSuites: {}\n", uri, suite);
  if (!parts.empty()) out += fmt::format("Components: {}\n", parts);
  return out + fmt::format("Signed-By: /etc/apt/keyrings/{}.gpg\n", key);
}

std::string pin(std::string_view packages, std::string_view version) {
  // Above 1000: also down to it, so that every machine has the same.
  return fmt::format("Package: {}\nPin: version {}\nPin-Priority: 1001\n", packages, version);
}

}  // namespace

Json containerd_config() {
  const Json runc{{"runtime_type", "io.containerd.runc.v2"}, {"options", {{"SystemdCgroup", true}}}};
  return {{"version", 3},
          // The GPU toolkit puts its runtime beside this file.
          {"imports", Json::array({"/etc/containerd/conf.d/*.toml"})},
          {"plugins",
           {{"io.containerd.cri.v1.images",
             {{"pinned_images", {{"sandbox", kPause}}},
              {"registry", {{"config_path", "/etc/containerd/certs.d"}}}}},
            {"io.containerd.cri.v1.runtime",
             {{"enable_cdi", true},
              {"containerd", {{"default_runtime_name", "runc"}, {"runtimes", {{"runc", runc}}}}}}}}}};
}

std::vector<Extra> package_sources(const Context& context) {
  const std::string os = context.infrastructure().text("os");
  const bool debian = os.starts_with("debian");
  const std::string_view suite = os == "ubuntu-22.04" ? "jammy" : os == "ubuntu-24.04" ? "noble" : "bookworm";
  const catalog::Kubernetes* release = catalog::kubernetes(context.kubernetes());
  const std::string patch(release == nullptr ? std::string_view{} : release->patch);
  std::vector<Extra> out;
  // Put in place behind their keys: apt refuses a source that it cannot verify.
  out.push_back(
      settings("apt/kubernetes.sources", "One repository for each minor version.",
               source(fmt::format("https://pkgs.k8s.io/core:/stable:/v{}/deb/", context.kubernetes()), "/",
                      {}, "kubernetes")));
  out.push_back(
      settings("apt/docker.sources", "containerd 2; the distribution's is of an older line.",
               source(fmt::format("https://download.docker.com/linux/{}", debian ? "debian" : "ubuntu"),
                      suite, "stable", "docker")));
  out.push_back(
      settings("files/node/etc/apt/preferences.d/platform", "The releases that every node has.",
               pin("kubelet kubeadm kubectl", patch + "-*") + "\n" + pin("containerd.io", kContainerd)));
  out.push_back(settings("files/node/etc/crictl.yaml", "crictl talks to containerd.",
                         "runtime-endpoint: unix:///run/containerd/containerd.sock\n"
                         "image-endpoint: unix:///run/containerd/containerd.sock\n"
                         "timeout: 10\n"));
  out.push_back(settings("files/node/etc/default/kubelet",
                         "What belongs to one node stands in files of that folder.",
                         "KUBELET_EXTRA_ARGS=--config-dir=/etc/kubernetes/kubelet.conf.d\n"));
  return out;
}

}  // namespace tg::render
