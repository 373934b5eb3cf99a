#include "app/field_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "spec/reference.hpp"
#include "spec/requirements.hpp"

namespace tg::app {

using Json = nlohmann::ordered_json;

Json rows_json(std::string_view rows) {
  Json out = Json::array();
  while (!rows.empty()) {
    const std::size_t blank = std::min(rows.find(' '), rows.size());
    out.push_back(std::string(rows.substr(0, blank)));
    rows.remove_prefix(std::min(blank + 1, rows.size()));
  }
  return out;
}

namespace {

using spec::Field;

// What is compared: lower case, without "[]" or "[0]".
std::string folded(std::string_view path) {
  std::string out;
  bool inside = false;
  for (const char c : path) {
    if (c == '[') inside = true;
    if (!inside) out += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    if (c == ']') inside = false;
  }
  return out;
}

Json field_json(spec::DocumentKind kind, const Field& f) {
  Json j;
  j["kind"] = std::string(spec::kind_name(kind));
  j["path"] = std::string(f.path);
  j["type"] = std::string(spec::type_name(f.type));
  if (!f.words.empty()) {
    Json words = Json::array();
    for (const auto w : spec::split_words(f.words)) words.push_back(std::string(w));
    j["words"] = std::move(words);
  }
  j["default"] = f.fallback.empty() ? Json(nullptr) : Json(std::string(f.fallback));
  if (!f.unit.empty()) j["unit"] = std::string(f.unit);
  j["required"] = f.required;
  j["supported"] = !f.planned;
  j["meaning"] = std::string(f.meaning);
  if (!f.reason.empty()) j["reason"] = std::string(f.reason);
  j["rows"] = rows_json(spec::meets(kind, f));
  return j;
}

std::string_view parent_of(const FieldPlace& place, std::string& buffer) {
  if (place.field == nullptr) return {};
  buffer = place.field->path;
  if (place.field->type == spec::Type::object_list) buffer += "[]";
  return buffer;
}

}  // namespace

std::vector<FieldPlace> find_fields(std::string_view what) {
  std::string wanted = folded(what);
  std::vector<FieldPlace> found;
  for (const auto kind : spec::decoded_kinds()) {
    const std::string kind_text = folded(spec::kind_name(kind));
    if (wanted == kind_text) return {{kind, nullptr}};
    const bool named = wanted.starts_with(kind_text + ".");
    const std::string rest = named ? wanted.substr(kind_text.size() + 1) : wanted;
    for (const Field& f : spec::fields(kind)) {
      const std::string path = folded(f.path);
      if (path == rest || path == "spec." + rest) found.push_back({kind, &f});
    }
    // Through names and shared rows: platform.spec.pools.gpu.count.
    const std::size_t dot = what.find('.');
    if (found.empty() && dot != std::string_view::npos) {
      const std::string_view tail = named ? what.substr(dot + 1) : what;
      for (const std::string& path : {std::string(tail), fmt::format("spec.{}", tail)}) {
        if (const Field* f = spec::resolve_field(kind, path); f != nullptr && found.empty())
          found.push_back({kind, f});
      }
    }
    if (named) return found;
  }
  return found;
}

std::vector<std::string> field_names() {
  std::vector<std::string> names;
  for (const auto kind : spec::decoded_kinds()) {
    names.emplace_back(spec::kind_name(kind));
    for (const Field& f : spec::fields(kind)) {
      names.push_back(fmt::format("{}.{}", spec::kind_name(kind), f.path));
      names.emplace_back(f.path);
      if (f.path.starts_with("spec.")) names.emplace_back(f.path.substr(5));
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

Json fields_json(const std::vector<FieldPlace>& places) {
  Json items = Json::array();
  for (const FieldPlace& p : places) {
    Json j = p.field != nullptr ? field_json(p.kind, *p.field)
                                : Json{{"kind", std::string(spec::kind_name(p.kind))}, {"path", ""}};
    std::string buffer;
    Json below = Json::array();
    for (const Field* c : spec::children(p.kind, parent_of(p, buffer)))
      below.push_back(field_json(p.kind, *c));
    j["fields"] = std::move(below);
    items.push_back(std::move(j));
  }
  return {{"items", std::move(items)}};
}

std::string fields_text(const std::vector<FieldPlace>& places) {
  std::string out;
  for (const FieldPlace& p : places) {
    std::string path(spec::kind_name(p.kind));
    if (p.field != nullptr) path += fmt::format(".{}", p.field->path);
    out += (out.empty() ? "" : "\n") + spec::explain_field(path).value_or(path + "\n");
  }
  return out;
}

}  // namespace tg::app
