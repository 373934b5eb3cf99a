// The admin API objects of a Model, and the texts that say why it is not ready.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/units.hpp"
#include "replica/controller_impl.hpp"
#include "replica/model_state.hpp"

namespace tg::replica {

namespace {

using Json = nlohmann::ordered_json;

// People read "8s", not "7.913s".
std::string about(Nanos t) {
  return format_duration(t >= 10 * kSecond ? (t + kSecond / 2) / kSecond * kSecond
                                           : t / (100 * kMillisecond) * (100 * kMillisecond));
}
double ms(Nanos t) {
  const Nanos whole_us = t / kMicrosecond;  // no more than three decimals
  return static_cast<double>(whole_us) / 1000.0;
}
double rounded(double v) { return std::round(v * 1e6) / 1e6; }

std::string utc(Nanos at, Nanos now) { return format_utc(utc_now_ns() - (now - at)); }

Json reason_json(const Reason& reason) {
  Json j;
  j["code"] = reason.code;
  j["text"] = reason.text;
  if (!reason.hint.empty()) j["hint"] = reason.hint;
  return j;
}

Nanos eta_of(const ModelState& m, const Replica& r, Nanos now) {
  const auto& cold = m.learner.cold;
  const Nanos load = cold.expected(0.9, false);
  if (r.phase == Phase::loading) return load - (now - (r.load_from >= 0 ? r.load_from : r.ordered));
  const Nanos from = r.fetch_from >= 0 ? r.fetch_from : r.ordered;
  if (r.progress && r.progress->total > 0 && r.progress->done > 0) {
    const double left =
        static_cast<double>(r.progress->total - std::min(r.progress->total, r.progress->done)) /
        static_cast<double>(r.progress->done);
    return static_cast<Nanos>(left * static_cast<double>(now - from)) + load;
  }
  return cold.expected(0.9, true) - (now - from);
}

Json progress_json(const Progress& p) {
  Json j;
  j["done"] = p.done;
  j["total"] = p.total;
  j["unit"] = "bytes";
  return j;
}

Json replica_json(const ModelState& m, const Replica& r, Nanos now) {
  Json j;
  j["id"] = r.label;
  j["state"] = r.ready() && r.suspect_until > 0 ? "suspect" : std::string(phase_name(r.phase));
  j["revision"] = r.revision;
  j["since"] = utc(r.ordered, now);
  const auto& entry = m.table->entry(r.index);
  j["slots"] = entry.slots.load(std::memory_order_relaxed);
  j["busy"] = entry.in_flight.load(std::memory_order_relaxed);
  Json phases = Json::array();
  const auto phase = [&](const char* name, Nanos from, Nanos to) {
    if (from < 0) return;
    Json p;
    p["name"] = name;
    p["from"] = utc(from, now);
    if (to >= 0) p["to"] = utc(to, now);
    p["ms"] = ms((to >= 0 ? to : now) - from);
    phases.push_back(std::move(p));
  };
  phase("fetch", r.fetch_from, r.load_from >= 0 ? r.load_from : r.ready_at);
  phase("load", r.load_from >= 0 ? r.load_from : (r.fetch_from < 0 ? r.ordered : -1), r.ready_at);
  phase("ready", r.ready_at, r.phase == Phase::draining ? r.drain_since : -1);
  if (r.phase == Phase::draining) phase("drain", r.drain_since, -1);
  j["phases"] = std::move(phases);
  if (r.starting()) j["etaSeconds"] = rounded(ms(std::max<Nanos>(0, eta_of(m, r, now))) / 1000);
  if (r.progress) j["progress"] = progress_json(*r.progress);
  if (!r.reason.code.empty()) j["reason"] = reason_json(r.reason);
  if (r.phase == Phase::draining) j["drainsBecause"] = r.drain_why;
  return j;
}

Json decision_json(const DecisionRecord& d, const std::string& model, Nanos now) {
  Json j;
  const auto& in = d.decision.inputs;
  j["id"] = d.id;
  j["at"] = utc(d.at, now);
  j["model"] = model;
  j["from"] = d.from;
  j["to"] = d.decision.desired;
  j["rule"] = std::string(scale::rule_name(d.decision.rule));
  Json& i = j["inputs"];
  i["arrivalsPerS"] = rounded(in.arrivals_per_second);
  i["workPerS"] = rounded(in.work_per_second);
  i["inFlight"] = in.supply.in_flight;
  i["held"] = in.supply.held;
  i["ready"] = in.supply.ready;
  i["starting"] = in.supply.starting;
  i["coldStartSeconds"] = rounded(ms(in.cold_start) / 1000);
  i["idleSeconds"] = rounded(ms(in.idle) / 1000);
  i["keepSeconds"] = rounded(ms(in.keep) / 1000);
  i["keepFrom"] = in.keep_explicit ? "document" : "auto";
  i["slow"] = in.slow;
  i["fast"] = in.fast;
  i["peak"] = in.peak;
  Json candidates = Json::array();
  for (const auto& c : d.decision.candidates) {
    Json cj;
    cj["n"] = c.n;
    cj["replicaCost"] = rounded(c.replica_cost);
    cj["lateCost"] = rounded(c.late_cost);
    cj["cost"] = rounded(c.replica_cost + c.late_cost);
    candidates.push_back(std::move(cj));
  }
  j["candidates"] = std::move(candidates);
  if (d.decision.bound) {
    Json& b = j["bound"];
    b["field"] = d.decision.bound->field;
    b["value"] = d.decision.bound->value;
    b["wanted"] = d.decision.wanted;
    if (!d.decision.bound->at.empty()) b["at"] = d.decision.bound->at;
  }
  if (!d.allot.empty()) j["allot"] = d.allot;
  j["text"] = d.decision.text + (d.allot.empty() ? "" : "; " + d.allot);
  return j;
}

Json cold_start_json(const ColdStart& c, Nanos now) {
  Json j;
  j["at"] = utc(c.ordered, now);
  j["outcome"] = c.outcome;
  const auto put = [&j](const char* name, Nanos t) { j[name] = t < 0 ? Json(nullptr) : Json(ms(t)); };
  put("startOrderedMs", c.start_ordered);
  put("fetchMs", c.fetch);
  put("loadMs", c.load);
  put("readyToFirstGrantMs", c.ready_to_first_grant);
  j["waiting"] = c.waiting;
  return j;
}

Json learned_json(const ModelState& m) {
  const auto& l = m.learner;
  const auto quantiles = [](const scale::Durations& d) {
    Json q;
    q["samples"] = d.count();
    if (d.count() > 0) {
      q["p50Ms"] = ms(d.quantile(0.5, 0));
      q["p90Ms"] = ms(d.quantile(0.9, 0));
    }
    return q;
  };
  Json j;
  j["coldStart"]["starts"] = l.cold.starts;
  j["coldStart"]["fetch"] = quantiles(l.cold.fetch);
  j["coldStart"]["load"] = quantiles(l.cold.load);
  j["coldStart"]["meanWaiting"] = rounded(l.cold.waiting_mean);
  j["codePointsPerToken"] = rounded(l.code_points_per_token());
  j["outputMean"] = rounded(l.output_mean);
  j["outputP90"] = l.output_p90();
  j["promptMean"] = rounded(l.prompt_mean);
  j["decodeTokensPerS"] = rounded(l.decode_rate());
  const auto e = l.engine();
  j["engine"] = {{"baseSeconds", rounded(e.alpha)},
                 {"perPromptTokenSeconds", rounded(e.beta)},
                 {"perSequenceSeconds", rounded(e.gamma)}};
  j["rho"] = rounded(l.rho());
  j["settledReplicas"] = scale::settled_size(m.scale, scale_spec(m.spec));
  return j;
}

}  // namespace

Nanos expected_ready_in(const ModelState& m, Nanos now) {
  if (m.table->ready_replicas() > 0) return 0;
  Nanos best = -1;
  for (const auto& r : m.replicas) {
    if (r.ready()) return kSecond;  // suspect: back in a moment, or replaced
    if (!r.starting() || !m.current(r)) continue;
    const Nanos eta = std::max(kSecond, eta_of(m, r, now));
    best = best < 0 ? eta : std::min(best, eta);
  }
  if (best >= 0) return best;
  const Nanos pause = std::max<Nanos>(0, m.backoff_until - now);
  return pause + std::max(kSecond, figures_of(m).cold_start);
}

Nanos retry_after(const ModelState& m, Nanos now) {
  const Nanos ready_in = expected_ready_in(m, now);
  const int replicas = std::max(1, m.table->ready_replicas());
  const double slots = static_cast<double>(replicas) * std::max(1, m.spec.slots);
  const auto e = m.learner.engine();
  const double service =
      2 * e.alpha + e.beta * m.learner.prompt_mean + m.learner.output_mean / m.learner.decode_rate();
  const double queue = static_cast<double>(m.queue.size()) / slots * service;
  const Nanos total = ready_in + static_cast<Nanos>(std::min(queue, 600.0) * static_cast<double>(kSecond));
  return std::clamp(total, kSecond, 10 * kMinute);
}

Reason why_not_ready(const ModelState& m, const Backend& backend, Nanos now) {
  const bool serving = m.table->ready_replicas() > 0;
  if (m.blocked) {
    const auto& b = *m.blocked;
    if (b.why == scale::Blocked::Why::never_fits) {
      return {"memory_short",
              fmt::format("a replica of {} needs {}, engines may use {} in all ({})", m.spec.name,
                          format_bytes(b.need), format_bytes(b.total), backend.capacity().limited_by),
              "choose a smaller model, lower spec.context or spec.slots, or raise the memory limit"};
    }
    if (b.why == scale::Blocked::Why::waits_for_release) {
      return {"waits_for_memory",
              fmt::format("needs {}, {} is free; it starts when a replica of another Model has ended",
                          format_bytes(b.need), format_bytes(b.free)),
              ""};
    }
    if (!serving) {
      return {"memory_short",
              fmt::format("needs {}, {} of {} is free{}", format_bytes(b.need), format_bytes(b.free),
                          format_bytes(b.total),
                          b.held_by.empty()
                              ? ""
                              : fmt::format("; Model {} holds the most and is busy or at its replicas.min",
                                            b.held_by)),
              "lower replicas of other Models, or wait until one is idle"};
    }
  }
  if (serving)
    return {"ready", fmt::format("{} of {} replicas ready", m.count_ready(false), m.decision.desired), ""};
  for (const auto& r : m.replicas) {
    if (!r.starting() || !m.current(r)) continue;
    if (!r.reason.code.empty()) return r.reason;
    const auto samples = m.learner.cold.load.count();
    const Nanos eta = eta_of(m, r, now);
    std::string text = fmt::format("{} since {}", phase_name(r.phase), about(now - r.ordered));
    if (r.progress && r.progress->total > 0)
      text += fmt::format(", {} of {}", format_bytes(r.progress->done), format_bytes(r.progress->total));
    text += samples == 0     ? ", no start was seen yet"
            : eta >= kSecond ? fmt::format(", about {} left (p90 of {} starts)", about(eta), samples)
                             : fmt::format(", longer than 9 of 10 of {} starts", samples);
    return {r.phase == Phase::fetching ? "weights_fetching" : "weights_loading", text, ""};
  }
  if (m.obstacle) return *m.obstacle;
  if (m.failure) {
    Reason reason = *m.failure;
    if (m.permanent) {
      reason.text += "; not tried again until the document changes";
    } else if (m.backoff_until > now) {
      reason.text += fmt::format("; {} in a row, tried again in {}",
                                 m.failures == 1 ? "1 failure" : fmt::format("{} failures", m.failures),
                                 about(m.backoff_until - now));
    } else {
      reason.text += fmt::format("; {} in a row, tried again with the next request",
                                 m.failures == 1 ? "1 failure" : fmt::format("{} failures", m.failures));
    }
    return reason;
  }
  for (const auto& r : m.replicas) {
    if (r.ready()) return {"replica_suspect", "a connection to the replica broke; it is looked at", ""};
  }
  if (m.decision.desired == 0) {
    const auto samples = m.learner.cold.load.count();
    return {
        "at_zero",
        samples == 0
            ? std::string("no replica, no request waits; the next request starts one")
            : fmt::format(
                  "no replica, no request waits; the next request starts one in about {} (p90 of {} starts)",
                  about(figures_of(m).cold_start), samples),
        ""};
  }
  return {"starting", "a replica is about to start", ""};
}

std::string state_word(const ModelState& m, Nanos now) {
  if (m.table->ready_replicas() > 0) return "ready";
  for (const auto& r : m.replicas) {
    if (r.starting() && m.current(r)) return std::string(phase_name(r.phase));
  }
  if (m.obstacle || m.permanent || (m.failure && (m.backoff_until > now || m.failures > 0))) return "failed";
  if (m.blocked) return "blocked";
  if (m.decision.desired == 0) return m.count_draining() > 0 ? "draining" : "zero";
  return "loading";
}

std::string model_json(const ModelState& m, const Backend& backend, Nanos now, bool explain) {
  Json j;
  const auto scale = scale_spec(m.spec);
  const auto why = why_not_ready(m, backend, now);
  const bool ready = m.table->ready_replicas() > 0;
  j["name"] = m.spec.name;
  constexpr const char* kEngines[] = {"llamacpp", "simulated", "ollama", "external"};
  j["engine"] = kEngines[static_cast<std::size_t>(m.spec.engine)];
  if (!m.spec.source.empty()) j["source"] = m.spec.source;
  j["state"] = state_word(m, now);
  Json& reps = j["replicas"];
  reps["ready"] = m.count_ready(false);
  reps["starting"] = m.count_starting();
  reps["draining"] = m.count_draining();
  reps["desired"] = m.decision.desired;
  reps["min"] = scale.min;
  reps["max"] = scale.max;
  j["slots"] = m.spec.slots;
  j["inFlight"] = m.table->in_flight();
  Json& queue = j["queue"];
  queue["held"] = m.queue.size();
  queue["bytes"] = m.queue.bytes();
  queue["oldestMs"] = m.queue.oldest() ? Json(ms(now - *m.queue.oldest())) : Json(nullptr);
  queue["limit"] = {{"requests", m.spec.hold.requests},
                    {"bytes", m.spec.hold.bytes},
                    {"deadlineSeconds", ms(m.spec.hold.deadline) / 1000}};

  Json reason = reason_json(why);
  Json numbers = Json::object();
  if (m.blocked) {
    numbers = {{"need", m.blocked->need},
               {"free", m.blocked->free},
               {"total", m.blocked->total},
               {"replicas", m.blocked->count}};
  } else if (!ready && m.failure) {
    numbers["failures"] = m.failures;
    if (m.backoff_until > now) numbers["againInSeconds"] = rounded(ms(m.backoff_until - now) / 1000);
  }
  reason["numbers"] = numbers;
  j["reason"] = reason;
  j["conditions"] = Json::array({{{"type", "Ready"},
                                  {"status", ready ? "True" : "False"},
                                  {"reason", reason},
                                  {"observedRevision", m.revision}}});
  if (!ready && (m.decision.desired > 0 || !m.queue.empty())) {
    Json& n = j["notReady"];
    n["phase"] = state_word(m, now);
    n["reason"] = reason;
    for (const auto& r : m.replicas) {
      if (r.starting() && r.progress) {
        n["progress"] = progress_json(*r.progress);
        break;
      }
    }
    n["attempts"] = m.failures + (m.count_starting() > 0 ? 1 : 0);
    const auto samples = m.learner.cold.load.count();
    n["eta"] = {
        {"seconds", rounded(ms(expected_ready_in(m, now)) / 1000)},
        {"basis", samples == 0 ? "none yet" : fmt::format("p90 of {} starts on this machine", samples)}};
  }
  Json list = Json::array();
  for (const auto& r : m.replicas) list.push_back(replica_json(m, r, now));
  j["instances"] = std::move(list);
  const auto need = backend.memory_need(m.spec);
  if (need > 0) j["memoryNeed"] = need;
  if (explain) {
    j["idle"] = {
        {"forSeconds",
         rounded(ms(m.queue.empty() && m.table->in_flight() == 0 ? now - m.last_active : 0) / 1000)},
        {"keepSeconds", rounded(ms(scale::keep_alive(scale, figures_of(m))) / 1000)},
        {"from",
         m.spec.idle
             ? "document"
             : "auto: 31 x cold start x waiting per start, at least 2 cold starts and 1m, at most 30m"}};
    const auto capacity = backend.capacity();
    j["capacity"] = {
        {"total", capacity.total}, {"inUse", capacity.in_use}, {"limitedBy", capacity.limited_by}};
    if (!m.evicted_for.empty()) j["lastEvictedFor"] = m.evicted_for;
    j["learned"] = learned_json(m);
    Json decisions = Json::array();
    for (auto it = m.decisions.rbegin(); it != m.decisions.rend(); ++it)
      decisions.push_back(decision_json(*it, m.spec.name, now));
    j["decisions"] = std::move(decisions);
    Json starts = Json::array();
    for (auto it = m.cold_starts.rbegin(); it != m.cold_starts.rend(); ++it)
      starts.push_back(cold_start_json(*it, now));
    j["coldStarts"] = std::move(starts);
  }
  // Texts of engines may hold any bytes.
  return j.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace tg::replica
