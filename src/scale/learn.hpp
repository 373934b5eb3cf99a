// Figures learned from what was seen: cold start per phase, code points per token, answer lengths, engine
// speed and the ratio of real to estimated work. Pure values, fed once a second with sums; no clock. Every
// figure has a prior and says how many samples stand behind it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/clock.hpp"
#include "scale/decide.hpp"

namespace tg::scale {

// The last 32 durations of one phase. Quantiles by nearest rank.
class Durations {
 public:
  static constexpr std::size_t kKeep = 32;
  void add(Nanos duration);
  std::size_t count() const { return values_.size(); }
  Nanos quantile(double q, Nanos none) const;
  const std::vector<Nanos>& values() const { return values_; }  // oldest first
  void assign(std::vector<Nanos> values);

 private:
  std::vector<Nanos> values_;
};

struct ColdStarts {
  Durations fetch, load;
  double waiting_mean = 1;  // requests held when a replica became ready (decay 0.8 a start)
  std::size_t starts = 0;

  void seen(Nanos fetch_time, bool fetched, Nanos load_time, std::int64_t waiting);
  // What the next start takes. `fetch_needed`: the weights are not on this machine. Without samples 60 s.
  Nanos expected(double q, bool fetch_needed) const;
};

// Sums of one second over all workers (differences of monotonic counters) and the state at its end.
struct Seen {
  std::int64_t arrivals = 0, prompt_tokens = 0;
  std::int64_t finished = 0, output_tokens = 0;
  std::int64_t reported_prompt_tokens = 0, prompt_code_points = 0;
  std::int64_t first_token_ns = 0, first_tokens = 0;
  std::int64_t decode_ns = 0, decode_tokens = 0;
  std::int64_t in_flight = 0, held = 0;
  int ready = 0, slots = 1;
  double elapsed = 1;  // seconds
};

// All learned figures of one Model. Plain data, so that it can be written and read.
struct Learner {
  ColdStarts cold;

  // Code points per token: sums with a prior of 4 that weighs 100 tokens, halved when they grow old.
  double code_points = 400, tokens = 100;

  // Answer length: decayed by 0.99 a request. Variance from the spread of one-second means around the mean,
  // times their size (the variance of a mean of k is σ²/k), so it holds at any rate.
  double output_mean = 200, output_var = 200.0 * 200.0;
  double prompt_mean = 200;
  double requests = 0;

  // Decode: y = alpha + gamma × concurrency, least squares with forgetting and a prior. Prompt: (first token
  // − 2 alpha) ÷ prompt tokens, the first quartile of one-second means (a running one, 2.5 % up, 7.5 % down),
  // because whatever else the engine does makes a first token later, never earlier.
  double w = 0, wc = 0, wcc = 0, wy = 0, wcy = 0;
  double per_prompt_token = 0, prompt_samples = 0;
  double slots = 4;                        // as last seen
  double prefill_share = 0;                // of an engine's time, goes to prompts while others decode
  double decode_seconds = 0, decoded = 0;  // for the rate alone

  // Work done ÷ replica-seconds while saturated; prior 1 that weighs 60 replica-seconds. rho() is 0.9 of it:
  // a replica that is busy all the time answers late.
  double rho_work = 60, rho_seconds = 60;
  double saturated_for = 0;  // seconds

  void observe(const Seen& seen);

  double code_points_per_token() const;
  std::int64_t output_p90() const;  // of the log-normal distribution with this mean and variance
  double decode_rate() const;       // tokens a second and sequence, as seen lately
  EngineSpeed engine() const;
  double beta() const;  // seconds per prompt token
  double rho() const;
  // For decide. `fetch_needed` as above.
  Learned figures(bool fetch_needed) const;
  // A new revision of the Model: its lengths stay, what belongs to the engine is forgotten.
  void forget_engine();
};

}  // namespace tg::scale
