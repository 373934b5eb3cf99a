// The inside of Controller, shared by controller.cpp (messages, events) and reconcile.cpp (decide, allot,
// start, drain).
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "replica/controller.hpp"
#include "replica/model_state.hpp"

namespace tg::replica {

inline constexpr int kFailLimit = 5;  // failed starts in a row, then held requests are refused
inline constexpr Nanos kFirstBackoff = kSecond;
inline constexpr Nanos kMaxBackoff = kMinute;
inline constexpr Nanos kSuspectPause = 500 * kMillisecond;  // a dead process is reported within milliseconds
inline constexpr Nanos kStable = kMinute;                   // ready this long clears the failures
inline constexpr Nanos kSaveEvery = kMinute;
inline constexpr std::size_t kKeepRecords = 50;

struct Controller::Impl {
  Backend& backend;
  GrantSink grants;
  Metrics& metrics;
  Logger& log;
  Options options;

  // By table, because workers of an older snapshot still name the table of a removed Model.
  std::unordered_map<const Table*, std::unique_ptr<ModelState>> states;
  std::map<std::string, ModelState*> by_name;  // live ones
  std::unordered_map<ReplicaId, ModelState*> by_replica;

  std::deque<Event> pending;  // events the backend sent from inside a call of ours
  int in_backend = 0;
  bool shutting_down = false;
  std::uint64_t next_decision = 1;
  Nanos now = 0;           // the latest time seen
  Nanos reconcile_at = 0;  // by tick; events reconcile at once

  Impl(Backend& b, GrantSink g, Metrics& m, Logger& l, Options o)
      : backend(b), grants(std::move(g)), metrics(m), log(l), options(std::move(o)) {}

  // ---- controller.cpp: documents, messages, events
  ModelState& make_model(const spec::Model& spec);
  void change_model(ModelState& m, const spec::Model& spec);
  void remove_model(ModelState& m);
  void wait(const Wait& wait);
  void on_event(const Event& event);
  void handle(ModelState& m, Replica& r, const Event& event);
  void became_ready(ModelState& m, Replica& r, const Event& event);
  void ended(ModelState& m, ReplicaId id, const Event& event);
  void drain_events();

  // Grants slots in ticket order while there are any.
  void pump(ModelState& m);
  // Refuses those whose deadline has passed.
  void expire(ModelState& m);
  void refuse(ModelState& m, const Held& held, int status, Reason reason, Nanos retry);
  void refuse_all(ModelState& m, int status, const Reason& reason, Nanos retry);
  // Refuses what waits for a start that will not come.
  void refuse_hopeless(ModelState& m);
  bool hopeless(const ModelState& m) const;

  // ---- reconcile.cpp
  void advance(ModelState& m);
  void look_at_parts(ModelState& m);
  void decide(ModelState& m);
  scale::Supply supply_of(const ModelState& m) const;
  // Decides for all Models, allots the machine between them, then starts and drains.
  void reconcile();
  void retire_old_revision(ModelState& m);
  void shrink(ModelState& m, int count, const std::string& why, bool idle_only);
  bool undrain(ModelState& m);
  void start(ModelState& m);
  void drain(ModelState& m, Replica& r, const std::string& why, Nanos limit);
  void stop(ModelState& m, Replica& r);
  // Stops what has drained, frees places, forgets ended Models.
  void finish_drains(ModelState& m);
  void forget_gone_models();
  void record(ModelState& m, int from, const std::string& allot);
  void note_failure(ModelState& m, const Reason& reason, bool will_retry, bool was_ready, bool had_finished);
  void clear_failures(ModelState& m);
  void update_gauges(ModelState& m);
  void save(ModelState& m, bool force);
};

}  // namespace tg::replica
