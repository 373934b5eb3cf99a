// Every reason and error code of the product with its long explanation, for `tidegate explain CODE` and the
// reference page. Constant data. A test looks for every code in src/ and fails if one is missing here.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace tg::admin {

struct ReasonEntry {
  std::string_view code;
  std::string_view meaning;  // what it says, with the mechanism behind it
  std::string_view remedy;   // what to do
};

// Sorted by code.
std::span<const ReasonEntry> reasons();
const ReasonEntry* find_reason(std::string_view code);
// docs/reference/reasons.md, whole.
std::string reasons_markdown();

}  // namespace tg::admin
