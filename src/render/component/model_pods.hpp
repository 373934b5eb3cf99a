// What runs a Model in a cluster: engine, arguments, sizes and place, computed from the document alone.
#pragma once

#include <string>
#include <vector>

#include "render/context.hpp"
#include "render/part.hpp"

namespace tg::render {

inline constexpr const char* kModelsNamespace = "models";
inline constexpr int kModelPort = 8080;
inline constexpr int kGatewayConsole = 4001;  // of the gateway: metrics, for Prometheus alone

struct ModelPod {
  std::string name{};    // of the Deployment and its Service: the Model's name as DNS takes it
  std::string model{};   // the Model's name, by which the engine knows it
  std::string engine{};  // llamacpp, vllm, ollama
  int least = 0;         // as the document says: 0 = nothing runs while nobody asks
  int replicas = 1;      // of the Deployment while nothing scales it: at least one
  int most = 1;          // replicas at the height of demand
  bool gpu = false;
  std::int64_t slots = 1;  // of a replica
  bool one_node = false;   // its volume is held by one node at a time
  bool metrics = false;    // the engine has /metrics
  Pod pod{};
  std::vector<Json> claims{};  // volumes of its own

  std::string url() const;  // as an OpenAI-compatible server
};

// What changes the number of a Model's replicas.
enum class Grower : std::uint8_t {
  nobody,
  processor,  // Kubernetes' own autoscaler
  requests,   // KEDA, by what the gateway holds and the engine has in hand; also from nothing
};
Grower grower(const Context& context, const ModelPod& plan);
// The objects and edges that do it; none for nobody.
void add_model_scaling(const Context& context, Part& part, const ModelPod& plan);

bool models_follow_requests(const Context& context);  // some do, so KEDA is needed

// Metrics, alerts and figures of the gateway; nothing without Prometheus.
void watch_gateway(const Context& context, Part& part, const Peer& gateway, const Labels& pods);

// Models that a program in a pod runs; those of the gateway itself (simulated, external) are left out. Says
// what cannot be run so.
std::vector<ModelPod> model_pods(const Context&);

}  // namespace tg::render
