#include "ledger/limits.hpp"

#include <gtest/gtest.h>

#include <random>
#include <thread>
#include <vector>

namespace tg::ledger {
namespace {

constexpr Nanos kStart = 1'000 * kSecond;
const std::int64_t kSomeLimits[] = {1,  2,   3,   7,     10,     59,        60,
                                    61, 600, 999, 6'000, 70'001, 7'000'000, 123'456'789};

struct One {
  Limits limits;
  LimitState state;
  Admission ask(std::int64_t tokens, Nanos now) {
    const Scope scope{&limits, &state};
    return admit(std::span(&scope, 1), tokens, now);
  }
  void end(std::int64_t estimate, std::int64_t actual, Nanos now) {
    const Scope scope{&limits, &state};
    settle(std::span(&scope, 1), estimate, actual, now);
  }
};

TEST(Gcra, AnIdleBucketHoldsExactlyTheLimit) {
  for (const std::int64_t limit : kSomeLimits) {
    const gcra::Rate rate = gcra::rate_of(limit);
    const gcra::Ticks now = gcra::to_ticks(kStart);
    EXPECT_EQ(gcra::remaining(0, now, rate), limit);
    const auto all = gcra::take(0, now, rate, gcra::cost_of(rate, limit));
    ASSERT_TRUE(all.ok) << limit;
    EXPECT_EQ(gcra::remaining(all.tat, now, rate), 0);
    EXPECT_FALSE(gcra::take(all.tat, now, rate, rate.unit).ok) << limit;
  }
}

TEST(Gcra, TheLongTermRateIsTheLimitAndNeverAbove) {
  for (const std::int64_t limit : kSomeLimits) {
    const gcra::Rate rate = gcra::rate_of(limit);
    EXPECT_GE(rate.burst, gcra::to_ticks(kMinute)) << limit;
    // The rounding costs at most one part in ten thousand even at a hundred million a minute.
    EXPECT_LE(static_cast<double>(rate.burst), static_cast<double>(gcra::to_ticks(kMinute)) * 1.0003)
        << limit;
  }
}

TEST(Gcra, WaitIsTheFirstMomentThatSucceeds) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 20'000; ++i) {
    const gcra::Rate rate = gcra::rate_of(kSomeLimits[random() % std::size(kSomeLimits)]);
    const gcra::Ticks now = gcra::to_ticks(kStart);
    const gcra::Ticks tat =
        now + static_cast<gcra::Ticks>(random() % (3 * static_cast<std::uint64_t>(rate.burst)));
    const gcra::Ticks cost = gcra::cost_of(rate, static_cast<std::int64_t>(random() % 5));
    const auto t = gcra::take(tat, now, rate, cost);
    if (t.ok || cost > rate.burst) continue;
    EXPECT_TRUE(gcra::take(tat, now + t.wait, rate, cost).ok);
    EXPECT_FALSE(gcra::take(tat, now + t.wait - 1, rate, cost).ok);
  }
}

TEST(Gcra, InAnyWindowAtMostBurstPlusRate) {
  std::mt19937_64 random(2);
  for (const std::int64_t limit : {3, 60, 1'000}) {
    const gcra::Rate rate = gcra::rate_of(limit);
    gcra::Ticks tat = 0;
    Nanos now = kStart;
    std::vector<Nanos> admitted;
    for (int i = 0; i < 6'000; ++i) {
      now += static_cast<Nanos>(random() % static_cast<std::uint64_t>(2 * kMinute / limit));
      const auto t = gcra::take(tat, gcra::to_ticks(now), rate, rate.unit);
      if (!t.ok) continue;
      tat = t.tat;
      admitted.push_back(now);
    }
    ASSERT_GT(admitted.size(), 1'000U);
    for (std::size_t from = 0; from < admitted.size(); from += 97) {
      for (std::size_t to = from; to < admitted.size(); to += 31) {
        const double window =
            static_cast<double>(admitted[to] - admitted[from]) / static_cast<double>(kMinute);
        EXPECT_LE(static_cast<double>(to - from + 1), static_cast<double>(limit) * (1 + window) + 1e-6);
      }
    }
  }
}

TEST(Gcra, HugeNumbersDoNotOverflow) {
  const gcra::Rate slow = gcra::rate_of(1);
  EXPECT_EQ(gcra::cost_of(slow, INT64_MAX), gcra::kMaxAhead);
  const gcra::Ticks late = gcra::to_ticks(10LL * 365 * 24 * kHour);  // ten years of uptime
  EXPECT_LE(gcra::correct(late + gcra::kMaxAhead, late, gcra::kMaxAhead), late + gcra::kMaxAhead);
  EXPECT_GE(gcra::correct(0, late, -gcra::kMaxAhead), 0);
  EXPECT_EQ(gcra::rate_of(INT64_MAX / 32).unit, 1);
}

TEST(Limits, RequestsRefuseAfterTheBurstAndSayWhen) {
  One one;
  one.limits.requests_per_minute = 6;
  for (int i = 0; i < 6; ++i) {
    const Admission a = one.ask(0, kStart);
    ASSERT_TRUE(a.ok());
    EXPECT_EQ(a.requests.limit, 6);
    EXPECT_EQ(a.requests.remaining, 5 - i);
    EXPECT_EQ(a.requests.reset, (i + 1) * 10 * kSecond);
  }
  const Admission refused = one.ask(0, kStart + kSecond);
  EXPECT_EQ(refused.refusal, Refusal::requests);
  EXPECT_EQ(refused.limit, 6);
  EXPECT_EQ(refused.asked, 1);
  EXPECT_EQ(refused.left, 0);
  EXPECT_EQ(refused.retry_after, 9 * kSecond);
  EXPECT_EQ(refused.requests.remaining, 0);
  EXPECT_EQ(refused.tokens.limit, 0);
  EXPECT_FALSE(one.ask(0, kStart + 10 * kSecond - 1).ok());
  EXPECT_TRUE(one.ask(0, kStart + 10 * kSecond).ok());
}

TEST(Limits, TokensBecomeDebtAndComeBack) {
  One one;
  one.limits.tokens_per_minute = 1'000;
  ASSERT_TRUE(one.ask(400, kStart).ok());
  one.end(400, 1'600, kStart);  // 600 more than the whole limit
  const Admission refused = one.ask(1, kStart);
  EXPECT_EQ(refused.refusal, Refusal::tokens);
  EXPECT_EQ(refused.left, 0);
  EXPECT_EQ(refused.tokens.remaining, 0);
  EXPECT_EQ(refused.retry_after, 36'060 * kMillisecond);  // 601 of 1,000 a minute
  EXPECT_FALSE(one.ask(1, kStart + 36'060 * kMillisecond - kMicrosecond).ok());
  ASSERT_TRUE(one.ask(1, kStart + 36'060 * kMillisecond).ok());
  one.end(1, 0, kStart + 36'060 * kMillisecond);
  EXPECT_EQ(one.ask(0, kStart + kHour).tokens.remaining, 1'000);
}

TEST(Limits, TokensLessThanEstimatedAreGivenBack) {
  One one;
  one.limits.tokens_per_minute = 1'000;
  ASSERT_TRUE(one.ask(1'000, kStart).ok());
  EXPECT_FALSE(one.ask(1, kStart).ok());
  one.end(1'000, 10, kStart);
  EXPECT_TRUE(one.ask(990, kStart).ok());
  EXPECT_FALSE(one.ask(1, kStart).ok());
}

TEST(Limits, LargerThanTheWholeLimitIsItsOwnRefusal) {
  One one;
  one.limits.tokens_per_minute = 1'000;
  EXPECT_TRUE(one.ask(1'000, kStart).ok());
  const Admission a = one.ask(1'001, kStart + kHour);
  EXPECT_EQ(a.refusal, Refusal::exceeds_whole_limit);
  EXPECT_EQ(a.asked, 1'001);
  EXPECT_EQ(a.limit, 1'000);
  EXPECT_EQ(a.left, 1'000);
  EXPECT_EQ(a.retry_after, 0);
}

TEST(Limits, ARefusalConsumesNothingInAnyScope) {
  // The key admits, the tenant refuses, once for each kind.
  for (const Refusal kind :
       {Refusal::concurrent, Refusal::requests, Refusal::tokens, Refusal::exceeds_whole_limit}) {
    Limits key{100, 10'000, 100};
    Limits tenant{100, 10'000, 100};
    LimitState key_state;
    LimitState tenant_state;
    const Scope both[] = {{&key, &key_state}, {&tenant, &tenant_state}};
    const Scope tenant_alone[] = {both[1]};
    std::int64_t tokens = 50;
    if (kind == Refusal::concurrent) tenant.concurrent = 1;
    if (kind == Refusal::requests) tenant.requests_per_minute = 1;
    if (kind == Refusal::tokens) tenant.tokens_per_minute = 50;
    if (kind == Refusal::exceeds_whole_limit) {
      tenant.tokens_per_minute = 150;
      tokens = 151;
    }
    ASSERT_TRUE(admit(tenant_alone, 50, kStart).ok());
    const auto key_before = key_state.tokens.load();
    const auto tenant_before = tenant_state.tokens.load();
    const auto requests_before = tenant_state.requests.load();
    const Admission a = admit(both, tokens, kStart);
    EXPECT_EQ(a.refusal, kind);
    EXPECT_EQ(a.scope, 1U);
    EXPECT_EQ(key_state.in_flight.load(), 0);
    EXPECT_EQ(tenant_state.in_flight.load(), 1);
    EXPECT_EQ(gcra::until_full(key_state.requests.load(), gcra::to_ticks(kStart)), 0);
    EXPECT_EQ(gcra::until_full(key_state.tokens.load(), gcra::to_ticks(kStart)), 0);
    EXPECT_EQ(key_before, 0);
    EXPECT_EQ(tenant_state.tokens.load(), tenant_before);
    EXPECT_EQ(tenant_state.requests.load(), requests_before);
  }
}

TEST(Limits, TheOrderIsConcurrentRequestsTokens) {
  One one;
  one.limits = {1, 10, 1};
  ASSERT_TRUE(one.ask(10, kStart).ok());
  EXPECT_EQ(one.ask(99, kStart).refusal, Refusal::concurrent);
  one.end(10, 10, kStart);
  EXPECT_EQ(one.ask(99, kStart).refusal, Refusal::requests);
  one.limits.requests_per_minute = 0;
  EXPECT_EQ(one.ask(99, kStart).refusal, Refusal::exceeds_whole_limit);
  EXPECT_EQ(one.ask(5, kStart).refusal, Refusal::tokens);
}

TEST(Limits, TheTightestBudgetIsShown) {
  Limits key{100, 0, 0};
  Limits tenant{5, 1'000, 0};
  LimitState key_state;
  LimitState tenant_state;
  const Scope both[] = {{&key, &key_state}, {&tenant, &tenant_state}};
  const Admission a = admit(both, 100, kStart);
  EXPECT_EQ(a.requests.limit, 5);
  EXPECT_EQ(a.requests.remaining, 4);
  EXPECT_EQ(a.tokens.limit, 1'000);
  EXPECT_EQ(a.tokens.remaining, 900);
  EXPECT_EQ(a.tokens.reset, 6 * kSecond);
}

TEST(Limits, RefundGivesEverythingBack) {
  One one;
  one.limits = {1, 100, 1};
  ASSERT_TRUE(one.ask(100, kStart).ok());
  const Scope scope{&one.limits, &one.state};
  refund(std::span(&scope, 1), 100, kStart);
  EXPECT_TRUE(one.ask(100, kStart).ok());
}

TEST(Limits, PlacesAreCountedWithoutALimitToo) {
  One one;
  ASSERT_TRUE(one.ask(0, kStart).ok());
  ASSERT_TRUE(one.ask(0, kStart).ok());
  EXPECT_EQ(one.state.in_flight.load(), 2);
  one.limits.concurrent = 2;  // a reload sets one while they run
  EXPECT_EQ(one.ask(0, kStart).refusal, Refusal::concurrent);
  one.end(0, 0, kStart);
  EXPECT_TRUE(one.ask(0, kStart).ok());
}

// Threads hammer one key. Time stands still, so the right numbers are known exactly.
TEST(Limits, ExactOverManyThreads) {
  for (int round = 0; round < 10; ++round) {
    One one;
    one.limits = {500, 20'000, 0};
    std::atomic<int> admitted{0};
    std::vector<std::thread> threads;
    threads.reserve(4);
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 1'000; ++i) admitted += one.ask(30, kStart).ok() ? 1 : 0;
      });
    }
    for (std::thread& t : threads) t.join();
    EXPECT_EQ(admitted.load(), 500);
    EXPECT_EQ(one.ask(0, kStart).tokens.remaining, 5'000);
  }
}

TEST(Limits, NeverMoreInFlightThanTheLimit) {
  One one;
  one.limits.concurrent = 3;
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  std::atomic<int> admitted{0};
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5'000; ++i) {
        if (!one.ask(0, kStart).ok()) continue;
        ++admitted;
        const int now = inside.fetch_add(1) + 1;
        int seen = most.load();
        while (seen < now && !most.compare_exchange_weak(seen, now)) {
        }
        inside.fetch_sub(1);
        one.end(0, 0, kStart);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_LE(most.load(), 3);
  EXPECT_GT(admitted.load(), 0);
  EXPECT_EQ(one.state.in_flight.load(), 0);
}

// Estimates go in, other numbers come out, from all threads: what remains is the limit less the sum of the
// actual use.
TEST(Limits, SettlesAddUpOverManyThreads) {
  One one;
  one.limits.tokens_per_minute = 1'000'000;
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 1'000; ++i) {
        if (one.ask(40, kStart).ok()) one.end(40, t % 2 == 0 ? 10 : 90, kStart);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(one.ask(0, kStart).tokens.remaining, 1'000'000 - 2'000 * 10 - 2'000 * 90);
}

TEST(LimitRegistry, StatesStay) {
  LimitRegistry registry;
  LimitState& a = registry.of("a");
  for (int i = 0; i < 100; ++i) registry.of(std::to_string(i));
  EXPECT_EQ(&registry.of("a"), &a);
  EXPECT_NE(&registry.of("b"), &a);
}

}  // namespace
}  // namespace tg::ledger
