// The begin records that have no settle yet, of one worker: a flat hash set of tickets. Insert and erase at
// the rate of requests without an allocation each. Writer thread only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <vector>

#include "ledger/record.hpp"

namespace tg::ledger {

class TicketSet {
 public:
  TicketSet() : slots_(kFirst, 0) {}

  void insert(Ticket t) {
    if ((size_ + 1) * 2 > slots_.size()) grow();
    std::size_t i = home(t);
    for (; slots_[i] != 0; i = next(i)) {
      if (slots_[i] == t) return;
    }
    slots_[i] = t;
    ++size_;
  }

  bool erase(Ticket t) {
    std::size_t i = home(t);
    for (; slots_[i] != t; i = next(i)) {
      if (slots_[i] == 0) return false;
    }
    --size_;
    // Moves back whatever was pushed past this place, so that probing needs no tombstones.
    for (std::size_t j = next(i);; j = next(j)) {
      if (slots_[j] == 0) break;
      const std::size_t h = home(slots_[j]);
      const bool stays = i <= j ? (i < h && h <= j) : (i < h || h <= j);
      if (stays) continue;
      slots_[i] = slots_[j];
      i = j;
    }
    slots_[i] = 0;
    return true;
  }

  // The oldest, 0 if empty. Looks at every slot.
  Ticket oldest() const {
    Ticket least = 0;
    for (const Ticket t : slots_) {
      if (t != 0 && (least == 0 || t < least)) least = t;
    }
    return least;
  }

  // Forgets every ticket below `limit`.
  void erase_before(Ticket limit) {
    std::vector<Ticket> old;
    std::copy_if(slots_.begin(), slots_.end(), std::back_inserter(old),
                 [&](Ticket t) { return t != 0 && t < limit; });
    for (const Ticket t : old) erase(t);
  }

  std::size_t size() const { return size_; }

 private:
  static constexpr std::size_t kFirst = 64;
  std::size_t home(Ticket t) const { return (t * 0x9E3779B97F4A7C15 >> 32) & (slots_.size() - 1); }
  std::size_t next(std::size_t i) const { return (i + 1) & (slots_.size() - 1); }
  void grow() {
    std::vector<Ticket> old(slots_.size() * 2, 0);
    std::swap(old, slots_);
    size_ = 0;
    for (const Ticket t : old) {
      if (t != 0) insert(t);
    }
  }

  std::vector<Ticket> slots_;
  std::size_t size_ = 0;
};

}  // namespace tg::ledger
