#include "scale/decide.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace tg::scale {
namespace {

// One second of a log.
struct Second {
  std::int64_t arrivals = 0;
  std::int64_t prompt_tokens = 0;
  std::int64_t held = 0;
  std::int64_t in_flight = 0;
};
using Log = std::vector<Second>;

Spec spec_of(int min, int max) {
  Spec s;
  s.min = min;
  s.max = max;
  s.slots = 32;
  return s;
}

Learned learned_of(Nanos cold) {
  Learned l;
  l.cold_start = cold;
  l.engine = {0.022, 0.00025, 0.00015};
  l.output = 200;
  l.prompt = 1000;
  return l;
}

Log random_log(std::mt19937& random, std::size_t seconds, double scale = 1) {
  Log log;
  double rate = 1;
  for (std::size_t i = 0; i < seconds; ++i) {
    if (random() % 60 == 0) rate = std::exp(std::uniform_real_distribution<>(-4, 3.5)(random));
    Second s;
    s.arrivals = std::poisson_distribution<>(rate * scale)(random);
    for (std::int64_t k = 0; k < s.arrivals; ++k)
      s.prompt_tokens += 100 + static_cast<std::int64_t>(random() % 3000);
    s.in_flight = std::poisson_distribution<>(rate * 4)(random);
    s.held = random() % 20 == 0 ? static_cast<std::int64_t>(random() % 30) : 0;
    log.push_back(s);
  }
  return log;
}

struct Run {
  std::vector<Decision> decisions;
  std::vector<State> states;
};

// Supply follows at once what was decided.
Run play(const Log& log, const Spec& spec, const Learned& learned, const Policy& policy = {},
         State state = {}, bool measured = true) {
  Run run;
  int current = spec.min;
  Nanos now = 5 * kHour;
  for (const auto& s : log) {
    Supply supply{current, 0, s.in_flight, s.held, s.held * 500, measured};
    advance(state, now, {s.arrivals, s.prompt_tokens}, spec, learned, supply, policy);
    run.decisions.push_back(decide(state, spec, learned, supply, policy));
    run.states.push_back(state);
    current = run.decisions.back().desired;
    now += kSecond;
  }
  return run;
}

TEST(DecideProperty, BoundsAreNeverCrossed) {
  for (unsigned seed = 0; seed < 40; ++seed) {
    std::mt19937 random(seed);
    const int min = static_cast<int>(random() % 4);
    const int max = std::max(1, min) + static_cast<int>(random() % 6);
    const auto run = play(random_log(random, 900, 3), spec_of(min, max),
                          learned_of(static_cast<Nanos>(1 + random() % 120) * kSecond));
    for (const auto& d : run.decisions) {
      ASSERT_GE(d.desired, min);
      ASSERT_LE(d.desired, max);
      if (d.wanted > max) {
        ASSERT_TRUE(d.bound);
        ASSERT_EQ(d.bound->field, "replicas.max");
        ASSERT_EQ(d.desired, max);
      }
    }
  }
}

TEST(DecideProperty, TheSameLogGivesTheSameDecisions) {
  for (unsigned seed = 0; seed < 10; ++seed) {
    std::mt19937 a(seed), b(seed);
    const auto x = play(random_log(a, 600), spec_of(0, 8), learned_of(30 * kSecond));
    const auto y = play(random_log(b, 600), spec_of(0, 8), learned_of(30 * kSecond));
    for (std::size_t i = 0; i < x.decisions.size(); ++i) {
      ASSERT_EQ(x.decisions[i].desired, y.decisions[i].desired);
      ASSERT_EQ(x.decisions[i].text, y.decisions[i].text);
    }
    ASSERT_EQ(x.states.back(), y.states.back());
  }
}

TEST(DecideProperty, ConstantLoadDoesNotChangeTheSizeAfterSettling) {
  for (const int rate : {1, 2, 5, 9, 20}) {
    Log log(2400, Second{rate, rate * 1000, 0, rate * 4});
    const auto run = play(log, spec_of(1, 12), learned_of(60 * kSecond));
    for (std::size_t i = 601; i < run.decisions.size(); ++i) {
      ASSERT_EQ(run.decisions[i].desired, run.decisions[600].desired) << rate << " at " << i;
    }
  }
}

TEST(DecideProperty, MoreWorkNeverLowersBacklogOrLate) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    const auto log = random_log(random, 400);
    auto more = log;
    more[random() % 400].prompt_tokens += 20000;
    const auto a = play(log, spec_of(1, 8), learned_of(30 * kSecond));
    const auto b = play(more, spec_of(1, 8), learned_of(30 * kSecond));
    for (std::size_t i = 0; i < 400; ++i) {
      for (std::size_t n = 1; n < a.states[i].late.size(); ++n) {
        ASSERT_GE(b.states[i].backlog[n], a.states[i].backlog[n] - 1e-9);
        ASSERT_GE(b.states[i].late[n], a.states[i].late[n] - 1e-9);
      }
    }
  }
}

TEST(DecideProperty, BacklogAndLateFallAsReplicasAreAdded) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    const auto run = play(random_log(random, 400, 2), spec_of(1, 8), learned_of(30 * kSecond));
    for (const auto& s : run.states) {
      for (std::size_t n = 2; n < s.late.size(); ++n) {
        ASSERT_LE(s.backlog[n], s.backlog[n - 1] + 1e-9);
        ASSERT_LE(s.late[n], s.late[n - 1] + 1e-9);
      }
    }
  }
}

TEST(DecideProperty, AHigherPriceNeverLowersReplaySizing) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    const auto log = random_log(random, 600, 2);
    Policy dear;
    dear.late_price = 30;
    const auto a = play(log, spec_of(1, 10), learned_of(30 * kSecond));
    const auto b = play(log, spec_of(1, 10), learned_of(30 * kSecond), dear);
    for (std::size_t i = 0; i < log.size(); ++i)
      ASSERT_GE(b.decisions[i].inputs.slow, a.decisions[i].inputs.slow);
  }
}

TEST(DecideProperty, MoreHeldWorkNeverLowersTheDecision) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    const auto run = play(random_log(random, 300), spec_of(0, 10), learned_of(30 * kSecond));
    const auto& state = run.states.back();
    int last = 0;
    for (std::int64_t held = 0; held < 200; ++held) {
      const auto d =
          decide(state, spec_of(0, 10), learned_of(30 * kSecond), {2, 1, 3, held, held * 400, true});
      ASSERT_GE(d.desired, last);
      last = d.desired;
    }
    EXPECT_GT(last, 1);
  }
}

TEST(DecideProperty, KTimesASteadyLoadNeedsAtMostKTimesTheReplicasPlusOne) {
  for (const double rate : {0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0}) {
    int base = 0;
    for (const int k : {1, 2, 3, 4}) {
      std::mt19937 random(5);
      Log log;
      for (int i = 0; i < 1500; ++i) {
        Second s{std::poisson_distribution<>(rate)(random), 0, 0, 1};
        for (std::int64_t a = 0; a < s.arrivals; ++a)
          s.prompt_tokens += 100 + static_cast<std::int64_t>(random() % 3000);
        s.arrivals *= k;
        s.prompt_tokens *= k;
        log.push_back(s);
      }
      const int slow = play(log, spec_of(1, 40), learned_of(60 * kSecond)).decisions.back().inputs.slow;
      if (k == 1) base = slow;
      EXPECT_LE(slow, k * base + 1) << rate << " times " << k;
      EXPECT_GE(slow, base) << rate << " times " << k;
    }
  }
}

TEST(DecideProperty, NothingIsRemovedWithinTheHorizonOfAPeakAboveIt) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    const auto cold = static_cast<Nanos>(5 + random() % 60);
    const auto log = random_log(random, 1200, 2);
    const auto run = play(log, spec_of(1, 10), learned_of(cold * kSecond));
    for (std::size_t i = 1; i < log.size(); ++i) {
      if (run.decisions[i].desired >= run.decisions[i - 1].desired) continue;
      // The horizon for whatever was wanted is at least twice the cold start: a replica that still starts is
      // not removed.
      for (std::size_t back = 0; back < static_cast<std::size_t>(2 * cold) && back <= i; ++back) {
        const auto& in = run.decisions[i - back].inputs;
        ASSERT_LE(std::min(10, std::max(in.slow, in.fast)), run.decisions[i].desired)
            << seed << " at " << i << " back " << back;
      }
    }
  }
}

TEST(DecideProperty, MissingMeasurementsNeverScaleDown) {
  for (unsigned seed = 0; seed < 10; ++seed) {
    std::mt19937 random(seed);
    const auto run = play(random_log(random, 900, 2), spec_of(0, 8), learned_of(5 * kSecond), {}, {}, false);
    for (std::size_t i = 1; i < run.decisions.size(); ++i)
      ASSERT_GE(run.decisions[i].desired, run.decisions[i - 1].desired);
  }
  // Not even to zero after a long silence.
  const auto run = play(Log(4000), spec_of(0, 3), learned_of(5 * kSecond), {}, {}, false);
  State state = run.states.back();
  const auto d = decide(state, spec_of(0, 3), learned_of(5 * kSecond), {1, 0, 0, 0, 0, false});
  EXPECT_EQ(d.desired, 1);
  EXPECT_EQ(d.rule, Rule::unmeasured);
}

TEST(DecideProperty, ClockJumpsCountAsAtMostTenSeconds) {
  const auto spec = spec_of(0, 4);
  const auto learned = learned_of(10 * kSecond);
  State state;
  Supply one{1, 0, 0, 0, 0, true};
  advance(state, kHour, {1, 100}, spec, learned, one);
  const double mass = state.mass;
  advance(state, 100 * kHour, {0, 0}, spec, learned, one);
  EXPECT_EQ(state.clock, 11 * kSecond);
  EXPECT_EQ(state.idle, 10 * kSecond);
  EXPECT_LE(state.mass, mass + 10);
  EXPECT_EQ(decide(state, spec, learned, one).desired, 1);  // an hour of sleep is no idle hour
  advance(state, 2 * kHour, {0, 0}, spec, learned, one);    // backwards
  EXPECT_EQ(state.clock, 11 * kSecond);
  advance(state, 2 * kHour + kSecond, {0, 0}, spec, learned, one);
  EXPECT_EQ(state.clock, 12 * kSecond);
}

TEST(DecideProperty, ARememberedSizeHoldsForTheMemory) {
  State state;
  state.initial = 4;
  Log quiet(400, Second{1, 200, 0, 1});
  const auto run = play(quiet, spec_of(1, 8), learned_of(10 * kSecond), {}, state);
  for (std::size_t i = 0; i < 300; ++i) ASSERT_GE(run.decisions[i].desired, 4) << i;
  EXPECT_LT(run.decisions.back().desired, 4);
  EXPECT_EQ(settled_size(state, spec_of(1, 8)), 4);
  EXPECT_EQ(settled_size(run.states.back(), spec_of(1, 8)), run.decisions.back().inputs.slow);
}

TEST(Decide, TheFirstArrivalAtZeroStartsOneInTheSameEvent) {
  State state;
  const auto spec = spec_of(0, 5);
  const auto learned = learned_of(30 * kSecond);
  for (int i = 0; i < 600; ++i) advance(state, i * kSecond, {}, spec, learned, {});
  EXPECT_EQ(decide(state, spec, learned, {}).desired, 0);
  const auto d = decide(state, spec, learned, {0, 0, 0, 1, 500, true});  // no advance in between
  EXPECT_EQ(d.desired, 1);
  EXPECT_EQ(d.rule, Rule::arrival_at_zero);
  EXPECT_EQ(d.text, "0 -> 1: 1 held and no replica");
  EXPECT_EQ(decide(state, spec, learned, {0, 1, 0, 1, 500, true}).desired, 1);  // the starting one is supply
}

TEST(Decide, OneShortRequestNeverBuysASecondReplica) {
  State state;
  Spec spec = spec_of(0, 8);
  spec.slots = 2;
  Learned learned;  // priors: one answer is 2.8 engine-seconds, longer than the target
  advance(state, 0, {}, spec, learned, {});
  EXPECT_EQ(decide(state, spec, learned, {0, 0, 0, 1, 100, true}).desired, 1);
  advance(state, kSecond, {1, 100}, spec, learned, {0, 1, 0, 1, 100, true});
  EXPECT_EQ(decide(state, spec, learned, {0, 1, 0, 1, 100, true}).desired, 1);
}

TEST(Decide, KeepAliveIsTheStatedFormula) {
  auto keep = [](Nanos cold, double waiting) {
    Learned l;
    l.cold_start = cold;
    l.waiting_per_start = waiting;
    return keep_alive(Spec{}, l);
  };
  EXPECT_EQ(keep(10 * kSecond, 1), 310 * kSecond);
  EXPECT_EQ(keep(10 * kSecond, 2), 620 * kSecond);
  EXPECT_EQ(keep(10 * kSecond, 0.1), 310 * kSecond);
  EXPECT_EQ(keep(kSecond, 1), 60 * kSecond);      // the floor
  EXPECT_EQ(keep(2 * kMinute, 1), 30 * kMinute);  // the ceiling
  EXPECT_EQ(keep(20 * kMinute, 1), 30 * kMinute);
  Spec s;
  s.idle = 5 * kSecond;  // wins over 2 S
  Learned l;
  EXPECT_EQ(keep_alive(s, l), 5 * kSecond);
}

TEST(Decide, GoesToZeroOnlyWithoutDemandAndOnlyFromMinZero) {
  const auto learned = learned_of(10 * kSecond);
  State state;
  Nanos now = 0;
  const Supply idle{1, 0, 0, 0, 0, true};
  advance(state, now, {1, 100}, spec_of(0, 3), learned, {1, 0, 1, 0, 0, true});
  for (int i = 0; i < 309; ++i) advance(state, now += kSecond, {}, spec_of(0, 3), learned, idle);
  EXPECT_EQ(decide(state, spec_of(0, 3), learned, idle).desired, 1);
  advance(state, now += kSecond, {}, spec_of(0, 3), learned, idle);
  const auto d = decide(state, spec_of(0, 3), learned, idle);
  EXPECT_EQ(d.desired, 0);
  EXPECT_EQ(d.rule, Rule::idle);
  EXPECT_THAT(d.text, testing::HasSubstr("idle 5m10s of 5m10s"));
  EXPECT_EQ(decide(state, spec_of(0, 3), learned, {1, 0, 1, 0, 0, true}).desired, 1);
  EXPECT_EQ(decide(state, spec_of(1, 3), learned, idle).desired, 1);
  Spec s = spec_of(0, 3);
  s.idle = 20 * kMinute;
  EXPECT_EQ(decide(state, s, learned, idle).desired, 1);
}

TEST(Decide, SaysWhichFieldBoundItAndWhere) {
  State state;
  Spec s = spec_of(2, 3);
  s.slots = 2;
  s.max_at = "models.yaml:19:21";
  s.min_at = "models.yaml:18:3";
  auto d = decide(state, s, Learned{}, {0, 0, 0, 50, 5000, true});
  ASSERT_TRUE(d.bound);
  EXPECT_EQ(d.bound->field, "replicas.max");
  EXPECT_EQ(d.bound->value, 3);
  EXPECT_EQ(d.bound->at, "models.yaml:19:21");
  EXPECT_THAT(d.text, testing::HasSubstr("bound by replicas.max 3 (models.yaml:19:21)"));
  d = decide(state, s, Learned{}, {});
  ASSERT_TRUE(d.bound);
  EXPECT_EQ(d.bound->field, "replicas.min");
  EXPECT_EQ(d.rule, Rule::bounds);
  EXPECT_EQ(d.desired, 2);
}

TEST(Decide, AStepIsAnsweredWithinOneSecond) {
  State state;
  const auto spec = spec_of(0, 12);
  const auto learned = learned_of(30 * kSecond);
  Supply supply;
  for (int i = 0; i < 400; ++i) advance(state, i * kSecond, {}, spec, learned, supply);
  // From nothing to 40 requests a second of 1,000 prompt tokens: about 8 replicas.
  supply = {0, 1, 0, 40, 40000, true};
  advance(state, 400 * kSecond, {40, 40000}, spec, learned, supply);
  EXPECT_GE(decide(state, spec, learned, supply).desired, 4);
}

TEST(PeakWindow, GivesThePeakOfAnyWindow) {
  std::mt19937 random(1);
  PeakWindow window;
  std::vector<std::pair<Nanos, int>> all;
  for (Nanos t = 0; t < 500; ++t) {
    const int v = static_cast<int>(random() % 20);
    window.push(t, v);
    all.emplace_back(t, v);
    for (const Nanos w : {0, 1, 7, 100, 1000}) {
      int peak = -1;
      for (const auto& [at, value] : all) peak = at >= t - w ? std::max(peak, value) : peak;
      ASSERT_EQ(window.peak_since(t - w, -1), peak);
    }
  }
}

}  // namespace
}  // namespace tg::scale
