#include "admin/reasons.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace tg::admin {

const ReasonEntry* find_reason(std::string_view code) {
  const auto all = reasons();
  const auto it = std::lower_bound(all.begin(), all.end(), code,
                                   [](const ReasonEntry& e, std::string_view c) { return e.code < c; });
  return it != all.end() && it->code == code ? &*it : nullptr;
}

std::string reasons_markdown() {
  std::string page =
      "# Reason codes\n\n"
      "Every error, finding and \"not ready\" carries one of these codes: in the command line, the admin "
      "API, the documents'\n"
      "check and the errors that clients get. `tidegate explain CODE` prints the same text without a "
      "network.\n\n"
      "<!-- Made from src/admin/reasons_table.cpp; a test compares. -->\n";
  for (const ReasonEntry& e : reasons())
    page += fmt::format("\n## {}\n\n{}\n\n**What to do:** {}\n", e.code, e.meaning, e.remedy);
  return page;
}

}  // namespace tg::admin
