#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "spec/documents.hpp"
#include "spec/reference.hpp"
#include "spec/requirements.hpp"
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

// What is under way: an overlay demands nothing, and its null removes.
struct Mode {
  DocumentKind kind;
  bool overlay = false;
};

Json object(Mode mode, std::string_view path);
Json of_field(Mode mode, const Field& f);

constexpr std::string_view kQuantityPattern = "^[0-9]+(\\.[0-9]+)?(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi)?$";
constexpr std::string_view kLabelValuePattern = "^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$";
constexpr std::string_view kQualifiedPattern =
    "^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";
constexpr std::string_view kVariablePattern = "^[A-Za-z_][A-Za-z0-9_]*$";

Json one_of(std::initializer_list<Json> forms) { return {{"oneOf", Json::array_t(forms)}}; }

Json closed(Json properties, Json required) {
  Json out{{"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
  if (!required.empty()) out["required"] = std::move(required);
  return out;
}

// A scalar in place of the map that `whole` describes.
Json or_scalar(Mode mode, const Field& f, Json whole) {
  for (const Field* m : children(mode.kind, f.path)) {
    if (m->leaf() == f.shorthand) return one_of({of_field(mode, *m), std::move(whole)});
  }
  return whole;
}

Json quantity(double min) {
  Json number{{"type", "number"}};
  if (min > 0)
    number["exclusiveMinimum"] = 0;
  else
    number["minimum"] = 0;
  return one_of({number, pattern(kQuantityPattern)});
}

Json secret_place() {
  const Json text{{"type", "string"}, {"minLength", 1}};
  const Json named = closed({{"name", pattern(kDottedPattern)}, {"key", text}}, Json::array({"name"}));
  Json out = closed({{"secretRef", one_of({pattern(kDottedPattern), named})},
                     {"env", pattern(kVariablePattern)},
                     {"file", text},
                     {"vault", text}},
                    Json::array());
  out["minProperties"] = 1;
  out["maxProperties"] = 1;
  return out;
}

// The pattern of a scalar type that is text to YAML; empty if any text will do.
std::string_view pattern_of(Type type) {
  switch (type) {
    case Type::cidr:
      return "^[0-9a-fA-F.:]+/[0-9]{1,3}$";
    case Type::ip:
      return "^[0-9a-fA-F.:]+$";
    case Type::host:
    case Type::dotted:
      return kDottedPattern;
    case Type::label:
      return kLabelPattern;
    case Type::host_port:
      return "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?:[0-9]{1,5}$";
    case Type::email:
      return "^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$";
    case Type::cron:
      return "^\\S+( +\\S+){4}$";
    case Type::window:
      return "^(daily|[MTWFS][a-z]{2}([-,][MTWFS][a-z]{2})*) [0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9]$";
    case Type::taint:
      return "^[^=:\\s]+(=[^:\\s]*)?:(NoSchedule|PreferNoSchedule|NoExecute)$";
    case Type::rate:
      return "^[1-9][0-9]*/(s|m|h)$";
    case Type::version:
      return "^[0-9]+\\.[0-9]+$";
    case Type::tag:
      return "^(?!latest$)[A-Za-z0-9_][-A-Za-z0-9_.]{0,127}$";
    case Type::image:
      return "^(?!.*:latest$)[a-z0-9][-a-z0-9._/:]*(:[A-Za-z0-9_][-A-Za-z0-9_.]*|@sha256:[0-9a-f]{64})$";
    case Type::time_zone:
      return "^(UTC|[A-Z][A-Za-z_+-]*(/[A-Za-z0-9_+-]+){1,2})$";
    case Type::url_path:
      return "^/[^\\s?#\"']*$";
    case Type::qualified:
      return kQualifiedPattern;
    case Type::label_value:
      return kLabelValuePattern;
    default:
      return {};
  }
}

Json text_of(Type type) {
  const std::string_view form = pattern_of(type);
  return form.empty() ? Json{{"type", "string"}, {"minLength", 1}} : pattern(form);
}

Json union_of(Mode mode, const Field& f) {
  Json whole = object(mode, f.path);
  if (!mode.overlay) {
    whole["minProperties"] = 1;
    whole["maxProperties"] = 1;
  }
  if (f.type == Type::secret) return whole;
  Json names = Json::array();
  for (auto& [name, member] : whole["properties"].items()) {
    if (member.contains("type") && member["type"] == "object") {
      if (!member.contains("required")) names.push_back(name);
      if (!mode.overlay) member["type"] = {"object", "null"};
    }
  }
  return {{"oneOf", Json::array({{{"enum", names}}, whole})}};
}

// Words that may stand in place of a value.
Json or_words(const Field& f, Json value) {
  if (f.words.empty()) return value;
  return {{"anyOf", Json::array({std::move(value), {{"enum", split_words(f.words)}}})}};
}

Json list_of(Mode mode, const Field& f) {
  Field entry = f;
  entry.type = f.item.value_or(Type::text);
  entry.item.reset();
  entry.shorthand = {};
  Json list{{"type", "array"}, {"items", of_field(mode, entry)}};
  if (!f.platform || f.required) list["minItems"] = 1;
  if (f.shorthand == "[]") return one_of({of_field(mode, entry), std::move(list)});
  return list;
}

// Named things, labels, resources.
Json map_of(Mode mode, const Field& f) {
  Json out{{"type", "object"}};
  if (f.type == Type::map) {
    const auto& rows = children(mode.kind, f.path);
    if (const std::string_view form = pattern_of(f.keys); !form.empty()) out["propertyNames"] = pattern(form);
    Json thing = rows.empty() ? Json::object() : of_field(mode, *rows.front());
    if (!rows.empty()) thing["description"] = rows.front()->meaning;
    if (!rows.empty() && rows.front()->type == Type::object && rows.front()->shorthand.empty() &&
        thing.contains("type"))
      thing["type"] = {"object", "null"};
    out["additionalProperties"] = std::move(thing);
    return out;
  }
  const bool amounts = f.type == Type::resources;
  out["propertyNames"] = amounts ? pattern(kQualifiedPattern) : text_of(f.keys);
  Json value = text_of(f.item.value_or(Type::text));
  if (amounts) {
    value = quantity(0);
    if (f.item == Type::percent) value["oneOf"].push_back(pattern("^[0-9]+(\\.[0-9]+)?%$"));
  }
  if (mode.overlay) value = one_of({std::move(value), {{"type", "null"}}});
  out["additionalProperties"] = std::move(value);
  return out;
}

Json of_field(Mode mode, const Field& f) {
  switch (f.type) {
    case Type::object: {
      Mode below = mode;
      below.overlay = mode.overlay || f.partial;
      return or_scalar(below, f, object(below, f.path));
    }
    case Type::one_of:
    case Type::secret:
      return union_of(mode, f);
    case Type::map:
    case Type::text_map:
    case Type::resources:
      return map_of(mode, f);
    case Type::count: {
      Json whole = object(mode, f.path);
      if (!mode.overlay) whole["required"] = {"min", "max"};
      Json number{{"type", "integer"}};
      for (const Field* m : children(mode.kind, f.path)) {
        if (m->leaf() == "min") put_bounds(number, *m);
      }
      return one_of({number, std::move(whole)});
    }
    case Type::secret_ref:
      return secret_place();
    case Type::given:
      return one_of({text_of(f.item.value_or(Type::text)),
                     closed({{"env", pattern(kVariablePattern)}}, Json::array({"env"}))});
    case Type::quantity:
      return quantity(f.min);
    case Type::cidr:
    case Type::ip:
    case Type::host:
    case Type::host_port:
    case Type::email:
    case Type::cron:
    case Type::window:
    case Type::taint:
    case Type::rate:
    case Type::version:
    case Type::tag:
    case Type::image:
    case Type::time_zone:
    case Type::url_path:
    case Type::qualified:
    case Type::label_value:
    case Type::label:
    case Type::dotted:
      return or_words(f, text_of(f.type));
    case Type::object_list: {
      Json schema{{"type", "array"}, {"items", object(mode, inside(f))}};
      if (f.required) schema["minItems"] = 1;
      return schema;
    }
    case Type::text_list:
      return list_of(mode, f);
    case Type::names: {
      Json schema{{"type", "array"}, {"items", pattern(kModelPattern)}, {"uniqueItems", true}};
      if (f.required) schema["minItems"] = 1;
      return schema;
    }
    case Type::any:
      return Json::object();
    case Type::text:
      return or_words(f, text_of(f.type));
    case Type::variable:
      return pattern(kVariablePattern);
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
      return pattern("^(file:///|hf://[^/]+/|https://[^/]+/|ollama://).+$");
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
  } else if (f.type == Type::text_list || f.type == Type::names) {
    return;  // written with commas in the table
  } else {
    schema["default"] = f.fallback;
  }
}

Json object(Mode mode, std::string_view path) {
  Json properties = Json::object();
  Json required = Json::array();
  const DocumentKind kind = mode.kind;
  for (const Field* f : children(kind, path)) {
    if ((f->planned && !f->platform) || (mode.overlay && f->partial)) continue;
    if (mode.overlay && f->type == Type::map && !children(kind, f->path).empty() &&
        children(kind, f->path).front()->partial)
      continue;  // overlays do not lie on overlays
    Json schema = of_field(mode, *f);
    if (mode.overlay) schema = one_of({std::move(schema), {{"type", "null"}}});
    schema["description"] = f->meaning;
    if (const auto rows = own_meets(kind, *f); !rows.empty())
      schema["$comment"] = fmt::format("decides {}", rows);
    put_default(schema, *f);
    if (f->path == "apiVersion") schema = {{"const", kApiVersion}, {"description", f->meaning}};
    if (f->path == "kind") schema = {{"const", kind_name(kind)}, {"description", f->meaning}};
    properties[f->leaf()] = std::move(schema);
    if (f->required && !mode.overlay) required.push_back(f->leaf());
  }
  return closed(std::move(properties), std::move(required));
}

}  // namespace

std::string schema_json(DocumentKind kind) {
  Json schema{{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"title", kind_name(kind)}};
  schema.update(object({kind}, ""));
  return schema.dump(2) + "\n";
}

}  // namespace tg::spec
