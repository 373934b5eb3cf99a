#include "gateway/request.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.hpp"
#include "base/units.hpp"
#include "gateway/headers.hpp"

namespace tg::gateway {

using http::Failure;
using ledger::Outcome;

Request::Request(Worker& worker, http::ServerStream& stream, const http::RequestHead& head,
                 const UlidBytes& id, ledger::KeyEntry& key, std::string_view operation)
    : worker_(worker), stream_(&stream), key_(key), id_(id), operation_(operation) {
  arrived_ = worker_.loop().now();
  http11_ = head.http11;
  auto& pool = worker_.loop().buffers();
  kept_head_.append(pool, head.path.substr(3));  // behind "/v1"
  if (!head.query.empty()) kept_head_.append(pool, query_without_key(head.query));
  target_size_ = kept_head_.size();
  append_request_fields(head, pool, kept_head_);
}

Request::~Request() = default;

// ---- Admission
// ---------------------------------------------------------------------------------------------------

std::array<ledger::Scope, 2> Request::scopes() const {
  return {ledger::Scope{&key_.limits, &key_.state}, ledger::Scope{&tenant_->limits, tenant_->state}};
}

void Request::on_body(net::Buffer body) {
  arrived_ =
      worker_.loop().now();  // "arrived" is the last body byte: what the client's line costs is not ours
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
  if (route == snapshot.routes.end() || tenant == snapshot.tenants.end() ||
      !tenant->second.allows(facts_.model) || !key_.allows(facts_.model)) {
    worker_.metrics().unknown_model.add(worker_.index());
    ApiError error{
        404, error_type(404), "model_not_found",
        fmt::format("the model '{}' does not exist or this key may not use it", cut_utf8(facts_.model, 200)),
        "model"};
    fail(error, Outcome::refused);
    return false;
  }
  route_ = &route->second;
  tenant_ = &tenant->second;
  stream_->set_write_stall(route_->timeouts.client_stalled);
  return true;
}

namespace {

// Of all backends of a route the first local one has learned most about its text.
const Backend* first_local(const Route& route) {
  const auto found = std::ranges::find_if(route.to, [](const Backend& b) { return b.table != nullptr; });
  return found == route.to.end() ? nullptr : &*found;
}

}  // namespace

double Request::code_points_per_token() const {
  const Backend* local = first_local(*route_);
  return local != nullptr ? local->table->code_points_per_token.load(std::memory_order_relaxed) : 4.0;
}

// By the backend that has the request, before there is one by the one that is likely to get it.
OutputBounds Request::output_bounds() const {
  const Backend* backend = backend_ != nullptr ? backend_ : first_local(*route_);
  return {.text = operation_ != "embeddings",
          .max_tokens = facts_.max_tokens,
          .choices = facts_.choices,
          .context = backend != nullptr ? backend->context : 0,
          .prompt_tokens = prompt_estimate_};
}

bool Request::admit() {
  prompt_estimate_ = tokens_of(facts_.prompt_code_points, code_points_per_token());
  const Backend* local = first_local(*route_);
  std::int64_t output = local != nullptr ? local->table->output_p90.load(std::memory_order_relaxed) : 256;
  output *= facts_.choices;
  if (const auto most = largest_output(output_bounds())) output = std::min(output, *most);
  token_estimate_ = prompt_estimate_ + output;
  admission_ = ledger::admit(scopes(), token_estimate_, worker_.loop().now());
  if (admission_.ok()) {
    admitted_ = true;
    return true;
  }
  ApiError error{429, error_type(429), "rate_limit_exceeded", "", {}, admission_.retry_after};
  const char* whose = admission_.scope == 0 ? "this key" : "this tenant";
  switch (admission_.refusal) {
    case ledger::Refusal::exceeds_whole_limit:
      error = {400, error_type(400), "request_exceeds_limit",
               fmt::format("the request needs about {} tokens, the limit of {} is {} a minute",
                           admission_.asked, whose, admission_.limit)};
      error.never_retry = true;
      break;
    case ledger::Refusal::concurrent:
      error.message = fmt::format("{} may have {} requests open at a time", whose, admission_.limit);
      if (error.retry_after == 0) error.retry_after = kSecond;
      break;
    case ledger::Refusal::requests:
      error.message = fmt::format("{} may send {} requests a minute; try again in {}", whose,
                                  admission_.limit, format_reset(admission_.retry_after));
      break;
    default:
      error.message = fmt::format(
          "{} may use {} tokens a minute; this request asked for about {}, {} were left; try again in {}",
          whose, admission_.limit, admission_.asked, admission_.left, format_reset(admission_.retry_after));
  }
  fail(error, Outcome::refused);
  return false;
}

// ---- Attempts
// ----------------------------------------------------------------------------------------------------

bool Request::was_tried(std::size_t place) const {
  const auto end = tried_.begin() + tried_count_;
  return std::find(tried_.begin(), end, place) != end;
}

// Weighted among the untried backends of `to`, then the fallbacks in order. Null: none is left.
const Backend* Request::choose() {
  if (tried_count_ == kMaxAttempts) return nullptr;
  int total = 0;
  for (std::size_t i = 0; i < route_->to.size(); ++i) {
    if (!was_tried(i) && route_->to[i].not_ready.empty()) total += route_->to[i].weight;
  }
  if (total > 0) {
    auto pick =
        route_->to.size() == 1 ? 0 : static_cast<int>(worker_.random() % static_cast<std::uint64_t>(total));
    for (std::size_t i = 0; i < route_->to.size(); ++i) {
      const Backend& b = route_->to[i];
      if (was_tried(i) || !b.not_ready.empty()) continue;
      pick -= b.weight;
      if (pick < 0) {
        tried_[tried_count_++] = static_cast<std::uint32_t>(i);
        return &b;
      }
    }
  }
  for (std::size_t i = 0; i < route_->fallback.size(); ++i) {
    const std::size_t place = route_->to.size() + i;
    if (was_tried(place) || !route_->fallback[i].not_ready.empty()) continue;
    tried_[tried_count_++] = static_cast<std::uint32_t>(place);
    return &route_->fallback[i];
  }
  return nullptr;
}

void Request::attempt() {
  backend_ = choose();
  if (backend_ == nullptr) {
    ApiError error{503, error_type(503), "backend_not_ready",
                   fmt::format("no backend of '{}' is ready", route_->name)};
    error.retry_after = 10 * kSecond;
    fail(error, Outcome::refused);
    return;
  }
  ++attempts_;
  broken_ = {};
  if (backend_->table != nullptr) {
    auto& demand = backend_->table->shard(worker_.index());
    demand.arrivals.store(demand.arrivals.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    demand.prompt_tokens.store(demand.prompt_tokens.load(std::memory_order_relaxed) + prompt_estimate_,
                               std::memory_order_relaxed);
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
  worker_.control().wait({backend_->table, queue_ticket_, worker_.index(), handle_, body_.size(), arrived_,
                          prompt_estimate_, again});
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
  ApiError error{grant.status, error_type(grant.status), grant.reason.code, grant.reason.text,
                 {},           grant.retry_after};
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
  const auto offset = [&](std::string_view piece) {
    return static_cast<std::size_t>(piece.data() - body.data());
  };

  std::string_view upstream_model = backend_->upstream_model;
  if (endpoint_ != nullptr) upstream_model = endpoint_->model;
  if (!upstream_model.empty() && upstream_model != facts_.model) {
    model_value_.clear();
    append_json_string(model_value_, upstream_model);
    splices[n++] = {offset(facts_.model_raw), facts_.model_raw.size(), model_value_};
  }
  const bool refused =
      no_usage_ || (backend_->provider != nullptr &&
                    backend_->provider->refuses_include_usage.load(std::memory_order_relaxed));
  ask_usage_ =
      facts_.stream && facts_.usage != BodyFacts::Usage::said_true && operation_ != "embeddings" && !refused;
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

void Request::build_head(const UpstreamHead& common, std::size_t body_length) {
  const std::string_view target = kept_head_.view().substr(0, target_size_);
  const std::string_view fields = kept_head_.view().substr(target_size_);
  head_.clear();
  head_.reserve(worker_.loop().buffers(), common.start.size() + target.size() + common.fields.size() +
                                              Pen::kNumber + fields.size() + 4);
  Pen pen(head_.data());
  pen.put(common.start);
  pen.put(target);
  pen.put(common.fields);
  pen.put_number(static_cast<std::int64_t>(body_length));
  pen.put("\r\n");
  pen.put(fields);
  pen.put("\r\n");
  head_.add_size(pen.size());
}

void Request::dispatch() {
  state_ = State::sent;
  dispatched_ = worker_.loop().now();
  last_data_ = dispatched_;
  first_byte_ = 0;  // what an earlier attempt was answered is not the client's first byte
  answer_status_ = 0;
  const std::shared_ptr<const http::Target>* target = &backend_->target;
  const UpstreamHead* common = &backend_->head;
  if (replica_ >= 0) {
    endpoint_ = backend_->table->entry(replica_).endpoint;
    const auto& engine = worker_.target_of(endpoint_, route_->timeouts);
    target = &engine.target;
    common = &engine.head;
  }
  std::array<std::string_view, 24> parts;
  const std::size_t first = 2;
  const std::size_t count = body_parts(parts, first);
  std::size_t length = 0;
  for (std::size_t i = first; i < count; ++i) length += parts[i].size();
  build_head(*common, length);
  parts[1] = head_.view();

  if (!was_dispatched_) {
    was_dispatched_ = true;
    ticket_ = worker_.journal().begin({id_, key_.id, tenant_->name, backend_->model, route_->name,
                                       backend_->name, operation_, facts_.stream, prompt_estimate_},
                                      worker_.utc_now());
  }
  connection_ = worker_.upstreams().acquire(*target, *this, std::exchange(fresh_, false));
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
  answer_fields_.release();
  events_.reset();
}

// Sends the request to another backend if the rules and the budget allow it. True: it is under way.
bool Request::try_other(bool may_have_been_charged) {
  if (relayed_ || may_have_been_charged || attempts_ >= route_->retry.attempts) return false;
  const std::uint8_t before = tried_count_;
  const Backend* other = choose();
  tried_count_ = before;
  if (other == nullptr || !worker_.take_retry(*route_)) return false;
  end_attempt();
  ++retries_;
  route_->metrics.retries.add(worker_.index());
  attempt();
  return true;
}

// Whether a request whose replica failed before the client saw a byte goes back to its queue. No budget
// bounds that, the deadline does: a replica that was not reached knows nothing of the request, and one that
// died took it along. One that lives and breaks the connection off may do so again and again, and each time
// it is suspect for all clients; so the third time is the last. A server that somebody else runs and that had
// the request is not asked twice.
bool Request::may_go_back(Failure failure, bool never_reached) {
  if (never_reached) return true;
  if (failure != Failure::unanswered && failure != Failure::cut) return false;
  if (backend_->foreign) return false;
  const replica::Table& table = *backend_->table;
  for (Broken& b : broken_) {
    if (table.lives(b.replica, b.id)) continue;
    b = {replica_, table.entry(replica_).id.load(std::memory_order_relaxed)};
    return true;
  }
  return false;
}

// To the front of the queue, by the old ticket.
void Request::go_back() {
  const int replica = std::exchange(replica_, -1);
  auto table = backend_->table;
  endpoint_.reset();
  held_.release();
  answer_fields_.release();
  events_.reset();
  worker_.control().suspect(table, replica);
  if (table->release(replica)) worker_.control().slot_free(table);
  ++retries_;
  route_->metrics.retries.add(worker_.index());
  wait_for_slot(true);
}

void Request::on_failure(Failure failure, const http::FailureDetail& detail) {
  connection_ = nullptr;
  if (failure == Failure::tls) worker_.warn_tls(backend_->name, detail);
  const bool local = backend_->table != nullptr;
  const bool never_reached = failure == Failure::resolve || failure == Failure::connect ||
                             failure == Failure::connect_timeout || failure == Failure::tls ||
                             failure == Failure::tls_timeout;
  if (!relayed_) {
    if (failure == Failure::unanswered && reused_) {
      // A pooled connection that the peer had closed: once more, on a fresh one.
      fresh_ = true;
      ++retries_;
      route_->metrics.retries.add(worker_.index());
      dispatch();
      return;
    }
    if (local && may_go_back(failure, never_reached)) {
      go_back();
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
    case Failure::connect_timeout:
      error = {504, error_type(504), "timeout_connect",
               "the upstream could not be reached in time (connect)"};
      break;
    case Failure::tls_timeout:
      error = {504, error_type(504), "timeout_tls", "the upstream's TLS session was not ready in time (tls)"};
      break;
    case Failure::resolve:
    case Failure::connect:
      error = {502, error_type(502), "upstream_unreachable", "the upstream cannot be reached"};
      break;
    case Failure::tls:
      error = {502, error_type(502), "upstream_tls_failed",
               fmt::format("no trusted TLS session with the upstream: {}", detail.cause)};
      break;
    case Failure::unanswered:
      error = {502, error_type(502), "upstream_no_answer",
               "the upstream took the request and closed without an answer"};
      break;
    case Failure::cut:
      error = {502, error_type(502), "upstream_cut", "the upstream broke off inside its answer"};
      break;
    case Failure::malformed:
      error = {502, error_type(502), "upstream_malformed", "the upstream's answer is not valid HTTP"};
      break;
  }
  const bool timed_out = failure == Failure::connect_timeout || failure == Failure::tls_timeout;
  if (relayed_) {
    cut(error);
  } else {
    fail(error, timed_out ? Outcome::timed_out : Outcome::upstream_error);
  }
}

}  // namespace tg::gateway
