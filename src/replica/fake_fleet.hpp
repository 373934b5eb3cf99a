// For tests: a backend, workers and clients in virtual time around one Controller. Everything happens in the
// order of an event list; nothing sleeps. The fake engines check what real ones would suffer: more requests
// than slots, a stop under a running request, memory beyond the machine's.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "replica/controller.hpp"

namespace tg::replica {

class VirtualTime {
 public:
  Nanos now() const { return now_; }
  void at(Nanos when, std::function<void()> what) { events_.emplace(std::max(when, now_), std::move(what)); }
  void after(Nanos delay, std::function<void()> what) { at(now_ + delay, std::move(what)); }
  std::optional<Nanos> next() const {
    return events_.empty() ? std::nullopt : std::optional(events_.begin()->first);
  }
  void run_one() {
    auto node = events_.extract(events_.begin());
    now_ = node.key();
    node.mapped()();
  }
  void to(Nanos when) { now_ = std::max(now_, when); }

 private:
  Nanos now_ = 1000 * kSecond;
  std::multimap<Nanos, std::function<void()>> events_;
};

class FakeBackend : public Backend {
 public:
  struct Engine {
    ReplicaId id = 0;
    std::string model;
    int slots = 0;
    std::uint64_t memory = 0;
    bool alive = true, ready = false, stopping = false;
    int running = 0;
  };

  explicit FakeBackend(VirtualTime& time) : time_(time) {}

  // What the next starts of a Model do.
  struct Plan {
    Nanos fetch = 0;  // 0 = weights are there
    Nanos load = 2 * kSecond;
    int fail_starts = 0;  // this many of the next starts fail at load
    Reason fail_reason{"engine_exited", "engine exited with code 1", "see the log"};
    bool will_retry = true;
    std::uint64_t memory = 0;
    std::optional<Reason> obstacle;
    bool fetched = true;
    Nanos stop_takes = 100 * kMillisecond;
  };
  std::map<std::string, Plan> plans;
  std::uint64_t total_memory = 0;
  std::map<ReplicaId, Engine> engines;
  std::vector<std::string> starts;
  int stops_under_load = 0;

  void set_sink(Sink sink) override { sink_ = std::move(sink); }

  ReplicaId start(const spec::Model& model) override {
    const ReplicaId id = ++last_;
    auto& plan = plans[model.name];
    starts.push_back(model.name);
    engines[id] = Engine{id, model.name, model.slots, plan.memory, true, false, false, 0};
    EXPECT_TRUE(total_memory == 0 || used() <= total_memory) << "started beyond the memory of the machine";
    Nanos at = time_.now();
    if (plan.fetch > 0 && !plan.fetched) {
      send(id, Phase::fetching);  // from inside start()
      at += plan.fetch;
      time_.at(at, [this, id, name = model.name] {
        plans[name].fetched = true;
        if (alive(id)) send(id, Phase::loading);
      });
    } else {
      send(id, Phase::loading);
    }
    at += plan.load;
    if (plan.fail_starts > 0) {
      --plan.fail_starts;
      time_.at(at, [this, id, plan] {
        if (alive(id)) die(id, plan.fail_reason, plan.will_retry);
      });
      return id;
    }
    time_.at(at, [this, id] { become_ready(id); });
    return id;
  }

  void become_ready(ReplicaId id) {
    if (!alive(id) || engines[id].stopping) return;
    auto& e = engines[id];
    e.ready = true;
    Event event;
    event.replica = id;
    event.phase = Phase::ready;
    event.slots = e.slots;
    auto endpoint = std::make_shared<Endpoint>();
    endpoint->host = "127.0.0.1";
    endpoint->port = static_cast<std::uint16_t>(id);
    endpoint->label = e.model + "-" + std::to_string(id);
    event.endpoint = endpoint;
    sink_(event);
  }

  // An external engine answers again.
  void revive(ReplicaId id) {
    engines[id].alive = true;
    engines[id].running = 0;
    become_ready(id);
  }

  void stop(ReplicaId id) override {
    if (!alive(id)) return;
    auto& e = engines[id];
    e.stopping = true;
    if (e.running > 0) ++stops_under_load;
    time_.after(plans[e.model].stop_takes, [this, id] {
      if (!alive(id)) return;
      engines[id].alive = false;
      if (on_death) on_death(id);
      send(id, Phase::stopped);
    });
  }

  Capacity capacity() const override { return {total_memory, used(), "cgroup limit"}; }
  std::uint64_t memory_need(const spec::Model& model) const override {
    const auto it = plans.find(model.name);
    return it == plans.end() ? 0 : it->second.memory;
  }
  std::optional<Reason> obstacle(const spec::Model& model) const override {
    const auto it = plans.find(model.name);
    return it == plans.end() ? std::nullopt : it->second.obstacle;
  }
  bool weights_present(const spec::Model& model) const override {
    const auto it = plans.find(model.name);
    return it == plans.end() || it->second.fetch == 0 || it->second.fetched;
  }

  // The process is gone; the workers see it through on_death before or after the event.
  void die(ReplicaId id, Reason reason = {"engine_exited", "engine was killed by signal 9", ""},
           bool will_retry = true) {
    engines[id].alive = false;
    engines[id].ready = false;
    if (on_death && workers_see_first) on_death(id);
    Event event;
    event.replica = id;
    event.phase = Phase::failed;
    event.reason = std::move(reason);
    event.will_retry = will_retry;
    sink_(event);
    if (on_death && !workers_see_first) on_death(id);
  }

  bool alive(ReplicaId id) const {
    const auto it = engines.find(id);
    return it != engines.end() && it->second.alive;
  }
  int count(const std::string& model, bool ready_only = false) const {
    int n = 0;
    for (const auto& [id, e] : engines)
      n += e.model == model && e.alive && !e.stopping && (!ready_only || e.ready) ? 1 : 0;
    return n;
  }
  int processes() const {
    int n = 0;
    for (const auto& [id, e] : engines) n += e.alive ? 1 : 0;
    return n;
  }
  std::uint64_t used() const {
    std::uint64_t sum = 0;
    for (const auto& [id, e] : engines) sum += e.alive ? e.memory : 0;
    return sum;
  }
  std::vector<ReplicaId> ready_ids(const std::string& model) const {
    std::vector<ReplicaId> out;
    for (const auto& [id, e] : engines) {
      if (e.model == model && e.alive && e.ready && !e.stopping) out.push_back(id);
    }
    return out;
  }

  std::function<void(ReplicaId)> on_death;
  bool workers_see_first = true;

 private:
  void send(ReplicaId id, Phase phase) {
    Event event;
    event.replica = id;
    event.phase = phase;
    sink_(event);
  }

  VirtualTime& time_;
  Sink sink_ = [](const Event&) {};
  ReplicaId last_ = 0;
};

struct Request {
  enum class State { waiting, running, complete, cut, refused, gone };
  std::string model;
  std::shared_ptr<Table> table;
  std::uint64_t ticket = 0;
  std::size_t worker = 0;
  State state = State::waiting;
  Nanos sent = 0, granted = 0, ended = 0;
  Nanos runs = 0, first_byte = 0;  // durations from the grant
  std::uint64_t bytes = 0;
  int replica = -1;
  ReplicaId engine = 0;
  bool relayed = false;
  bool poison = false;  // each engine closes its connection instead of answering
  int waits = 0, grants = 0, attempts = 0;
  Grant refusal;
};

class Fleet {
 public:
  static constexpr std::size_t kWorkers = 2;

  explicit Fleet(Controller::Options options = {}) {
    options.workers = kWorkers;
    options.clock = [this] { return time.now(); };
    controller = std::make_unique<Controller>(
        backend, [this](std::size_t worker, const Grant& grant) { granted(worker, grant); }, metrics, log,
        options);
    backend.on_death = [this](ReplicaId id) { died(id); };
  }

  static spec::Model model(const std::string& name, int max = 1, int slots = 2) {
    spec::Model m;
    m.name = name;
    m.engine = spec::EngineKind::simulated;
    m.replicas_max = max;
    m.slots = slots;
    m.first_token_target = 2 * kSecond;
    m.hold = {100, 64 << 20, 2 * kMinute, 15 * kSecond};
    return m;
  }

  void apply(const std::vector<spec::Model>& models) {
    spec::Documents d;
    for (const auto& m : models) d.models[m.name] = m;
    controller->apply(d, time.now());
    schedule_tick(time.now());
  }

  // A client sends; returns the request's handle.
  std::uint64_t send(const std::string& name, Nanos runs = kSecond, std::uint64_t bytes = 100) {
    const auto id = ++last_;
    Request r;
    r.model = name;
    r.table = controller->table(name);
    r.worker = id % kWorkers;
    r.sent = time.now();
    r.runs = runs;
    r.first_byte = runs / 2;
    r.bytes = bytes;
    EXPECT_TRUE(r.table) << name;
    r.ticket = r.table->next_ticket();
    auto& shard = r.table->shard(r.worker);
    bump(shard.arrivals, 1);
    bump(shard.prompt_tokens, 100);
    requests[id] = r;
    dispatch(id, false);
    return id;
  }

  void leave(std::uint64_t id) {
    auto& r = requests[id];
    if (r.state == Request::State::waiting) {
      r.state = Request::State::gone;
      controller->on_gone({r.table, r.ticket}, time.now());
    } else if (r.state == Request::State::running) {
      r.state = Request::State::gone;
      end(r);
    }
  }

  // Runs the list until nothing is due before `until`.
  void run_until(Nanos until) {
    while (time.next() && *time.next() <= until) time.run_one();
    time.to(until);
  }
  void run_for(Nanos d) { run_until(time.now() + d); }
  // Until `done` holds; false when `limit` passed first.
  bool run_while(const std::function<bool()>& busy, Nanos limit) {
    const Nanos until = time.now() + limit;
    while (busy()) {
      if (!time.next() || *time.next() > until) return false;
      time.run_one();
    }
    return true;
  }

  int count(Request::State state) const {
    int n = 0;
    for (const auto& [id, r] : requests) n += r.state == state ? 1 : 0;
    return n;
  }
  bool settled() const { return count(Request::State::waiting) + count(Request::State::running) == 0; }

  // Every request ended once, every Wait had at most one Grant, no slot and no waiter is left over.
  void expect_nothing_lost(const std::string& what) {
    for (const auto& [id, r] : requests) {
      EXPECT_NE(r.state, Request::State::waiting)
          << what << ": request " << id << " of " << r.model << " still waits";
      EXPECT_NE(r.state, Request::State::running) << what << ": request " << id << " still runs";
      EXPECT_LE(r.grants, r.waits) << what << ": request " << id;
      if (r.state != Request::State::gone) {
        EXPECT_EQ(r.grants, r.waits) << what << ": request " << id;
      }
      EXPECT_EQ(r.table->in_flight(), 0) << what;
      EXPECT_EQ(r.table->waiting().load(), 0) << what;
    }
    EXPECT_EQ(backend.stops_under_load, 0) << what;
  }

  VirtualTime time;
  FakeBackend backend{time};
  Metrics metrics{4};
  Logger log{LogFormat::text, LogLevel::error};
  std::unique_ptr<Controller> controller;
  std::map<std::uint64_t, Request> requests;
  std::vector<std::uint64_t> grant_order;
  bool ticking = true;

 private:
  static void bump(std::atomic<std::int64_t>& v, std::int64_t n) { v.store(v.load() + n); }

  void schedule_tick(Nanos at) {
    const auto mine = ++tick_generation_;
    time.at(at, [this, mine] {
      if (mine != tick_generation_ || !ticking) return;
      const Nanos next = controller->tick(time.now());
      EXPECT_GT(next, time.now());
      EXPECT_LE(next, time.now() + kSecond);
      if (mine == tick_generation_) schedule_tick(next);
    });
  }

  void dispatch(std::uint64_t id, bool again) {
    auto& r = requests[id];
    const int index = again ? -1 : r.table->try_acquire();
    if (index >= 0) {
      run(id, index);
      return;
    }
    r.state = Request::State::waiting;
    ++r.waits;
    r.table->waiting().fetch_add(1);
    // The mailbox: the controller sees it a moment later.
    time.after(10 * kMicrosecond, [this, id, again] {
      auto& q = requests[id];
      controller->on_wait({q.table, q.ticket, q.worker, id, q.bytes, q.sent, 100, again}, time.now());
      // A client that left before its Wait was read: the worker posted Gone behind it.
      if (q.state == Request::State::gone) controller->on_gone({q.table, q.ticket}, time.now());
    });
  }

  void granted(std::size_t worker, const Grant& grant) {
    auto& r = requests[grant.request];
    EXPECT_EQ(worker, r.worker);
    EXPECT_EQ(grant.model, r.table);
    ++r.grants;
    if (grant.replica >= 0) {
      grant_order.push_back(grant.request);
      // The worker reads its mailbox a moment later.
      time.after(10 * kMicrosecond, [this, id = grant.request, index = grant.replica] {
        auto& q = requests[id];
        if (q.state == Request::State::gone) {
          release(q, index);
        } else {
          run(id, index);
        }
      });
      return;
    }
    if (r.state == Request::State::gone) return;
    EXPECT_EQ(r.state, Request::State::waiting);
    EXPECT_FALSE(grant.reason.code.empty());
    EXPECT_FALSE(grant.reason.text.empty());
    r.state = Request::State::refused;
    r.ended = time.now();
    r.refusal = grant;
  }

  void run(std::uint64_t id, int index) {
    auto& r = requests[id];
    auto& entry = r.table->entry(index);
    r.state = Request::State::running;
    r.granted = time.now();
    r.replica = index;
    r.relayed = false;
    ++r.attempts;
    ASSERT_TRUE(entry.endpoint);
    r.engine = entry.endpoint->port;
    if (!backend.alive(r.engine)) {  // died between grant and dispatch: connect fails
      connection_died(id);
      return;
    }
    auto& e = backend.engines[r.engine];
    EXPECT_EQ(e.model, r.model);
    EXPECT_TRUE(e.ready);
    ++e.running;
    EXPECT_LE(e.running, e.slots) << "more requests than slots";
    const int attempt = r.attempts;
    if (r.poison) {
      time.after(100 * kMillisecond, [this, id, attempt] {
        auto& q = requests[id];
        if (q.state != Request::State::running || q.attempts != attempt) return;
        if (backend.alive(q.engine)) --backend.engines[q.engine].running;
        connection_died(id);
      });
      return;
    }
    time.after(r.first_byte, [this, id, attempt] {
      auto& q = requests[id];
      if (q.state == Request::State::running && q.attempts == attempt) q.relayed = true;
    });
    time.after(r.runs, [this, id, attempt] {
      auto& q = requests[id];
      if (q.state != Request::State::running || q.attempts != attempt) return;
      q.state = Request::State::complete;
      bump(q.table->shard(q.worker).finished, 1);
      bump(q.table->shard(q.worker).output_tokens, 50);
      end(q);
    });
  }

  void end(Request& r) {
    r.ended = time.now();
    if (backend.alive(r.engine)) --backend.engines[r.engine].running;
    release(r, r.replica);
  }

  void release(Request& r, int index) {
    if (!r.table->release(index)) return;
    time.after(10 * kMicrosecond, [this, table = r.table] { controller->on_slot_free(table, time.now()); });
  }

  void died(ReplicaId engine) {
    for (auto& [id, r] : requests) {
      if (r.state == Request::State::running && r.engine == engine) connection_died(id);
    }
  }

  void connection_died(std::uint64_t id) {
    auto& r = requests[id];
    const int index = r.replica;
    if (r.relayed) {
      r.state = Request::State::cut;
      r.ended = time.now();
      release(r, index);
      return;
    }
    controller->on_replica_suspect(r.table, index, time.now());
    release(r, index);
    dispatch(id, true);
  }

  std::uint64_t last_ = 0;
  std::uint64_t tick_generation_ = 0;
};

}  // namespace tg::replica
