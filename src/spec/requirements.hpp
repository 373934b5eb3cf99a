// Which requirements a field decides: rows of test/coverage/requirements.yaml ("S1-51") and of what is
// outdated in them ("F-44"), with blanks between. They stand in the field table. Any thread.
#pragma once

#include <span>
#include <string_view>

#include "spec/fields.hpp"

namespace tg::spec {

// Of the field itself, empty if it names none.
std::string_view own_meets(DocumentKind kind, const Field& field);
// Its own, else those of the nearest field around it.
std::string_view meets(DocumentKind kind, const Field& field);

// What a row of the second kind says.
struct Outdated {
  std::string_view row, text;  // "F-44", "the chart alone keeps 10 days in one copy: both are set"
};
std::span<const Outdated> outdated();
std::string_view outdated_text(std::string_view row);  // empty for a row of the first kind

}  // namespace tg::spec
