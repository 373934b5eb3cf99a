#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "spec/documents.hpp"
#include "spec/reference.hpp"
#include "spec/value.hpp"

namespace tg::spec {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kLabelPattern = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$";
constexpr std::string_view kDottedPattern =
    "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$";
constexpr std::string_view kModelPattern = "^[^\\s\"'`\\\\,{}\\[\\]]{1,256}$";
constexpr std::string_view kDurationPattern = "^(0|([0-9]+(\\.[0-9]+)?(ms|s|m|h|d))+)$";
constexpr std::string_view kBytesPattern = "^[0-9]+(\\.[0-9]+)?(k|M|G|T|Ki|Mi|Gi|Ti)?$";
constexpr std::string_view kCountPattern = "^[0-9]+(\\.[0-9]+)?(k|M|G)$";

Json pattern(std::string_view text) { return {{"type", "string"}, {"pattern", text}}; }

void put_bounds(Json& schema, const Field& f) {
  const auto number = [](double bound) -> Json {
    if (bound == std::floor(bound) && std::abs(bound) < 9e15) return static_cast<std::int64_t>(bound);
    return bound;
  };
  if (f.min != -kNoBound) schema["minimum"] = number(f.min);
  if (f.max != kNoBound) schema["maximum"] = number(f.max);
}

Json object(DocumentKind kind, std::string_view path);

Json union_of(DocumentKind kind, const Field& f) {
  Json whole = object(kind, f.path);
  whole["minProperties"] = 1;
  whole["maxProperties"] = 1;
  if (f.type == Type::secret) return whole;
  Json names = Json::array();
  for (auto& [name, member] : whole["properties"].items()) {
    if (member.contains("type") && member["type"] == "object") {
      if (!member.contains("required")) names.push_back(name);
      member["type"] = {"object", "null"};
    }
  }
  return {{"oneOf", Json::array({{{"enum", names}}, whole})}};
}

Json of_field(DocumentKind kind, const Field& f) {
  switch (f.type) {
    case Type::object:
      return object(kind, f.path);
    case Type::one_of:
    case Type::secret:
      return union_of(kind, f);
    case Type::object_list: {
      Json schema{{"type", "array"}, {"items", object(kind, std::string(f.path) + "[]")}};
      if (f.required) schema["minItems"] = 1;
      return schema;
    }
    case Type::text_list:
      return {{"type", "array"}, {"items", {{"type", "string"}, {"minLength", 1}}}, {"minItems", 1}};
    case Type::names: {
      Json schema{{"type", "array"}, {"items", pattern(kModelPattern)}, {"uniqueItems", true}};
      if (f.required) schema["minItems"] = 1;
      return schema;
    }
    case Type::any:
      return Json::object();
    case Type::text:
      return {{"type", "string"}, {"minLength", 1}};
    case Type::variable:
      return pattern("^[A-Za-z_][A-Za-z0-9_]*$");
    case Type::label:
      return pattern(kLabelPattern);
    case Type::dotted:
      return pattern(kDottedPattern);
    case Type::model_name:
      return pattern(kModelPattern);
    case Type::boolean:
      return {{"type", "boolean"}};
    case Type::integer: {
      Json number{{"type", "integer"}};
      put_bounds(number, f);
      return {{"oneOf", Json::array({number, pattern(kCountPattern)})}};
    }
    case Type::number: {
      Json number{{"type", "number"}};
      put_bounds(number, f);
      return number;
    }
    case Type::bytes: {
      Json number{{"type", "integer"}};
      put_bounds(number, f);
      return {{"oneOf", Json::array({number, pattern(kBytesPattern)})}};
    }
    case Type::duration: {
      // A plain 0 needs no unit.
      Json words = split_words(f.words);
      if (f.min <= 0) words.push_back(0);
      if (words.empty()) return pattern(kDurationPattern);
      return {{"oneOf", Json::array({pattern(kDurationPattern), {{"enum", words}}})}};
    }
    case Type::percent:
      return pattern("^[0-9]+(\\.[0-9]+)?%$");
    case Type::url:
      return pattern("^https?://[^@?#\\s]+$");
    case Type::source:
      return pattern("^(file:///|hf://[^/]+/[^/]+/|https://[^/]+/|ollama://).+$");
    case Type::digest:
      return pattern("^(sha256:)?[0-9a-fA-F]{64}$");
    case Type::choice:
      return {{"enum", split_words(f.words)}};
    case Type::fault_time:
      return pattern("^(load|firstByte|event:[0-9]+|end)$");
    case Type::fault_act:
      return pattern("^(exit|stall|error:[45][0-9][0-9])$");
  }
  return Json::object();
}

// The default as the JSON value that a document would hold; nothing for descriptions such as "from the file".
void put_default(Json& schema, const Field& f) {
  const Value value = default_value(f);
  if (value.text.empty()) return;
  if (f.type == Type::boolean) {
    schema["default"] = value.integer != 0;
  } else if (f.type == Type::number) {
    schema["default"] = value.number;
  } else if (f.type == Type::integer) {
    schema["default"] = value.integer;
  } else {
    schema["default"] = f.fallback;
  }
}

Json object(DocumentKind kind, std::string_view path) {
  Json properties = Json::object();
  Json required = Json::array();
  for (const Field* f : children(kind, path)) {
    if (f->planned) continue;
    Json schema = of_field(kind, *f);
    schema["description"] = f->meaning;
    put_default(schema, *f);
    if (f->path == "apiVersion") schema = {{"const", kApiVersion}, {"description", f->meaning}};
    if (f->path == "kind") schema = {{"const", kind_name(kind)}, {"description", f->meaning}};
    properties[f->leaf()] = std::move(schema);
    if (f->required) required.push_back(f->leaf());
  }
  Json out{{"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
  if (!required.empty()) out["required"] = std::move(required);
  return out;
}

}  // namespace

std::string schema_json(DocumentKind kind) {
  Json schema{{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"title", kind_name(kind)}};
  schema.update(object(kind, ""));
  return schema.dump(2) + "\n";
}

}  // namespace tg::spec
