// The JSON schemas against documents, by a small validator of the keywords that they use.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>

#include "base/files.hpp"
#include "spec/fields.hpp"
#include "spec/load.hpp"
#include "spec/reference.hpp"
#include "text/yaml.hpp"

namespace tg::spec {
namespace {

using Json = nlohmann::json;
using text::Node;

Json json_of(const Node& node) {
  if (node.kind == Node::Kind::sequence) {
    Json out = Json::array();
    for (const Node& item : node.items) out.push_back(json_of(item));
    return out;
  }
  if (node.kind == Node::Kind::mapping) {
    Json out = Json::object();
    for (const auto& m : node.members) out[m.key] = json_of(m.value);
    return out;
  }
  switch (resolve(node)) {
    case text::ScalarType::null:
      return nullptr;
    case text::ScalarType::boolean:
      return as_boolean(node);
    case text::ScalarType::integer:
    case text::ScalarType::floating:
      return Json::parse(node.text, nullptr, false);
    case text::ScalarType::text:
      break;
  }
  return node.text;
}

class Validator {
 public:
  // Empty, or the first thing that does not fit.
  std::string wrong(const Json& schema, const Json& value, const std::string& at = "$") {
    for (const auto& [word, rule] : schema.items()) {
      if (std::string found = judge(word, rule, schema, value, at); !found.empty()) return found;
    }
    return {};
  }

 private:
  static bool is_type(const std::string& type, const Json& value) {
    if (type == "object") return value.is_object();
    if (type == "array") return value.is_array();
    if (type == "string") return value.is_string();
    if (type == "boolean") return value.is_boolean();
    if (type == "null") return value.is_null();
    if (type == "integer") return value.is_number_integer();
    return type == "number" && value.is_number();
  }

  bool matches(const std::string& pattern, const std::string& value) {
    const auto [it, fresh] = patterns_.try_emplace(pattern);
    if (fresh) it->second = std::regex(pattern, std::regex::ECMAScript);
    return std::regex_search(value, it->second);
  }

  std::string judge(const std::string& word, const Json& rule, const Json& schema, const Json& value,
                    const std::string& at) {
    const auto no = [&](std::string_view what) { return fmt::format("{}: {} {}", at, what, value.dump()); };
    if (word == "type") {
      const Json types = rule.is_array() ? rule : Json::array({rule});
      const bool good = std::any_of(types.begin(), types.end(),
                                    [&](const Json& t) { return is_type(t.get<std::string>(), value); });
      return good ? "" : no("type");
    }
    if (word == "const") return rule == value ? "" : no("const");
    if (word == "enum") return std::find(rule.begin(), rule.end(), value) != rule.end() ? "" : no("enum");
    if (word == "pattern")
      return !value.is_string() || matches(rule, value.get<std::string>()) ? "" : no("pattern");
    if (word == "minLength")
      return !value.is_string() || value.get<std::string>().size() >= rule ? "" : no("minLength");
    if (word == "minimum") return !value.is_number() || value >= rule ? "" : no("minimum");
    if (word == "maximum") return !value.is_number() || value <= rule ? "" : no("maximum");
    if (word == "exclusiveMinimum") return !value.is_number() || value > rule ? "" : no("exclusiveMinimum");
    if (word == "minItems") return !value.is_array() || value.size() >= rule ? "" : no("minItems");
    if (word == "minProperties") return !value.is_object() || value.size() >= rule ? "" : no("minProperties");
    if (word == "maxProperties") return !value.is_object() || value.size() <= rule ? "" : no("maxProperties");
    if (word == "uniqueItems") {
      for (std::size_t i = 0; i < value.size() && value.is_array(); ++i) {
        if (std::count(value.begin(), value.end(), value[i]) > 1) return no("uniqueItems");
      }
      return {};
    }
    if (word == "oneOf" || word == "anyOf") {
      std::string all;
      int fits = 0;
      for (const Json& form : rule) {
        const std::string found = wrong(form, value, at);
        fits += found.empty() ? 1 : 0;
        all += " | " + found;
      }
      return fits == 1 || (fits > 1 && word == "anyOf") ? ""
                                                        : fmt::format("{}: {} forms fit{}", at, fits, all);
    }
    if (word == "items") {
      for (std::size_t i = 0; value.is_array() && i < value.size(); ++i) {
        if (std::string found = wrong(rule, value[i], fmt::format("{}[{}]", at, i)); !found.empty())
          return found;
      }
      return {};
    }
    if (word == "required") {
      for (const Json& name : rule) {
        if (value.is_object() && !value.contains(name.get<std::string>()))
          return fmt::format("{}: no {}", at, name.get<std::string>());
      }
      return {};
    }
    if (word == "properties" || word == "additionalProperties" || word == "propertyNames")
      return members(word, rule, schema, value, at);
    static const std::vector<std::string> notes{"$schema", "title", "description", "default", "$comment"};
    return std::find(notes.begin(), notes.end(), word) != notes.end() ? "" : "unknown keyword " + word;
  }

  std::string members(const std::string& word, const Json& rule, const Json& schema, const Json& value,
                      const std::string& at) {
    if (!value.is_object()) return {};
    for (const auto& [name, member] : value.items()) {
      const std::string path = at + "." + name;
      const bool named = schema.contains("properties") && schema["properties"].contains(name);
      std::string found;
      if (word == "properties" && named) found = wrong(rule[name], member, path);
      if (word == "propertyNames") found = wrong(rule, name, path);
      if (word == "additionalProperties" && !named) {
        found =
            rule.is_boolean() ? (rule.get<bool>() ? "" : path + ": not known") : wrong(rule, member, path);
      }
      if (!found.empty()) return found;
    }
    return {};
  }

  std::map<std::string, std::regex> patterns_;
};

const Json& schema_of(DocumentKind kind) {
  static const std::map<DocumentKind, Json> schemas = [] {
    std::map<DocumentKind, Json> out;
    for (const DocumentKind k : decoded_kinds()) out[k] = Json::parse(schema_json(k));
    return out;
  }();
  return schemas.at(kind);
}

std::string judge(const Node& document) {
  const auto kind = kind_of(document.find("kind")->text);
  return Validator().wrong(schema_of(*kind), json_of(document));
}

TEST(Schema, AcceptsTheExamples) {
  std::vector<Finding> none;
  const auto files = list_files({std::string(TIDEGATE_SOURCE_DIR) + "/examples"}, none);
  EXPECT_GE(files.size(), 4U);
  for (const std::string& file : files) {
    for (const Node& document : text::parse_yaml(*read_file(file)).documents)
      EXPECT_EQ(judge(document), "") << file << " " << document.find("kind")->text;
  }
}

TEST(Schema, FollowsTheDecoder) {
  const auto spec = [](std::string_view rest) {
    const auto yaml = text::parse_yaml(
        fmt::format("apiVersion: tidegate.dev/v1alpha1\nkind: Platform\nmetadata: {{name: p}}\nspec:\n"
                    "  infrastructure: {{existing: here}}\n{}\n",
                    rest));
    EXPECT_TRUE(yaml.problems.empty());
    return judge(yaml.documents.front());
  };
  for (const std::string_view good :
       {"  components: {logs: none, gateway: {use: traefik}}",
        "  pools: {a: {count: 2}, b: {count: {min: 1, max: 2}}}",
        "  delivery: {scan: {images: trivy, infrastructure: [checkov]}}",
        "  cluster: {etcd: {defragment: daily}}",
        "  delivery: {environments: {s: {pools: {a: null}, components: {logs: null}}}}",
        "  cluster: {reserve: {eviction: {nodefs.available: 10%}}}",
        "  components: {placement: controlPlane}"})
    EXPECT_EQ(spec(good), "") << good;
  for (const std::string_view bad :
       {"  components: {logs: lokki}", "  pools: {a: {count: {min: 1}}}", "  pools: {A: {count: 1}}",
        "  delivery: {environments: {s: {delivery: {environments: {}}}}}", "  unknown: 1",
        "  cluster: {version: 1.35}", "  access: {from: [10.0.0.0]}", "  tags: {a: true}",
        "  apps: {a: {image: a:latest}}",
        "  access: {login: {oidc: {issuer: 'https://i', clientId: c, clientSecret: s}}}"})
    EXPECT_NE(spec(bad), "") << bad;
}

}  // namespace
}  // namespace tg::spec
