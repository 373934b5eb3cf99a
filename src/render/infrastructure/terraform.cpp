#include "render/infrastructure/terraform.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

namespace tg::render {

namespace {

constexpr const char* kHead = "Written by tidegate render. Change the document, not this file.";

std::string written(const Json& value) { return value.dump(2) + "\n"; }

// Who holds what: a reader finds each section in the file of its name.
constexpr const char* kVariables = "variables";
constexpr const char* kOutputs = "outputs";
constexpr const char* kVersions = "versions";
constexpr const char* kMain = "main";

}  // namespace

std::string expression(std::string_view text) { return fmt::format("${{{}}}", text); }

std::string literal(std::string_view text) { return Json(std::string(text)).dump(); }

std::string Block::path(std::string_view attribute) const { return fmt::format("{}.{}", address, attribute); }

std::string Block::at(std::string_view attribute) const { return expression(path(attribute)); }

std::string Block::value() const { return expression(address); }

Terraform::Terraform() {
  // 1.10: the lock of an S3 state is an object beside it.
  files_[kVersions]["terraform"]["required_version"] = ">= 1.10.0";
}

void Terraform::put(std::string_view file, std::string_view section, std::string_view type,
                    std::string_view name, Json body) {
  Json& at = files_[std::string(file)][std::string(section)][std::string(type)];
  if (at.contains(name)) {  // every test that renders the document would hit it
    std::fprintf(stderr, "Terraform: %.*s.%.*s is there twice\n", static_cast<int>(type.size()), type.data(),
                 static_cast<int>(name.size()), name.data());
    std::abort();
  }
  at[std::string(name)] = std::move(body);
}

Block Terraform::resource(std::string_view file, std::string_view type, std::string_view name, Json body) {
  put(file, "resource", type, name, std::move(body));
  return {fmt::format("{}.{}", type, name)};
}

Block Terraform::data(std::string_view file, std::string_view type, std::string_view name, Json body) {
  put(file, "data", type, name, std::move(body));
  return {fmt::format("data.{}.{}", type, name)};
}

Block Terraform::variable(const Variable& v) {
  Json body{{"description", v.description}, {"type", v.type}};
  if (!v.fallback.is_null() || v.optional) body["default"] = v.fallback;
  if (v.sensitive) body["sensitive"] = true;
  if (v.ephemeral) {
    body["ephemeral"] = true;
    files_[kVersions]["terraform"]["required_version"] = ">= 1.11.0";  // arguments that are only written
  }
  if (!v.condition.empty())
    body["validation"] =
        Json::array({{{"condition", expression(v.condition)}, {"error_message", v.message}}});
  files_[kVariables]["variable"][v.name] = std::move(body);
  return {"var." + v.name};
}

void Terraform::given(std::string_view variable, Json value) {
  given_[std::string(variable)] = std::move(value);
}

void Terraform::output(std::string_view name, std::string_view description, Json value, bool sensitive) {
  Json body{{"description", description}, {"value", std::move(value)}};
  if (sensitive) body["sensitive"] = true;
  files_[kOutputs]["output"][std::string(name)] = std::move(body);
}

Block Terraform::local(std::string_view name, Json value) {
  files_[kMain]["locals"][std::string(name)] = std::move(value);
  return {fmt::format("local.{}", name)};
}

void Terraform::require(std::string_view name, std::string_view source, std::string_view version) {
  files_[kVersions]["terraform"]["required_providers"][std::string(name)] = {{"source", source},
                                                                             {"version", version}};
}

void Terraform::provider(std::string_view name, Json settings) {
  Json& all = files_[kMain]["provider"][std::string(name)];
  if (all.is_null()) all = Json::array();
  all.push_back(std::move(settings));
}

void Terraform::backend(std::string_view kind, Json settings) {
  files_[kVersions]["terraform"]["backend"][std::string(kind)] = std::move(settings);
}

std::vector<std::string> Terraform::outputs() const {
  std::vector<std::string> out;
  const auto file = files_.find(kOutputs);
  if (file == files_.end()) return out;
  for (const auto& [name, body] : file->second["output"].items()) out.push_back(name);
  return out;
}

std::vector<Extra> Terraform::files(std::string_view folder) const {
  std::vector<Extra> out;
  for (const auto& [name, sections] : files_) {
    Json file{{"//", kHead}};
    for (const auto& [section, content] : sections.items()) file[section] = content;
    out.push_back({fmt::format("{}/{}.tf.json", folder, name), written(file), false});
  }
  if (!given_.empty())
    out.push_back({fmt::format("{}/terraform.tfvars.json", folder), written(given_), false});
  return out;
}

}  // namespace tg::render
