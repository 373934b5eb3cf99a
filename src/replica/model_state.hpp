// What the controller knows of one Model. Internal to replica/: the controller changes it, snapshot.cpp
// prints it. Control thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/metrics.hpp"
#include "replica/backend.hpp"
#include "replica/hold_queue.hpp"
#include "replica/table.hpp"
#include "scale/allot.hpp"
#include "scale/decide.hpp"
#include "scale/learn.hpp"
#include "spec/documents.hpp"

namespace tg::replica {

struct Replica {
  ReplicaId id = 0;
  int index = -1;  // place in the table
  std::uint64_t revision = 0;
  Phase phase = Phase::loading;
  Nanos suspect_until = 0;  // > 0: ready, but takes no request until then
  Nanos arrived = -1;       // the request that caused the start; -1 = none
  Nanos ordered = 0;
  Nanos fetch_from = -1, load_from = -1, ready_at = -1;
  Nanos drain_since = 0, drain_until = 0;
  bool stopping = false;             // the backend was told
  bool evicted = false;              // its memory is promised to another Model
  bool granted = false;              // it had a request from the queue
  std::int64_t finished_before = 0;  // of the Model, when it became ready
  std::string label;
  std::string drain_why;
  Reason reason;
  std::optional<Progress> progress;

  bool starting() const { return phase == Phase::fetching || phase == Phase::loading; }
  bool ready() const { return phase == Phase::ready; }
};

// One start, phase by phase; -1 = did not happen (yet).
struct ColdStart {
  ReplicaId replica = 0;
  Nanos ordered = 0;
  Nanos start_ordered = -1;  // arrival → Backend::start
  Nanos fetch = -1;          // 0 = the weights were there
  Nanos load = -1;
  Nanos ready_to_first_grant = -1;
  std::int64_t waiting = 0;          // held when it became ready
  std::string outcome = "starting";  // ready, failed, cancelled
};

struct DecisionRecord {
  std::uint64_t id = 0;
  Nanos at = 0;
  int from = 0;
  scale::Decision decision;
  std::string allot;  // what the allotment added: evicted for whom, blocked by what
};

struct Totals {
  std::int64_t arrivals = 0, prompt_tokens = 0, finished = 0, output_tokens = 0, reported_prompt_tokens = 0,
               prompt_code_points = 0, first_token_ns = 0, first_tokens = 0, decode_ns = 0, decode_tokens = 0;
};

struct ModelState {
  spec::Model spec;
  std::shared_ptr<Table> table;
  std::uint64_t revision = 1;
  std::vector<Replica> replicas;
  std::vector<int> leaving;  // places of ended replicas whose slots workers still hold
  HoldQueue queue;
  std::map<std::uint64_t, Nanos>
      first_again;  // ticket → when it came back first; kept until no request can be that old
  bool removed = false;

  scale::State scale;
  scale::Learner learner;
  scale::Decision decision;
  Totals totals;
  Nanos advanced = -1;
  Nanos last_active = 0;

  int failures = 0;  // starts in a row that did not lead to a finished request
  Nanos backoff_until = 0;
  bool permanent = false;         // the backend says: the document must change first
  std::optional<Reason> failure;  // the last one
  Nanos failed_at = 0;
  bool fetch_needed = false;       // the next start has to bring the weights
  std::optional<Reason> obstacle;  // no start is tried while it stands
  Nanos looked_at_parts = 0;       // weights and obstacle
  std::optional<scale::Blocked> blocked;
  std::optional<scale::Blocked> noted_block;  // the last one that a decision record told
  std::string evicted_for;                    // the last eviction, for people

  std::deque<DecisionRecord> decisions;  // last 50
  std::deque<ColdStart> cold_starts;     // last 50
  bool dirty = false;                    // learned something since the last save
  Nanos saved = 0;

  struct Handles {
    Counter ready, starting, draining, desired, held;
    Counter started_ready, started_failed, started_cancelled;
    Histogram order, fetch, load, grant;
    std::map<scale::Rule, Counter> rules;
  } metrics;

  bool current(const Replica& r) const { return r.revision == revision; }
  int count_ready(bool of_current) const;
  int count_starting() const;  // of the current revision
  int count_draining() const;
};

// The sums over all workers. Each counter is read once; they may be a request apart from each other.
Totals sum_of(const Table& table);

scale::Spec scale_spec(const spec::Model& model);
// Learned figures for the next start.
scale::Learned figures_of(const ModelState& model);

// Time until a replica is ready, from the learned phases: 0 = one is. Never below 1 s while one is needed and
// none is ready.
Nanos expected_ready_in(const ModelState& model, Nanos now);
// For Retry-After: until a replica is ready, or until the queue of a busy one is worked off.
Nanos retry_after(const ModelState& model, Nanos now);
// Why the Model has no ready replica, or fewer than it should; code "ready" or "at_zero" when nothing is
// wrong.
Reason why_not_ready(const ModelState& model, const Backend& backend, Nanos now);
// "ready", "fetching", "loading", "zero", "blocked", "failed", "draining".
std::string state_word(const ModelState& model, Nanos now);

// The admin API objects as JSON text. `decisions`: with decisions, cold starts and learned figures (explain).
std::string model_json(const ModelState& model, const Backend& backend, Nanos now, bool explain);

}  // namespace tg::replica
