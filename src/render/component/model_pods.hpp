// What runs a Model in a cluster: engine, arguments, sizes and place, computed from the document alone.
#pragma once

#include <string>
#include <vector>

#include "render/context.hpp"
#include "render/part.hpp"

namespace tg::render {

inline constexpr const char* kModelsNamespace = "models";
inline constexpr int kModelPort = 8080;

struct ModelPod {
  std::string name{};    // of the Deployment and its Service: the Model's name as DNS takes it
  std::string model{};   // the Model's name, by which the engine knows it
  std::string engine{};  // llamacpp, vllm, ollama
  int replicas = 1;
  std::int64_t slots = 1;  // of all replicas
  bool one_node = false;   // its volume is held by one node at a time
  bool metrics = false;    // the engine has /metrics
  Pod pod{};
  std::vector<Json> claims{};  // volumes of its own

  std::string url() const;  // as an OpenAI-compatible server
};

// Models that a program in a pod runs; those of the gateway itself (simulated, external) are left out. Says
// what cannot be run so.
std::vector<ModelPod> model_pods(const Context&);

}  // namespace tg::render
