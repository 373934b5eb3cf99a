// Decide for each Model, allot the machine between them, then start, drain and stop.
#include <fmt/format.h>

#include <algorithm>

#include "base/units.hpp"
#include "replica/controller_impl.hpp"
#include "replica/learned_store.hpp"

namespace tg::replica {

Totals sum_of(const Table& table) {
  Totals t;
  for (const auto& s : table.shards()) {
    const auto get = [](const std::atomic<std::int64_t>& v) { return v.load(std::memory_order_relaxed); };
    t.arrivals += get(s.arrivals);
    t.prompt_tokens += get(s.prompt_tokens);
    t.finished += get(s.finished);
    t.output_tokens += get(s.output_tokens);
    t.reported_prompt_tokens += get(s.reported_prompt_tokens);
    t.prompt_code_points += get(s.prompt_code_points);
    t.first_token_ns += get(s.first_token_ns);
    t.first_tokens += get(s.first_tokens);
    t.decode_ns += get(s.decode_ns);
    t.decode_tokens += get(s.decode_tokens);
  }
  return t;
}

int ModelState::count_ready(bool of_current) const {
  return static_cast<int>(std::count_if(replicas.begin(), replicas.end(), [&](const Replica& r) {
    return r.ready() && (!of_current || current(r));
  }));
}

int ModelState::count_starting() const {
  // An external engine that does not answer is probed on: like one that starts.
  return static_cast<int>(std::count_if(replicas.begin(), replicas.end(), [&](const Replica& r) {
    return (r.starting() || r.phase == Phase::failed) && current(r);
  }));
}

int ModelState::count_draining() const {
  return static_cast<int>(std::count_if(replicas.begin(), replicas.end(),
                                        [](const Replica& r) { return r.phase == Phase::draining; }));
}

scale::Spec scale_spec(const spec::Model& m) {
  scale::Spec s;
  const bool external = m.engine == spec::EngineKind::external;  // somebody else runs it: one, always
  s.min = external ? 1 : std::clamp(m.replicas_min, 0, kMaxReplicas);
  s.max = external ? 1 : std::clamp(m.replicas_max, std::max(1, s.min), kMaxReplicas);
  s.slots = std::max(1, m.slots);
  if (m.first_token_target > 0) s.first_token_target = m.first_token_target;
  s.idle = m.idle;
  if (m.replicas_max_at.line > 0) {
    s.max_at = m.replicas_max_at.str();
  } else if (m.at.line > 0) {
    s.max_at = "default of " + m.at.str();
  }
  if (m.at.line > 0) s.min_at = m.at.str();
  return s;
}

scale::Learned figures_of(const ModelState& m) { return m.learner.figures(m.fetch_needed); }

scale::Supply Controller::Impl::supply_of(const ModelState& m) const {
  const int ready = m.count_ready(true);
  const int old_ready = m.count_ready(false) - ready;
  scale::Supply s;
  s.ready = ready + old_ready;  // an old revision serves until the new one does
  s.starting = std::max(0, m.count_starting() - old_ready);
  s.in_flight = m.table->in_flight();
  s.held = static_cast<std::int64_t>(m.queue.size());
  s.held_prompt_tokens = m.queue.prompt_tokens();
  return s;
}

void Controller::Impl::advance(ModelState& m) {
  if (m.advanced >= 0 && now - m.advanced < kSecond) return;
  const Nanos elapsed = m.advanced < 0 ? 0 : now - m.advanced;
  m.advanced = now;
  const Totals sums = sum_of(*m.table);
  const auto supply = supply_of(m);
  scale::Seen seen;
  seen.arrivals = sums.arrivals - m.totals.arrivals;
  seen.prompt_tokens = sums.prompt_tokens - m.totals.prompt_tokens;
  seen.finished = sums.finished - m.totals.finished;
  seen.output_tokens = sums.output_tokens - m.totals.output_tokens;
  seen.reported_prompt_tokens = sums.reported_prompt_tokens - m.totals.reported_prompt_tokens;
  seen.prompt_code_points = sums.prompt_code_points - m.totals.prompt_code_points;
  seen.first_token_ns = sums.first_token_ns - m.totals.first_token_ns;
  seen.first_tokens = sums.first_tokens - m.totals.first_tokens;
  seen.decode_ns = sums.decode_ns - m.totals.decode_ns;
  seen.decode_tokens = sums.decode_tokens - m.totals.decode_tokens;
  seen.in_flight = supply.in_flight;
  seen.held = supply.held;
  seen.ready = supply.ready;
  seen.slots = std::max(1, m.spec.slots);
  seen.elapsed = static_cast<double>(elapsed) / static_cast<double>(kSecond);
  m.totals = sums;
  m.learner.observe(seen);
  // Looks at files, so only while it matters and not each second.
  if (m.replicas.empty() && now - m.looked_at_parts >= 10 * kSecond) look_at_parts(m);
  if (seen.finished > 0) m.dirty = true;
  if (seen.arrivals > 0 || supply.in_flight > 0 || supply.held > 0) m.last_active = now;
  scale::advance(m.scale, now, {seen.arrivals, seen.prompt_tokens}, scale_spec(m.spec), figures_of(m),
                 supply);

  m.table->code_points_per_token.store(m.learner.code_points_per_token(), std::memory_order_relaxed);
  m.table->output_p90.store(m.learner.output_p90(), std::memory_order_relaxed);
  m.table->decode_rate.store(m.learner.decode_rate(), std::memory_order_relaxed);
  m.table->expected_ready_in.store(expected_ready_in(m, now), std::memory_order_relaxed);

  if (m.failures > 0) {
    for (const auto& r : m.replicas) {
      if (r.ready() && m.current(r) && (sums.finished > r.finished_before || now - r.ready_at >= kStable)) {
        clear_failures(m);
        break;
      }
    }
  }
}

void Controller::Impl::look_at_parts(ModelState& m) {
  m.looked_at_parts = now;
  const bool stood = m.obstacle.has_value();
  m.obstacle = backend.obstacle(m.spec);
  if (m.obstacle && !stood) {
    log.warn("model cannot start", {field("model", m.spec.name), field("code", m.obstacle->code),
                                    field("reason", m.obstacle->text), field("hint", m.obstacle->hint)});
  }
  m.fetch_needed = m.spec.engine != spec::EngineKind::external && !backend.weights_present(m.spec);
}

void Controller::Impl::decide(ModelState& m) {
  m.decision = scale::decide(m.scale, scale_spec(m.spec), figures_of(m), supply_of(m));
}

void Controller::Impl::reconcile() {
  if (shutting_down) return;
  // tick may come with every held request; the other timers of tick (deadlines, drains) do not need a
  // decision.
  reconcile_at = now + kSecond;
  for (const auto& [name, m] : by_name) {
    if (m->backoff_until > now) reconcile_at = std::min(reconcile_at, m->backoff_until);
  }
  struct Round {
    int from = 0;
    bool acted = false;
    std::string allot;
  };
  std::map<std::string, Round> rounds;
  std::vector<scale::Claim> claims;
  bool growth = false;

  for (auto& [name, model] : by_name) {
    auto& m = *model;
    decide(m);
    Round round;
    round.from = m.decision.inputs.supply.ready + m.decision.inputs.supply.starting;
    int running = m.count_ready(true) + m.count_starting();
    if (running > m.decision.desired) {
      shrink(m, running - m.decision.desired, m.decision.text, false);
      round.acted = true;
      running = m.decision.desired;
    }
    while (running < m.decision.desired && undrain(m)) {
      ++running;
      round.acted = true;
    }
    const bool may_start = !m.obstacle && !m.permanent && now >= m.backoff_until;
    const int desired = may_start ? m.decision.desired : std::min(running, m.decision.desired);
    scale::Claim c;
    c.model = name;
    c.desired = desired;
    c.running = running;
    c.min = std::min(scale_spec(m.spec).min, desired);
    for (const auto& r : m.replicas) {
      const bool counted = m.current(r) && (r.ready() || r.starting());
      if (counted && m.spec.engine != spec::EngineKind::external &&
          m.table->entry(r.index).in_flight.load() == 0)
        ++c.idle_replicas;
    }
    c.waiting_since = m.queue.oldest();
    if (m.queue.empty() && m.table->in_flight() == 0) c.idle_since = m.last_active;
    growth = growth || c.desired > c.running;
    claims.push_back(std::move(c));
    rounds[name] = std::move(round);
    if (desired <= running) m.blocked.reset();
  }

  if (growth) {
    // Needs and capacity may read files, so they are asked for only when somebody wants to grow.
    for (auto& c : claims) c.need = backend.memory_need(by_name.at(c.model)->spec);
    const auto capacity = backend.capacity();
    std::uint64_t in_use = capacity.in_use;
    for (const auto& [name, m] : by_name) {
      // Weights that still come have no process yet, so nobody counts them.
      const auto fetching = std::count_if(m->replicas.begin(), m->replicas.end(),
                                          [](const Replica& r) { return r.phase == Phase::fetching; });
      if (fetching > 0) in_use += static_cast<std::uint64_t>(fetching) * backend.memory_need(m->spec);
    }
    scale::Memory memory;
    memory.total = capacity.total;
    memory.free = capacity.total - std::min(capacity.total, in_use);
    for (const auto& [table, state] : states) {
      const auto draining = static_cast<std::uint64_t>(state->count_draining());
      if (draining > 0) memory.releasing += draining * backend.memory_need(state->spec);
    }
    memory.releasing = std::min(memory.releasing, capacity.total - memory.free);
    const auto allotment = scale::allot(claims, memory);
    for (const auto& e : allotment.evictions) {
      auto& m = *by_name.at(e.model);
      m.evicted_for = e.for_model;
      shrink(m, e.count, fmt::format("evicted for Model {}, whose requests wait", e.for_model), true);
      rounds[e.model].acted = true;
      rounds[e.model].allot =
          fmt::format("{} evicted for Model {}, whose requests wait", e.count, e.for_model);
      log.info("replica evicted",
               {field("model", e.model), field("for", e.for_model), field("count", e.count)});
    }
    for (auto& [name, m] : by_name) m->blocked.reset();
    for (const auto& b : allotment.blocked) {
      by_name.at(b.model)->blocked = b;
      rounds[b.model].allot = fmt::format("{} blocked: needs {}, free {} of {}{}", b.count,
                                          format_bytes(b.need), format_bytes(b.free), format_bytes(b.total),
                                          b.held_by.empty() ? "" : ", most is held by Model " + b.held_by);
    }
    for (const auto& s : allotment.starts) {
      for (int i = 0; i < s.count; ++i) start(*by_name.at(s.model));
      rounds[s.model].acted = true;
    }
  }

  for (auto& [name, model] : by_name) {
    auto& m = *model;
    retire_old_revision(m);
    finish_drains(m);
    const auto& round = rounds[name];
    const auto* last = m.decisions.empty() ? nullptr : &m.decisions.back();
    const bool block_changed =
        m.blocked.has_value() != m.noted_block.has_value() ||
        (m.blocked && m.noted_block &&
         (m.blocked->why != m.noted_block->why || m.blocked->count != m.noted_block->count));
    m.noted_block = m.blocked;
    if (!last || round.acted || block_changed || last->decision.desired != m.decision.desired ||
        last->decision.bound.has_value() != m.decision.bound.has_value()) {
      record(m, round.from, round.allot);
    }
    m.table->expected_ready_in.store(expected_ready_in(m, now), std::memory_order_relaxed);
    update_gauges(m);
    refuse_hopeless(m);
  }
}

void Controller::Impl::retire_old_revision(ModelState& m) {
  int old_ready = 0;
  bool old_draining = false;
  for (auto& r : m.replicas) {
    if (m.current(r)) continue;
    if (r.starting() || r.phase == Phase::failed) drain(m, r, "the document changed", options.drain_limit);
    old_ready += r.ready() ? 1 : 0;
    old_draining = old_draining || r.phase == Phase::draining;
  }
  int keep = std::max(0, m.decision.desired - m.count_ready(true));
  // No room for both: one of the old makes place for the new.
  if (m.blocked && !old_draining) keep = std::min(keep, old_ready - 1);
  for (auto& r : m.replicas) {
    if (m.current(r) || !r.ready() || old_ready <= keep) continue;
    drain(m, r, "the document changed", options.drain_limit);
    --old_ready;
  }
}

void Controller::Impl::shrink(ModelState& m, int count, const std::string& why, bool idle_only) {
  // What does not serve yet goes first, youngest first; then the least busy.
  std::vector<Replica*> order;
  const auto load = [&m](const Replica* r) { return m.table->entry(r->index).in_flight.load(); };
  for (auto& r : m.replicas) {
    if (m.current(r) && (r.starting() || r.ready()) && !(idle_only && load(&r) > 0)) order.push_back(&r);
  }
  std::sort(order.begin(), order.end(), [&](const Replica* a, const Replica* b) {
    if (a->ready() != b->ready()) return b->ready();
    const int la = load(a), lb = load(b);
    if (la != lb) return la < lb;
    return a->id > b->id;
  });
  for (auto* r : order) {
    if (count-- <= 0) break;
    r->evicted = idle_only;
    drain(m, *r, why, options.drain_limit);
  }
}

bool Controller::Impl::undrain(ModelState& m) {
  for (auto& r : m.replicas) {
    if (r.phase != Phase::draining || r.stopping || r.evicted || !m.current(r) || r.ready_at < 0) continue;
    r.phase = Phase::ready;
    r.drain_why.clear();
    m.table->set_state(r.index, ReplicaEntry::ready);
    pump(m);
    return true;
  }
  return false;
}

void Controller::Impl::start(ModelState& m) {
  if (m.replicas.size() + m.leaving.size() >= static_cast<std::size_t>(kMaxReplicas)) return;
  Replica r;
  r.revision = m.revision;
  const bool first = m.count_ready(false) + m.count_starting() == 0;
  if (const auto* held = m.queue.first(); held && first)
    r.arrived = held->again ? held->since : held->arrived;
  ++in_backend;
  r.id = backend.start(m.spec);
  --in_backend;
  r.ordered = std::max(now, options.clock());
  r.index = m.table->add(r.id);
  look_at_parts(m);
  r.phase = m.fetch_needed ? Phase::fetching : Phase::loading;
  r.label = fmt::format("{}-{}", m.spec.name, r.index);
  by_replica[r.id] = &m;

  ColdStart c;
  c.replica = r.id;
  c.ordered = r.ordered;
  if (r.arrived >= 0) {
    c.start_ordered = std::max<Nanos>(0, r.ordered - r.arrived);
    m.metrics.order.observe(options.metric_shard, c.start_ordered);
  }
  m.cold_starts.push_back(c);
  if (m.cold_starts.size() > kKeepRecords) m.cold_starts.pop_front();
  log.info("replica starts",
           {field("model", m.spec.name), field("replica", r.label), field("decision", m.decision.text)});
  m.replicas.push_back(std::move(r));
}

void Controller::Impl::drain(ModelState& m, Replica& r, const std::string& why, Nanos limit) {
  const bool served = r.ready();
  r.phase = Phase::draining;
  r.drain_since = now;
  r.drain_until = now + limit;
  r.drain_why = why;
  r.suspect_until = 0;
  m.table->set_state(r.index, ReplicaEntry::draining);
  log.info("replica drains", {field("model", m.spec.name), field("replica", r.label), field("why", why)});
  if (!served) stop(m, r);
}

void Controller::Impl::stop(ModelState&, Replica& r) {
  if (r.stopping) return;
  r.stopping = true;
  ++in_backend;
  backend.stop(r.id);
  --in_backend;
}

void Controller::Impl::finish_drains(ModelState& m) {
  for (auto& r : m.replicas) {
    if (r.phase != Phase::draining || r.stopping) continue;
    // After state = draining, 0 here means that nobody can take a slot any more (see table.hpp).
    if (m.table->entry(r.index).in_flight.load(std::memory_order_seq_cst) == 0 || now >= r.drain_until)
      stop(m, r);
  }
  std::erase_if(m.leaving, [&m](int index) { return m.table->clear(index); });
}

void Controller::Impl::forget_gone_models() {
  for (auto it = states.begin(); it != states.end();) {
    auto& m = *it->second;
    if (!m.removed || !m.replicas.empty() || !m.leaving.empty()) {
      ++it;
      continue;
    }
    if (!by_name.contains(m.spec.name)) metrics.remove("model", m.spec.name);
    it = states.erase(it);
  }
}

void Controller::Impl::record(ModelState& m, int from, const std::string& allot) {
  m.decisions.push_back({next_decision++, now, from, m.decision, allot});
  if (m.decisions.size() > kKeepRecords) m.decisions.pop_front();
  auto [it, added] = m.metrics.rules.try_emplace(m.decision.rule);
  if (added) {
    it->second =
        metrics.counter("tidegate_scale_decisions_total", "Scale decisions that changed something, by rule.",
                        {{"model", m.spec.name}, {"rule", std::string(scale::rule_name(m.decision.rule))}});
  }
  it->second.add(options.metric_shard);
}

void Controller::Impl::update_gauges(ModelState& m) {
  if (m.removed) return;  // a new Model of this name may own the series by now
  const auto shard = options.metric_shard;
  m.metrics.ready.set(shard, m.count_ready(false));
  m.metrics.starting.set(shard, m.count_starting());
  m.metrics.draining.set(shard, m.count_draining());
  m.metrics.desired.set(shard, m.decision.desired);
  m.metrics.held.set(shard, static_cast<std::int64_t>(m.queue.size()));
}

void Controller::Impl::save(ModelState& m, bool force) {
  if (options.state_dir.empty() || m.spec.engine == spec::EngineKind::external || (!m.dirty && !force))
    return;
  m.saved = now;
  m.dirty = false;
  const auto saved =
      save_memory(options.state_dir, m.spec, {m.learner, scale::settled_size(m.scale, scale_spec(m.spec))});
  if (!saved)
    log.warn("learned values were not saved",
             {field("model", m.spec.name), field("error", saved.error().message)});
}

}  // namespace tg::replica
