#include "app/admin_call.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "app/control_client.hpp"
#include "app/files_sources.hpp"

namespace tg::app {

namespace {

// The error of an answer with a status ≥ 400.
Error error_of(const admin::Response& response) {
  const auto j = nlohmann::json::parse(response.body, nullptr, false);
  if (j.is_object() && j.contains("error") && j["error"].is_object()) {
    const auto& e = j["error"];
    const auto text = [&e](const char* name) {
      return e.contains(name) && e[name].is_string() ? e[name].get<std::string>() : std::string();
    };
    if (!text("code").empty()) return {text("code"), text("message"), text("hint")};
  }
  return {"control_failed", fmt::format("the running tidegate answered with status {}", response.status),
          "tidegate diagnose"};
}

}  // namespace

AdminCall::AdminCall(Terminal& terminal, std::string dir) : terminal_(&terminal), dir_(std::move(dir)) {}
AdminCall::AdminCall(AdminCall&&) noexcept = default;
AdminCall::~AdminCall() = default;

Result<AdminCall> AdminCall::open(Terminal& terminal, std::string_view data_flag) {
  auto dir = data_dir_path(data_flag, process_environment());
  if (!dir) return std::unexpected(dir.error());
  return AdminCall(terminal, std::move(*dir));
}

Result<std::string> AdminCall::get(const std::string& target) { return call("GET", target, {}); }

Result<std::string> AdminCall::post(const std::string& target, const std::string& body) {
  return call("POST", target, body);
}

Result<std::string> AdminCall::call(std::string_view method, const std::string& target,
                                    const std::string& body) {
  const ControlClient client(socket_path(dir_));
  auto answer = client.call(method, target, body, [this] {
    if (terminal_->err_is_terminal())
      terminal_->note("waiting for the running tidegate; there is no estimate, Ctrl-C gives up");
  });
  if (!answer && answer.error().code == "not_running") answer = over_files(method, target, body);
  if (!answer) return std::unexpected(answer.error());
  if (answer->status >= 400) return std::unexpected(error_of(*answer));
  return std::move(answer->body);
}

Result<admin::Response> AdminCall::over_files(std::string_view method, const std::string& target,
                                              const std::string& body) {
  const bool keys = target.starts_with("/api/v1/keys");
  if (!keys && !target.starts_with("/api/v1/usage")) return std::unexpected(not_running(dir_));
  if (!files_) {
    const bool creates = keys && method == "POST" && target == "/api/v1/keys";
    const bool fresh = creates && ::access(dir_.c_str(), F_OK) != 0;
    auto files = FilesSources::open(dir_, creates ? DataDir::Make::yes : DataDir::Make::no);
    if (!files) return std::unexpected(files.error());
    if (fresh) terminal_->note(fmt::format("made the data directory {}", dir_));
    files_ = std::move(*files);
  }
  return admin::handle(admin::make_request(method, target, body, true), *files_);
}

}  // namespace tg::app
