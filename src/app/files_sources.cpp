#include "app/files_sources.hpp"

#include <fmt/format.h>

#include "base/log.hpp"
#include "ledger/writer.hpp"

namespace tg::app {

Error not_running(const std::string& dir) {
  return {"not_running", fmt::format("no tidegate runs on {}", dir),
          "start it with `tidegate up`, or name its data directory with --data"};
}

Result<std::unique_ptr<FilesSources>> FilesSources::open(const std::string& dir, DataDir::Make make) {
  auto data = DataDir::open(dir, make);
  if (!data) return std::unexpected(data.error());
  std::unique_ptr<FilesSources> files(new FilesSources(std::move(*data)));
  auto keys = ledger::KeyStore::open(dir);
  if (!keys) return std::unexpected(keys.error());
  files->keys_ = std::move(*keys);
  return files;
}

Result<admin::Status> FilesSources::status() { return std::unexpected(not_running(dir_.path())); }
Result<std::string> FilesSources::models_json() { return std::unexpected(not_running(dir_.path())); }
Result<std::string> FilesSources::explain_json(const std::string&) {
  return std::unexpected(not_running(dir_.path()));
}
Result<std::vector<admin::LogFilePath>> FilesSources::logs(const std::string&) {
  return std::unexpected(not_running(dir_.path()));
}

Result<admin::LedgerPlace> FilesSources::ledger() {
  Logger log(LogFormat::text, LogLevel::warn);
  if (auto r = ledger::recover_ledger(dir_.path(), log); !r) return std::unexpected(r.error());
  return admin::LedgerPlace{dir_.path(), 0};
}

}  // namespace tg::app
