// Walks one document along the field table: unknown, planned and missing fields, types, units and bounds.
// Pure.
#pragma once

#include <string>
#include <vector>

#include "spec/fields.hpp"
#include "spec/finding.hpp"
#include "text/yaml.hpp"

namespace tg::spec {

// Appends a finding for everything that the table forbids. Brings `document` to its one form on the way: a
// name where a union stands (`engine: simulated`) and an empty union entry (`simulated:`) become maps.
void check_document(DocumentKind kind, const std::string& file, text::Node& document,
                    std::vector<Finding>& out);

}  // namespace tg::spec
