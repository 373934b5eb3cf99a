#include "render/label.hpp"

#include <string>

namespace tg::render {

namespace {

// The template of the pods that an object of Kubernetes' own makes; null if it makes none.
Json* pod_template_of(Json& o) {
  const std::string kind = o.value("kind", std::string());
  if (!o.contains("spec")) return nullptr;
  Json* spec = &o["spec"];
  if (kind == "CronJob") {
    spec = &(*spec)["jobTemplate"]["spec"];
  } else if (kind != "Deployment" && kind != "StatefulSet" && kind != "DaemonSet" && kind != "Job") {
    return nullptr;
  }
  return spec->contains("template") ? &(*spec)["template"] : nullptr;
}

}  // namespace

void label_object(const Context& context, const Part& part, Json& o) {
  Json labels = Json::object();
  const Json own = o["metadata"].value("labels", Json::object());
  const std::string name = o["metadata"].value("name", std::string());
  labels["app.kubernetes.io/name"] = own.value("app.kubernetes.io/name", name);
  labels["app.kubernetes.io/part-of"] = context.name();
  labels["app.kubernetes.io/component"] = part.name;
  labels["app.kubernetes.io/managed-by"] = "tidegate";
  for (const auto& [key, value] : context.spec().texts_map("tags")) labels[key] = value;
  labels.update(own);
  Json metadata = Json::object();
  for (auto& [key, value] : o["metadata"].items()) {
    if (key == "labels") continue;
    metadata[key] = value;
    if (key == "namespace" || (key == "name" && !o["metadata"].contains("namespace")))
      metadata["labels"] = labels;
  }
  o["metadata"] = std::move(metadata);
  // Pods are told apart and judged by the same labels; selectors name fewer.
  if (Json* pods = pod_template_of(o)) {
    Json& own_labels = (*pods)["metadata"]["labels"];
    for (const char* key :
         {"app.kubernetes.io/part-of", "app.kubernetes.io/component", "app.kubernetes.io/managed-by"}) {
      if (!own_labels.contains(key)) own_labels[key] = labels[key];
    }
  }
}

}  // namespace tg::render
