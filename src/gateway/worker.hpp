// One worker: a loop on its own thread with its own listener, upstream pools, scanners, journal and metrics
// shard. A request that finds a free slot never leaves its worker. The control thread is reached through
// ControlPort only.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/id.hpp"
#include "base/log.hpp"
#include "base/metrics.hpp"
#include "base/object_pool.hpp"
#include "gateway/answer_scan.hpp"
#include "gateway/body_scan.hpp"
#include "gateway/snapshot.hpp"
#include "http/client.hpp"
#include "http/server.hpp"
#include "ledger/journal.hpp"
#include "ledger/keys.hpp"
#include "replica/controller.hpp"

namespace tg::gateway {

class Request;

// Messages to the control thread; each may be called on any worker's thread.
struct ControlPort {
  std::function<void(const replica::Wait&)> wait;
  std::function<void(const replica::GoneWaiter&)> gone;
  std::function<void(const std::shared_ptr<replica::Table>&)> slot_free;
  std::function<void(const std::shared_ptr<replica::Table>&, int replica)> suspect;
};

struct WorkerOptions {
  std::size_t index = 0;
  http::ServerOptions server;
  std::size_t max_requests = 100'000;  // requests in progress; beyond, 503 `overloaded`
};

// A snapshot with the number of this worker's requests that run under it: a plain integer, so no atomic is
// touched per request.
struct SnapshotUse {
  std::shared_ptr<const Snapshot> snapshot;
  std::int64_t requests = 0;
};

class Worker final : public http::Service {
 public:
  Worker(net::Loop& loop, WorkerOptions options, ledger::KeyRegistry& keys, ledger::JournalWriter& journal,
         Metrics& metrics, net::Resolver& resolver, Logger& log, ControlPort control);
  ~Worker() override;

  // The rest: on the loop's thread.
  void set_snapshot(std::shared_ptr<const Snapshot> snapshot);
  void listen(Fd listener) { server_.listen(std::move(listener)); }
  void on_grant(const replica::Grant& grant);
  void set_ready(bool ready) { ready_ = ready; }
  // Stops accepting and lets open requests finish; `done` runs once the last connection is gone.
  void drain(std::function<void()> done);
  // The drain's time is over: what is still open is settled as cut.
  void cut_all() {
    cutting_ = true;
    server_.cut_all();
  }
  bool cutting() const { return cutting_; }
  // Any thread.
  std::size_t connections() const { return server_.connections(); }
  std::size_t open_requests() const { return open_requests_.load(std::memory_order_relaxed); }

  http::Exchange* on_request(http::ServerStream& stream, const http::RequestHead& head) override;
  void on_bad_request(int status, std::string_view reason, http::HeaderText& headers,
                      std::string& body) override;

  // For Request (same thread).
  net::Loop& loop() { return loop_; }
  http::Upstreams& upstreams() { return upstreams_; }
  BodyScanner& body_scanner() { return body_scanner_; }
  AnswerScanner& answer_scanner() { return answer_scanner_; }
  // For one call: what is stored in it is announced to the ledger's thread at the end of this turn, behind
  // the bytes that go to upstreams and clients.
  ledger::JournalWriter& journal();
  ControlPort& control() { return control_; }
  std::size_t index() const { return options_.index; }
  SnapshotUse& use_snapshot();
  void leave_snapshot(SnapshotUse& use);
  std::uint64_t random();  // for weighted choice; not for secrets
  // True if the route may send one more request again (retry budget over this worker's requests).
  bool take_retry(const Route& route);
  void count_request(const Route& route);
  struct EngineTarget {
    std::shared_ptr<const replica::Endpoint> endpoint;
    std::shared_ptr<const http::Target> target;
    UpstreamHead head;
  };
  // Good until the next call.
  const EngineTarget& target_of(const std::shared_ptr<const replica::Endpoint>& endpoint,
                                const spec::Timeouts& timeouts);
  std::uint64_t await_grant(Request& request);  // the handle
  void forget_grant(std::uint64_t handle) { waiting_.erase(handle); }
  void retire(Request* request);
  std::int64_t utc_now();  // read once per turn of the loop
  // Why there is no TLS session with that upstream, in the log: once in ten seconds for each, with the number
  // of failures in between.
  void warn_tls(const std::string& upstream, const http::FailureDetail& detail);

  // That there is no room for a client, in the log: once in a minute, with the number of those turned away
  // since.
  void warn_turned_away(std::string_view why);

  struct GatewayMetrics {
    Counter bad_requests, overloaded, unauthorized, unknown_model, client_gone_before_dispatch;
  };
  const GatewayMetrics& metrics() const { return metrics_; }

 private:
  void destroy_retired();
  void list_models(http::ServerStream& stream, const ledger::KeyEntry& key, std::string_view only);
  ledger::KeyEntry* authenticate(const http::RequestHead& head, std::string& problem);

  net::Loop& loop_;
  WorkerOptions options_;
  ledger::KeyRegistry& keys_;
  Logger& log_;
  ControlPort control_;
  http::Upstreams upstreams_;
  http::Server server_;
  BodyScanner body_scanner_;
  AnswerScanner answer_scanner_;
  ledger::JournalWriter& journal_;
  Sha256 sha256_;
  UlidMaker ulids_;
  GatewayMetrics metrics_;
  std::vector<std::unique_ptr<SnapshotUse>> uses_;  // the last one is current
  std::unordered_map<std::uint64_t, Request*> waiting_;
  std::uint64_t next_handle_ = 1;
  std::unordered_map<const replica::Endpoint*, EngineTarget> engine_targets_;
  std::unordered_map<const Route*, double> retry_tokens_;
  ObjectPool<Request> requests_;
  std::vector<Request*> retired_;              // destroyed at the end of the turn
  std::atomic<std::size_t> open_requests_{0};  // written by this thread only
  std::uint64_t random_state_;
  std::int64_t utc_ = 0;
  Nanos utc_read_at_ = -1;
  struct TlsWarning {
    Nanos written_at = 0;
    std::int64_t failures = 0;  // since then
  };
  StringMap<TlsWarning> tls_warnings_;  // by upstream
  Nanos turned_away_written_at_ = 0;
  std::int64_t turned_away_ = 0;  // clients, since then
  bool announces_ = false;        // at the end of this turn
  bool ready_ = false;
  bool cutting_ = false;

  friend class Request;
};

}  // namespace tg::gateway
