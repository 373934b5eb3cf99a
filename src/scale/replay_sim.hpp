// For tests: a fleet of engines under a log of requests, with `decide` once a second. Engines are iterations:
// a base, plus a time per prompt token of the chunk, plus a time per decoding sequence; chunks are filled
// first come first served; the first token leaves with the iteration that ends the prompt. One
// first-in-first-out queue, the least busy ready replica, graceful drain, not-ready replicas removed first.
// Replica time counts from creation, with 600 s after the last arrival.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <queue>
#include <random>
#include <vector>

#include "scale/decide.hpp"
#include "scale/learn.hpp"

namespace tg::scale {

struct Call {
  double at = 0;  // s
  int prompt = 0;
  int output = 1;
};
using Calls = std::vector<Call>;

struct EngineModel {
  double base = 0.022, per_prompt_token = 0.00025, per_sequence = 0.00015;
  int chunk = 2048, slots = 32;
};

struct Outcome {
  double within2 = 0, within10 = 0;  // % of first tokens
  double p99 = 0;                    // s
  double hours = 0;
  int launches = 0;
  int late = 0, calls = 0;
  double score_cost() const { return hours * 3600 + 10.0 * late; }
};

struct Setting {
  int min = 1, max = 12, fixed = 0;  // fixed > 0: a static fleet
  double cold = 30;
  double cold_sigma = 0;  // log-normal spread of the real cold start; decide is told the median
  int initial = 0;
  bool learned = false;  // learn alpha, beta, gamma and rho instead of being told
  double rho = 0.9;
  double target = 2;
  Policy policy;
  EngineModel engine;
};

class ReplaySim {
 public:
  ReplaySim(const Calls& calls, const Setting& s) : calls_(calls), s_(s) {}

  Outcome run() {
    first_.assign(calls_.size(), -1);
    dispatched_ = first_;
    const double end = calls_.back().at + 600;
    const int begin =
        s_.fixed > 0 ? s_.fixed : std::max(s_.min, s_.initial > 0 ? std::min(s_.initial, s_.max) : s_.min);
    for (int i = 0; i < begin; ++i) create(0, 0);
    launches_ = 0;
    State state;
    state.initial = s_.initial;
    Learner learner;
    std::size_t next = 0;
    std::int64_t arrivals = 0, prompts = 0;
    double second = 1;
    Seen seen;
    while (true) {
      double busy_at = 1e18;
      Replica* busy = nullptr;
      for (auto& r : replicas_) {
        if (r.iteration_end < busy_at) {
          busy_at = r.iteration_end;
          busy = &r;
        }
      }
      const double ready_at = next_ready();
      const double call_at = next < calls_.size() ? calls_[next].at : 1e18;
      const double at = std::min({busy_at, ready_at, call_at, second});
      if (at > end && next == calls_.size() && finished_ == calls_.size()) break;
      if (at > end + 7200) break;  // overload: what is not served by then is late
      now_ = at;
      if (call_at == at) {
        queue_.push_back(next);
        ++arrivals;
        prompts += calls_[next].prompt;
        ++next;
        // The first arrival at zero does not wait for the second.
        if (s_.fixed == 0 && supply() == 0) create(now_, cold());
      } else if (busy_at == at) {
        iterate(*busy, seen);
      } else if (ready_at < second || ready_at == at) {
        for (auto& r : replicas_) {
          if (!r.ready && r.ready_at <= at) r.ready = true;
        }
      } else {
        second += 1;
        if (s_.fixed == 0) step(state, learner, seen, arrivals, prompts);
        arrivals = prompts = 0;
        retire(end);
      }
      dispatch();
    }
    Outcome o;
    o.calls = static_cast<int>(calls_.size());
    std::vector<double> ttft;
    int in2 = 0, in10 = 0;
    for (std::size_t i = 0; i < calls_.size(); ++i) {
      const double t = first_[i] < 0 ? 1e9 : first_[i] - calls_[i].at;
      ttft.push_back(t);
      in2 += t <= 2 ? 1 : 0;
      in10 += t <= 10 ? 1 : 0;
    }
    std::sort(ttft.begin(), ttft.end());
    const double n = static_cast<double>(ttft.size());
    o.within2 = 100 * in2 / n;
    o.within10 = 100 * in10 / n;
    o.p99 = ttft[static_cast<std::size_t>(0.99 * (n - 1))];
    o.late = o.calls - in2;
    for (const auto& r : replicas_) replica_seconds_ += std::min(now_, end) > r.created ? end - r.created : 0;
    o.hours = replica_seconds_ / 3600;
    o.launches = launches_;
    return o;
  }

 private:
  struct Replica {
    double created = 0, ready_at = 0, iteration_end = 1e18;
    bool ready = false, draining = false;
    int in_flight = 0;
    std::int64_t iterations = 0;
    std::deque<std::pair<std::size_t, int>> prompts;  // call, tokens left
    std::deque<std::pair<std::size_t, int>> chunk;    // of the running iteration
    std::priority_queue<std::pair<std::int64_t, std::size_t>,
                        std::vector<std::pair<std::int64_t, std::size_t>>, std::greater<>>
        decoding;
  };

  double cold() {
    return s_.cold_sigma > 0 ? s_.cold * std::exp(std::normal_distribution<>(0, s_.cold_sigma)(random_))
                             : s_.cold;
  }
  void create(double at, double after) {
    Replica r;
    r.created = at;
    r.ready_at = at + after;
    r.ready = after <= 0;
    replicas_.push_back(std::move(r));
    ++launches_;
  }
  double next_ready() const {
    double at = 1e18;
    for (const auto& r : replicas_) at = r.ready ? at : std::min(at, r.ready_at);
    return at;
  }
  int supply() const {
    return static_cast<int>(
        std::count_if(replicas_.begin(), replicas_.end(), [](const Replica& r) { return !r.draining; }));
  }

  void dispatch() {
    while (!queue_.empty()) {
      Replica* best = nullptr;
      for (auto& r : replicas_) {
        if (r.ready && !r.draining && r.in_flight < s_.engine.slots &&
            (!best || r.in_flight < best->in_flight))
          best = &r;
      }
      if (!best) return;
      const auto call = queue_.front();
      queue_.pop_front();
      dispatched_[call] = now_;
      ++best->in_flight;
      best->prompts.emplace_back(call, calls_[call].prompt);
      if (best->iteration_end > 1e17) begin(*best);
    }
  }

  void begin(Replica& r) {
    r.chunk.clear();
    int room = s_.engine.chunk;
    for (auto& [call, left] : r.prompts) {
      if (room == 0) break;
      const int take = std::min(room, std::max(1, left));
      r.chunk.emplace_back(call, take);
      room -= take;
    }
    if (r.chunk.empty() && r.decoding.empty()) {
      r.iteration_end = 1e18;
      return;
    }
    const double took = s_.engine.base + s_.engine.per_prompt_token * (s_.engine.chunk - room) +
                        s_.engine.per_sequence * static_cast<double>(r.decoding.size());
    r.iteration_end = now_ + took;
  }

  void iterate(Replica& r, Seen& seen) {
    ++r.iterations;
    while (!r.decoding.empty() && r.decoding.top().first <= r.iterations) {
      finish(r, r.decoding.top().second, seen);
      r.decoding.pop();
    }
    for (const auto& [call, took] : r.chunk) {
      auto& front = r.prompts.front();
      front.second -= took;
      if (front.second > 0) break;
      first_[call] = now_;
      const int left = calls_[call].output - 1;
      if (left <= 0) {
        finish(r, call, seen);
      } else {
        r.decoding.emplace(r.iterations + left, call);
      }
      r.prompts.pop_front();
    }
    begin(r);
  }

  void finish(Replica& r, std::size_t call, Seen& seen) {
    --r.in_flight;
    ++finished_;
    const auto& c = calls_[call];
    ++seen.finished;
    seen.output_tokens += c.output;
    seen.reported_prompt_tokens += c.prompt;
    if (c.output > 1) {
      seen.decode_tokens += c.output - 1;
      seen.decode_ns += static_cast<std::int64_t>((now_ - first_[call]) * 1e9);
    }
    ++seen.first_tokens;
    seen.first_token_ns += static_cast<std::int64_t>((first_[call] - dispatched_[call]) * 1e9);
    mean_output_ = 0.99 * mean_output_ + 0.01 * c.output;
    mean_prompt_ = 0.99 * mean_prompt_ + 0.01 * c.prompt;
  }

  void step(State& state, Learner& learner, Seen& seen, std::int64_t arrivals, std::int64_t prompts) {
    Spec spec;
    spec.min = s_.min;
    spec.max = s_.max;
    spec.slots = s_.engine.slots;
    spec.first_token_target = static_cast<Nanos>(s_.target * 1e9);
    Supply sup;
    std::int64_t held_prompts = 0;
    for (const auto& r : replicas_) {
      sup.in_flight += r.in_flight;
      if (r.draining) continue;
      (r.ready ? sup.ready : sup.starting) += 1;
    }
    sup.held = static_cast<std::int64_t>(queue_.size());
    for (const auto call : queue_) held_prompts += calls_[call].prompt;
    sup.held_prompt_tokens = held_prompts;
    Learned learned;
    learned.engine = {s_.engine.base, s_.engine.per_prompt_token, s_.engine.per_sequence};
    learned.rho = s_.rho;
    learned.output = mean_output_;
    learned.prompt = mean_prompt_;
    seen.in_flight = sup.in_flight;
    seen.held = sup.held;
    seen.ready = sup.ready;
    seen.slots = s_.engine.slots;
    seen.arrivals = arrivals;
    seen.prompt_tokens = prompts;
    learner.observe(seen);
    seen = {};
    if (s_.learned) learned = learner.figures(false);
    learned.cold_start = static_cast<Nanos>(s_.cold * 1e9);
    advance(state, static_cast<Nanos>(now_ * 1e9), {arrivals, prompts}, spec, learned, sup, s_.policy);
    const auto d = decide(state, spec, learned, sup, s_.policy);
    int n = supply();
    for (; n < d.desired; ++n) create(now_, cold());
    for (; n > d.desired; --n) {
      Replica* least = nullptr;
      for (auto& r : replicas_) {
        if (r.draining) continue;
        if (!least || std::pair(r.ready, r.in_flight) < std::pair(least->ready, least->in_flight)) least = &r;
      }
      least->draining = true;
    }
  }

  void retire(double end) {
    std::erase_if(replicas_, [&](const Replica& r) {
      if (!r.draining || r.in_flight > 0) return false;
      replica_seconds_ += std::min(now_, end) - std::min(r.created, end);
      return true;
    });
  }

  const Calls& calls_;
  Setting s_;
  double now_ = 0, replica_seconds_ = 0, mean_output_ = 200, mean_prompt_ = 1000;
  std::vector<double> first_, dispatched_;
  std::deque<std::size_t> queue_;
  std::vector<Replica> replicas_;
  std::size_t finished_ = 0;
  int launches_ = 0;
  std::mt19937 random_{1};
};

inline Outcome simulate(const Calls& calls, const Setting& setting) {
  return ReplaySim(calls, setting).run();
}

// Poisson arrivals with rate(t) below `top`, log-normal lengths.
inline Calls synthetic(double seconds, double top, const std::function<double(double)>& rate, unsigned seed) {
  std::mt19937 random(seed);
  std::exponential_distribution<> gap(top);
  std::uniform_real_distribution<> thin(0, top);
  std::lognormal_distribution<> prompt(6.7, 0.8), output(5, 0.8);
  Calls calls;
  for (double t = gap(random); t < seconds; t += gap(random)) {
    if (thin(random) > rate(t)) continue;
    calls.push_back({t, static_cast<int>(std::clamp(prompt(random), 10.0, 8000.0)),
                     static_cast<int>(std::clamp(output(random), 1.0, 1000.0))});
  }
  return calls;
}

}  // namespace tg::scale
