// How workers and the control thread wake the writer thread: one futex word. Workers pay one load per record
// while the writer is awake or napping, and a system call only for the first record after an idle time.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/clock.hpp"

namespace tg::ledger {

class Signal {
 public:
  // Any thread, after storing what the sleeper should see (seq_cst store or exchange).
  void work() {  // ends sleep(), not nap()
    if (state_.load(std::memory_order_seq_cst) == kAsleep) wake();
  }
  void urgent() {  // ends both, also one that is about to begin
    wake();
  }

  // Writer thread only. Announces the sleep; look for work once more before really sleeping.
  void announce_sleep() {
    std::uint32_t expected = kAwake;
    state_.compare_exchange_strong(expected, kAsleep, std::memory_order_seq_cst);
  }
  void announce_nap() {
    std::uint32_t expected = kAwake;
    state_.compare_exchange_strong(expected, kNapping, std::memory_order_seq_cst);
  }
  // Until woken, or at most `timeout` (negative = no bound). Returns at once after a wake that came since the
  // last wait.
  void wait(Nanos timeout);
  void cancel() { state_.store(kAwake, std::memory_order_seq_cst); }

 private:
  static constexpr std::uint32_t kAwake = 0, kAsleep = 1, kNapping = 2, kWoken = 3;
  void wake();

  alignas(64) std::atomic<std::uint32_t> state_{kAwake};
};

}  // namespace tg::ledger
