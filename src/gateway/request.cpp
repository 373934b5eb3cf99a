#include "gateway/request.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/log.hpp"
#include "base/units.hpp"
#include "gateway/headers.hpp"

namespace tg::gateway {

using http::Failure;
using ledger::Outcome;

namespace {

// Answers up to this size are held to their end, so that a broken one becomes a clean 502.
constexpr std::size_t kHeldAnswer = 64 * 1024;
constexpr std::size_t kErrorSnippet = 200;
constexpr Nanos kMaxTime = std::numeric_limits<Nanos>::max();

bool is_json_type(std::string_view type) {
  return type.size() >= 16 && http::equals_ignore_case(type.substr(0, 16), "application/json");
}
bool is_event_stream(std::string_view type) {
  return type.size() >= 17 && http::equals_ignore_case(type.substr(0, 17), "text/event-stream");
}

std::array<ledger::Scope, 2> scopes_of(ledger::KeyEntry& key, const Tenant& tenant) {
  return {ledger::Scope{&key.limits, &key.state}, ledger::Scope{&tenant.limits, tenant.state}};
}

}  // namespace

Request::Request(Worker& worker, http::ServerStream& stream, const http::RequestHead& head, const UlidBytes& id, ledger::KeyEntry& key,
                 std::string_view operation)
    : worker_(worker), stream_(&stream), key_(key), id_(id), operation_(operation) {
  arrived_ = worker_.loop().now();
  http11_ = head.http11;
  append_request_fields(head, fields_);
  target_.append(head.path.substr(3));  // behind "/v1"
  target_ += query_without_key(head.query);
}

Request::~Request() = default;

// ---- Admission ---------------------------------------------------------------------------------------------------

void Request::on_body(net::Buffer body) {
  arrived_ = worker_.loop().now();  // "arrived" is the last body byte: what the client's line costs is not ours
  use_ = &worker_.use_snapshot();
  body_ = std::move(body);
  body_bytes_ = body_.size();
  if (const auto scanned = worker_.body_scanner().scan(body_.view(), facts_); !scanned) {
    const Error& e = scanned.error();
    ApiError error{400, error_type(400), e.code, e.message};
    if (e.code == "model_required") error.param = "model";
    fail(error, Outcome::refused);
    return;
  }
  if (!find_route() || !admit()) return;
  worker_.count_request(*route_);
  attempt();
}

bool Request::find_route() {
  const Snapshot& snapshot = *use_->snapshot;
  const auto route = snapshot.routes.find(facts_.model);
  const auto tenant = snapshot.tenants.find(key_.tenant);
  // Unknown and not allowed look the same: a key does not learn what others may use.
  if (route == snapshot.routes.end() || tenant == snapshot.tenants.end() || !tenant->second.allows(facts_.model) || !key_.allows(facts_.model)) {
    worker_.metrics().unknown_model.add(worker_.index());
    ApiError error{404, error_type(404), "model_not_found",
                   fmt::format("the model '{}' does not exist or this key may not use it", facts_.model.substr(0, 200)), "model"};
    fail(error, Outcome::refused);
    return false;
  }
  route_ = &route->second;
  tenant_ = &tenant->second;
  return true;
}

std::int64_t Request::estimate_tokens(std::int64_t code_points) const {
  // Of all backends of a route the first local one has learned most about its text.
  double per_token = 4;
  for (const Backend& b : route_->to) {
    if (b.table != nullptr) {
      per_token = b.table->code_points_per_token.load(std::memory_order_relaxed);
      break;
    }
  }
  return static_cast<std::int64_t>(static_cast<double>(code_points) / std::max(0.1, per_token) + 0.999);
}

bool Request::admit() {
  prompt_estimate_ = estimate_tokens(facts_.prompt_code_points);
  std::int64_t output = 256;
  for (const Backend& b : route_->to) {
    if (b.table != nullptr) output = b.table->output_p90.load(std::memory_order_relaxed);
  }
  if (facts_.max_tokens >= 0) output = std::min(output, facts_.max_tokens);
  if (operation_ == "embeddings") output = 0;
  token_estimate_ = prompt_estimate_ + output * facts_.choices;
  const auto scopes = scopes_of(key_, *tenant_);
  admission_ = ledger::admit(scopes, token_estimate_, worker_.loop().now());
  if (admission_.ok()) {
    admitted_ = true;
    return true;
  }
  ApiError error{429, error_type(429), "rate_limit_exceeded", "", {}, admission_.retry_after};
  const char* whose = admission_.scope == 0 ? "this key" : "this tenant";
  switch (admission_.refusal) {
    case ledger::Refusal::exceeds_whole_limit:
      error = {400, error_type(400), "request_exceeds_limit",
               fmt::format("the request needs about {} tokens, the limit of {} is {} a minute", admission_.asked, whose, admission_.limit)};
      error.never_retry = true;
      break;
    case ledger::Refusal::concurrent:
      error.message = fmt::format("{} may have {} requests open at a time", whose, admission_.limit);
      if (error.retry_after == 0) error.retry_after = kSecond;
      break;
    case ledger::Refusal::requests:
      error.message = fmt::format("{} may send {} requests a minute; try again in {}", whose, admission_.limit, format_reset(admission_.retry_after));
      break;
    default:
      error.message = fmt::format("{} may use {} tokens a minute; this request asked for about {}, {} were left; try again in {}", whose,
                                  admission_.limit, admission_.asked, admission_.left, format_reset(admission_.retry_after));
  }
  fail(error, Outcome::refused);
  return false;
}

// ---- Attempts ----------------------------------------------------------------------------------------------------

// Weighted among the untried backends of `to`, then the fallbacks in order. Null: none is left.
const Backend* Request::choose() {
  int total = 0;
  for (std::size_t i = 0; i < route_->to.size(); ++i) {
    if ((tried_ >> i & 1) == 0 && route_->to[i].not_ready.empty()) total += route_->to[i].weight;
  }
  if (total > 0) {
    auto pick = route_->to.size() == 1 ? 0 : static_cast<int>(worker_.random() % static_cast<std::uint64_t>(total));
    for (std::size_t i = 0; i < route_->to.size(); ++i) {
      const Backend& b = route_->to[i];
      if ((tried_ >> i & 1) != 0 || !b.not_ready.empty()) continue;
      pick -= b.weight;
      if (pick < 0) {
        tried_ |= 1U << i;
        return &b;
      }
    }
  }
  for (std::size_t i = 0; i < route_->fallback.size(); ++i) {
    const std::size_t bit = route_->to.size() + i;
    if (bit >= 32 || (tried_ >> bit & 1) != 0 || !route_->fallback[i].not_ready.empty()) continue;
    tried_ |= 1U << bit;
    return &route_->fallback[i];
  }
  return nullptr;
}

void Request::attempt() {
  backend_ = choose();
  if (backend_ == nullptr) {
    ApiError error{503, error_type(503), "backend_not_ready", fmt::format("no backend of '{}' is ready", route_->name)};
    error.retry_after = 10 * kSecond;
    fail(error, Outcome::refused);
    return;
  }
  ++attempts_;
  if (backend_->table != nullptr) {
    auto& demand = backend_->table->shard(worker_.index());
    demand.arrivals.store(demand.arrivals.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    demand.prompt_tokens.store(demand.prompt_tokens.load(std::memory_order_relaxed) + prompt_estimate_, std::memory_order_relaxed);
    queue_ticket_ = backend_->table->next_ticket();
    replica_ = backend_->table->try_acquire();
    if (replica_ < 0) {
      wait_for_slot(false);
      return;
    }
  }
  dispatch();
}

void Request::wait_for_slot(bool again) {
  state_ = State::waiting;
  handle_ = worker_.await_grant(*this);
  backend_->table->waiting().fetch_add(1, std::memory_order_seq_cst);
  worker_.control().wait({backend_->table, queue_ticket_, worker_.index(), handle_, body_.size(), arrived_, prompt_estimate_, again});
  // Comments keep proxies and idle timers on the way quiet; only a streaming client can take them.
  if (facts_.stream && http11_ && backend_->keep_alive_after > 0 && next_comment_ == 0) {
    next_comment_ = worker_.loop().now() + backend_->keep_alive_after;
  }
  arm();
}

void Request::on_grant(const replica::Grant& grant) {
  handle_ = 0;
  if (grant.replica >= 0) {
    replica_ = grant.replica;
    dispatch();
    return;
  }
  if (grant.status >= 500 && try_other(false)) return;
  ApiError error{grant.status, error_type(grant.status), grant.reason.code, grant.reason.text, {}, grant.retry_after};
  fail(error, Outcome::refused);
}

// Lays out the body's pieces around what is spliced in. The body itself is never copied or changed.
std::size_t Request::body_parts(std::array<std::string_view, 24>& parts, std::size_t count) {
  struct Splice {
    std::size_t at;
    std::size_t removed;
    std::string_view text;
  };
  std::array<Splice, 2> splices;
  std::size_t n = 0;
  const std::string_view body = body_.view();
  const auto offset = [&](std::string_view piece) { return static_cast<std::size_t>(piece.data() - body.data()); };

  std::string_view upstream_model = backend_->upstream_model;
  if (endpoint_ != nullptr) upstream_model = endpoint_->model;
  if (!upstream_model.empty() && upstream_model != facts_.model) {
    model_value_.clear();
    append_json_string(model_value_, upstream_model);
    splices[n++] = {offset(facts_.model_raw), facts_.model_raw.size(), model_value_};
  }
  const bool refused = no_usage_ || (backend_->provider != nullptr && backend_->provider->refuses_include_usage.load(std::memory_order_relaxed));
  ask_usage_ = facts_.stream && facts_.usage != BodyFacts::Usage::said_true && operation_ != "embeddings" && !refused;
  if (ask_usage_) {
    switch (facts_.usage) {
      case BodyFacts::Usage::null_options:
        usage_text_ = "{\"include_usage\":true}";
        splices[n++] = {offset(facts_.options_raw), facts_.options_raw.size(), usage_text_};
        break;
      case BodyFacts::Usage::options_without:
        usage_text_ = facts_.options_empty ? "\"include_usage\":true" : "\"include_usage\":true,";
        splices[n++] = {offset(facts_.options_raw) + 1, 0, usage_text_};
        break;
      case BodyFacts::Usage::said_false:
        usage_text_ = "true";
        splices[n++] = {offset(facts_.usage_raw), facts_.usage_raw.size(), usage_text_};
        break;
      default:
        usage_text_ = "\"stream_options\":{\"include_usage\":true},";
        splices[n++] = {facts_.root_open, 0, usage_text_};
    }
  }
  if (n == 2 && splices[1].at < splices[0].at) std::swap(splices[0], splices[1]);
  std::size_t from = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (splices[i].at > from) parts[count++] = body.substr(from, splices[i].at - from);
    parts[count++] = splices[i].text;
    from = splices[i].at + splices[i].removed;
  }
  if (from < body.size()) parts[count++] = body.substr(from);
  return count;
}

void Request::dispatch() {
  state_ = State::sent;
  dispatched_ = worker_.loop().now();
  last_data_ = dispatched_;
  std::shared_ptr<const http::Target> target = backend_->target;
  std::string_view base_path = backend_->base_path;
  std::string_view authorization = backend_->authorization;
  std::string host;
  if (replica_ >= 0) {
    endpoint_ = backend_->table->entry(replica_).endpoint;
    target = worker_.target_of(endpoint_, route_->timeouts);
    base_path = endpoint_->base_path;
    authorization = endpoint_->authorization;
  }
  std::array<std::string_view, 24> parts;
  const std::size_t first = 2;
  const std::size_t count = body_parts(parts, first);
  std::size_t length = 0;
  for (std::size_t i = first; i < count; ++i) length += parts[i].size();

  line_.clear();
  line_.append("POST ").append(base_path).append(target_).append(" HTTP/1.1\r\nhost: ");
  if (replica_ >= 0) {
    fmt::format_to(std::back_inserter(line_), "{}:{}", endpoint_->host, endpoint_->port);
  } else {
    line_.append(backend_->host);
  }
  if (!authorization.empty()) line_.append("\r\nauthorization: ").append(authorization);
  fmt::format_to(std::back_inserter(line_), "\r\naccept-encoding: identity\r\ncontent-length: {}\r\n", length);
  line_.append(fields_).append("\r\n");
  parts[1] = line_;

  if (ticket_ == 0) {
    ticket_ = worker_.journal().begin({id_, key_.id, tenant_->name, backend_->model, route_->name, backend_->name, operation_, facts_.stream, prompt_estimate_},
                                      worker_.utc_now());
  }
  connection_ = worker_.upstreams().acquire(target, *this, std::exchange(fresh_, false));
  reused_ = connection_->reused();
  connection_->send(parts.data() + 1, count - 1);
  arm();
}

void Request::release_slot() {
  endpoint_.reset();
  if (replica_ < 0) return;
  const int replica = std::exchange(replica_, -1);
  if (backend_->table->release(replica)) worker_.control().slot_free(backend_->table);
}

// The attempt is over, whatever came of it.
void Request::end_attempt() {
  if (connection_ != nullptr) std::exchange(connection_, nullptr)->cancel();
  release_slot();
  held_.release();
  answer_fields_.clear();
  events_.reset();
}

// Sends the request to another backend if the rules and the budget allow it. True: it is under way.
bool Request::try_other(bool may_have_been_charged) {
  if (relayed_ || may_have_been_charged || attempts_ >= route_->retry.attempts) return false;
  const std::uint32_t before = tried_;
  const Backend* other = choose();
  tried_ = before;
  if (other == nullptr || !worker_.take_retry(*route_)) return false;
  end_attempt();
  ++retries_;
  route_->metrics.retries.add(worker_.index());
  attempt();
  return true;
}

void Request::on_failure(Failure failure, std::string_view detail) {
  connection_ = nullptr;
  const bool local = backend_->table != nullptr;
  const bool never_reached = failure == Failure::resolve || failure == Failure::connect || failure == Failure::connect_timeout ||
                             failure == Failure::tls || failure == Failure::tls_timeout;
  if (!relayed_) {
    if (local && (never_reached || failure == Failure::unanswered || failure == Failure::cut)) {
      // Our own replica died before the client saw a byte: back to the front of the queue. No budget, its deadline bounds it.
      const int replica = replica_;
      auto table = backend_->table;
      endpoint_.reset();
      held_.release();
      answer_fields_.clear();
      events_.reset();
      replica_ = -1;
      worker_.control().suspect(table, replica);
      if (table->release(replica)) worker_.control().slot_free(table);
      ++retries_;
      route_->metrics.retries.add(worker_.index());
      wait_for_slot(true);
      return;
    }
    if (failure == Failure::unanswered && !local && reused_) {
      // A pooled connection that the peer had closed: once more, on a fresh one.
      fresh_ = true;
      ++retries_;
      dispatch();
      return;
    }
    if (never_reached) {
      if (try_other(false)) return;
      if (attempts_ < route_->retry.attempts && worker_.take_retry(*route_)) {
        ++attempts_;
        ++retries_;
        route_->metrics.retries.add(worker_.index());
        fresh_ = true;
        dispatch();
        return;
      }
    }
  }
  ApiError error;
  switch (failure) {
    case Failure::connect_timeout: error = {504, error_type(504), "timeout_connect", "the upstream could not be reached in time (connect)"}; break;
    case Failure::tls_timeout: error = {504, error_type(504), "timeout_tls", "the upstream's TLS session was not ready in time (tls)"}; break;
    case Failure::resolve:
    case Failure::connect: error = {502, error_type(502), "upstream_unreachable", "the upstream cannot be reached"}; break;
    case Failure::tls: error = {502, error_type(502), "upstream_tls_failed", "no trusted TLS session with the upstream"}; break;
    case Failure::unanswered: error = {502, error_type(502), "upstream_no_answer", "the upstream took the request and closed without an answer"}; break;
    case Failure::cut: error = {502, error_type(502), "upstream_cut", "the upstream broke off inside its answer"}; break;
    case Failure::malformed: error = {502, error_type(502), "upstream_malformed", "the upstream's answer is not valid HTTP"}; break;
  }
  (void)detail;  // names addresses: for the log only
  const bool timed_out = failure == Failure::connect_timeout || failure == Failure::tls_timeout;
  if (relayed_) {
    cut(error);
  } else {
    fail(error, timed_out ? Outcome::timed_out : Outcome::upstream_error);
  }
}

// ---- Answers -----------------------------------------------------------------------------------------------------

std::string Request::limit_headers() const {
  std::string out;
  const auto add = [&](const char* name, const ledger::Budget& b) {
    if (b.limit > 0) {
      fmt::format_to(std::back_inserter(out), "x-ratelimit-limit-{0}: {1}\r\nx-ratelimit-remaining-{0}: {2}\r\nx-ratelimit-reset-{0}: {3}\r\n", name,
                     b.limit, b.remaining, format_reset(b.reset));
    }
  };
  add("requests", admission_.requests);
  add("tokens", admission_.tokens);
  return out;
}

std::string Request::own_headers() const {
  std::string out = "x-tidegate-request-id: ";
  const std::size_t at = out.size();
  out.resize(at + 30);
  out.replace(at, 4, "req_");
  format_ulid(id_, out.data() + at + 4);
  out += "\r\n";
  if (admission_.requests.limit > 0 || admission_.tokens.limit > 0) out += limit_headers();
  return out;
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
  answer_json_ = is_json_type(type) && !compressed_;
  const bool retriable = head.status == 429 || head.status >= 500;
  if (retriable && try_other(false)) return;
  if (head.status < 300 && facts_.stream && is_event_stream(type) && !compressed_) {
    start_relay(head);
    return;
  }
  state_ = State::holding;
  chunked_answer_ = head.chunked || head.until_close;
  answer_length_ = head.has_length ? head.length : 0;
  answer_fields_.clear();
  append_response_fields(head, admission_.requests.limit > 0 || admission_.tokens.limit > 0, answer_fields_);
  arm();
}

void Request::start_relay(const http::ResponseHead& head) {
  state_ = State::relaying;
  events_ = std::make_unique<EventRelay>(worker_.answer_scanner(), ask_usage_);
  if (!committed_) {
    std::string headers;
    append_response_fields(head, admission_.requests.limit > 0 || admission_.tokens.limit > 0, headers);
    headers += own_headers();
    stream_->start(head.status, headers, http::Framing::chunked);
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
  if (events_->has_output() && !relayed_) {
    relayed_ = true;
    // No way back from here: what was kept for another attempt can go.
    body_.release();
    std::string().swap(fields_);
    std::string().swap(line_);
    facts_.model = facts_.model_raw = facts_.options_raw = facts_.usage_raw = {};
  }
  if (part.last) {
    usage_ = events_->counts().usage;
    finish_stream();
    return;
  }
  events_->send(*stream_, false);
  if (stream_ != nullptr && stream_->blocked() && connection_ != nullptr) connection_->pause();
}

// Every byte is here and looked at: settle first, then let the last byte go.
void Request::finish_stream() {
  const auto& counts = events_->counts();
  if (!counts.done) route_->metrics.no_done.add(worker_.index());
  if (counts.error) route_->metrics.error_events.add(worker_.index());
  settle(counts.error ? Outcome::upstream_error : Outcome::complete, answer_status_, counts.error ? "error_event" : "");
  events_->send(*std::exchange(stream_, nullptr), true);
  retire();
}

void Request::on_writable() {
  if (connection_ != nullptr) connection_->resume();
}

void Request::hold_answer(const http::BodyPart& part) {
  auto& pool = worker_.loop().buffers();
  if (long_answer_) {
    for (std::size_t i = 0; i < part.count; ++i) {
      bytes_out_ += part.payload[i].size();
      tail_.append(part.payload[i]);
      if (tail_.size() > 2 * kTail) tail_.erase(0, tail_.size() - kTail);
    }
    if (part.last) {
      find_usage_in_tail();
      settle(Outcome::complete, answer_status_, "");
      http::ServerStream& stream = *std::exchange(stream_, nullptr);
      if (part.count > 0) stream.write(part.payload, part.count);
      stream.finish();
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
    ApiError error{502, error_type(502), "upstream_not_a_stream", "the upstream answered a stream request with a long plain answer"};
    fail(error, Outcome::upstream_error);
    return;
  }
  long_answer_ = relayed_ = true;
  bytes_out_ = held_.size();
  stream_->start(answer_status_, answer_fields_ + own_headers(), chunked_answer_ ? http::Framing::chunked : http::Framing::length, answer_length_);
  const std::string_view bytes = held_.view();
  tail_ = bytes.substr(bytes.size() > kTail ? bytes.size() - kTail : 0);
  stream_->write(bytes);
  held_.release();
  body_.release();
  if (stream_->blocked() && connection_ != nullptr) connection_->pause();
}

// Usage of an answer that was too long to keep: it stands near the end in every server seen. The last "usage" object of the
// last 8 KiB counts; none found means estimated.
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
  if (body.find("include_usage") == std::string_view::npos && body.find("stream_options") == std::string_view::npos) return false;
  no_usage_ = true;
  if (backend_->provider != nullptr) backend_->provider->refuses_include_usage.store(true, std::memory_order_relaxed);
  return true;
}

void Request::answer_held(std::string_view body) {
  if (answer_asks_to_drop_usage(body)) {
    // Not a retry in the sense of the budget: the request itself was fine.
    ++retries_;
    answer_fields_.clear();
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
    // A plain answer after comments went out: an error becomes an event; anything else is an upstream that ignored `stream`.
    ApiError late{error ? answer_status_ : 502, error_type(answer_status_), error ? "upstream_error" : "upstream_not_a_stream",
                  error ? fmt::format("the upstream answered {}: {}", answer_status_, body.substr(0, kErrorSnippet))
                        : std::string("the upstream answered a stream request with a plain answer")};
    fail(late, Outcome::upstream_error);
    return;
  }
  if (error && !facts.valid && !compressed_) {
    // HTML from a proxy in between, or plain text: same status, readable JSON, a snippet for the person who debugs.
    std::string snippet(body.substr(0, kErrorSnippet));
    for (char& c : snippet) {
      if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7E) c = ' ';
    }
    ApiError wrapped{answer_status_, error_type(answer_status_), "upstream_error", fmt::format("the upstream answered {}: {}", answer_status_, snippet)};
    settle(Outcome::upstream_error, answer_status_, "upstream_error");
    std::string headers = error_headers(wrapped) + own_headers();
    for (std::string_view rest = answer_fields_; !rest.empty();) {
      const std::size_t end = rest.find("\r\n") + 2;
      if (http::field_id(rest.substr(0, rest.find(':'))) != http::FieldId::content_type) headers.append(rest.substr(0, end));
      rest.remove_prefix(end);
    }
    std::exchange(stream_, nullptr)->respond(answer_status_, headers, error_body(wrapped));
    retire();
    return;
  }
  bytes_out_ = body.size();
  relayed_ = true;
  settle(error ? Outcome::upstream_error : Outcome::complete, answer_status_, error ? "upstream_error" : "");
  answer_fields_ += own_headers();
  std::exchange(stream_, nullptr)->respond(answer_status_, answer_fields_, body);
  retire();
}

// ---- Time --------------------------------------------------------------------------------------------------------

void Request::arm() {
  Nanos due = kMaxTime;
  if (next_comment_ != 0 && !relayed_) due = next_comment_;
  if (state_ == State::sent || state_ == State::holding || state_ == State::relaying) {
    const spec::Timeouts& t = route_->timeouts;
    due = std::min(due, dispatched_ + t.total);
    if (facts_.stream) {
      due = std::min(due, state_ == State::sent ? dispatched_ + t.first_byte : last_data_ + t.between_events);
    }
  }
  if (due != kMaxTime) worker_.loop().timers().arm(*this, due);
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
    } else if (facts_.stream && state_ != State::sent && now >= last_data_ + t.between_events && !(stream_ != nullptr && stream_->blocked())) {
      which = "betweenEvents";
    }
    if (which != nullptr) {
      ApiError error{504, error_type(504), fmt::format("timeout_{}", which), fmt::format("the upstream did not answer in time ({})", which)};
      if (relayed_) {
        cut(error);
      } else {
        fail(error, Outcome::timed_out);
      }
      return;
    }
  }
  if (facts_.stream && state_ == State::relaying && stream_ != nullptr && stream_->blocked()) last_data_ = now;  // the client is slow, not the upstream
  arm();
}

// The first comment commits the answer: 200 and our framing. Until an upstream byte is relayed it may still be sent elsewhere.
void Request::commit() {
  if (!committed_) {
    committed_ = true;
    stream_->start(200, "content-type: text/event-stream\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n" + own_headers(), http::Framing::chunked);
  }
  stream_->write(": \n\n");
  next_comment_ = worker_.loop().now() + backend_->keep_alive_after;
}

// ---- Ends --------------------------------------------------------------------------------------------------------

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
  if (ticket_ == 0) worker_.metrics().client_gone_before_dispatch.add(worker_.index());
  // The upstream is told before anything is written down: its GPU time is the dearest thing here.
  if (connection_ != nullptr) std::exchange(connection_, nullptr)->cancel();
  settle(Outcome::client_gone, relayed_ || committed_ ? (answer_status_ != 0 ? answer_status_ : 200) : 0, "client_gone");
  end_attempt();
  retire();
}

void Request::settle(Outcome outcome, int status, std::string_view reason) {
  if (settled_) return;
  settled_ = true;
  const Nanos now = worker_.loop().now();
  const std::size_t shard = worker_.index();
  if (route_ == nullptr) {
    // Refused before a route was known: counted by reason in the metrics, no record (there is no model to charge).
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
  } else if (ticket_ != 0 && outcome != Outcome::refused && (relayed_ || outcome == Outcome::client_gone || outcome == Outcome::timed_out || outcome == Outcome::complete)) {
    info.tokens_in = prompt_estimate_;
    info.tokens_out = answer_code_points_ > 0 ? estimate_tokens(answer_code_points_) : 0;
    if (!facts_.stream && outcome != Outcome::complete && backend_ != nullptr && backend_->table != nullptr && dispatched_ > 0) {
      // A cut plain answer was being generated all the while.
      const double seconds = static_cast<double>(now - dispatched_) / 1e9;
      info.tokens_out += static_cast<std::int64_t>(seconds * backend_->table->decode_rate.load(std::memory_order_relaxed));
      if (facts_.max_tokens >= 0) info.tokens_out = std::min(info.tokens_out, facts_.max_tokens);
    }
  }
  if (status >= 400 && !info.reported && !relayed_ && outcome != Outcome::timed_out) info.tokens_in = info.tokens_out = 0;
  info.first_byte_ns = first_byte_ > 0 ? first_byte_ - arrived_ : 0;
  info.total_ns = now - arrived_;
  info.bytes_in = body_bytes_;
  info.bytes_out = bytes_out_;
  info.retries = retries_;

  const RouteMetrics& m = route_->metrics;
  switch (outcome) {
    case Outcome::complete: m.complete.add(shard); break;
    case Outcome::cut: m.cut.add(shard); break;
    case Outcome::client_gone: m.client_gone.add(shard); break;
    case Outcome::refused: m.refused.add(shard); break;
    case Outcome::timed_out: m.timed_out.add(shard); break;
    default: m.upstream_error.add(shard); break;
  }
  (info.reported ? m.tokens_in_reported : m.tokens_in_estimated).add(shard, info.tokens_in);
  (info.reported ? m.tokens_out_reported : m.tokens_out_estimated).add(shard, info.tokens_out);
  if (first_byte_ > 0) m.first_byte.observe(shard, first_byte_ - dispatched_);
  m.duration.observe(shard, info.total_ns);

  if (admitted_) {
    const auto scopes = scopes_of(key_, *tenant_);
    if (ticket_ == 0) {
      ledger::refund(scopes, token_estimate_, now);
    } else {
      ledger::settle(scopes, token_estimate_, info.tokens_in + info.tokens_out, now);
    }
  }
  if (backend_ != nullptr && backend_->table != nullptr && ticket_ != 0) learn(info);
  worker_.journal().settle(ticket_, {id_, key_.id, tenant_ != nullptr ? std::string_view(tenant_->name) : std::string_view{},
                                     backend_ != nullptr ? std::string_view(backend_->model) : std::string_view{}, route_->name,
                                     backend_ != nullptr ? std::string_view(backend_->name) : std::string_view{}, operation_, facts_.stream, prompt_estimate_},
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
