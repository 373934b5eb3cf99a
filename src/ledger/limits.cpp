#include "ledger/limits.hpp"

#include <algorithm>

namespace tg::ledger {

namespace gcra {

Rate rate_of(std::int64_t per_minute) {
  const Ticks unit = (to_ticks(kMinute) + per_minute - 1) / per_minute;
  return {unit, cost_of({unit, 0}, per_minute)};
}

Ticks cost_of(const Rate& rate, std::int64_t n) {
  Ticks cost = 0;
  if (__builtin_mul_overflow(rate.unit, n, &cost)) return kMaxAhead;
  return std::min(cost, kMaxAhead);
}

Take take(Ticks tat, Ticks now, const Rate& rate, Ticks cost) {
  const Ticks next = std::max(tat, now) + cost;
  const Ticks ahead = next - now;
  if (ahead <= rate.burst) return {true, next, 0};
  return {false, tat, ahead - rate.burst};
}

Ticks correct(Ticks tat, Ticks now, Ticks delta) {
  // A bucket that filled up meanwhile starts at now: time it stood full is not saved up against the extra
  // use.
  if (delta > 0) return std::min(std::max(tat, now) + delta, now + kMaxAhead);
  return std::max(tat + delta, Ticks{0});
}

std::int64_t remaining(Ticks tat, Ticks now, const Rate& rate) {
  const Ticks room = rate.burst - std::max(tat - now, Ticks{0});
  return room <= 0 ? 0 : room / rate.unit;
}

Nanos until_full(Ticks tat, Ticks now) { return tat <= now ? 0 : to_nanos(tat - now); }

}  // namespace gcra

namespace {

using gcra::Rate;
using gcra::Ticks;

gcra::Take take(std::atomic<Ticks>& state, Ticks now, const Rate& rate, Ticks cost, Ticks& seen) {
  seen = state.load(std::memory_order_relaxed);
  for (;;) {
    const gcra::Take t = gcra::take(seen, now, rate, cost);
    if (!t.ok) return t;
    if (state.compare_exchange_weak(seen, t.tat, std::memory_order_relaxed)) {
      seen = t.tat;
      return t;
    }
  }
}

void correct(std::atomic<Ticks>& state, Ticks now, Ticks delta) {
  if (delta == 0) return;
  Ticks seen = state.load(std::memory_order_relaxed);
  while (!state.compare_exchange_weak(seen, gcra::correct(seen, now, delta), std::memory_order_relaxed)) {
  }
}

void tighten(Budget& budget, std::int64_t limit, const Rate& rate, Ticks tat, Ticks now) {
  const std::int64_t left = gcra::remaining(tat, now, rate);
  if (budget.limit != 0 && budget.remaining <= left) return;
  budget = {limit, left, gcra::until_full(tat, now)};
}

// What a request has taken so far, so that a refusal gives back exactly that.
struct Taken {
  std::size_t places = 0, requests = 0, tokens = 0;  // number of scopes, from the first
};

void give_back(std::span<const Scope> scopes, const Taken& taken, std::int64_t tokens, Ticks now) {
  for (std::size_t i = 0; i < taken.places; ++i)
    scopes[i].state->in_flight.fetch_sub(1, std::memory_order_relaxed);
  for (std::size_t i = 0; i < taken.requests; ++i) {
    if (const std::int64_t limit = scopes[i].limits->requests_per_minute; limit > 0) {
      correct(scopes[i].state->requests, now, -gcra::rate_of(limit).unit);
    }
  }
  for (std::size_t i = 0; i < taken.tokens; ++i) {
    if (const std::int64_t limit = scopes[i].limits->tokens_per_minute; limit > 0) {
      correct(scopes[i].state->tokens, now, -gcra::cost_of(gcra::rate_of(limit), tokens));
    }
  }
}

bool take_place(std::span<const Scope> scopes, Taken& taken, Admission& result) {
  for (std::size_t i = 0; i < scopes.size(); ++i) {
    const std::int64_t limit = scopes[i].limits->concurrent;
    const std::int64_t before = scopes[i].state->in_flight.fetch_add(1, std::memory_order_relaxed);
    taken.places = i + 1;
    if (limit > 0 && before >= limit) {
      result.refusal = Refusal::concurrent;
      result.scope = i;
      result.limit = limit;
      result.asked = 1;
      result.left = 0;
      result.retry_after =
          kSecond;  // nobody knows when a place comes free; a second keeps a refused client calm
      return false;
    }
  }
  return true;
}

bool take_request(std::span<const Scope> scopes, Ticks now, Taken& taken, Admission& result) {
  for (std::size_t i = 0; i < scopes.size(); ++i) {
    const std::int64_t limit = scopes[i].limits->requests_per_minute;
    if (limit > 0) {
      const Rate rate = gcra::rate_of(limit);
      Ticks seen = 0;
      const gcra::Take t = take(scopes[i].state->requests, now, rate, rate.unit, seen);
      tighten(result.requests, limit, rate, seen, now);
      if (!t.ok) {
        result.refusal = Refusal::requests;
        result.scope = i;
        result.limit = limit;
        result.asked = 1;
        result.left = 0;
        result.retry_after = gcra::to_nanos(t.wait);
        return false;
      }
    }
    taken.requests = i + 1;
  }
  return true;
}

bool take_tokens(std::span<const Scope> scopes, std::int64_t tokens, Ticks now, Taken& taken,
                 Admission& result) {
  for (std::size_t i = 0; i < scopes.size(); ++i) {
    const std::int64_t limit = scopes[i].limits->tokens_per_minute;
    if (limit > 0) {
      const Rate rate = gcra::rate_of(limit);
      Ticks seen = 0;
      const bool whole = tokens > limit;
      gcra::Take t;
      if (whole) {
        seen = scopes[i].state->tokens.load(std::memory_order_relaxed);
      } else {
        t = take(scopes[i].state->tokens, now, rate, gcra::cost_of(rate, tokens), seen);
      }
      tighten(result.tokens, limit, rate, seen, now);
      if (!t.ok) {
        result.refusal = whole ? Refusal::exceeds_whole_limit : Refusal::tokens;
        result.scope = i;
        result.limit = limit;
        result.asked = tokens;
        result.left = gcra::remaining(seen, now, rate);
        result.retry_after = whole ? 0 : gcra::to_nanos(t.wait);
        return false;
      }
    }
    taken.tokens = i + 1;
  }
  return true;
}

// The budgets of a refused request: nothing was consumed, and a limit that was not asked is shown all the
// same.
void show_budgets(std::span<const Scope> scopes, Ticks now, Admission& result) {
  result.requests = {};
  result.tokens = {};
  for (const Scope& s : scopes) {
    if (const std::int64_t limit = s.limits->requests_per_minute; limit > 0) {
      tighten(result.requests, limit, gcra::rate_of(limit), s.state->requests.load(std::memory_order_relaxed),
              now);
    }
    if (const std::int64_t limit = s.limits->tokens_per_minute; limit > 0) {
      tighten(result.tokens, limit, gcra::rate_of(limit), s.state->tokens.load(std::memory_order_relaxed),
              now);
    }
  }
}

}  // namespace

std::string_view refusal_name(Refusal refusal) {
  switch (refusal) {
    case Refusal::none:
      return "none";
    case Refusal::concurrent:
      return "concurrent";
    case Refusal::requests:
      return "requests";
    case Refusal::tokens:
      return "tokens";
    case Refusal::exceeds_whole_limit:
      return "exceeds_whole_limit";
  }
  return "none";
}

Admission admit(std::span<const Scope> scopes, std::int64_t tokens, Nanos now) {
  scopes = scopes.first(std::min(scopes.size(), kMaxScopes));
  tokens = std::max<std::int64_t>(tokens, 0);
  const Ticks at = gcra::to_ticks(now);
  Admission result;
  Taken taken;
  if (take_place(scopes, taken, result) && take_request(scopes, at, taken, result) &&
      take_tokens(scopes, tokens, at, taken, result)) {
    return result;
  }
  give_back(scopes, taken, tokens, at);
  show_budgets(scopes, at, result);
  return result;
}

void settle(std::span<const Scope> scopes, std::int64_t estimate, std::int64_t actual, Nanos now) {
  const Ticks at = gcra::to_ticks(now);
  estimate = std::max<std::int64_t>(estimate, 0);
  actual = std::max<std::int64_t>(actual, 0);
  for (const Scope& s : scopes) {
    if (const std::int64_t limit = s.limits->tokens_per_minute; limit > 0 && actual != estimate) {
      const Rate rate = gcra::rate_of(limit);
      correct(s.state->tokens, at, gcra::cost_of(rate, actual) - gcra::cost_of(rate, estimate));
    }
    s.state->in_flight.fetch_sub(1, std::memory_order_relaxed);
  }
}

void refund(std::span<const Scope> scopes, std::int64_t estimate, Nanos now) {
  give_back(scopes, {scopes.size(), scopes.size(), scopes.size()}, std::max<std::int64_t>(estimate, 0),
            gcra::to_ticks(now));
}

LimitState& LimitRegistry::of(const std::string& name) {
  auto& state = states_[name];
  if (!state) state = std::make_unique<LimitState>();
  return *state;
}

}  // namespace tg::ledger
