// Where a rendered file comes from: the part that made it, the fields it acted on, with their reasons and the
// rows of the requirements that they decide. And the other way: what a field says in given documents and
// which parts act on it. For `tidegate explain -f FILE`. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "app/field_text.hpp"
#include "app/terminal.hpp"
#include "base/error.hpp"
#include "render/render.hpp"

namespace tg::app {

struct RenderedDocuments {
  const render::Tree& tree;
  const std::vector<render::Origin>& origins;
};

// `path`: a file or folder of the tree, as `render --only` takes it. {"path", "origins": [...]}. Error
// nothing_there, with the nearest paths.
Result<nlohmann::ordered_json> tree_json(const RenderedDocuments& rendered, const std::string& path);
std::string tree_text(const Terminal& terminal, const nlohmann::ordered_json& object);

// Adds to the objects of fields_json(places) what the documents say there ("here") and who acts on it
// ("readBy").
void add_uses(const RenderedDocuments& rendered, const std::vector<FieldPlace>& places,
              nlohmann::ordered_json& fields);
std::string uses_text(const nlohmann::ordered_json& fields);

}  // namespace tg::app
