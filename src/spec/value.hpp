// One scalar of a document as a typed value, by its row of the field table. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "spec/fields.hpp"
#include "text/yaml.hpp"

namespace tg::spec {

struct Value {
  std::string text;          // normalised: a URL without slash at its end, a digest in lower case
  std::int64_t integer = 0;  // integer, bytes, duration (ns), boolean (0, 1), the N of event:N and error:N
  double number = 0;         // number, percent (share of 1)
  bool word = false;         // one of the field's words was written in place of a value
};

// Reads what a user wrote. Errors: wrong_type, wrong_unit, out_of_range, bad_value, unknown_choice,
// not_supported_yet; the message names the value but not the path.
Result<Value> read_value(const Field& field, const text::Node& node);
// The default of the field. A field without one, or whose default is a description ("from the file"), gives
// an empty Value.
Value default_value(const Field& field);

}  // namespace tg::spec
