#include "replica/controller.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/units.hpp"
#include "replica/controller_impl.hpp"
#include "replica/learned_store.hpp"

namespace tg::replica {

std::string_view phase_name(Phase phase) {
  switch (phase) {
    case Phase::fetching:
      return "fetching";
    case Phase::loading:
      return "loading";
    case Phase::ready:
      return "ready";
    case Phase::draining:
      return "draining";
    case Phase::stopped:
      return "stopped";
    case Phase::failed:
      return "failed";
  }
  return "unknown";
}

Controller::Controller(Backend& backend, GrantSink grants, Metrics& metrics, Logger& log, Options options)
    : impl_(std::make_unique<Impl>(backend, std::move(grants), metrics, log, std::move(options))) {
  if (!impl_->options.clock) impl_->options.clock = mono_now;
  backend.set_sink([impl = impl_.get()](const Event& e) { impl->on_event(e); });
}

Controller::~Controller() {
  impl_->backend.set_sink([](const Event&) {});
}

void Controller::apply(const spec::Documents& documents, Nanos now) {
  auto& impl = *impl_;
  impl.now = std::max(impl.now, now);
  std::vector<ModelState*> removed;
  for (auto& [name, m] : impl.by_name) {
    if (!documents.models.contains(name)) removed.push_back(m);
  }
  for (auto* m : removed) impl.remove_model(*m);
  for (const auto& [name, spec] : documents.models) {
    const auto it = impl.by_name.find(name);
    if (it == impl.by_name.end()) {
      impl.make_model(spec);
    } else {
      impl.change_model(*it->second, spec);
    }
  }
  impl.reconcile();
  impl.drain_events();
}

std::shared_ptr<Table> Controller::table(const std::string& model) const {
  const auto it = impl_->by_name.find(model);
  return it == impl_->by_name.end() ? nullptr : it->second->table;
}

void Controller::on_wait(const Wait& wait, Nanos now) {
  impl_->now = std::max(impl_->now, now);
  impl_->wait(wait);
  impl_->drain_events();
}

void Controller::on_gone(const GoneWaiter& gone, Nanos now) {
  auto& impl = *impl_;
  impl.now = std::max(impl.now, now);
  const auto it = impl.states.find(gone.model.get());
  if (it == impl.states.end()) return;
  if (it->second->queue.remove(gone.ticket)) gone.model->waiting().fetch_sub(1, std::memory_order_seq_cst);
  impl.update_gauges(*it->second);
}

void Controller::on_slot_free(const std::shared_ptr<Table>& model, Nanos now) {
  auto& impl = *impl_;
  impl.now = std::max(impl.now, now);
  const auto it = impl.states.find(model.get());
  if (it == impl.states.end()) return;
  impl.pump(*it->second);
  impl.finish_drains(*it->second);
  impl.drain_events();
}

void Controller::on_replica_suspect(const std::shared_ptr<Table>& model, int replica, Nanos now) {
  auto& impl = *impl_;
  impl.now = std::max(impl.now, now);
  const auto it = impl.states.find(model.get());
  if (it == impl.states.end()) return;
  for (auto& r : it->second->replicas) {
    if (r.index != replica || !r.ready() || r.suspect_until > 0) continue;
    r.suspect_until = impl.now + kSuspectPause;
    model->set_state(r.index, ReplicaEntry::starting);
  }
}

Nanos Controller::tick(Nanos now) {
  auto& impl = *impl_;
  impl.now = std::max(impl.now, now);
  Nanos next = impl.now + kSecond;
  for (auto& [table, state] : impl.states) {
    auto& m = *state;
    impl.advance(m);
    impl.expire(m);
    for (auto& r : m.replicas) {
      if (r.ready() && r.suspect_until > 0 && r.suspect_until <= impl.now) {
        r.suspect_until = 0;
        m.table->set_state(r.index, ReplicaEntry::ready);
      }
    }
    impl.pump(m);
    std::erase_if(m.first_again,
                  [&](const auto& a) { return impl.now - a.second > m.spec.hold.deadline + kHour; });
  }
  if (impl.now >= impl.reconcile_at) impl.reconcile();
  bool busy = false;
  bool saved = false;
  for (auto& [table, state] : impl.states) {
    auto& m = *state;
    impl.finish_drains(m);
    if (const auto deadline = m.queue.next_deadline()) next = std::min(next, *deadline);
    if (m.backoff_until > impl.now) next = std::min(next, m.backoff_until);
    for (const auto& r : m.replicas) {
      if (r.suspect_until > impl.now) next = std::min(next, r.suspect_until);
      if (r.phase == Phase::draining && !r.stopping)
        next = std::min(next, std::max(r.drain_until, impl.now + kMillisecond));
    }
    busy = busy || !m.queue.empty();
    if (m.dirty && !saved && impl.now - m.saved >= kSaveEvery) {  // a write syncs: one Model a tick
      impl.save(m, false);
      saved = true;
    }
  }
  impl.drain_events();
  impl.forget_gone_models();
  if (busy) next = std::min(next, impl.now + 100 * kMillisecond);
  return std::max(next, impl.now + kMillisecond);
}

bool Controller::shut_down(Nanos now) {
  auto& impl = *impl_;
  impl.now = std::max(impl.now, now);
  const bool first = !std::exchange(impl.shutting_down, true);
  for (auto& [table, state] : impl.states) {
    auto& m = *state;
    if (first) {
      impl.refuse_all(m, 503, {"shutting_down", "tidegate is stopping", "send the request again in a moment"},
                      5 * kSecond);
      for (auto& r : m.replicas) {
        if (r.phase == Phase::draining) {
          r.drain_until = std::min(r.drain_until, impl.now + impl.options.shutdown_drain);
        } else {
          impl.drain(m, r, "tidegate stops", impl.options.shutdown_drain);
        }
      }
      impl.save(m, true);
    }
    impl.finish_drains(m);
  }
  impl.drain_events();
  bool running = false;
  for (const auto& [table, state] : impl.states) running = running || !state->replicas.empty();
  return !running;
}

std::string Controller::models_json(Nanos now) const {
  std::string out = "{\"items\":[";
  bool first = true;
  for (const auto& [name, m] : impl_->by_name) {
    if (!std::exchange(first, false)) out += ',';
    out += model_json(*m, impl_->backend, std::max(now, impl_->now), false);
  }
  out += "]}";
  return out;
}

std::string Controller::explain_json(const std::string& model, Nanos now) const {
  const auto it = impl_->by_name.find(model);
  if (it == impl_->by_name.end()) return {};
  return model_json(*it->second, impl_->backend, std::max(now, impl_->now), true);
}

// ---- documents
// ---------------------------------------------------------------------------------------------------

ModelState& Controller::Impl::make_model(const spec::Model& spec) {
  auto state = std::make_unique<ModelState>();
  auto& m = *state;
  m.spec = spec;
  m.table = std::make_shared<Table>(spec.name, options.workers);
  m.last_active = now;
  m.saved = now;
  look_at_parts(m);
  if (!options.state_dir.empty()) {
    auto memory = load_memory(options.state_dir, spec);
    if (memory) {
      m.learner = memory->learner;
      m.scale.initial = memory->settled;
    } else {
      log.warn("learned values are not readable, starting without",
               {field("model", spec.name), field("error", memory.error().message)});
    }
  }
  const auto gauge = [&](const char* state_name) {
    return metrics.gauge("tidegate_model_replicas", "Replicas of a Model by state.",
                         {{"model", spec.name}, {"state", state_name}});
  };
  const auto starts = [&](const char* outcome) {
    return metrics.counter("tidegate_replica_starts_total", "Replica starts by outcome.",
                           {{"model", spec.name}, {"outcome", outcome}});
  };
  const auto phase = [&](const char* name) {
    return metrics.histogram("tidegate_cold_start_seconds", "Time of a cold start by phase.",
                             {{"model", spec.name}, {"phase", name}});
  };
  m.metrics = {
      gauge("ready"),
      gauge("starting"),
      gauge("draining"),
      gauge("desired"),
      metrics.gauge("tidegate_held_requests", "Requests that wait for a slot.", {{"model", spec.name}}),
      starts("ready"),
      starts("failed"),
      starts("cancelled"),
      phase("order"),
      phase("fetch"),
      phase("load"),
      phase("grant"),
      {}};
  by_name[spec.name] = &m;
  states.emplace(m.table.get(), std::move(state));
  return m;
}

void Controller::Impl::change_model(ModelState& m, const spec::Model& spec) {
  const bool same = m.spec.same_revision(spec);
  const bool may_help = m.permanent || m.failures > 0;
  m.spec = spec;
  look_at_parts(m);
  if (may_help) clear_failures(m);  // a reload is a person's try
  if (same) return;
  ++m.revision;
  m.learner.forget_engine();
  m.scale.initial = 0;
  m.dirty = true;
  log.info("model changed, starting a new revision",
           {field("model", spec.name), field("revision", m.revision)});
}

void Controller::Impl::remove_model(ModelState& m) {
  save(m, true);
  m.removed = true;
  by_name.erase(m.spec.name);
  refuse_all(m, 404,
             {"model_removed", fmt::format("Model {} was removed from the documents", m.spec.name), ""}, 0);
  for (auto& r : m.replicas) {
    if (r.phase != Phase::draining) drain(m, r, "the Model was removed", options.drain_limit);
  }
  update_gauges(m);
  log.info("model removed", {field("model", m.spec.name), field("in_flight", m.table->in_flight())});
}

// ---- messages
// ----------------------------------------------------------------------------------------------------

void Controller::Impl::wait(const Wait& w) {
  Held entry{.ticket = w.ticket,
             .worker = w.worker,
             .request = w.request,
             .bytes = w.bytes,
             .prompt_tokens = w.prompt_tokens,
             .arrived = w.arrived,
             .since = now,
             .counts_from = std::min(w.arrived, now),
             .again = w.again};
  const auto it = states.find(w.model.get());
  if (it == states.end() || it->second->removed || shutting_down) {
    w.model->waiting().fetch_sub(1, std::memory_order_seq_cst);
    Grant grant{
        w.model,
        w.request,
        -1,
        404,
        {"model_removed", fmt::format("Model {} was removed from the documents", w.model->name()), ""},
        0};
    if (shutting_down) {
      grant.status = 503;
      grant.reason = {"shutting_down", "tidegate is stopping", "send the request again in a moment"};
      grant.retry_after = 5 * kSecond;
    }
    grants(w.worker, grant);
    return;
  }
  auto& m = *it->second;
  if (w.again) {
    // All its tries together have one more deadline, or a request that breaks each connection would come back
    // for ever.
    entry.counts_from = m.first_again.try_emplace(w.ticket, now).first->second;
  }
  entry.deadline = entry.counts_from + m.spec.hold.deadline;
  if (m.obstacle) look_at_parts(m);  // somebody may have mended it
  const bool was_empty = m.queue.empty();
  m.queue.add(entry);
  m.last_active = now;
  expire(m);
  pump(m);
  // A first arrival at zero starts a replica in this event; what is blocked is looked at again each second.
  if (!m.queue.empty() && (was_empty || !m.blocked) && m.count_ready(true) + m.count_starting() == 0)
    reconcile();
  refuse_hopeless(m);
  if (!w.again &&
      (m.queue.size() > static_cast<std::size_t>(std::max<std::int64_t>(0, m.spec.hold.requests)) ||
       m.queue.bytes() > m.spec.hold.bytes)) {
    if (const auto mine = m.queue.remove(w.ticket)) {
      const bool by_count =
          m.queue.size() + 1 > static_cast<std::size_t>(std::max<std::int64_t>(0, m.spec.hold.requests));
      Reason reason{"hold_full",
                    by_count ? fmt::format("{} requests wait for Model {}, the limit of spec.hold.requests",
                                           m.queue.size(), m.spec.name)
                             : fmt::format("{} of request bodies wait for Model {}; with this one of {} the "
                                           "limit spec.hold.bytes of {} is exceeded",
                                           format_bytes(m.queue.bytes()), m.spec.name,
                                           format_bytes(mine->bytes), format_bytes(m.spec.hold.bytes)),
                    "send fewer at once, or raise spec.hold or spec.replicas.max"};
      refuse(m, *mine, 429, std::move(reason), retry_after(m, now));
    }
  }
  update_gauges(m);
}

void Controller::Impl::expire(ModelState& m) {
  for (const auto& held : m.queue.take_expired(now)) {
    const auto why = why_not_ready(m, backend, now);
    Reason reason{"hold_deadline",
                  fmt::format("held for {}, past the deadline spec.hold.deadline {} of Model {} ({})",
                              format_duration((now - held.counts_from) / kMillisecond * kMillisecond),
                              format_duration(m.spec.hold.deadline), m.spec.name, why.code),
                  "try again after the time in Retry-After, or raise spec.hold.deadline"};
    refuse(m, held, 503, std::move(reason), retry_after(m, now));
  }
}

void Controller::Impl::pump(ModelState& m) {
  while (!m.queue.empty()) {
    const int index = m.table->try_acquire(true);
    if (index < 0) break;
    const Held held = *m.queue.take_first();
    m.table->waiting().fetch_sub(1, std::memory_order_seq_cst);
    for (auto& r : m.replicas) {
      if (r.index != index || r.granted) continue;
      r.granted = true;
      const Nanos after = std::max<Nanos>(0, options.clock() - r.ready_at);
      for (auto& c : m.cold_starts) {
        if (c.replica == r.id && c.waiting > 0) {
          c.ready_to_first_grant = after;
          m.metrics.grant.observe(options.metric_shard, after);
        }
      }
    }
    grants(held.worker, Grant{m.table, held.request, index, 0, {}, 0});
  }
  m.metrics.held.set(options.metric_shard, static_cast<std::int64_t>(m.queue.size()));
}

void Controller::Impl::refuse(ModelState& m, const Held& held, int status, Reason reason, Nanos retry) {
  m.table->waiting().fetch_sub(1, std::memory_order_seq_cst);
  grants(held.worker, Grant{m.table, held.request, -1, status, std::move(reason), retry});
}

void Controller::Impl::refuse_all(ModelState& m, int status, const Reason& reason, Nanos retry) {
  for (const auto& held : m.queue.take_all()) refuse(m, held, status, reason, retry);
  update_gauges(m);
}

bool Controller::Impl::hopeless(const ModelState& m) const {
  if (m.count_ready(false) > 0 || m.count_starting() > 0) return false;
  for (const auto& r : m.replicas) {
    // A slow stop or a drain still promises memory, and an external engine may come back by itself.
    if (m.spec.engine == spec::EngineKind::external) break;
    if (r.phase == Phase::draining && !m.permanent && m.failures < kFailLimit && !m.blocked) return false;
  }
  if (m.permanent || m.obstacle) return true;
  if (m.failures >= kFailLimit && now < m.backoff_until) return true;
  return m.blocked && m.blocked->why == scale::Blocked::Why::never_fits;
}

void Controller::Impl::refuse_hopeless(ModelState& m) {
  if (m.queue.empty() || !hopeless(m)) return;
  const Nanos retry = m.obstacle || m.permanent || m.blocked ? 0 : std::max(kSecond, m.backoff_until - now);
  // A client learns the code. The text with its paths and engine output is for the operator.
  const auto why = why_not_ready(m, backend, now);
  refuse_all(m, 503,
             {why.code, fmt::format("Model {} cannot start now ({})", m.spec.name, why.code),
              "tidegate explain model NAME shows why"},
             retry);
}

// ---- events
// ------------------------------------------------------------------------------------------------------

void Controller::Impl::on_event(const Event& event) {
  pending.push_back(event);
  if (in_backend == 0) drain_events();
}

void Controller::Impl::drain_events() {
  while (!pending.empty() && in_backend == 0) {
    const Event event = std::move(pending.front());
    pending.pop_front();
    now = std::max(now, options.clock());
    const auto it = by_replica.find(event.replica);
    if (it == by_replica.end()) continue;  // ended before
    auto& m = *it->second;
    const auto r = std::find_if(m.replicas.begin(), m.replicas.end(),
                                [&](const Replica& x) { return x.id == event.replica; });
    if (r != m.replicas.end()) handle(m, *r, event);
  }
}

void Controller::Impl::handle(ModelState& m, Replica& r, const Event& event) {
  switch (event.phase) {
    case Phase::fetching:
    case Phase::loading:
      if (r.phase == Phase::draining) return;
      if (event.phase == Phase::fetching && r.fetch_from < 0) r.fetch_from = now;
      if (event.phase == Phase::loading && r.load_from < 0) r.load_from = now;
      r.phase = event.phase;
      r.reason = event.reason;
      r.progress = event.progress;
      break;
    case Phase::ready:
      became_ready(m, r, event);
      break;
    case Phase::draining:
      break;
    case Phase::stopped:
    case Phase::failed:
      ended(m, event.replica, event);
      break;
  }
  update_gauges(m);
}

void Controller::Impl::became_ready(ModelState& m, Replica& r, const Event& event) {
  if (r.phase == Phase::draining || r.ready()) return;
  const bool again = r.phase == Phase::failed;  // an external engine that came back
  r.phase = Phase::ready;
  r.ready_at = now;
  r.progress.reset();
  r.reason = {};
  r.finished_before = sum_of(*m.table).finished;
  if (event.endpoint) r.label = event.endpoint->label;
  m.blocked.reset();
  if (again) clear_failures(m);
  if (!again) {
    const Nanos load_from = r.load_from >= 0 ? r.load_from : r.ordered;
    const bool fetched = r.fetch_from >= 0 && load_from > r.fetch_from;
    const Nanos fetch = fetched ? load_from - r.fetch_from : 0;
    const Nanos load = now - load_from;
    const auto waiting = static_cast<std::int64_t>(m.queue.size());
    for (auto& c : m.cold_starts) {
      if (c.replica != r.id) continue;
      c.fetch = fetch;
      c.load = load;
      c.waiting = waiting;
      c.outcome = "ready";
    }
    if (fetched) m.metrics.fetch.observe(options.metric_shard, fetch);
    m.metrics.load.observe(options.metric_shard, load);
    m.metrics.started_ready.add(options.metric_shard);
    if (m.spec.engine != spec::EngineKind::external && m.current(r)) {
      m.learner.cold.seen(fetch, fetched, load, waiting);
      m.dirty = true;
    }
    log.info("replica ready", {field("model", m.spec.name), field("replica", r.label),
                               field("after", format_duration(now - r.ordered)), field("waiting", waiting)});
  }
  m.table->set_ready(r.index, event.endpoint, std::max(1, event.slots > 0 ? event.slots : m.spec.slots));
  pump(m);  // before anything else: each microsecond here is a held client's
  if (m.current(r)) retire_old_revision(m);
}

void Controller::Impl::ended(ModelState& m, ReplicaId id, const Event& event) {
  auto it = std::find_if(m.replicas.begin(), m.replicas.end(), [&](const Replica& x) { return x.id == id; });
  const bool wanted_end = it->phase == Phase::draining;
  const bool was_ready = it->ready();
  const bool was_starting = it->starting();
  const bool external = m.spec.engine == spec::EngineKind::external && m.current(*it) && !wanted_end &&
                        !m.removed && event.phase == Phase::failed;
  const bool had_finished = was_ready && sum_of(*m.table).finished > it->finished_before;
  if (was_starting || (wanted_end && it->ready_at < 0)) {
    const bool failed = event.phase == Phase::failed && !wanted_end;
    for (auto& c : m.cold_starts) {
      if (c.replica == id) c.outcome = failed ? "failed" : "cancelled";
    }
    (failed ? m.metrics.started_failed : m.metrics.started_cancelled).add(options.metric_shard);
  }
  const bool ours = m.current(*it);
  if (external) {
    // Watched on: the place is kept and becomes ready again under the same id.
    it->phase = Phase::failed;
    it->reason = event.reason;
    it->suspect_until = 0;
    m.table->set_state(it->index, ReplicaEntry::starting);
    if (was_ready || was_starting) {
      log.warn("external engine does not answer",
               {field("model", m.spec.name), field("reason", event.reason.text)});
    }
    m.failure = event.reason;
    m.failed_at = now;
    m.permanent = !event.will_retry;
  } else {
    if (!m.table->clear(it->index)) m.leaving.push_back(it->index);
    by_replica.erase(id);
    m.replicas.erase(it);
    if (!wanted_end && ours && !m.removed) {
      Reason reason = event.reason;
      if (reason.code.empty()) reason = {"engine_exited", "the engine ended by itself", ""};
      note_failure(m, reason, event.phase == Phase::stopped || event.will_retry, was_ready, had_finished);
    }
  }
  if (shutting_down) return;
  if (!m.removed) reconcile();
  refuse_hopeless(m);
}

void Controller::Impl::note_failure(ModelState& m, const Reason& reason, bool will_retry, bool was_ready,
                                    bool had_finished) {
  m.failures = had_finished ? 1 : m.failures + 1;
  m.failure = reason;
  m.failed_at = now;
  m.permanent = !will_retry;
  // A replica that worked and died is replaced at once; what fails again and again waits longer each time.
  Nanos pause = 0;
  if (m.failures > 1 || !was_ready) {
    pause = kFirstBackoff;
    for (int i = 1; i < m.failures && pause < kMaxBackoff; ++i) pause *= 2;
    pause = std::min(pause, kMaxBackoff);
  }
  m.backoff_until = now + pause;
  reconcile_at = std::min(reconcile_at, m.backoff_until);
  log.warn(was_ready ? "replica died" : "replica start failed",
           {field("model", m.spec.name), field("code", reason.code), field("reason", reason.text),
            field("in_a_row", m.failures),
            field("again_in", will_retry ? format_duration(pause) : std::string("never"))});
}

void Controller::Impl::clear_failures(ModelState& m) {
  m.failures = 0;
  m.backoff_until = 0;
  m.permanent = false;
  m.failure.reset();
}

}  // namespace tg::replica
