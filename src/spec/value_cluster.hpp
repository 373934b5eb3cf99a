// Values of the fields that only platforms have: quantities, networks, schedules, images. Pure.
#pragma once

#include <string_view>

#include "base/error.hpp"
#include "spec/fields.hpp"
#include "spec/value.hpp"

namespace tg::spec {

// A Kubernetes quantity in base units: "500m" is 0.5, "4Gi" is 2^32. Error: wrong_unit.
Result<double> parse_quantity(std::string_view text);

// A scalar of one of the platform types, for which `text` is no number, boolean or null in YAML's eyes.
// Errors: bad_value, with the value in the message and a form to write in the hint.
Result<Value> read_cluster_text(const Field& field, std::string_view text);

// Whether a name of a map's entry has the form of `keys`; the error is the hint. Value.text is the name.
Result<Value> read_key(Type keys, std::string_view text);

// Forms that other files ask for.
bool is_dns_name(std::string_view text);       // lower-case labels joined by '.'
bool is_qualified(std::string_view text);      // [prefix/]name
bool is_secret_key(std::string_view text);     // entry of a Secret
bool is_variable_name(std::string_view text);  // of the environment

}  // namespace tg::spec
