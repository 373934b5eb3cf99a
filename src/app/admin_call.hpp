// How a word reaches the admin API: over the control socket of the running tidegate, and for keys and usage,
// when none runs, in this process over the files of the data directory (their lock is taken).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "admin/api.hpp"
#include "app/data_dir.hpp"
#include "app/terminal.hpp"
#include "base/error.hpp"

namespace tg::app {

class FilesSources;

class AdminCall {
 public:
  // `data_flag`: the value of --data.
  static Result<AdminCall> open(Terminal& terminal, std::string_view data_flag);
  AdminCall(AdminCall&&) noexcept;
  ~AdminCall();

  // The answer's body. An error of the API comes back as that error; not_running if nothing runs and the
  // files do not do.
  Result<std::string> get(const std::string& target);
  Result<std::string> post(const std::string& target, const std::string& body);
  const std::string& dir() const { return dir_; }

 private:
  AdminCall(Terminal& terminal, std::string dir);
  Result<std::string> call(std::string_view method, const std::string& target, const std::string& body);
  Result<admin::Response> over_files(std::string_view method, const std::string& target,
                                     const std::string& body);

  Terminal* terminal_;
  std::string dir_;
  std::unique_ptr<FilesSources> files_;
};

}  // namespace tg::app
