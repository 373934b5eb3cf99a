// What people and other programs read of the field table: JSON schemas, the reference page, one field
// explained. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/error.hpp"
#include "spec/fields.hpp"

namespace tg::spec {

// A JSON schema (draft 2020-12) of one kind, indented by two spaces. Planned fields are absent, so they do
// not validate.
std::string schema_json(DocumentKind kind);

// The page docs/reference/documents.md.
std::string reference_markdown();

// `model.spec.replicas.max`, `model.spec`, `model`, or a path alone when it begins with spec or metadata;
// list entries as `to[].weight` or `to.weight`. Several lines, a line feed at the end. Error: unknown_field,
// with the nearest paths.
Result<std::string> explain_field(std::string_view path);

}  // namespace tg::spec
