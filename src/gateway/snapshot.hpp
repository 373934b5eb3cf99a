// The documents as the request path needs them: immutable, built by the control thread, one shared_ptr per
// worker. Live state (limits, slots, what was learned about a provider) lives in registries and is only
// pointed to.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/metrics.hpp"
#include "http/client.hpp"
#include "ledger/limits.hpp"
#include "replica/table.hpp"
#include "spec/documents.hpp"

namespace tg::gateway {

// What is learned about a Provider; survives reloads, shared by all workers (relaxed atomics: hints, not
// truths).
struct ProviderState {
  std::atomic<bool> refuses_include_usage{false};  // it answered 400 to a body that asked for usage
};

struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view s) const noexcept { return std::hash<std::string_view>{}(s); }
};
template <class V>
using StringMap = std::unordered_map<std::string, V, StringHash, std::equal_to<>>;
using StringSet = std::unordered_set<std::string, StringHash, std::equal_to<>>;

// What every request head to one upstream has in common, around the path's end and the body's length.
struct UpstreamHead {
  UpstreamHead() = default;
  // `authorization`: header value; empty = none.
  UpstreamHead(std::string_view host, std::string_view base_path, std::string_view authorization);
  std::string start;   // "POST /v1"
  std::string fields;  // " HTTP/1.1\r\nhost: … content-length: "
};

// One place a route can send a request to.
struct Backend {
  std::string name;   // for records: "model/qwen3-4b" or "provider/openai"
  std::string model;  // the model's name in records
  int weight = 1;
  // A local Model:
  std::shared_ptr<replica::Table> table;
  Nanos keep_alive_after = 0;  // hold.keepAliveAfter; 0 = never
  std::int64_t context = 0;    // tokens of prompt and answer together; 0 = not known
  bool foreign = false;        // somebody else runs the server
  // A Provider:
  std::shared_ptr<const http::Target> target;
  std::shared_ptr<ProviderState> provider;
  UpstreamHead head;
  std::string upstream_model;  // what the upstream calls it; empty = the client's word
  std::string not_ready;       // why it cannot be used (missing credential); empty = it can
};

// Metric handles of one route.
struct RouteMetrics {
  Counter complete, cut, client_gone, refused, upstream_error, timed_out;
  Counter tokens_in_reported, tokens_in_estimated, tokens_out_reported, tokens_out_estimated;
  Counter no_done, error_events, retries, compressed;
  Histogram first_byte, duration;
};

struct Route {
  std::string name;
  std::vector<Backend> to;
  std::vector<Backend> fallback;  // tried in order after errors
  int total_weight = 0;
  spec::Retry retry;
  spec::Timeouts timeouts;
  RouteMetrics metrics;
  std::int64_t created_s = 0;  // for /v1/models
  std::string owner;           // "tidegate" or the provider's name
};

struct Tenant {
  std::string name;
  bool all_routes = true;
  StringSet routes;
  ledger::Limits limits;
  ledger::LimitState* state = nullptr;

  bool allows(std::string_view route) const { return all_routes || routes.contains(route); }
};

struct Snapshot {
  StringMap<Route> routes;
  StringMap<Tenant> tenants;
  std::vector<std::string> route_names;  // sorted
  std::vector<std::string> not_ready;    // "provider openai: OPENAI_API_KEY is not set"
};

// Registries that outlive snapshots. Control thread only.
class SnapshotBuilder {
 public:
  SnapshotBuilder(Metrics& metrics, ledger::LimitRegistry& limits) : metrics_(metrics), limits_(limits) {}
  // `table_of` gives the live table of a Model (the controller's).
  using TableOf = std::function<std::shared_ptr<replica::Table>(const std::string&)>;
  std::shared_ptr<const Snapshot> build(const spec::Documents& documents, const TableOf& table_of);

 private:
  Backend backend_of(const spec::Target& target, const spec::Documents& documents, const TableOf& table_of,
                     const spec::Timeouts& timeouts);
  Metrics& metrics_;
  ledger::LimitRegistry& limits_;
  std::map<std::string, std::shared_ptr<ProviderState>> providers_;
  // Targets are kept while their address and timeouts stay the same, so that a reload keeps the connections.
  std::map<std::string, std::weak_ptr<const http::Target>> targets_;
  std::set<std::string> routes_;  // of the last build: series of routes that are gone are dropped
};

// "http://host:8000/v1" → host, port, tls, path. The URL was checked by spec/.
struct UrlParts {
  std::string host;
  std::uint16_t port = 0;
  bool tls = false;
  std::string path;       // without trailing slash
  std::string authority;  // as in the Host field: the port only if it is not the default
};
Result<UrlParts> split_url(std::string_view url);

}  // namespace tg::gateway
