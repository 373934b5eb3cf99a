#include "gateway/worker.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.hpp"
#include "gateway/errors.hpp"
#include "gateway/headers.hpp"
#include "gateway/request.hpp"

namespace tg::gateway {

namespace {
// About a KiB each: what a busy turn of the loop ends at once.
constexpr std::size_t kKeptRequests = 256;
}  // namespace

Worker::Worker(net::Loop& loop, WorkerOptions options, ledger::KeyRegistry& keys,
               ledger::JournalWriter& journal, Metrics& metrics, net::Resolver& resolver, Logger& log,
               ControlPort control)
    : loop_(loop),
      options_(options),
      keys_(keys),
      log_(log),
      control_(std::move(control)),
      upstreams_(loop, resolver),
      server_(loop, *this, options.server),
      journal_(journal),
      requests_(kKeptRequests),
      random_state_(random_u64() | 1) {
  const char* help = "requests refused before a route was known, by reason";
  metrics_.bad_requests =
      metrics.counter("tidegate_refused_requests_total", help, {{"reason", "bad_request"}});
  metrics_.overloaded = metrics.counter("tidegate_refused_requests_total", help, {{"reason", "overloaded"}});
  metrics_.unauthorized =
      metrics.counter("tidegate_refused_requests_total", help, {{"reason", "unauthorized"}});
  metrics_.unknown_model =
      metrics.counter("tidegate_refused_requests_total", help, {{"reason", "model_not_found"}});
  metrics_.client_gone_before_dispatch =
      metrics.counter("tidegate_refused_requests_total", help, {{"reason", "client_gone_before_dispatch"}});
  journal_.hold_wakes();
  uses_.push_back(std::make_unique<SnapshotUse>(SnapshotUse{std::make_shared<Snapshot>(), 0}));
}

Worker::~Worker() {
  server_.close_all();
  destroy_retired();
}

void Worker::set_snapshot(std::shared_ptr<const Snapshot> snapshot) {
  uses_.push_back(std::make_unique<SnapshotUse>(SnapshotUse{std::move(snapshot), 0}));
  std::erase_if(uses_, [&](const auto& use) { return use->requests == 0 && use != uses_.back(); });
  retry_tokens_.clear();
  std::erase_if(engine_targets_, [](const auto& entry) { return entry.second.endpoint.use_count() == 1; });
}

SnapshotUse& Worker::use_snapshot() {
  ++uses_.back()->requests;
  return *uses_.back();
}

void Worker::leave_snapshot(SnapshotUse& use) {
  if (--use.requests > 0 || &use == uses_.back().get()) return;
  std::erase_if(uses_, [&](const auto& other) { return other.get() == &use; });
}

std::uint64_t Worker::random() {
  // xorshift64*: cheap, good enough to spread load.
  random_state_ ^= random_state_ >> 12;
  random_state_ ^= random_state_ << 25;
  random_state_ ^= random_state_ >> 27;
  return random_state_ * 0x2545F4914F6CDD1DULL;
}

namespace {
// The budget is a token bucket: a request adds its share, a retry takes one; ten may be saved up, so that a
// quiet route can still retry.
constexpr double kMaxRetryTokens = 10;
}  // namespace

void Worker::count_request(const Route& route) {
  const auto [it, fresh] = retry_tokens_.try_emplace(&route, kMaxRetryTokens);
  if (!fresh) it->second = std::min(kMaxRetryTokens, it->second + route.retry.budget);
}

bool Worker::take_retry(const Route& route) {
  auto& tokens = retry_tokens_.try_emplace(&route, kMaxRetryTokens).first->second;
  if (tokens < 1) return false;
  tokens -= 1;
  return true;
}

const Worker::EngineTarget& Worker::target_of(const std::shared_ptr<const replica::Endpoint>& endpoint,
                                              const spec::Timeouts& timeouts) {
  auto& entry = engine_targets_[endpoint.get()];
  if (entry.target == nullptr) {
    auto target = std::make_shared<http::Target>();
    target->host = endpoint->host;
    target->port = endpoint->port;
    target->tls = endpoint->tls;
    target->connect_timeout = timeouts.connect;
    target->tls_timeout = timeouts.tls;
    target->max_idle = 1;  // llama-server spends a thread per connection
    entry = {endpoint, std::move(target),
             UpstreamHead(fmt::format("{}:{}", endpoint->host, endpoint->port), endpoint->base_path,
                          endpoint->authorization)};
    if (engine_targets_.size() > 256) {
      std::erase_if(engine_targets_, [&](const auto& e) {
        return e.second.endpoint.use_count() == 1 && e.first != endpoint.get();
      });
    }
  }
  return entry;
}

std::uint64_t Worker::await_grant(Request& request) {
  const std::uint64_t handle = next_handle_++;
  waiting_.emplace(handle, &request);
  return handle;
}

void Worker::on_grant(const replica::Grant& grant) {
  const auto it = waiting_.find(grant.request);
  if (it == waiting_.end()) {
    // The client left while the grant was on its way: the slot goes back.
    if (grant.replica >= 0 && grant.model->release(grant.replica)) control_.slot_free(grant.model);
    return;
  }
  Request* request = it->second;
  waiting_.erase(it);
  request->on_grant(grant);
}

void Worker::retire(Request* request) {
  open_requests_.store(open_requests() - 1, std::memory_order_relaxed);
  if (retired_.empty()) loop_.defer([this] { destroy_retired(); });
  retired_.push_back(request);
}

void Worker::destroy_retired() {
  for (Request* request : retired_) requests_.destroy(request);
  retired_.clear();
}

std::int64_t Worker::utc_now() {
  if (utc_read_at_ != loop_.now()) {
    utc_read_at_ = loop_.now();
    utc_ = utc_now_ns();
  }
  return utc_;
}

ledger::JournalWriter& Worker::journal() {
  if (!announces_) {
    announces_ = true;
    loop_.defer([this] {
      announces_ = false;
      journal_.announce();
    });
  }
  return journal_;
}

void Worker::warn_tls(const std::string& upstream, const http::FailureDetail& detail) {
  constexpr Nanos kBetween = 10 * kSecond;
  const Nanos now = loop_.now();
  TlsWarning& last = tls_warnings_[upstream];
  ++last.failures;
  if (last.written_at != 0 && now - last.written_at < kBetween) return;
  log_.warn("no TLS session with an upstream",
            {field("upstream", upstream), field("cause", detail.cause), field("error", detail.text),
             field("failures", last.failures)});
  last = {now, 0};
}

void Worker::warn_turned_away(std::string_view why) {
  constexpr Nanos kBetween = kMinute;
  const Nanos now = loop_.now();
  ++turned_away_;
  if (turned_away_written_at_ != 0 && now - turned_away_written_at_ < kBetween) return;
  log_.warn("clients are turned away with 503",
            {field("because", why), field("clients", turned_away_),
             field("hint", "the limit of open files (ulimit -Hn) bounds connections and requests")});
  turned_away_written_at_ = now;
  turned_away_ = 0;
}

void Worker::drain(std::function<void()> done) {
  upstreams_.close_idle();
  server_.drain(std::move(done));
}

ledger::KeyEntry* Worker::authenticate(const http::RequestHead& head, std::string& problem) {
  std::string_view key;
  bool conflict = false;
  const auto take = [&](std::string_view value) {
    if (value.empty()) return;
    conflict = conflict || (!key.empty() && key != value);
    key = value;
  };
  for (const http::Field& f : head) {
    if (f.id == http::FieldId::authorization) {
      if (f.value.size() > 7 && http::equals_ignore_case(f.value.substr(0, 7), "bearer "))
        take(f.value.substr(7));
    } else if (f.id == http::FieldId::x_api_key || f.id == http::FieldId::api_key ||
               f.id == http::FieldId::x_goog_api_key) {
      take(f.value);
    }
  }
  std::string_view query = head.query;
  while (!query.empty()) {
    const std::size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    if (pair.starts_with("key=")) take(pair.substr(4));
    if (end == std::string_view::npos) break;
    query.remove_prefix(end + 1);
  }
  if (key.empty()) {
    problem = "no API key: send it as Authorization: Bearer tg-…";
    return nullptr;
  }
  if (conflict) {
    problem = "two different API keys in one request";
    return nullptr;
  }
  ledger::KeyEntry* entry = is_well_formed_key(key) ? keys_.find(sha256_.of(key)) : nullptr;
  if (entry == nullptr) problem = "the API key is not valid or was revoked";
  return entry;
}

namespace {

void answer(http::ServerStream& stream, const ApiError& error, std::string_view request_id,
            std::string_view more = {}) {
  std::string headers = error_headers(error);
  headers += more;
  if (!request_id.empty()) {
    headers += fmt::format("x-tidegate-request-id: {0}\r\nx-request-id: {0}\r\n", request_id);
  }
  stream.respond(error.status, headers, error_body(error));
}

}  // namespace

http::Exchange* Worker::on_request(http::ServerStream& stream, const http::RequestHead& head) {
  const std::string_view path = head.path;
  const bool get = head.method == "GET" || head.method == "HEAD";
  if (path == "/healthz" || path == "/readyz") {
    const bool good = path == "/healthz" || ready_;
    stream.respond(good ? 200 : 503, "content-type: text/plain\r\n", good ? "ok\n" : "starting\n");
    return nullptr;
  }
  const UlidBytes id = ulids_.next(utc_now());
  const auto refuse = [&](int status, std::string_view code, std::string message) -> http::Exchange* {
    metrics_.bad_requests.add(options_.index);
    answer(stream, {status, error_type(status), std::string(code), std::move(message)}, request_id_text(id));
    return nullptr;
  };
  const bool chat = path == "/v1/chat/completions";
  const bool known_post = chat || path == "/v1/completions" || path == "/v1/embeddings";
  const bool models = path == "/v1/models" || path.starts_with("/v1/models/");
  if (!known_post && !models) {
    return refuse(404, "unknown_path", fmt::format("there is nothing at {}", path.substr(0, 100)));
  }
  if (known_post ? head.method != "POST" : !get) {
    ApiError error{405, error_type(405), "method_not_allowed",
                   fmt::format("{} takes {}", path.substr(0, 100), known_post ? "POST" : "GET")};
    metrics_.bad_requests.add(options_.index);
    answer(stream, error, request_id_text(id), known_post ? "allow: POST\r\n" : "allow: GET, HEAD\r\n");
    return nullptr;
  }
  std::string problem;
  ledger::KeyEntry* key = authenticate(head, problem);
  if (key == nullptr) {
    metrics_.unauthorized.add(options_.index);
    answer(stream, {401, error_type(401), "invalid_api_key", problem}, request_id_text(id));
    return nullptr;
  }
  if (models) {
    list_models(stream, *key, path.size() > 11 ? path.substr(11) : std::string_view{});
    return nullptr;
  }
  const std::string_view encoding = head.find(http::FieldId::content_encoding);
  if (!encoding.empty() && !http::equals_ignore_case(encoding, "identity")) {
    return refuse(415, "compressed_request", "the request body is compressed; send it as it is");
  }
  if (open_requests() >= options_.max_requests) {
    ApiError error{503, error_type(503), "overloaded", "too many requests are open"};
    error.retry_after = kSecond;
    metrics_.overloaded.add(options_.index);
    warn_turned_away(error.message);
    answer(stream, error, request_id_text(id));
    return nullptr;
  }
  open_requests_.store(open_requests() + 1, std::memory_order_relaxed);
  const std::string_view operation = chat ? "chat" : path == "/v1/embeddings" ? "embeddings" : "completions";
  return requests_.make(*this, stream, head, id, *key, operation);  // retires itself
}

void Worker::on_bad_request(int status, std::string_view reason, http::HeaderText& headers,
                            std::string& body) {
  (status == 503 ? metrics_.overloaded : metrics_.bad_requests).add(options_.index);
  ApiError error{status, error_type(status),
                 status == 413   ? "body_too_large"
                 : status == 431 ? "head_too_large"
                                 : "bad_request",
                 std::string(reason)};
  if (status == 408) error.code = "timeout_request";
  if (status == 503) {
    error.code = "overloaded";
    error.retry_after = kSecond;
    warn_turned_away(reason);
  }
  const std::string id = request_id_text(ulids_.next(utc_now()));
  headers.add_lines(error_headers(error));
  headers.add("x-tidegate-request-id", id);
  headers.add("x-request-id", id);
  body = error_body(error);
}

void Worker::list_models(http::ServerStream& stream, const ledger::KeyEntry& key, std::string_view only) {
  const Snapshot& snapshot = *uses_.back()->snapshot;
  const auto tenant = snapshot.tenants.find(key.tenant);
  std::string wanted;
  for (std::size_t i = 0; i < only.size(); ++i) {
    // Percent-decoded once: SDKs send "org%2Fname".
    if (only[i] == '%' && i + 2 < only.size()) {
      const auto hex = [](char c) {
        return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
      };
      const int high = hex(only[i + 1]);
      const int low = hex(only[i + 2]);
      if (high >= 0 && low >= 0) {
        wanted += static_cast<char>(high * 16 + low);
        i += 2;
        continue;
      }
    }
    wanted += only[i];
  }
  std::string items;
  for (const std::string& name : snapshot.route_names) {
    if (!only.empty() && name != wanted) continue;
    if (tenant == snapshot.tenants.end() || !tenant->second.allows(name) || !key.allows(name)) continue;
    const Route& route = snapshot.routes.find(name)->second;
    if (!items.empty()) items += ",";
    items += "{\"id\":";
    append_json_string(items, name);
    items += fmt::format(",\"object\":\"model\",\"created\":{},\"owned_by\":", route.created_s);
    append_json_string(items, route.owner);
    items += "}";
  }
  const std::string id = request_id_text(ulids_.next(utc_now()));
  if (!only.empty() && items.empty()) {
    answer(stream,
           {404, error_type(404), "model_not_found",
            fmt::format("the model '{}' does not exist or this key may not use it", only), "model"},
           id);
    return;
  }
  const std::string headers = fmt::format(
      "content-type: application/json\r\nx-tidegate-request-id: {0}\r\nx-request-id: {0}\r\n", id);
  stream.respond(200, headers, only.empty() ? "{\"object\":\"list\",\"data\":[" + items + "]}" : items);
}

}  // namespace tg::gateway
