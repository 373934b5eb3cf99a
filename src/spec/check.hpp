// Walks one document along the field table: unknown, planned and missing fields, types, units and bounds.
// Pure.
#pragma once

#include <string>
#include <vector>

#include "spec/fields.hpp"
#include "spec/finding.hpp"
#include "text/yaml.hpp"

namespace tg::spec {

// Appends a finding for everything that the table forbids. `document` is in its one form (normalise.hpp); an
// empty union entry (`simulated:`) becomes a map. `files`: names of the files that Mark::source counts into.
void check_document(DocumentKind kind, Purpose purpose, const std::vector<std::string>& files,
                    text::Node& document, std::vector<Finding>& out);

}  // namespace tg::spec
