#include "scale/learn.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace tg::scale {
namespace {

TEST(Durations, KeepsTheLast32AndRanks) {
  Durations d;
  EXPECT_EQ(d.quantile(0.9, 77), 77);
  for (int i = 1; i <= 100; ++i) d.add(i * kSecond);
  EXPECT_EQ(d.count(), Durations::kKeep);
  EXPECT_EQ(d.values().front(), 69 * kSecond);
  EXPECT_EQ(d.quantile(0.5, 0), 84 * kSecond);
  EXPECT_EQ(d.quantile(0.9, 0), 97 * kSecond);
  EXPECT_EQ(d.quantile(1, 0), 100 * kSecond);
}

TEST(ColdStarts, HasAPriorAndKnowsItsPhases) {
  ColdStarts c;
  EXPECT_EQ(c.expected(0.9, false), 60 * kSecond);
  c.seen(100 * kSecond, true, 4 * kSecond, 3);
  EXPECT_EQ(c.expected(0.9, false), 4 * kSecond);
  EXPECT_EQ(c.expected(0.9, true), 104 * kSecond);
  EXPECT_DOUBLE_EQ(c.waiting_mean, 3);
  c.seen(0, false, 6 * kSecond, 1);
  EXPECT_EQ(c.fetch.count(), 1U);
  EXPECT_EQ(c.expected(0.9, false), 6 * kSecond);
  EXPECT_DOUBLE_EQ(c.waiting_mean, 2.6);
}

TEST(Learner, LearnsCodePointsPerToken) {
  Learner l;
  EXPECT_DOUBLE_EQ(l.code_points_per_token(), 4);
  for (int i = 0; i < 100; ++i) {
    Seen s;
    s.reported_prompt_tokens = 100;
    s.prompt_code_points = 250;
    l.observe(s);
  }
  EXPECT_NEAR(l.code_points_per_token(), 2.5, 0.05);
}

TEST(Learner, LearnsLengthsAtAnyRateOfRequests) {
  for (const int per_second : {1, 20}) {
    Learner l;
    std::mt19937 random(7);
    std::lognormal_distribution<> length(5, 0.8);
    for (int i = 0; i < 4000 / per_second; ++i) {
      Seen s;
      s.finished = per_second;
      for (int k = 0; k < per_second; ++k) s.output_tokens += static_cast<std::int64_t>(length(random));
      l.observe(s);
    }
    EXPECT_NEAR(l.output_mean, std::exp(5 + 0.32), 50) << per_second;                                 // 204
    EXPECT_NEAR(static_cast<double>(l.output_p90()), std::exp(5 + 1.2816 * 0.8), 110) << per_second;  // 414
  }
}

TEST(Learner, TheFirstAnswersCountMoreThanThePrior) {
  Learner l;
  for (int i = 0; i < 10; ++i) {
    Seen s;
    s.finished = 1;
    s.output_tokens = 8;
    l.observe(s);
  }
  EXPECT_LT(l.output_mean, 40);
}

TEST(Learner, FindsTheEngineFromWhatItsAnswersTook) {
  std::mt19937 random(3);
  Learner l;
  const EngineSpeed truth{0.06, 0.002, 0.008};
  for (int i = 0; i < 3000; ++i) {
    Seen s;
    s.ready = 1;
    s.slots = 8;
    s.elapsed = 60;  // prompts are a small share of the time
    s.in_flight = 1 + static_cast<std::int64_t>(random() % 8);
    s.finished = s.arrivals = 1;
    s.prompt_tokens = s.reported_prompt_tokens = 50 + static_cast<std::int64_t>(random() % 1000);
    s.first_tokens = 1;
    const double waits = static_cast<double>(random() % 100) / 250 *
                         static_cast<double>(s.in_flight - 1);  // for prompts of others
    s.first_token_ns = static_cast<std::int64_t>(
        (2 * truth.alpha + truth.beta * static_cast<double>(s.reported_prompt_tokens) + waits) * 1e9);
    s.decode_tokens = 40;
    const double noise = 0.9 + static_cast<double>(random() % 200) / 1000;
    s.decode_ns = static_cast<std::int64_t>(
        40 * noise * (truth.alpha + truth.gamma * static_cast<double>(s.in_flight)) * 1e9);
    l.observe(s);
  }
  const auto e = l.engine();
  EXPECT_NEAR(e.alpha, truth.alpha, 0.012);
  EXPECT_NEAR(e.gamma, truth.gamma, 0.002);
  EXPECT_NEAR(e.beta, truth.beta, 0.0008);
  EXPECT_NEAR(l.decode_rate(), 1 / (truth.alpha + truth.gamma * 4.5), 2);
}

TEST(Learner, AtOneConcurrencyTheBaseTakesItAll) {
  Learner l;
  for (int i = 0; i < 100; ++i) {
    Seen s;
    s.ready = 1;
    s.slots = 4;
    s.in_flight = 1;
    s.decode_tokens = 100;
    s.decode_ns = 10 * kSecond;  // 0.1 s a token
    l.observe(s);
  }
  EXPECT_NEAR(l.engine().alpha + l.engine().gamma, 0.1, 0.001);
  EXPECT_GT(l.engine().alpha, 0.09);
}

TEST(Learner, RhoMovesOnlyWhileSaturated) {
  Learner l;
  EXPECT_NEAR(l.rho(), 0.9, 1e-9);
  const auto run = [&l](std::int64_t held, int seconds) {
    for (int i = 0; i < seconds; ++i) {
      Seen s;
      s.ready = 2;
      s.slots = 4;
      s.in_flight = 8;
      s.held = held;
      s.finished = 1;
      s.output_tokens = 100;
      s.reported_prompt_tokens = 1;
      l.observe(s);
    }
  };
  run(0, 600);
  EXPECT_NEAR(l.rho(), 0.9, 1e-9);
  run(5, 10);  // too short: what ends now began before
  EXPECT_NEAR(l.rho(), 0.9, 1e-9);
  run(5, 3600);
  // One request of 100 tokens a second: 100 · (0.025 + 0.001 · 4) / 4 = 0.73 engine-seconds by two replicas.
  EXPECT_NEAR(l.rho(), 0.9 * 0.73 / 2, 0.01);
}

TEST(Learner, HostileNumbersStayFinite) {
  Learner l;
  Seen s;
  s.arrivals = s.finished = s.first_tokens = s.decode_tokens = s.output_tokens = s.prompt_tokens =
      s.reported_prompt_tokens = s.prompt_code_points = s.first_token_ns = s.decode_ns = s.in_flight =
          s.held = std::int64_t{1} << 60;
  s.ready = 1;
  s.slots = 1;
  for (int i = 0; i < 50; ++i) l.observe(s);
  const auto f = l.figures(false);
  for (const double v : {f.rho, f.output, f.prompt, f.engine.alpha, f.engine.beta, f.engine.gamma,
                         l.decode_rate(), l.code_points_per_token()}) {
    EXPECT_TRUE(std::isfinite(v));
    EXPECT_GE(v, 0);
  }
  EXPECT_GT(l.output_p90(), 0);
}

TEST(Learner, ANewRevisionForgetsTheEngineAndKeepsTheLengths) {
  Learner l;
  l.cold.seen(0, false, 3 * kSecond, 1);
  Seen s;
  s.finished = 1;
  s.output_tokens = 1000;
  s.decode_tokens = 100;
  s.decode_ns = kSecond;
  l.observe(s);
  const double mean = l.output_mean;
  l.forget_engine();
  EXPECT_EQ(l.output_mean, mean);
  EXPECT_EQ(l.cold.starts, 0U);
  EXPECT_EQ(l.w, 0);
}

}  // namespace
}  // namespace tg::scale
