// One app of the document, read once for the files that render it. Plain data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "render/context.hpp"
#include "render/part.hpp"
#include "render/workload/workloads.hpp"

namespace tg::render {

struct App {
  std::string name{}, ns{};
  std::string priority_class{};
  bool homeless = false;  // the Tenant that it names has no namespace
  int port = 0;           // 0 = it has no service
  std::vector<std::string> hosts{};
  int min = 0, max = 0;
  spec::Reader spec;

  // Every replica, of the canary too.
  Labels pods() const { return {{"app.kubernetes.io/name", name}}; }
  Peer peer() const { return Peer::pods(ns, pods()); }
};

// In the order of their names.
std::vector<App> all_apps(const Context&);

// PromQL for what the proxies in front of an app measure: the mesh if there are sidecars, else the gateway.
// Empty where neither measures it.
struct RequestMetrics {
  std::string rate{};     // requests a second
  std::string errors{};   // share of answers with a status of 500 and more
  std::string latency{};  // 95th percentile in seconds
  explicit operator bool() const { return !rate.empty(); }
};
RequestMetrics request_metrics(const Context&, const App&);

// What sets the number of replicas, in Kubernetes' own objects or KEDA's, and what sets their size.
// `replicas_fixed` tells the Deployment whether it has a number of its own.
struct Scaling {
  std::vector<Json> objects{};
  std::vector<Edge> edges{};
  std::vector<SecretNeed> secrets{};
  bool replicas_fixed = true;
};
Scaling scale(const Context&, const App&);

}  // namespace tg::render
