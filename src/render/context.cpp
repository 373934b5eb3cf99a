#include "render/context.hpp"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "catalog/releases.hpp"

namespace tg::render {

namespace {

struct SiteName {
  std::string_view name;
  Site site;
};
constexpr std::array<SiteName, 8> kSites{{{"openTelekomCloud", Site::open_telekom_cloud},
                                          {"aws", Site::aws},
                                          {"google", Site::google},
                                          {"azure", Site::azure},
                                          {"machines", Site::machines},
                                          {"k3s", Site::k3s},
                                          {"clusterApi", Site::cluster_api},
                                          {"existing", Site::existing}}};

Site site_of(std::string_view chosen) {
  for (const SiteName& s : kSites) {
    if (s.name == chosen) return s.site;
  }
  return Site::existing;
}

std::string_view name_of(Site site) {
  for (const SiteName& s : kSites) {
    if (s.site == site) return s.name;
  }
  return {};
}

}  // namespace

std::string describe(const spec::SecretRef& secret) {
  using How = spec::SecretRef::How;
  switch (secret.how) {
    case How::secret_ref:
      return secret.key.empty() ? "secretRef " + secret.name
                                : fmt::format("secretRef {}, key {}", secret.name, secret.key);
    case How::env:
      return "env " + secret.name;
    case How::file:
      return "file " + secret.name;
    case How::vault:
      return "vault " + secret.name;
  }
  return {};
}

Context::Context(const spec::Documents& documents, const spec::Document& platform, spec::Usage& usage,
                 std::vector<spec::Finding>& findings)
    : documents_(documents),
      usage_(usage),
      findings_(findings),
      document_(documents, platform, &usage),
      spec_(document_.sub("spec")),
      name_(platform.name) {
  site_ = site_of(spec_.chosen("infrastructure"));
  kubernetes_ = spec_.text("cluster.version");
  if (kubernetes_.empty()) kubernetes_ = catalog::default_kubernetes().minor;
  if (spec_.text("components.profile") == "small") profile_ = catalog::Profile::small;
}

spec::Reader Context::infrastructure() const {
  return spec_.sub(fmt::format("infrastructure.{}", name_of(site_)));
}

spec::Reader Context::component(std::string_view name) const {
  return spec_.sub(fmt::format("components.{}", name));
}

std::string Context::use(std::string_view name) const {
  return spec_.text(fmt::format("components.{}.use", name));
}

Resources Context::size(std::string_view component, std::string_view workload) const {
  const catalog::Size& s = catalog::size(component, workload, profile_);
  return resources(s.cpu_request, s.memory_request, s.cpu_limit, s.memory_limit);
}

int Context::replicas(std::string_view component, std::string_view workload) const {
  return catalog::replicas(component, workload, profile_);
}

std::vector<std::pair<std::string, spec::Reader>> Context::all(spec::DocumentKind kind) const {
  std::vector<std::pair<std::string, spec::Reader>> out;
  for (const spec::Document& d : documents_.all) {
    if (d.kind == kind) out.emplace_back(d.name, spec::Reader(documents_, d, &usage_).sub("spec"));
  }
  return out;
}

std::string Context::cluster_name() const {
  std::string name = spec_.text("cluster.name");
  return name.empty() ? name_ : name;
}

std::string Context::pod_cidr() const { return spec_.text("cluster.networks.pods"); }

std::string Context::service_cidr() const { return spec_.text("cluster.networks.services"); }

std::string Context::default_storage_class() const {
  for (const auto& [name, storage_class] : spec_.named("storage.classes")) {
    if (storage_class.flag("default")) return name;
  }
  return {};
}

Placement Context::pool_placement(std::string_view pool) const {
  Placement out;
  for (const auto& [name, p] : spec_.named("pools")) {
    if (name != pool) continue;
    for (auto& [key, value] : p.texts_map("labels")) out.node_selector.emplace(key, value);
    // Managed pools carry their name; machines get it from their kubelet.
    if (out.node_selector.empty()) out.node_selector.emplace("tidegate.dev/pool", name);
    for (const std::string& taint : p.list("taints")) out.tolerations.push_back(toleration(taint));
    if (p.list("taints").empty() && !p.text("gpu.vendor").empty() && p.text("gpu.vendor") != "none")
      out.tolerations.push_back(toleration("nvidia.com/gpu=true:NoSchedule"));
  }
  return out;
}

Placement Context::add_on_placement() const {
  const std::string where = spec_.text("components.placement");
  if (where.empty()) return {};
  if (where == "controlPlane") {
    Placement out;
    out.node_selector.emplace("node-role.kubernetes.io/control-plane", "");
    out.tolerations.push_back(toleration("node-role.kubernetes.io/control-plane:NoSchedule"));
    return out;
  }
  return pool_placement(where);
}

void Context::refuse(std::string_view code, const text::Position& at, std::string path, std::string message,
                     std::string hint) const {
  findings_.push_back(
      {std::string(code), spec::Severity::error, at, std::move(path), std::move(message), std::move(hint)});
}

void Context::warn(std::string_view code, const text::Position& at, std::string path, std::string message,
                   std::string hint) const {
  findings_.push_back(
      {std::string(code), spec::Severity::warning, at, std::move(path), std::move(message), std::move(hint)});
}

}  // namespace tg::render
