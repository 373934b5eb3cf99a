// The documents as the renderer sees them: one Platform and what stands beside it. Reading marks what was
// read, so that a field that nothing renders can be refused. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/sizes.hpp"
#include "render/object.hpp"
#include "render/part.hpp"
#include "spec/decode.hpp"
#include "spec/reader.hpp"

namespace tg::render {

enum class Site : std::uint8_t {
  open_telekom_cloud,
  aws,
  google,
  azure,
  machines,
  k3s,
  cluster_api,
  existing,
};

// "secretRef smtp", "env NAME": where the user said that a secret stands.
std::string describe(const spec::SecretRef& secret);

class Context {
 public:
  // All must outlive the context. `platform` has no errors.
  Context(const spec::Documents& documents, const spec::Document& platform, spec::Usage& usage,
          std::vector<spec::Finding>& findings);

  const std::string& name() const { return name_; }
  const spec::Reader& spec() const { return spec_; }  // of the Platform, paths without "spec."
  Site site() const { return site_; }
  bool cloud() const { return site_ <= Site::azure; }
  // Paths below infrastructure.SITE.
  spec::Reader infrastructure() const;
  // Paths below components.NAME.
  spec::Reader component(std::string_view name) const;
  // What implements a component: "loki", "none". The default of the field if the document does not say.
  std::string use(std::string_view component) const;
  bool has(std::string_view component) const { return use(component) != "none"; }
  catalog::Profile profile() const { return profile_; }
  bool small() const { return profile_ == catalog::Profile::small; }
  Resources size(std::string_view component, std::string_view workload) const;
  int replicas(std::string_view component, std::string_view workload) const;
  // The documents of a kind: name and Reader of its spec.
  std::vector<std::pair<std::string, spec::Reader>> all(spec::DocumentKind kind) const;

  // Cluster version: minor from the document or the default ("1.35").
  const std::string& kubernetes() const { return kubernetes_; }
  std::string cluster_name() const;
  std::string pod_cidr() const;
  std::string service_cidr() const;
  // Name of the class that claims use when they name none; empty if the document marks none.
  std::string default_storage_class() const;
  // Where add-ons run: components.placement.
  Placement add_on_placement() const;
  // Selector and tolerations of a pool.
  Placement pool_placement(std::string_view pool) const;

  // Says that something in the documents cannot be rendered.
  void refuse(std::string_view code, const text::Position& at, std::string path, std::string message,
              std::string hint = {}) const;
  void warn(std::string_view code, const text::Position& at, std::string path, std::string message,
            std::string hint = {}) const;

 private:
  const spec::Documents& documents_;
  spec::Usage& usage_;
  std::vector<spec::Finding>& findings_;
  spec::Reader document_, spec_;
  std::string name_, kubernetes_;
  Site site_ = Site::existing;
  catalog::Profile profile_ = catalog::Profile::standard;
};

}  // namespace tg::render
