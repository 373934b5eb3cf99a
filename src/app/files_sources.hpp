// The admin API's data when no tidegate runs: keys and usage from the files of a locked data directory; the
// rest says that nothing runs.
#pragma once

#include <memory>
#include <string>

#include "admin/sources.hpp"
#include "app/data_dir.hpp"

namespace tg::app {

class FilesSources : public admin::Sources {
 public:
  static Result<std::unique_ptr<FilesSources>> open(const std::string& dir, DataDir::Make make);

  Result<admin::Status> status() override;
  Result<std::string> models_json() override;
  Result<std::string> explain_json(const std::string& model) override;
  Result<std::vector<admin::LogFilePath>> logs(const std::string& model) override;
  std::vector<std::string> tenants() override { return {}; }
  std::vector<std::string> routes() override { return {}; }
  ledger::KeyStore& keys() override { return *keys_; }
  Result<admin::LedgerPlace> ledger() override;

 private:
  explicit FilesSources(DataDir dir) : dir_(std::move(dir)) {}
  DataDir dir_;
  std::unique_ptr<ledger::KeyStore> keys_;
};

// What every word says that needs a running tidegate.
Error not_running(const std::string& dir);

}  // namespace tg::app
