// A hierarchical timer wheel: arm and cancel in O(1), 1 ms steps, up to 34 years. Timers are intrusive and
// owned by their users; destroying an armed timer cancels it. One thread (the loop's) only.
#pragma once

#include <array>
#include <cstdint>

#include "base/clock.hpp"

namespace tg::net {

class TimerWheel;

class Timer {
 public:
  Timer() = default;
  virtual ~Timer() { cancel(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  bool armed() const { return wheel_ != nullptr; }
  void cancel();

 protected:
  virtual void on_timer(Nanos now) = 0;

 private:
  friend class TimerWheel;
  TimerWheel* wheel_ = nullptr;
  Timer* next_ = nullptr;
  Timer** back_ = nullptr;  // the pointer that points here
  std::uint64_t due_ms_ = 0;
  std::uint8_t level_ = 0;
  std::uint8_t slot_ = 0;
};

class TimerWheel {
 public:
  explicit TimerWheel(Nanos start);

  // (Re-)arms the timer; it fires in the first advance() whose time is not before `due`, never early.
  void arm(Timer& timer, Nanos due);
  // Fires all due timers in order of their millisecond. Callbacks may arm, cancel and destroy timers.
  void advance(Nanos now);
  // Milliseconds from `now` to the next point at which advance() has work, rounded up; -1 = nothing armed.
  std::int64_t next_wait_ms(Nanos now) const;

 private:
  friend class Timer;
  static constexpr int kLevels = 5;  // 2^40 ms: the monotonic clock never leaves the wheel
  static constexpr int kBits = 8;
  static constexpr std::uint64_t kSlots = 1 << kBits;

  void insert(Timer& timer);
  void remove(Timer& timer);
  void cascade(int level);
  int next_used(int level, int from) const;  // first used slot at or after `from` within the level; -1 = none

  std::uint64_t current_ms_;
  std::array<std::array<Timer*, kSlots>, kLevels> slots_{};
  std::array<std::array<std::uint64_t, kSlots / 64>, kLevels> used_{};
};

}  // namespace tg::net
