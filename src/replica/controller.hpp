// The loop demand → decide → Backend, and the hold queues. One object, on the control thread; workers reach
// it through post() of the wiring (app/), it reaches them through the Grants sink. No sockets and no clock of
// its own: time comes in by tick(now) and by the message calls, so tests drive it with values.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "base/metrics.hpp"
#include "replica/backend.hpp"
#include "replica/table.hpp"
#include "spec/documents.hpp"

namespace tg::replica {

// A request that found no free slot. Sent by a worker after Table::waiting() was raised.
struct Wait {
  std::shared_ptr<Table> model;
  std::uint64_t ticket = 0;  // Table::next_ticket(), taken when the body was complete
  std::size_t worker = 0;
  std::uint64_t request = 0;  // the worker's handle, opaque here
  std::uint64_t bytes = 0;    // body size
  Nanos arrived = 0;
  std::int64_t prompt_tokens = 0;  // estimate
  // Its replica died before a byte was relayed: it keeps its old ticket, so it stands before all younger
  // ones, is never refused by the hold bounds, and has one more deadline, counted from the first time it came
  // back.
  bool again = false;
};

// The controller's answer, posted to the worker. Exactly one for each Wait, unless Gone came first (then
// maybe one: the worker releases a granted slot of a request it no longer has).
struct Grant {
  std::shared_ptr<Table> model;
  std::uint64_t request = 0;
  int replica = -1;  // slot taken for the request; -1 = refused
  // With replica == -1:
  int status = 0;  // 429 hold bounds, 503 deadline or failed start, 404 model removed
  Reason reason;
  Nanos retry_after = 0;
};

struct GoneWaiter {
  std::shared_ptr<Table> model;
  std::uint64_t ticket = 0;
};

class Controller {
 public:
  struct Options {
    std::size_t workers = 1;
    std::string state_dir;  // learned values, one file per model; empty = not kept
    std::size_t metric_shard = 0;
    // The clock of `now`, asked only when the backend reports an event (it brings no time). Empty = mono_now.
    std::function<Nanos()> clock = {};
    Nanos shutdown_drain = 30 * kSecond;  // shut_down ends replicas that still answer after this
    // A replica that is drained for any other reason ends when its last request does; a request is bounded by
    // its Route's timeouts, so this bound is for requests that were forgotten.
    Nanos drain_limit = 30 * kMinute;
  };
  using GrantSink = std::function<void(std::size_t worker, const Grant&)>;

  Controller(Backend& backend, GrantSink grants, Metrics& metrics, Logger& log, Options options);
  ~Controller();

  // New documents: models are added, changed (new revision, old drained) or removed (held get 404, running
  // finish).
  void apply(const spec::Documents& documents, Nanos now);
  // The table of a Model; made by apply(). Null if there is none.
  std::shared_ptr<Table> table(const std::string& model) const;

  void on_wait(const Wait& wait, Nanos now);
  void on_gone(const GoneWaiter& gone, Nanos now);
  void on_slot_free(const std::shared_ptr<Table>& model, Nanos now);
  // A worker saw a replica's connection die before an answer (the process may be gone). The replica takes no
  // requests for half a second, in which the backend reports a dead process.
  void on_replica_suspect(const std::shared_ptr<Table>& model, int replica, Nanos now);

  // Decisions (once a second), deadlines, drains. Returns when it wants to be called next (at most one second
  // later). May be called earlier at any time.
  Nanos tick(Nanos now);
  // Stops everything: refuses held requests with 503 `shutting_down`, drains, then stops replicas. True once
  // nothing runs.
  bool shut_down(Nanos now);

  // Snapshots for status, models and explain (JSON text of the admin API objects; see admin/). `models_json`
  // is
  // {"items":[…]}, explain_json one such item with "decisions" and "coldStarts" (newest first) and "learned";
  // empty text if there is no such Model. Times on the wall clock come from utc_now_ns().
  std::string models_json(Nanos now) const;
  std::string explain_json(const std::string& model, Nanos now) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tg::replica
