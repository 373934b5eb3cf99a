#include "ledger/signal.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace tg::ledger {

namespace {
long futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value, const timespec* timeout) {
  static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t));
  return ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), operation, value, timeout, nullptr, 0);
}
}  // namespace

void Signal::wake() {
  const std::uint32_t before = state_.exchange(kWoken, std::memory_order_seq_cst);
  if (before == kAsleep || before == kNapping) futex(state_, FUTEX_WAKE_PRIVATE, 1, nullptr);
}

void Signal::wait(Nanos timeout) {
  const std::uint32_t announced = state_.load(std::memory_order_seq_cst);
  if (announced == kAsleep || announced == kNapping) {
    const timespec t{timeout / kSecond, timeout % kSecond};
    // An early return (signal, changed word) is harmless: the caller looks for work and waits again.
    futex(state_, FUTEX_WAIT_PRIVATE, announced, timeout < 0 ? nullptr : &t);
  }
  state_.store(kAwake, std::memory_order_seq_cst);
}

}  // namespace tg::ledger
