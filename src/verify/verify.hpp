// What is wrong with documents although every field is well-formed: addresses that overlap, names that
// nothing has, pods that fit no node, versions past their end. Knows the documents and the catalog, never the
// renderer: a checker that shares its code repeats its faults. Pure.
#pragma once

#include <vector>

#include "spec/decode.hpp"

namespace tg::verify {

// Findings in no particular order; errors and warnings.
std::vector<spec::Finding> check(const spec::Documents& documents);

}  // namespace tg::verify
