// Where the admin API gets its data. The wiring of `tidegate up` implements it on the control thread; the
// command line implements it over the files of the data directory when nothing runs (then only keys and usage
// are there).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "ledger/key_store.hpp"

namespace tg::admin {

struct LogFilePath {
  int replica = 0;  // the N of NAME-N.log
  std::string path;
};

struct ProviderStatus {
  std::string name;
  std::string url;
  std::vector<std::string> models;
  bool ready = true;
  Error reason;  // with ready == false
};

// The last attempt to load the documents.
struct ReloadStatus {
  bool ok = true;
  std::int64_t at_utc_ns = 0;
  std::vector<std::string> findings;  // "file:line:col: error[code] message", one each
};

struct Status {
  std::string version;
  std::int64_t pid = 0;
  std::int64_t started_utc_ns = 0;
  std::string listen, console;  // bound addresses, "127.0.0.1:4000"
  std::string data;             // data directory
  std::size_t workers = 0;
  std::vector<std::string> files;  // documents as given: files and directories
  std::size_t models = 0, providers = 0, routes = 0, tenants = 0;  // in the documents that serve now
  std::uint64_t generation = 0;                                    // rises with each accepted load, from 1
  ReloadStatus reload;
  std::vector<ProviderStatus> provider_status;
  bool draining = false;
  std::int64_t connections = 0;  // of clients, now
  std::int64_t in_flight = 0;    // requests being answered or held, now
};

struct LedgerPlace {
  std::string dir;
  std::uint64_t live_run = 0;  // LedgerWriter::run(); 0 = nothing runs
};

// All calls on one thread, all but ledger() return at once; references stay valid until the next call. A
// request for /api/v1/usage calls ledger() and nothing else, then reads files for as long as that takes: the
// wiring may give it to another thread.
class Sources {
 public:
  virtual ~Sources() = default;
  virtual Result<Status> status() = 0;
  // {"items":[…]} of replica::Controller::models_json.
  virtual Result<std::string> models_json() = 0;
  // replica::Controller::explain_json; only called for models of models_json.
  virtual Result<std::string> explain_json(const std::string& model) = 0;
  virtual Result<std::vector<LogFilePath>> logs(const std::string& model) = 0;
  // Names that a key may be bound to. Empty = not known (nothing runs), so not checked.
  virtual std::vector<std::string> tenants() = 0;
  virtual std::vector<std::string> routes() = 0;
  virtual ledger::KeyStore& keys() = 0;
  // Where usage is read, after everything stored so far is in the sums (LedgerWriter::flush).
  virtual Result<LedgerPlace> ledger() = 0;
};

}  // namespace tg::admin
