// Request, token and concurrency limits of a key or a tenant. Exact over all workers: each truth is one
// atomic on its own cache line, no share per core and no lock. The arithmetic (namespace gcra) is pure; time
// is passed in.
//
// The rates are a GCRA ("generic cell rate algorithm", ITU-T I.371 annex A, virtual scheduling form): the
// state is one time, the theoretical arrival time (TAT). Taking n units at `now` moves it to max(TAT, now) +
// n × unit and is allowed if that is at most `burst` ahead of now. Burst = the limit of one minute.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.hpp"

namespace tg::ledger {

// 0 = no limit.
struct Limits {
  std::int64_t requests_per_minute = 0;
  std::int64_t tokens_per_minute = 0;
  std::int64_t concurrent = 0;

  bool operator==(const Limits&) const = default;
};

namespace gcra {

// 1/16 ns: fine enough that the rounding of `unit` stays below 0.1 % up to 10^9 tokens a minute, coarse
// enough that the monotonic clock fits 18 years into 63 bits.
using Ticks = std::int64_t;
inline constexpr Ticks kTicksPerNano = 16;
// A debt never reaches further than this into the future.
inline constexpr Ticks kMaxAhead = 365LL * 24 * kHour * kTicksPerNano;

inline constexpr Ticks to_ticks(Nanos t) { return t * kTicksPerNano; }
// Rounded up: a caller that waits this long finds room.
inline constexpr Nanos to_nanos(Ticks t) { return (t + kTicksPerNano - 1) / kTicksPerNano; }

struct Rate {
  Ticks unit =
      0;  // time that one unit takes to come back, rounded up: the long-term rate never exceeds the limit
  Ticks burst = 0;  // limit × unit: exactly `limit` units fit into an idle bucket
};
Rate rate_of(std::int64_t per_minute);  // per_minute ≥ 1

// n × unit, at most kMaxAhead. n ≥ 0.
Ticks cost_of(const Rate& rate, std::int64_t n);

struct Take {
  bool ok = false;
  Ticks tat = 0;   // new TAT if ok
  Ticks wait = 0;  // if not ok: time until the same question would be answered yes
};
Take take(Ticks tat, Ticks now, const Rate& rate, Ticks cost);
// TAT after a correction by `delta` (positive: more was used than taken, may become debt; negative: given
// back).
Ticks correct(Ticks tat, Ticks now, Ticks delta);
std::int64_t remaining(Ticks tat, Ticks now, const Rate& rate);  // whole units that can be taken at once, ≥ 0
Nanos until_full(Ticks tat, Ticks now);

}  // namespace gcra

// Live state of one key or tenant. Survives reloads; shared by all workers.
struct LimitState {
  alignas(64) std::atomic<gcra::Ticks> requests{0};
  alignas(64) std::atomic<gcra::Ticks> tokens{0};
  alignas(64) std::atomic<std::int64_t> in_flight{
      0};  // counted with and without a limit; held requests included
};

// One limit set that a request must pass. A request has two: its key's and its tenant's. The limits are those
// of the snapshot the request runs under: pass the same ones to admit(), settle() and refund().
struct Scope {
  const Limits* limits = nullptr;
  LimitState* state = nullptr;
};

enum class Refusal { none, concurrent, requests, tokens, exceeds_whole_limit };
std::string_view refusal_name(Refusal refusal);

// What x-ratelimit-{limit,remaining,reset}-* say; limit 0 = no such limit, write no header. Of several scopes
// the one with the least remaining.
struct Budget {
  std::int64_t limit = 0;
  std::int64_t remaining = 0;
  Nanos reset = 0;  // until the whole limit is free again
};

struct Admission {
  Refusal refusal = Refusal::none;
  std::size_t scope = 0;    // index of the scope that refused
  std::int64_t limit = 0;   // its limit,
  std::int64_t asked = 0;   // what the request asked of it (requests and places: 1)
  std::int64_t left = 0;    // and what was left
  Nanos retry_after = 0;    // 0 with exceeds_whole_limit: waiting does not help
  Budget requests, tokens;  // after this admission

  bool ok() const { return refusal == Refusal::none; }
};

// Asks every scope, in the order concurrent, requests, tokens (estimate of the whole request, ≥ 0). A refusal
// consumes nothing. At most kMaxScopes scopes. Any thread. `now`: CLOCK_MONOTONIC.
inline constexpr std::size_t kMaxScopes = 4;
Admission admit(std::span<const Scope> scopes, std::int64_t tokens, Nanos now);

// An admitted request ended: its place is free and its tokens are corrected to what it used (may become debt,
// which stops later requests, never a running one). Exactly once for each admission, or refund() instead.
void settle(std::span<const Scope> scopes, std::int64_t estimate, std::int64_t actual, Nanos now);
// An admitted request was refused later (hold bounds, deadline) and never dispatched: place, request and
// tokens come back.
void refund(std::span<const Scope> scopes, std::int64_t estimate, Nanos now);

// Live limit states by tenant name. Control thread only; the references stay valid as long as the registry.
class LimitRegistry {
 public:
  LimitState& of(const std::string& name);

 private:
  std::map<std::string, std::unique_ptr<LimitState>> states_;
};

}  // namespace tg::ledger
