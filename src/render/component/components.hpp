// The components, one function per file of this folder: namespaces() is in namespaces.cpp.
#pragma once

#include <vector>

#include "render/parts.hpp"

namespace tg::render {

std::vector<Part> gpu(const Context&);
std::vector<Part> host_metrics(const Context&);
std::vector<Part> network(const Context&);
std::vector<Part> upkeep(const Context&);
std::vector<Part> node_autoscaling(const Context&);
std::vector<Part> balancer_controller(const Context&);
std::vector<Part> local_disks(const Context&);

// Who brings the software of GPUs: operator, host, none.
std::string gpu_software(const Context&);

std::vector<Part> storage(const Context&);
std::vector<Part> certificates(const Context&);
std::vector<Part> vault(const Context&);
std::vector<Part> gateway_crds(const Context&);
// Whether what is published hangs on a Gateway, not on Ingresses.
bool gateway_api(const Context&);
// Whether the gateway brings its kinds itself, so that who asks for them comes after it.
bool gateway_first(const Context&);
std::vector<Part> gateway(const Context&);
std::vector<Part> policy(const Context&, const std::vector<Part>&);
std::vector<Part> secrets(const Context&, const std::vector<Part>&);
std::vector<Part> mesh(const Context&, const std::vector<Part>&);
std::vector<Part> serving(const Context&);
std::vector<Part> chat(const Context&);
std::vector<Part> scaling(const Context&);
std::vector<Part> operators(const Context&);
std::vector<Part> training(const Context&);

// The namespace and name of the Gateway that everything published hangs on.
inline constexpr const char* kGatewayNamespace = "gateway-system";
inline constexpr const char* kGatewayName = "platform";
// The proxies that requests come through.
Peer gateway_peer(const Context&);
// What the gateway does to requests: limits, affinity, login, firewall, headers. Called by routes().
void add_gateway_policies(Part& part, const Context& context, const std::vector<Published>& all);
// Filters of one HTTPRoute.
Json route_filters(const Context& context);
// Name of the HTTPRoute of something published.
std::string route_name(const Published& published);
// The issuer that Certificates name.
std::string certificate_issuer(const Context&);

// Where pods reach the models: the pods, the port they listen on and the URL inside the cluster.
struct ModelApi {
  Peer pods;
  int port = 0;
  std::string url;      // "http://ollama.models.svc:11434"
  bool ollama = false;  // speaks Ollama's own API; else OpenAI's below /v1, with a key
};
ModelApi model_api(const Context&);
std::vector<Part> metrics_server(const Context&);
std::vector<Part> monitoring_crds(const Context&);
std::vector<Part> metrics(const Context&);
std::vector<Part> logs(const Context&);
std::vector<Part> traces(const Context&);
// serving: tidegate, when there is something to serve.
bool tidegate_serves(const Context&);
ModelApi tidegate_api();
std::vector<Part> tidegate_serving(const Context&);

// What runs TrainingRuns; "none" if nothing does.
std::string training_use(const Context&);

// The pods of Prometheus, for edges to what they scrape.
Peer prometheus_peer();

// Collectors.
std::vector<Part> backup(const Context&, const std::vector<Part>&);
std::vector<Part> routes(const Context&, const std::vector<Part>&);
std::vector<Part> alerts(const Context&, const std::vector<Part>&);
std::vector<Part> dashboards(const Context&, const std::vector<Part>&);
std::vector<Part> namespaces(const Context&, const std::vector<Part>&);
std::vector<Part> network_policies(const Context&, const std::vector<Part>&);

}  // namespace tg::render
