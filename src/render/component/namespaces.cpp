// All namespaces of the platform, with the Pod Security level that their pods really need.
#include <fmt/format.h>

#include <map>

#include "render/component/components.hpp"

namespace tg::render {

namespace {

std::string_view level_name(Level level) {
  switch (level) {
    case Level::restricted:
      return "restricted";
    case Level::baseline:
      return "baseline";
    case Level::privileged:
      return "privileged";
  }
  return "restricted";
}

}  // namespace

std::vector<Part> namespaces(const Context& context, const std::vector<Part>& parts) {
  // One namespace may be named by several parts: the weakest level that one of them needs holds.
  std::map<std::string, Namespace> all;
  for (const Part& part : parts) {
    for (const Namespace& n : part.namespaces) {
      const auto [it, fresh] = all.try_emplace(n.name, n);
      if (fresh) continue;
      Namespace& known = it->second;
      for (const auto& [key, value] : n.labels) known.labels.emplace(key, value);
      if (n.level == known.level || n.level == Level::restricted) continue;
      if (n.level > known.level) {
        known.level = n.level;
        known.reason = n.reason;
      }
    }
  }
  Part part = component("namespaces");
  for (const auto& [name, n] : all) {
    Json o = object("v1", "Namespace", name);
    Json labels = to_json(n.labels);
    labels["pod-security.kubernetes.io/enforce"] = level_name(n.level);
    labels["pod-security.kubernetes.io/enforce-version"] = "v" + context.kubernetes();
    // What the level lets pass and restricted would not is still told.
    labels["pod-security.kubernetes.io/audit"] = "restricted";
    labels["pod-security.kubernetes.io/warn"] = "restricted";
    o["metadata"]["labels"] = std::move(labels);
    if (!n.reason.empty()) o["metadata"]["annotations"] = {{"tidegate.dev/pod-security-reason", n.reason}};
    part.add("namespaces.yaml", std::move(o));
  }
  if (part.manifests.empty()) return {};
  return {std::move(part)};
}

}  // namespace tg::render
