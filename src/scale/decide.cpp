#include "scale/decide.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/units.hpp"

namespace tg::scale {

namespace {

double seconds(Nanos t) { return static_cast<double>(t) / static_cast<double>(kSecond); }
Nanos nanos(double s) { return static_cast<Nanos>(s * static_cast<double>(kSecond)); }

struct Sizes {
  int slow = 1;
  int fast = 0;
};

double cost(const State& state, int n, const Policy& policy) {
  const auto i = static_cast<std::size_t>(n);
  return n * state.mass + policy.late_price * (i < state.late.size() ? state.late[i] : 0);
}

// Sizes are replayed beyond the bound, so that a decision can say what it would want without it.
int replayed(const Spec& spec) { return std::max(1, spec.max) + std::clamp(spec.max, 2, 16); }

int cheapest(const State& state, const Spec& spec, const Policy& policy) {
  int best = 1;
  const int top = std::min(replayed(spec), static_cast<int>(state.late.size()) - 1);
  for (int n = 2; n <= top; ++n) {
    if (cost(state, n, policy) < cost(state, best, policy)) best = n;
  }
  return best;
}

Sizes sizes(const State& state, const Spec& spec, const Learned& learned, const Supply& supply,
            const Policy& policy) {
  Sizes s;
  s.slow = cheapest(state, spec, policy);
  if (state.clock < policy.memory) s.slow = std::max(s.slow, state.initial);

  const double held_work = work_of(static_cast<double>(supply.held),
                                   static_cast<double>(supply.held_prompt_tokens), spec, learned);
  const double target = std::max(0.1, seconds(spec.first_token_target));
  const double rate = state.recent_work / seconds(policy.short_window) / std::max(0.05, learned.rho);
  // A request runs on one replica: more replicas than requests help nobody.
  const double present = static_cast<double>(std::max<std::int64_t>(1, supply.held + supply.in_flight));
  const double fast = std::min(present, std::ceil(rate + held_work / target - 1e-9));
  s.fast = static_cast<int>(std::clamp(fast, 0.0, 1e6));
  return s;
}

}  // namespace

std::string_view rule_name(Rule rule) {
  switch (rule) {
    case Rule::targets:
      return "targets";
    case Rule::queue:
      return "queue";
    case Rule::horizon:
      return "horizon";
    case Rule::idle:
      return "idle";
    case Rule::arrival_at_zero:
      return "arrivalAtZero";
    case Rule::bounds:
      return "bounds";
    case Rule::unmeasured:
      return "unmeasured";
  }
  return "targets";
}

double work_of(double requests, double prompt_tokens, const Spec& spec, const Learned& learned) {
  const double slots = std::max(1, spec.slots);
  const auto& e = learned.engine;
  return e.beta * prompt_tokens + requests * learned.output * (e.alpha + e.gamma * slots) / slots;
}

Nanos keep_alive(const Spec& spec, const Learned& learned, const Policy& policy) {
  if (spec.idle) return *spec.idle;
  const double wanted =
      policy.keep_factor * seconds(learned.cold_start) * std::max(1.0, learned.waiting_per_start);
  const double floor = std::max(2 * seconds(learned.cold_start), seconds(policy.keep_floor));
  const double ceiling = seconds(policy.keep_ceiling);
  return nanos(std::min(ceiling, std::max(floor, wanted)));
}

void advance(State& state, Nanos now, const Sample& sample, const Spec& spec, const Learned& learned,
             const Supply& supply, const Policy& policy) {
  const Nanos step = state.started ? std::clamp<Nanos>(now - state.last, 0, policy.max_step) : kSecond;
  if (!state.started) state.mass = seconds(policy.prior);
  state.last = now;
  state.started = true;
  state.clock += step;

  const auto arrivals = std::max<std::int64_t>(0, sample.arrivals);
  const auto prompt_tokens = std::max<std::int64_t>(0, sample.prompt_tokens);
  if (arrivals > 0 || supply.in_flight > 0 || supply.held > 0) {
    state.idle = 0;
    state.ever_active = true;
  } else {
    state.idle += step;
  }

  const double dt = seconds(step);
  const double q = std::exp(-dt / seconds(policy.memory));
  const double a = static_cast<double>(arrivals);
  const double w = work_of(a, static_cast<double>(prompt_tokens), spec, learned);
  state.mass = state.mass * q + dt;
  const auto sized = static_cast<std::size_t>(replayed(spec)) + 1;
  if (state.backlog.size() < sized) {
    // A raised bound: what a larger fleet would have seen is not known, so it starts like the largest one
    // that was replayed.
    const double backlog = state.backlog.size() > 1 ? state.backlog.back() : 0;
    const double late = state.late.size() > 1 ? state.late.back() : 0;
    state.backlog.resize(sized, backlog);
    state.late.resize(sized, late);
  }
  const auto& e = learned.engine;
  const double wait = std::max(0.2, seconds(spec.first_token_target) - 2 * e.alpha - e.beta * learned.prompt);
  for (std::size_t n = 1; n < state.backlog.size(); ++n) {
    const double before = state.backlog[n] / static_cast<double>(n);
    // What stands before the last arrival of this step: its own work does not make it wait.
    const double after = (state.backlog[n] + (arrivals > 0 ? w * (a - 1) / a : 0)) / static_cast<double>(n);
    const double share = before >= wait ? 1 : after <= wait ? 0 : (after - wait) / (after - before);
    state.late[n] = state.late[n] * q + a * share;
    state.backlog[n] = std::max(0.0, state.backlog[n] + w - static_cast<double>(n) * learned.rho * dt);
  }

  if (arrivals > 0) state.recent.push_back({state.clock, w, arrivals});
  while (!state.recent.empty() && state.recent.front().at <= state.clock - policy.short_window)
    state.recent.pop_front();
  state.recent_work = 0;  // summed anew: no drift of rounding over days
  state.recent_arrivals = 0;
  for (const auto& r : state.recent) {
    state.recent_work += r.work;
    state.recent_arrivals += r.arrivals;
  }

  const Sizes s = sizes(state, spec, learned, supply, policy);
  // Without demand nothing is wanted: the floor of one replica ends by `keep`, not by the horizon.
  state.wanted_peaks.push(state.clock, std::max(s.slow, s.fast));
  state.wanted_peaks.forget_before(state.clock - nanos(seconds(learned.cold_start) * policy.shrink_hold));
}

Decision decide(const State& state, const Spec& spec, const Learned& learned, const Supply& supply,
                const Policy& policy) {
  Decision d;
  const Sizes s = sizes(state, spec, learned, supply, policy);
  const int current = supply.ready + supply.starting;
  const bool demand = supply.held > 0 || supply.in_flight > 0;
  const Nanos cold = learned.cold_start;

  d.inputs.arrivals_per_second = static_cast<double>(state.recent_arrivals) / seconds(policy.short_window);
  d.inputs.work_per_second = state.recent_work / seconds(policy.short_window);
  d.inputs.supply = supply;
  d.inputs.cold_start = cold;
  d.inputs.idle = demand ? 0 : state.idle;
  d.inputs.keep = keep_alive(spec, learned, policy);
  d.inputs.keep_explicit = spec.idle.has_value();
  d.inputs.slow = s.slow;
  d.inputs.fast = s.fast;
  const Nanos shrink_from = state.clock - nanos(seconds(cold) * policy.shrink_hold);
  d.inputs.peak = state.wanted_peaks.peak_since(shrink_from);

  int n = std::max(s.slow, s.fast);
  d.rule = s.fast > s.slow ? Rule::queue : Rule::targets;
  std::string why = d.rule == Rule::queue
                        ? fmt::format("{} held and {:.2f} requests/s need {}", supply.held,
                                      d.inputs.arrivals_per_second, s.fast)
                        : fmt::format("replay sizing of {:.2f} requests/s", d.inputs.arrivals_per_second);
  // Requests that run on a draining replica need no new one; only a held request starts a Model.
  const bool at_zero = current == 0 && supply.held == 0;
  if (at_zero || (!demand && spec.min == 0 && state.idle >= d.inputs.keep)) {
    n = 0;
    d.rule = Rule::idle;
    why = at_zero ? std::string("at zero, no request waits")
                  : fmt::format("idle {} of {}{}", format_duration(state.idle / kSecond * kSecond),
                                format_duration(d.inputs.keep),
                                d.inputs.keep_explicit ? " (idle in the document)" : "");
  } else if (current == 0) {
    n = std::max(1, n);
    d.rule = Rule::arrival_at_zero;
    why = fmt::format("{} held and no replica", supply.held);
    if (n > 1) why += fmt::format(", replay sizing {}, backlog {}", s.slow, s.fast);
  } else if (n < current) {
    const int kept = std::min(current, std::max(n, d.inputs.peak));
    if (kept > n) {
      why = fmt::format(
          "{} would do, kept: {} were wanted within the scale-down horizon of {:.0f} cold starts of {}", n,
          d.inputs.peak, policy.shrink_hold, format_duration(cold / kMillisecond * kMillisecond));
      d.rule = Rule::horizon;
    }
    n = kept;
  }
  if (!supply.measured && n < current) {
    n = current;
    d.rule = Rule::unmeasured;
    why = "figures are missing, so nothing is removed";
  }

  d.wanted = n;
  d.desired = std::clamp(n, spec.min, std::max(spec.min, spec.max));
  if (d.desired < n) {
    d.bound = Bound{"replicas.max", spec.max, spec.max_at};
  } else if (d.desired > n) {
    d.bound = Bound{"replicas.min", spec.min, spec.min_at};
    d.rule = Rule::bounds;
  }
  d.text = fmt::format("{} -> {}: {}", current, d.desired, why);
  if (d.bound) {
    d.text += fmt::format("; wanted {}, bound by {} {}", n, d.bound->field, d.bound->value);
    if (!d.bound->at.empty()) d.text += fmt::format(" ({})", d.bound->at);
  }

  const int top = static_cast<int>(state.late.size()) - 1;
  const int middle = std::clamp(s.slow, 1, std::max(1, top));
  for (int c = std::max(1, middle - 1); c <= std::min(top, middle + 1); ++c) {
    d.candidates.push_back({c, c * state.mass, cost(state, c, policy) - c * state.mass});
  }
  return d;
}

int settled_size(const State& state, const Spec& spec, const Policy& policy) {
  if (state.clock < policy.memory) return state.initial;
  return cheapest(state, spec, policy);
}

}  // namespace tg::scale
