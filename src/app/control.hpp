// The control thread's object: documents, controller, backend, admin API, reload and drain. Workers talk to
// it through ControlPort, it talks to them through Workers. Nothing here is on the request path.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "admin/sources.hpp"
#include "app/admin_server.hpp"
#include "app/document_source.hpp"
#include "app/document_watch.hpp"
#include "app/up.hpp"
#include "app/workers.hpp"
#include "gateway/snapshot.hpp"
#include "ledger/key_store.hpp"
#include "ledger/writer.hpp"
#include "replica/controller.hpp"
#include "runtime/local_backend.hpp"

namespace tg::app {

class Control final : public admin::Sources {
 public:
  struct Parts {
    net::Loop& loop;
    net::Resolver& resolver;
    Metrics& metrics;
    Logger& log;
    ledger::KeyStore& keys;
    ledger::LedgerWriter& ledger;
    std::string dir;
  };

  Control(const Parts& parts, const UpOptions& options, DocumentSource source, spec::Documents documents,
          std::size_t workers);
  ~Control() override;

  // Opens the gateway: workers start, readiness turns good.
  void serve(std::vector<Fd> listeners, const std::string& listen, const http::ServerOptions& server,
             std::size_t max_requests);
  void serve_admin(Fd control_socket, Fd console, const std::string& console_address);
  // SIGTERM or SIGINT: drains; the second time leaves at once.
  const DocumentSource& source() const { return source_; }
  void on_signal(int signal);
  // Loads the documents again: all of them or none.
  void reload();

  Result<admin::Status> status() override;
  Result<std::string> models_json() override;
  Result<std::string> explain_json(const std::string& model) override;
  Result<std::vector<admin::LogFilePath>> logs(const std::string& model) override;
  std::vector<std::string> tenants() override;
  std::vector<std::string> routes() override;
  ledger::KeyStore& keys() override { return parts_.keys; }
  Result<admin::LedgerPlace> ledger() override;

 private:
  gateway::ControlPort port();
  void publish();
  void tick();
  void drained_workers();
  void stop_when_done();

  Parts parts_;
  UpOptions options_;
  DocumentSource source_;
  spec::Documents documents_;
  std::size_t worker_count_;
  admin::Status status_;
  runtime::LocalBackend backend_;
  gateway::SnapshotBuilder snapshots_;
  ledger::LimitRegistry limits_;
  std::shared_ptr<const gateway::Snapshot> snapshot_;
  net::CallbackTimer tick_timer_;
  net::CallbackTimer drain_timer_;
  std::unique_ptr<replica::Controller> controller_;
  std::unique_ptr<Workers> workers_;
  AdminServer control_api_;
  AdminServer console_api_;
  DocumentWatch watch_;
  Counter reloads_good_, reloads_bad_, documents_valid_;
  Nanos drain_until_ = 0;
  bool draining_ = false;
  bool signal_reload_ = false;
};

}  // namespace tg::app
