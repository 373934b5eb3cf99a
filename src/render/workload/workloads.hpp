// The user's own things: databases, apps, tenants, training runs. One function per file of this folder.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "render/parts.hpp"

namespace tg::render {

std::vector<Part> data(const Context&);
std::vector<Part> tenants(const Context&);
std::vector<Part> training_runs(const Context&);
std::vector<Part> apps(const Context&);

// How a data service of `data` is reached by whoever uses it.
struct DataApi {
  std::string use{};   // "postgresql", as the document says
  Peer peer{};         // its pods, or the addresses of a cloud's service
  std::string host{};  // name inside the cluster; empty if only the Secret knows it
  int port = 0;
  std::string secret{};  // with key `url`, empty = none is needed; lies in namespace `data`
  std::vector<std::string> keys{};
};
// Nothing if there is no such service.
std::optional<DataApi> data_api(const Context&, const std::string& name);
// The user's Secret of a service in another namespace: a need that apply fills from that of `data`.
SecretNeed copy_of_data_secret(const DataApi&, const std::string& ns, const std::string& why);

// A Tenant's namespace and the class of its pods; nothing if the document has no such Tenant.
struct TenantHome {
  std::string ns{};
  std::string priority_class{};  // empty = none
};
std::optional<TenantHome> tenant_home(const Context&, const std::string& tenant);
// Of all Tenants that have one, by name.
std::map<std::string, TenantHome> tenant_homes(const Context&);
// Where apps without a tenant run.
std::string apps_namespace(const Context&);

// Names of apps that scale by something that Kubernetes itself does not measure.
bool needs_keda(const Context&);
// What the vertical autoscaler has to do for the apps: only recommend, or change pods too.
enum class Vertical : std::uint8_t { none, recommend, change };
Vertical needs_vpa(const Context&);

}  // namespace tg::render
