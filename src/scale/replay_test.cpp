// The policy over fleets of simulated engines: made loads always, recorded traces when TIDEGATE_TRACES names
// a directory with
//   azure-2023-conversation.csv, azure-2023-code-first-half.csv   TIMESTAMP,ContextTokens,GeneratedTokens
//   mooncake-conversation.jsonl                                   {"timestamp": ms, "input_length",
//   "output_length", …}
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "scale/replay_sim.hpp"

namespace tg::scale {
namespace {

Calls on_off() {
  return synthetic(7200, 6, [](double t) { return std::fmod(t, 600) < 120 ? 6.0 : 0.05; }, 11);
}
Calls ramp() {
  return synthetic(3600, 10.5, [](double t) { return 0.5 + 10 * t / 3600; }, 12);
}
Calls step() {
  return synthetic(3600, 9, [](double t) { return t < 1200 || t > 2400 ? 2.0 : 9.0; }, 13);
}

TEST(Replay, EveryCallIsAnsweredFromZeroAndFromOne) {
  for (const int min : {0, 1}) {
    for (const double cold : {30.0, 120.0}) {
      for (const bool learned : {false, true}) {
        Setting s;
        s.min = min;
        s.cold = cold;
        s.learned = learned;
        const auto o = simulate(step(), s);
        EXPECT_LT(o.p99, 1e6) << "a call was never answered";
        EXPECT_GT(o.within10, 85);
      }
    }
  }
}

TEST(Replay, TheSameLogGivesTheSameFigures) {
  const auto calls = ramp();
  const auto a = simulate(calls, Setting{}), b = simulate(calls, Setting{});
  EXPECT_EQ(a.within2, b.within2);
  EXPECT_EQ(a.hours, b.hours);
  EXPECT_EQ(a.launches, b.launches);
}

TEST(Replay, AStepIsAnsweredByLaunchesWithinTwoSeconds) {
  // 1 → 10 a second: the fleet that the new rate needs is ordered at once, so the wait is one cold start.
  auto calls = synthetic(1200, 10, [](double t) { return t < 600 ? 1.0 : 10.0; }, 3);
  Setting s;
  s.cold = 30;
  double worst = 0;
  const auto o = simulate(calls, s);
  for (const auto& c : calls) worst = std::max(worst, c.at);
  EXPECT_GT(o.within10, 93);  // 30 s of 1,200 s carry 5 % of the calls
  EXPECT_LT(o.p99, 35);
}

TEST(Replay, BeatsEveryStaticFleetOfItsCostOnADayOfTides) {
  // Two tides in three hours: a static fleet pays the top all the time, or is late at it.
  const auto calls =
      synthetic(10800, 9, [](double t) { return 4.6 - 4.4 * std::cos(2 * 3.14159265 * t / 5400); }, 5);
  Setting s;
  s.cold = 60;
  const auto policy = simulate(calls, s);
  double best = 1e18;
  for (int n = 1; n <= 10; ++n) {
    Setting fixed;
    fixed.fixed = n;
    const auto o = simulate(calls, fixed);
    best = std::min(best, o.score_cost());
    if (o.hours <= policy.hours) {
      EXPECT_GT(policy.within2, o.within2) << n;
    }
  }
  EXPECT_LT(policy.score_cost() / best, 1.05);
}

TEST(Replay, LearnedSpeedsComeCloseToTrueOnes) {
  for (const auto& calls : {ramp(), step()}) {
    Setting told, learned;
    learned.learned = true;
    const auto a = simulate(calls, told), b = simulate(calls, learned);
    EXPECT_GT(b.within2, a.within2 - 3);
    EXPECT_LT(b.hours, a.hours * 1.35);
  }
}

TEST(Replay, ARememberedSizeRemovesTheStart) {
  const auto calls = synthetic(3600, 6, [](double) { return 6.0; }, 9);
  Setting s;
  s.cold = 120;
  const auto cold = simulate(calls, s);
  s.initial = 4;
  const auto warm = simulate(calls, s);
  EXPECT_GT(warm.within2, cold.within2 + 1);
  EXPECT_LT(warm.p99, 3);
}

// ---- recorded traces
// -----------------------------------------------------------------------------------------------

Calls read_azure(const std::string& path) {
  std::ifstream in(path);
  Calls calls;
  std::string line;
  double first = -1;
  while (std::getline(in, line)) {
    int year = 0, month = 0, day = 0, hour = 0, minute = 0, prompt = 0, output = 0;
    double second = 0;
    if (std::sscanf(line.c_str(), "%d-%d-%d %d:%d:%lf,%d,%d", &year, &month, &day, &hour, &minute, &second,
                    &prompt, &output) != 8)
      continue;
    const double at = day * 86400.0 + hour * 3600 + minute * 60 + second;
    if (first < 0) first = at;
    calls.push_back({at - first, prompt, std::max(1, output)});
  }
  return calls;
}

// Its times are whole 3 s: spread over them. 40 % of the calls: all need more than 12 replicas.
Calls read_mooncake(const std::string& path) {
  std::ifstream in(path);
  Calls calls;
  std::string line;
  std::mt19937 random(1);
  std::uniform_real_distribution<> spread(0, 3), share(0, 1);
  while (std::getline(in, line)) {
    double at = 0;
    int prompt = 0, output = 0;
    if (std::sscanf(line.c_str(), "{\"timestamp\": %lf, \"input_length\": %d, \"output_length\": %d", &at,
                    &prompt, &output) != 3)
      continue;
    if (share(random) > 0.4) continue;
    calls.push_back({at / 1000 + spread(random), prompt, std::max(1, output)});
  }
  std::sort(calls.begin(), calls.end(), [](const Call& a, const Call& b) { return a.at < b.at; });
  return calls;
}

void print_row(const char* trace, const char* policy, const Outcome& o) {
  std::printf("%-6s %-18s %5.1f / %5.1f / %6.1f / %5.2f / %3d\n", trace, policy, o.within2, o.within10, o.p99,
              o.hours, o.launches);
}

TEST(ReplayTraces, TableOfTheRecordedTraces) {
  const char* dir = std::getenv("TIDEGATE_TRACES");
  if (!dir) {
    std::printf("not run: set TIDEGATE_TRACES to the directory of the recorded traces\n");
    GTEST_SKIP() << "not run";
  }
  struct Trace {
    const char* name;
    Calls calls;
    int remembered;
  };
  std::vector<Trace> traces = {{"conv", read_azure(std::string(dir) + "/azure-2023-conversation.csv"), 4},
                               {"code", read_azure(std::string(dir) + "/azure-2023-code-first-half.csv"), 8},
                               {"moon", read_mooncake(std::string(dir) + "/mooncake-conversation.jsonl"), 8},
                               {"onoff", on_off(), 3},
                               {"ramp", ramp(), 0},
                               {"step", step(), 0}};
  std::printf("first token <= 2 s %% / <= 10 s %% / p99 s / replica-hours / launches\n");
  double score = 0, score_learned = 0;
  int cells = 0;
  for (const auto& t : traces) {
    ASSERT_GT(t.calls.size(), 1000U) << t.name << " is missing or unreadable";
    double best = 1e18;
    for (int n = 2; n <= 12; ++n) {
      Setting s;
      s.fixed = n;
      const auto o = simulate(t.calls, s);
      best = std::min(best, o.score_cost());
      if (n == 4 || n == 5 || n == 8 || n == 10 || n == 12)
        print_row(t.name, ("static " + std::to_string(n)).c_str(), o);
    }
    for (const double cold : {30.0, 120.0}) {
      char label[64];
      for (const double price : {10.0, 30.0}) {
        Setting s;
        s.cold = cold;
        s.policy.late_price = price;
        const auto o = simulate(t.calls, s);
        std::snprintf(label, sizeof label, "%g s V=%g", cold, price);
        print_row(t.name, label, o);
        if (t.remembered > 0) {
          s.initial = t.remembered;
          std::snprintf(label, sizeof label, "%g s V=%g init %d", cold, price, t.remembered);
          print_row(t.name, label, simulate(t.calls, s));
          s.initial = 0;
        }
        if (price > 10) continue;
        s.learned = true;
        const auto l = simulate(t.calls, s);
        std::snprintf(label, sizeof label, "%g s V=%g learned", cold, price);
        print_row(t.name, label, l);
        if (std::string(t.name) == "moon" || std::string(t.name) == "step") continue;
        score += o.score_cost() / best;
        score_learned += l.score_cost() / best;
        ++cells;
      }
    }
  }
  std::printf(
      "score over conv, code, onoff, ramp: %.3f, with learned speeds %.3f (1 = the best static fleet of "
      "each)\n",
      score / cells, score_learned / cells);
  EXPECT_LT(score / cells, 1.2);
  EXPECT_LT(score_learned / cells, 1.4);
}

}  // namespace
}  // namespace tg::scale
