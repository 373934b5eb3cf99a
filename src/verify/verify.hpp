// What is wrong with documents although every field is well-formed: addresses that overlap, names that
// nothing has, pods that fit no node, versions past their end. Knows the documents and the catalog, never the
// renderer: a checker that shares its code repeats its faults. Pure.
#pragma once

#include <string_view>
#include <vector>

#include "spec/decode.hpp"

namespace tg::verify {

// Findings in no particular order; errors and warnings. Each environment of a Platform is looked at too; what
// is wrong in it alone names it. `today` ("2026-11-21") adds warnings of what has ended, or soon will, by
// then; without it the day of the catalog counts.
std::vector<spec::Finding> check(const spec::Documents& documents, std::string_view today = {});

}  // namespace tg::verify
