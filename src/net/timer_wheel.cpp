#include "net/timer_wheel.hpp"

#include <algorithm>
#include <bit>

namespace tg::net {

void Timer::cancel() {
  if (wheel_ != nullptr) wheel_->remove(*this);
}

TimerWheel::TimerWheel(Nanos start) : current_ms_(static_cast<std::uint64_t>(start / kMillisecond)) {}

void TimerWheel::arm(Timer& timer, Nanos due) {
  timer.cancel();
  const auto due_ms = static_cast<std::uint64_t>((due + kMillisecond - 1) / kMillisecond);
  timer.due_ms_ = std::max(due_ms, current_ms_ + 1);
  insert(timer);
}

void TimerWheel::insert(Timer& timer) {
  // The level is the highest 8-bit digit in which due and current differ, so each level holds less than one
  // turn.
  std::uint64_t due = timer.due_ms_;
  const std::uint64_t horizon = std::uint64_t{1} << (kBits * kLevels);
  if (due - current_ms_ >= horizon) due = current_ms_ + horizon - 1;
  int level = 0;
  while (level + 1 < kLevels && (due >> (kBits * (level + 1))) != (current_ms_ >> (kBits * (level + 1))))
    ++level;
  const auto slot = static_cast<std::uint8_t>(due >> (kBits * level) & (kSlots - 1));
  auto& head = slots_[static_cast<std::size_t>(level)][slot];
  timer.wheel_ = this;
  timer.level_ = static_cast<std::uint8_t>(level);
  timer.slot_ = slot;
  timer.next_ = head;
  timer.back_ = &head;
  if (head != nullptr) head->back_ = &timer.next_;
  head = &timer;
  used_[static_cast<std::size_t>(level)][slot / 64] |= std::uint64_t{1} << (slot % 64);
}

void TimerWheel::remove(Timer& timer) {
  *timer.back_ = timer.next_;
  if (timer.next_ != nullptr) timer.next_->back_ = timer.back_;
  timer.wheel_ = nullptr;
  if (slots_[timer.level_][timer.slot_] == nullptr) {
    used_[timer.level_][timer.slot_ / 64] &= ~(std::uint64_t{1} << (timer.slot_ % 64));
  }
}

void TimerWheel::cascade(int level) {
  const auto slot = static_cast<std::size_t>(current_ms_ >> (kBits * level) & (kSlots - 1));
  while (Timer* timer = slots_[static_cast<std::size_t>(level)][slot]) {
    remove(*timer);
    insert(*timer);
  }
}

int TimerWheel::next_used(int level, int from) const {
  for (int word = from / 64; word < static_cast<int>(kSlots / 64); ++word) {
    std::uint64_t bits = used_[static_cast<std::size_t>(level)][static_cast<std::size_t>(word)];
    if (word == from / 64) bits &= ~std::uint64_t{0} << (from % 64);
    if (bits != 0) return word * 64 + std::countr_zero(bits);
  }
  return -1;
}

void TimerWheel::advance(Nanos now) {
  const auto target = static_cast<std::uint64_t>(now / kMillisecond);
  while (current_ms_ < target) {
    // Jump over empty steps: to the next used slot of this turn, or to the turn's end where higher levels
    // cascade.
    const int next = next_used(0, static_cast<int>(current_ms_ & (kSlots - 1)));
    const std::uint64_t turn_end = (current_ms_ | (kSlots - 1)) + 1;
    std::uint64_t step =
        next < 0 ? turn_end : (current_ms_ & ~(kSlots - 1)) + static_cast<std::uint64_t>(next);
    if (step <= current_ms_) step = current_ms_ + 1;
    current_ms_ = std::min(step, target);
    if ((current_ms_ & (kSlots - 1)) == 0) {
      int level = 1;
      while (level + 1 < kLevels && (current_ms_ >> (kBits * level) & (kSlots - 1)) == 0) ++level;
      for (; level >= 1; --level) cascade(level);
    }
    auto& head = slots_[0][current_ms_ & (kSlots - 1)];
    while (Timer* timer = head) {
      remove(*timer);
      if (timer->due_ms_ > current_ms_) {
        insert(*timer);  // beyond the horizon: goes round again
        continue;
      }
      timer->on_timer(now);
    }
  }
}

std::int64_t TimerWheel::next_wait_ms(Nanos now) const {
  const auto now_ms = static_cast<std::uint64_t>(now / kMillisecond);
  for (int level = 0; level < kLevels; ++level) {
    const int shift = kBits * level;
    const int at = static_cast<int>(current_ms_ >> shift & (kSlots - 1));
    const int next = next_used(level, at + 1 < static_cast<int>(kSlots) ? at + 1 : at);
    if (next <= at) continue;
    const std::uint64_t turn = current_ms_ >> (shift + kBits) << (shift + kBits);
    const std::uint64_t due = turn + (static_cast<std::uint64_t>(next) << shift);
    return due <= now_ms ? 0 : static_cast<std::int64_t>(due - now_ms);
  }
  return -1;
}

}  // namespace tg::net
