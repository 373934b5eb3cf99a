// The answer's way through a Request: held to its end, or relayed.
#include "gateway/request.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.hpp"
#include "gateway/headers.hpp"

namespace tg::gateway {

using ledger::Outcome;

namespace {

// Answers up to this size are held to their end, so that a broken one becomes a clean 502.
constexpr std::size_t kHeldAnswer = 64 * 1024;

// Whether a Content-Type, with parameters or without, is of this media type.
bool is_type(std::string_view value, std::string_view wanted) {
  return http::equals_ignore_case(value.substr(0, value.find_first_of("; \t")), wanted);
}

}  // namespace

// ---- Answers
// -----------------------------------------------------------------------------------------------------

namespace {

// Request id and twice three rate limit fields, as long as they can be.
constexpr std::size_t kOwnHeaders = 448;

void put_limit(Pen& pen, std::string_view name, const ledger::Budget& budget) {
  if (budget.limit <= 0) return;
  const auto field = [&](std::string_view what) {
    pen.put("x-ratelimit-");
    pen.put(what);
    pen.put(name);
  };
  field("limit-");
  pen.put_number(budget.limit);
  pen.put("\r\n");
  field("remaining-");
  pen.put_number(budget.remaining);
  pen.put("\r\n");
  field("reset-");
  put_reset(pen, budget.reset);
  pen.put("\r\n");
}

}  // namespace

void Request::put_own_headers(Pen& pen) const {
  pen.put("x-tidegate-request-id: req_");
  format_ulid(id_, pen.at());
  pen.skip(kUlidText);
  pen.put("\r\n");
  put_limit(pen, "requests: ", admission_.requests);
  put_limit(pen, "tokens: ", admission_.tokens);
}

std::string Request::own_headers() const {
  char text[kOwnHeaders];
  Pen pen(text);
  put_own_headers(pen);
  return std::string(pen.text());
}

void Request::append_own_headers(net::Buffer& out) const {
  out.reserve(worker_.loop().buffers(), out.size() + kOwnHeaders);
  Pen pen(out.data() + out.size());
  put_own_headers(pen);
  out.add_size(pen.size());
}

void Request::on_head(const http::ResponseHead& head) {
  const Nanos now = worker_.loop().now();
  if (first_byte_ == 0) first_byte_ = now;
  last_data_ = now;
  const std::string_view type = head.find(http::FieldId::content_type);
  const std::string_view encoding = head.find(http::FieldId::content_encoding);
  compressed_ = !encoding.empty() && !http::equals_ignore_case(encoding, "identity");
  if (compressed_) route_->metrics.compressed.add(worker_.index());
  answer_status_ = head.status;
  answer_json_ = is_type(type, "application/json") && !compressed_;
  const bool retriable = head.status == 429 || head.status >= 500;
  if (retriable && try_other(false)) return;
  const bool events = is_type(type, "text/event-stream") && head.status != 204;
  if (head.status < 300 && facts_.stream && events && !compressed_) {
    start_relay(head);
    return;
  }
  state_ = State::holding;
  chunked_answer_ = head.chunked || head.until_close;
  answer_length_ = head.has_length ? head.length : 0;
  answer_fields_.clear();
  append_response_fields(head, admission_.requests.limit > 0 || admission_.tokens.limit > 0,
                         worker_.loop().buffers(), answer_fields_);
  arm();
}

void Request::start_relay(const http::ResponseHead& head) {
  state_ = State::relaying;
  events_ = std::make_unique<EventRelay>(worker_.answer_scanner(), ask_usage_);
  if (!committed_) {
    net::Buffer headers;
    append_response_fields(head, admission_.requests.limit > 0 || admission_.tokens.limit > 0,
                           worker_.loop().buffers(), headers);
    append_own_headers(headers);
    stream_->start(head.status, headers.view(), http::Framing::chunked);
  }
  arm();
}

void Request::on_data(const http::BodyPart& part) {
  if (part.last) connection_ = nullptr;
  last_data_ = worker_.loop().now();
  if (state_ == State::holding) {
    hold_answer(part);
  } else {
    relay(part);
  }
}

void Request::relay(const http::BodyPart& part) {
  events_->take(part, worker_.loop().buffers());
  relayed_ = relayed_ || events_->has_output();
  if (relayed_) forget_request();
  if (part.last) {
    usage_ = events_->counts().usage;
    finish_stream();
    return;
  }
  events_->send(*stream_, false);
  if (stream_ != nullptr && stream_->blocked() && connection_ != nullptr) connection_->pause();
}

// Once the client has a byte there is no way back: what was kept for another attempt goes as soon as the
// upstream has all of it.
void Request::forget_request() {
  if (kept_head_.empty() || (connection_ != nullptr && !connection_->all_sent())) return;
  body_.release();
  kept_head_.release();
  head_.release();
  facts_.model = facts_.model_raw = facts_.options_raw = facts_.usage_raw = {};
}

// Every byte is here and looked at: settle first, then let the last byte go.
void Request::finish_stream() {
  const auto& counts = events_->counts();
  if (!counts.done) route_->metrics.no_done.add(worker_.index());
  if (counts.error) route_->metrics.error_events.add(worker_.index());
  settle(counts.error ? Outcome::upstream_error : Outcome::complete, answer_status_,
         counts.error ? "error_event" : "");
  events_->send(*std::exchange(stream_, nullptr), true);
  retire();
}

void Request::on_writable() {
  if (connection_ != nullptr) connection_->resume();
}

void Request::hold_answer(const http::BodyPart& part) {
  auto& pool = worker_.loop().buffers();
  if (long_answer_) {
    forget_request();
    for (std::size_t i = 0; i < part.count; ++i) {
      bytes_out_ += part.payload[i].size();
      tail_.append(part.payload[i]);
      if (tail_.size() > 2 * kTail) tail_.erase(0, tail_.size() - kTail);
    }
    if (part.last) {
      find_usage_in_tail();
      settle(Outcome::complete, answer_status_, "");
      std::exchange(stream_, nullptr)->finish_with(part.payload, part.count);
      retire();
      return;
    }
    stream_->write(part.payload, part.count);
    if (stream_ != nullptr && stream_->blocked() && connection_ != nullptr) connection_->pause();
    return;
  }
  // The common case: the whole answer in one read, never copied.
  if (part.last && held_.empty() && part.count <= 1) {
    answer_held(part.count == 1 ? part.payload[0] : std::string_view{});
    return;
  }
  for (std::size_t i = 0; i < part.count; ++i) held_.append(pool, part.payload[i]);
  if (part.last) {
    const net::Buffer whole = std::move(held_);
    held_ = net::Buffer();
    answer_held(whole.view());
    return;
  }
  if (held_.size() <= kHeldAnswer) return;
  // Too long to hold: from here it is relayed, and a broken end is seen as one.
  if (committed_) {
    ApiError error{502, error_type(502), "upstream_not_a_stream",
                   "the upstream answered a stream request with a long plain answer"};
    fail(error, Outcome::upstream_error);
    return;
  }
  long_answer_ = relayed_ = true;
  bytes_out_ = held_.size();
  append_own_headers(answer_fields_);
  stream_->start(answer_status_, answer_fields_.view(),
                 chunked_answer_ ? http::Framing::chunked : http::Framing::length, answer_length_);
  const std::string_view bytes = held_.view();
  tail_ = bytes.substr(bytes.size() > kTail ? bytes.size() - kTail : 0);
  stream_->write(bytes);
  held_.release();
  answer_fields_.release();
  forget_request();
  if (stream_->blocked() && connection_ != nullptr) connection_->pause();
}

// Usage of an answer that was too long to keep: it stands near the end in every server seen. The last "usage"
// object of the last 8 KiB counts; none found means estimated.
void Request::find_usage_in_tail() {
  if (!answer_json_) return;
  const std::size_t at = tail_.rfind("\"usage\"");
  if (at == std::string::npos) return;
  const std::size_t open = tail_.find('{', at);
  const std::size_t close = tail_.rfind('}');
  if (open == std::string::npos || close == std::string::npos || close <= open) return;
  const std::string json = "{" + tail_.substr(at, close - at) + "}";
  usage_ = worker_.answer_scanner().scan(json).usage;
}

bool Request::answer_asks_to_drop_usage(std::string_view body) {
  if (answer_status_ != 400 || !ask_usage_ || relayed_) return false;
  if (body.find("include_usage") == std::string_view::npos &&
      body.find("stream_options") == std::string_view::npos)
    return false;
  no_usage_ = true;
  if (backend_->provider != nullptr)
    backend_->provider->refuses_include_usage.store(true, std::memory_order_relaxed);
  return true;
}

void Request::answer_held(std::string_view body) {
  if (answer_asks_to_drop_usage(body)) {
    // Not a retry in the sense of the budget: the request itself was fine.
    ++retries_;
    answer_fields_.release();
    dispatch();
    return;
  }
  AnswerFacts facts;
  if (answer_json_) facts = worker_.answer_scanner().scan(body);
  usage_ = facts.usage;
  answer_code_points_ = facts.code_points;
  const bool error = answer_status_ >= 400;
  if (!error && answer_json_ && !facts.valid) {
    ApiError broken{502, error_type(502), "upstream_malformed", "the upstream's answer is not valid JSON"};
    fail(broken, Outcome::upstream_error);
    return;
  }
  if (committed_) {
    // A plain answer after comments went out: an error becomes an event; anything else is an upstream that
    // ignored `stream`.
    ApiError late{error ? answer_status_ : 502, error_type(answer_status_),
                  error ? "upstream_error" : "upstream_not_a_stream",
                  error ? fmt::format("the upstream answered {}: {}", answer_status_, snippet_of(body))
                        : std::string("the upstream answered a stream request with a plain answer")};
    fail(late, Outcome::upstream_error);
    return;
  }
  if (error && !facts.valid && !compressed_) {
    // HTML from a proxy in between, or plain text: same status, readable JSON, a snippet for the person who
    // debugs.
    ApiError wrapped{answer_status_, error_type(answer_status_), "upstream_error",
                     fmt::format("the upstream answered {}: {}", answer_status_, snippet_of(body))};
    settle(Outcome::upstream_error, answer_status_, "upstream_error");
    std::string headers = error_headers(wrapped) + own_headers();
    for (std::string_view rest = answer_fields_.view(); !rest.empty();) {
      const std::size_t end = rest.find("\r\n") + 2;
      if (http::field_id(rest.substr(0, rest.find(':'))) != http::FieldId::content_type)
        headers.append(rest.substr(0, end));
      rest.remove_prefix(end);
    }
    std::exchange(stream_, nullptr)->respond(answer_status_, headers, error_body(wrapped));
    retire();
    return;
  }
  bytes_out_ = body.size();
  relayed_ = true;
  settle(error ? Outcome::upstream_error : Outcome::complete, answer_status_, error ? "upstream_error" : "");
  append_own_headers(answer_fields_);
  std::exchange(stream_, nullptr)->respond(answer_status_, answer_fields_.view(), body);
  retire();
}

}  // namespace tg::gateway
