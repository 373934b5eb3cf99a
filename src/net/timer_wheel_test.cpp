#include "net/timer_wheel.hpp"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <vector>

namespace tg::net {
namespace {

class Probe final : public Timer {
 public:
  Nanos fired_at = -1;
  int times = 0;

 private:
  void on_timer(Nanos now) override {
    fired_at = now;
    ++times;
  }
};

TEST(TimerWheel, NeverEarlyAndAtMostOneStepLate) {
  // A model check: random arms, re-arms, cancels and jumps against a plain map.
  std::mt19937_64 random(7);
  TimerWheel wheel(0);
  std::vector<std::unique_ptr<Probe>> timers;
  std::map<Probe*, Nanos> due;
  for (int i = 0; i < 200; ++i) timers.push_back(std::make_unique<Probe>());
  Nanos now = 0;
  for (int step = 0; step < 20'000; ++step) {
    Probe& t = *timers[random() % timers.size()];
    switch (random() % 4) {
      case 0:
      case 1: {
        const int shift = static_cast<int>(random() % 36);
        const Nanos at = now + static_cast<Nanos>(random() % (std::uint64_t{1} << shift)) * 1000 + 1;
        wheel.arm(t, at);
        due[&t] = at;
        break;
      }
      case 2:
        t.cancel();
        due.erase(&t);
        break;
      default:
        now += static_cast<Nanos>(random() % (std::uint64_t{1} << (random() % 34)));
    }
    const std::int64_t wait = wheel.next_wait_ms(now);
    ASSERT_EQ(wait < 0, due.empty());
    for (const auto& [timer, at] : due) {
      // The loop may sleep at most until the earliest due time, rounded up to the wheel's step.
      ASSERT_LE(wait * kMillisecond + now, std::max(now, at) + 2 * kMillisecond)
          << "would sleep past a timer";
    }
    wheel.advance(now);
    for (auto it = due.begin(); it != due.end();) {
      if (it->first->armed()) {
        ASSERT_GT(it->second + kMillisecond, now) << "late";
        ++it;
      } else {
        ASSERT_LE(it->second, now) << "early";
        it = due.erase(it);
      }
    }
  }
}

TEST(TimerWheel, CallbacksMayArmAndDestroy) {
  TimerWheel wheel(0);
  struct Chain final : Timer {
    TimerWheel* wheel = nullptr;
    std::unique_ptr<Probe> victim = std::make_unique<Probe>();
    int runs = 0;
    void on_timer(Nanos now) override {
      victim.reset();
      if (++runs < 5) wheel->arm(*this, now + kMillisecond);
    }
  } chain;
  chain.wheel = &wheel;
  wheel.arm(chain, kMillisecond);
  wheel.arm(*chain.victim, kMillisecond);
  for (int ms = 1; ms < 20; ++ms) wheel.advance(ms * kMillisecond);
  EXPECT_EQ(chain.runs, 5);
  EXPECT_EQ(wheel.next_wait_ms(20 * kMillisecond), -1);
}

}  // namespace
}  // namespace tg::net
