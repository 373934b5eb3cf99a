// How many replicas a Model should have: a pure function of recent demand, the document, learned figures and
// supply. The laptop runtime, the operator and the replay of traces call the same code. Replay sizing: demand
// is replayed through a fluid queue of n replicas for every n; the n with the least (replica time + price ×
// late requests) wins, a fast path covers the backlog and the last half minute, and a shrink waits for the
// horizon of the learned cold start.
//
// No clock: `advance` gets the time of the caller's monotonic clock and uses differences only, each clamped
// to 0 … 10 s.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "scale/window.hpp"

namespace tg::scale {

// Constants of the policy with their reasons. Chosen by replay over Azure's 2023 traces and three made loads
// (replay_test.cpp): score = mean of (replica-seconds + 10 × requests with a first token after 2 s) ÷ the
// best static fleet's, 1 = as good as the best static fleet known afterwards. With these 1.12 with the true
// engine speed and 1.28 with the learned one; without the shrink horizon 1.65, with memory 200 s 1.23.
struct Policy {
  double late_price =
      10;  // replica-seconds that one late request is worth; at 6 learned speeds flap (score 1.39)
  Nanos memory = 300 * kSecond;  // burstiness is forgotten with this time constant
  Nanos prior =
      60 * kSecond;  // a new Model counts as quiet for this long, else its first request buys many replicas
  Nanos short_window = 30 * kSecond;  // rate of the fast path
  double shrink_hold = 2;   // × cold start: any wanted size is kept this long; below 1.5 fleets flap
  double keep_factor = 31;  // one second of waiting is worth 31 replica-seconds
  Nanos keep_floor = 60 * kSecond;
  Nanos keep_ceiling = 30 * kMinute;
  Nanos max_step = 10 * kSecond;  // a clock jump counts as at most this
};

// What the Model's document says. Positions are texts ("models.yaml:19:13") that are handed back in
// Decision::bound.
struct Spec {
  int min = 0;
  int max = 1;
  int slots = 1;  // concurrent sequences per replica
  Nanos first_token_target = 2 * kSecond;
  std::optional<Nanos> idle;  // nullopt = auto
  std::string min_at, max_at, idle_at;
};

// An engine's speed in seconds: iteration base, per prompt token, per decoding sequence.
struct EngineSpeed {
  double alpha = 0.025;
  double beta = 0.0004;
  double gamma = 0.001;
};

// Learned figures (learn.hpp), priors until something was seen.
struct Learned {
  Nanos cold_start = 60 * kSecond;  // p90 of what the next start takes
  double waiting_per_start = 1;     // mean requests held when a replica became ready
  double rho = 0.9;     // estimated work that a replica does in a second and still answers in time
  double output = 200;  // mean tokens of an answer
  double prompt = 200;  // mean tokens of a prompt
  EngineSpeed engine;
};

// What happened since the last advance.
struct Sample {
  std::int64_t arrivals = 0;       // admitted requests
  std::int64_t prompt_tokens = 0;  // theirs
};

struct Supply {
  int ready = 0;
  int starting = 0;  // counted as supply: their cost is spent
  std::int64_t in_flight = 0;
  std::int64_t held = 0;
  std::int64_t held_prompt_tokens = 0;
  bool measured = true;  // false: some figures are missing or stale, so never down
};

// The memory of one Model. A value: copy it to replay a decision.
struct State {
  Nanos last = 0;  // caller's time at the last advance
  bool started = false;
  Nanos clock = 0;  // sum of clamped steps
  Nanos idle = 0;   // since the last arrival, held or running request
  bool ever_active = false;
  int initial = 0;  // remembered size of an earlier process, used until `memory` has passed; 0 = none
  double mass = 0;  // decayed seconds
  std::vector<double>
      backlog;  // [n]: engine-seconds queued with n replicas; index 0 is unused, sizes beyond max too
  std::vector<double> late;  // [n]: decayed count of requests that would have been late
  struct Recent {
    Nanos at;
    double work;
    std::int64_t arrivals;
    bool operator==(const Recent&) const = default;
  };
  std::deque<Recent> recent;  // the last short_window
  double recent_work = 0;
  std::int64_t recent_arrivals = 0;
  PeakWindow wanted_peaks;
  bool operator==(const State&) const = default;
};

enum class Rule {
  targets,          // replay sizing
  queue,            // held requests or the short-term rate
  horizon,          // fewer would do, kept for the scale-down horizon
  idle,             // to zero, or at zero without demand
  arrival_at_zero,  // the first request of a Model without a replica
  bounds,           // replicas.min or replicas.max
  unmeasured,       // figures are missing: never down
};
std::string_view rule_name(Rule rule);

struct Candidate {
  int n = 0;
  double replica_cost = 0;  // replica-seconds, decayed
  double late_cost = 0;     // price × late requests
};

struct Bound {
  std::string field;  // "replicas.max"
  int value = 0;
  std::string at;  // where the document says so, may be empty
};

struct Decision {
  int desired = 0;
  int wanted = 0;  // before the bounds
  Rule rule = Rule::targets;
  struct Inputs {
    double arrivals_per_second = 0;  // over the short window
    double work_per_second = 0;      // engine-seconds
    Supply supply;
    Nanos cold_start = 0;
    Nanos idle = 0, keep = 0;
    bool keep_explicit = false;
    int slow = 0, fast = 0, peak = 0;
  } inputs;
  std::vector<Candidate> candidates;  // around the chosen size
  std::optional<Bound> bound;         // the limit that cut `wanted`
  std::string text;                   // one line for people
};

// Seconds of engine time one request takes of a full batch.
double work_of(double requests, double prompt_tokens, const Spec& spec, const Learned& learned);

// The time an idle Model keeps its last replica: clamp(31 × S × max(1, mean waiting per start), max(2 S, 60
// s), 30 min), or the document's `idle`, which wins over all of it.
Nanos keep_alive(const Spec& spec, const Learned& learned, const Policy& policy = {});

// One step of the replay, about once a second. `supply` after the step.
void advance(State& state, Nanos now, const Sample& sample, const Spec& spec, const Learned& learned,
             const Supply& supply, const Policy& policy = {});

// Pure: the same values give the same decision. May be called between steps (a first arrival does not wait
// for the second).
Decision decide(const State& state, const Spec& spec, const Learned& learned, const Supply& supply,
                const Policy& policy = {});

// The size to remember for the next process: what replay sizing wants now, once it has seen enough; else what
// it was given.
int settled_size(const State& state, const Spec& spec, const Policy& policy = {});

}  // namespace tg::scale
