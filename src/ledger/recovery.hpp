// What an earlier run of the program left in its journals: applied to the books once, begin records without a
// settle as `interrupted` with the prompt's estimate. Pure reading; the commit that makes it count is the
// caller's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/log.hpp"
#include "ledger/books.hpp"
#include "ledger/segment.hpp"

namespace tg::ledger {

struct Recovered {
  std::size_t settled = 0;  // records that were not in the sums yet
  std::size_t interrupted = 0;
  std::size_t corrupt = 0;  // segments of which a part cannot be read
  // Finished segments and the bytes of them that are used: to be trimmed after the commit.
  std::vector<std::pair<std::string, std::uint64_t>> trim;
};

// `files`: segments of ended runs only, sorted as list_segments() does. A segment that cannot be read, or
// only in part, is logged, counted and passed over.
Recovered recover(const std::vector<SegmentFile>& files, Books& books, Logger& log);

// The settle record of a request that this program's death interrupted.
SettleBody interrupted(const BeginBody& begin, Ticket ticket);

}  // namespace tg::ledger
