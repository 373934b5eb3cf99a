// One thing that is wrong (or doubtful) in a document, with its place.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "text/position.hpp"

namespace tg::spec {

enum class Severity { error, warning };

struct Finding {
  std::string code;  // stable reason code, snake_case
  Severity severity = Severity::error;
  text::Position at;
  std::string path;  // in the document: "spec.to[1].weight"; empty = the whole file or document
  std::string message;
  std::string hint;  // one thing to do, may be empty

  // "models.yaml:7:3: error[unknown_field] MESSAGE", and the hint on a second line. No line feed at the end.
  std::string str() const {
    return fmt::format("{}: {}[{}] {}{}{}", at.str(), severity == Severity::error ? "error" : "warning", code,
                       message, hint.empty() ? "" : "\n  hint: ", hint);
  }
};

}  // namespace tg::spec
