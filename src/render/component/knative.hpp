// Models that Knative runs and LiteLLM offers: what serving.cpp and the parts of the managing cluster share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "render/component/components.hpp"

namespace tg::render {

inline constexpr const char* kModelNamespace = "models";
// Secret of that namespace with LiteLLM's only key, its entry is "key". It must begin with "sk-".
inline constexpr const char* kLiteLlmKey = "litellm-master-key";

// The operator and Knative Serving with Kourier.
std::vector<Part> knative(const Context&);
// Models as Knative Services, LiteLLM in front of them.
std::vector<Part> knative_models(const Context&);
ModelApi knative_model_api();
Part litellm(const Context&);
// Selector of the pods of a Model that Knative runs.
Labels knative_pods(std::string_view model);

// "ollama://qwen3:0.6b" → "qwen3:0.6b"; empty for other sources.
std::string ollama_name(const std::string& source);
// What a pod of the Model asks for.
Resources asked_by_model(const Context&, const spec::Reader& model);

}  // namespace tg::render
