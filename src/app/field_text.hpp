// Fields of the documents for people and programs: `tidegate explain FIELD`. From the field table of spec/.
// Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "spec/fields.hpp"

namespace tg::app {

struct FieldPlace {
  spec::DocumentKind kind;
  const spec::Field* field = nullptr;  // null = the whole kind
};

// Fields that a person may mean: "Model.spec.hold.deadline", "model.hold.deadline", "spec.hold.deadline",
// "hold.deadline", "Model". Case of the kind, "spec." and "[]" may differ. Several kinds may have the field.
std::vector<FieldPlace> find_fields(std::string_view what);
// Everything that find_fields knows in its long form, for suggestions.
std::vector<std::string> field_names();

// "S1-51 F-44" as a list.
nlohmann::ordered_json rows_json(std::string_view rows);
nlohmann::ordered_json fields_json(const std::vector<FieldPlace>& places);
std::string fields_text(const std::vector<FieldPlace>& places);

}  // namespace tg::app
