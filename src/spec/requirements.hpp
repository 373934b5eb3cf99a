// Which requirements a field decides: rows of test/coverage/requirements.yaml ("S1-51") and of what is
// outdated in them ("F-44"), with blanks between. They stand in the field table. Any thread.
#pragma once

#include <string_view>

#include "spec/fields.hpp"

namespace tg::spec {

// Of the field itself, empty if it names none.
std::string_view own_meets(DocumentKind kind, const Field& field);
// Its own, else those of the nearest field around it.
std::string_view meets(DocumentKind kind, const Field& field);

}  // namespace tg::spec
