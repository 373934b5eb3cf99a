#include "render/label.hpp"

#include <string>

namespace tg::render {

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
}

}  // namespace tg::render
