// Timeouts of a Request and all the ways it ends; each leads through settle() exactly once.
#include "gateway/request.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace tg::gateway {

using ledger::Outcome;

namespace {
constexpr Nanos kNever = std::numeric_limits<Nanos>::max();
}

// ---- Time
// --------------------------------------------------------------------------------------------------------

void Request::arm() {
  Nanos due = kNever;
  if (next_comment_ != 0 && !relayed_) due = next_comment_;
  if (state_ == State::sent || state_ == State::holding || state_ == State::relaying) {
    const spec::Timeouts& t = route_->timeouts;
    due = std::min(due, dispatched_ + t.total);
    if (facts_.stream) {
      due = std::min(due, state_ == State::sent ? dispatched_ + t.first_byte : last_data_ + t.between_events);
    }
  }
  if (due == kNever || (armed() && armed_for_ <= due)) return;
  armed_for_ = due;
  worker_.loop().timers().arm(*this, due);
}

void Request::on_timer(Nanos now) {
  if (state_ == State::finished) return;
  if (next_comment_ != 0 && !relayed_ && now >= next_comment_) {
    commit();
    if (state_ == State::finished) return;
  }
  if (state_ == State::sent || state_ == State::holding || state_ == State::relaying) {
    const spec::Timeouts& t = route_->timeouts;
    const char* which = nullptr;
    if (now >= dispatched_ + t.total) {
      which = "total";
    } else if (facts_.stream && state_ == State::sent && now >= dispatched_ + t.first_byte) {
      which = "firstByte";
    } else if (facts_.stream && state_ != State::sent && now >= last_data_ + t.between_events &&
               !(stream_ != nullptr && stream_->blocked())) {
      which = "betweenEvents";
    }
    if (which != nullptr) {
      ApiError error{504, error_type(504), fmt::format("timeout_{}", which),
                     fmt::format("the upstream did not answer in time ({})", which)};
      if (relayed_) {
        cut(error);
      } else {
        fail(error, Outcome::timed_out);
      }
      return;
    }
  }
  if (facts_.stream && state_ == State::relaying && stream_ != nullptr && stream_->blocked())
    last_data_ = now;  // the client is slow, not the upstream
  arm();
}

// The first comment commits the answer: 200 and our framing. Until an upstream byte is relayed it may still
// be sent elsewhere.
void Request::commit() {
  if (!committed_) {
    committed_ = true;
    stream_->start(200,
                   "content-type: text/event-stream\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n" +
                       own_headers(),
                   http::Framing::chunked);
  }
  stream_->write(": \n\n");
  next_comment_ = worker_.loop().now() + backend_->keep_alive_after;
}

// ---- Ends
// --------------------------------------------------------------------------------------------------------

// An error before any upstream byte was relayed.
void Request::fail(const ApiError& error, Outcome outcome) {
  settle(outcome, error.status, error.code);
  end_attempt();
  http::ServerStream& stream = *std::exchange(stream_, nullptr);
  if (committed_) {
    stream.write(error_event(error, true));
    stream.finish();
  } else {
    std::string headers = error_headers(error) + own_headers();
    const std::string text = request_id_text(id_);
    headers.append("x-request-id: ").append(text).append("\r\n");
    stream.respond(error.status, headers, error_body(error));
  }
  retire();
}

// The answer broke off after bytes of it were relayed: the client must see that it is not whole.
void Request::cut(const ApiError& error) {
  if (events_ != nullptr) usage_ = events_->counts().usage;
  const bool whole = events_ != nullptr && events_->counts().done;
  settle(whole ? Outcome::complete : Outcome::cut, answer_status_, whole ? "" : error.code);
  const bool events = events_ != nullptr;
  end_attempt();
  http::ServerStream& stream = *std::exchange(stream_, nullptr);
  if (whole) {
    stream.finish();  // [DONE] was relayed, only the transfer's own end is missing
  } else {
    if (events) stream.write(error_event(error, false));
    stream.abort();
  }
  retire();
}

void Request::on_gone() {
  stream_ = nullptr;
  if (state_ == State::finished) return;
  if (handle_ != 0) {
    worker_.forget_grant(handle_);
    worker_.control().gone({backend_->table, queue_ticket_});
  }
  if (events_ != nullptr) usage_ = events_->counts().usage;
  if (!was_dispatched_) worker_.metrics().client_gone_before_dispatch.add(worker_.index());
  // The upstream is told before anything is written down: its GPU time is the dearest thing here.
  if (connection_ != nullptr) std::exchange(connection_, nullptr)->cancel();
  const int status = relayed_ || committed_ ? (answer_status_ != 0 ? answer_status_ : 200) : 0;
  if (events_ != nullptr && events_->counts().done) {
    settle(Outcome::complete, status, "");  // SDKs close on [DONE]: the answer was whole
  } else if (worker_.cutting()) {
    settle(Outcome::cut, status, "shutting_down");  // the drain time is over: it was us
  } else {
    settle(Outcome::client_gone, status, "client_gone");
  }
  end_attempt();
  retire();
}

// Whether a request whose usage upstream did not tell may have cost anything.
bool Request::is_charged(Outcome outcome) const {
  if (!was_dispatched_ || outcome == Outcome::refused) return false;
  if (state_ == State::holding && answer_status_ >= 400) return false;  // who refuses has done no work
  return relayed_ || outcome == Outcome::client_gone || outcome == Outcome::timed_out ||
         outcome == Outcome::complete;
}

// Of an answer whose usage upstream did not tell.
std::int64_t Request::estimated_output(Outcome outcome, Nanos now) const {
  OutputSeen seen{.code_points_per_token = code_points_per_token()};
  const bool texts_read =
      events_ != nullptr || (outcome == Outcome::complete && answer_json_ && !long_answer_);
  if (texts_read) {
    seen.code_points = answer_code_points_;
  } else {
    seen.bytes = std::max<std::uint64_t>(bytes_out_, held_.size());
  }
  // A plain answer comes when all of it is made: until its first byte it was being made.
  if (!facts_.stream && (state_ == State::sent || state_ == State::holding)) {
    seen.generating = now - dispatched_;
    if (backend_->table != nullptr)
      seen.decode_rate = backend_->table->decode_rate.load(std::memory_order_relaxed);
  }
  return estimate_output(output_bounds(), seen);
}

void Request::settle(Outcome outcome, int status, std::string_view reason) {
  if (settled_) return;
  settled_ = true;
  const Nanos now = worker_.loop().now();
  const std::size_t shard = worker_.index();
  if (route_ == nullptr) {
    // Refused before a route was known: counted by reason in the metrics, no record (there is no model to
    // charge).
    return;
  }
  if (events_ != nullptr) {
    answer_code_points_ = events_->counts().code_points;
    bytes_out_ = events_->counts().bytes;
  }
  ledger::AnswerInfo info;
  info.status = status;
  info.outcome = outcome;
  info.reason = reason;
  info.reported = usage_.told() && !compressed_;
  if (info.reported) {
    info.tokens_in = std::max<std::int64_t>(0, usage_.prompt_tokens);
    info.tokens_out = std::max<std::int64_t>(0, usage_.completion_tokens);
    info.tokens_cached = std::max<std::int64_t>(0, usage_.cached_tokens);
  } else if (is_charged(outcome)) {
    info.tokens_in = prompt_estimate_;
    info.tokens_out = estimated_output(outcome, now);
  }
  info.first_byte_ns = first_byte_ > 0 ? first_byte_ - arrived_ : 0;
  info.total_ns = now - arrived_;
  info.bytes_in = body_bytes_;
  info.bytes_out = bytes_out_;
  info.retries = retries_;

  const RouteMetrics& m = route_->metrics;
  switch (outcome) {
    case Outcome::complete:
      m.complete.add(shard);
      break;
    case Outcome::cut:
      m.cut.add(shard);
      break;
    case Outcome::client_gone:
      m.client_gone.add(shard);
      break;
    case Outcome::refused:
      m.refused.add(shard);
      break;
    case Outcome::timed_out:
      m.timed_out.add(shard);
      break;
    default:
      m.upstream_error.add(shard);
      break;
  }
  (info.reported ? m.tokens_in_reported : m.tokens_in_estimated).add(shard, info.tokens_in);
  (info.reported ? m.tokens_out_reported : m.tokens_out_estimated).add(shard, info.tokens_out);
  if (first_byte_ > 0) m.first_byte.observe(shard, first_byte_ - dispatched_);
  m.duration.observe(shard, info.total_ns);

  if (admitted_) {
    if (!was_dispatched_) {
      ledger::refund(scopes(), token_estimate_, now);
    } else {
      ledger::settle(scopes(), token_estimate_, info.tokens_in + info.tokens_out, now);
    }
  }
  if (backend_ != nullptr && backend_->table != nullptr && was_dispatched_) learn(info);
  worker_.journal().settle(
      ticket_,
      {id_, key_.id, tenant_ != nullptr ? std::string_view(tenant_->name) : std::string_view{},
       backend_ != nullptr ? std::string_view(backend_->model) : std::string_view{}, route_->name,
       backend_ != nullptr ? std::string_view(backend_->name) : std::string_view{}, operation_, facts_.stream,
       prompt_estimate_},
      info, worker_.utc_now());
}

// What the scaler learns from a finished request of a local model.
void Request::learn(const ledger::AnswerInfo& info) {
  auto& d = backend_->table->shard(worker_.index());
  const auto add = [](std::atomic<std::int64_t>& counter, std::int64_t n) {
    counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  };
  add(d.finished, 1);
  add(d.output_tokens, info.tokens_out);
  if (info.reported && facts_.prompt_code_points > 0) {
    add(d.reported_prompt_tokens, info.tokens_in);
    add(d.prompt_code_points, facts_.prompt_code_points);
  }
  if (facts_.stream && first_byte_ > 0 && info.outcome == Outcome::complete) {
    add(d.first_token_ns, first_byte_ - dispatched_);
    add(d.first_tokens, 1);
    if (info.tokens_out > 1) {
      add(d.decode_ns, last_data_ - first_byte_);
      add(d.decode_tokens, info.tokens_out - 1);
    }
  }
}

void Request::retire() {
  if (state_ == State::finished) return;
  state_ = State::finished;
  cancel();
  end_attempt();
  if (use_ != nullptr) worker_.leave_snapshot(*std::exchange(use_, nullptr));
  worker_.retire(this);
}

}  // namespace tg::gateway
