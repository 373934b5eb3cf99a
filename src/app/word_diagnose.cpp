// tidegate diagnose: one redacted file for a bug report
#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "admin/log_tail.hpp"
#include "app/control_client.hpp"
#include "app/data_dir.hpp"
#include "app/redact.hpp"
#include "app/view.hpp"
#include "app/words.hpp"
#include "base/clock.hpp"
#include "base/files.hpp"

namespace tg::app {

namespace {

using Json = nlohmann::ordered_json;

struct DiagnoseFlags {
  std::string data, out;
};

std::string first_lines(const char* path, std::size_t bytes) {
  auto text = read_file(path, 1 << 20);
  return text ? redacted(std::string_view(*text).substr(0, bytes)) : std::string();
}

// Names, sizes and modes below DIR, two levels; no content.
Json listing(const std::string& dir, int levels) {
  Json files = Json::array();
  DIR* d = ::opendir(dir.c_str());
  if (d == nullptr) return files;
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(d)) {  // NOLINT: one thread
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  ::closedir(d);
  std::sort(names.begin(), names.end());
  if (names.size() > 200) names.resize(200);
  for (const std::string& name : names) {
    struct stat info{};
    const std::string path = fmt::format("{}/{}", dir, name);
    if (::lstat(path.c_str(), &info) != 0) continue;
    Json j = {{"name", name}, {"bytes", info.st_size}, {"mode", fmt::format("{:o}", info.st_mode & 07777)}};
    if (S_ISDIR(info.st_mode) && levels > 1) j["files"] = listing(path, levels - 1);
    files.push_back(std::move(j));
  }
  return files;
}

// Texts only: numbers are no secrets, and their names may well hold the word token.
void redact_texts(Json& j) {
  if (j.is_string()) j = redacted(j.get<std::string>());
  if (!j.is_structured()) return;
  for (auto& child : j) redact_texts(child);
}

// What the running tidegate says about itself.
Json ask(const ControlClient& client, const char* target) {
  const auto answer = client.call("GET", target, {}, {}, 5 * kSecond);
  if (!answer) return {{"error", {{"code", answer.error().code}, {"message", answer.error().message}}}};
  Json j = Json::parse(answer->body, nullptr, false);
  if (j.is_discarded()) return redacted(answer->body);
  redact_texts(j);
  return j;
}

Json logs_of(const std::string& dir) {
  Json logs = Json::object();
  for (const Json& f : listing(dir + "/logs", 1)) {
    const std::string name = f.value("name", "");
    if (name.starts_with("access")) continue;  // who asked for what is nobody else's business
    const auto part = admin::read_log_part(fmt::format("{}/logs/{}", dir, name), 50, std::nullopt);
    if (part) logs[name] = redacted(part->text);
  }
  return logs;
}

Result<int> diagnose(Terminal& terminal, DiagnoseFlags& flags, Format format) {
  const auto dir = data_dir_path(flags.data, process_environment());
  if (!dir) return std::unexpected(dir.error());
  const std::string now = format_utc(utc_now_ns());
  if (flags.out.empty()) {
    flags.out = fmt::format("tidegate-diagnose-{}.json", now.substr(0, 19));
    std::replace(flags.out.begin(), flags.out.end(), ':', '-');
  }
  utsname system{};
  ::uname(&system);
  Json j;
  j["made"] = now;
  j["version"] = program_version();
  j["system"] = {{"kernel", fmt::format("{} {} {}", system.sysname, system.release, system.machine)},
                 {"os", first_lines("/etc/os-release", 400)},
                 {"memory", first_lines("/proc/meminfo", 200)},
                 {"cgroupMemory", first_lines("/sys/fs/cgroup/memory.max", 40)},
                 {"cgroupCpu", first_lines("/sys/fs/cgroup/cpu.max", 40)},
                 {"limits", first_lines("/proc/self/limits", 2000)}};
  j["data"] = {
      {"dir", *dir}, {"version", first_lines((*dir + "/VERSION").c_str(), 40)}, {"files", listing(*dir, 2)}};
  const ControlClient client(socket_path(*dir));
  j["status"] = ask(client, "/api/v1/status");
  Json models = Json::array();
  for (const Json& m : j["status"].value("models", Json::array())) {
    models.push_back(
        ask(client,
            fmt::format("/api/v1/models/{}/explain", admin::percent_encode(m.value("name", ""))).c_str()));
  }
  j["models"] = std::move(models);
  j["logs"] = logs_of(*dir);
  const std::string text = j.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  if (auto r = replace_file(flags.out, text); !r) return std::unexpected(r.error());

  const Json made = {{"path", flags.out}, {"bytes", text.size()}};
  const View view{[&] { return Result<std::string>(made.dump()); },
                  [&](Terminal& t, const Json&, bool) { t.out(flags.out + "\n"); },
                  [&](const Json&) { return std::vector<std::string>{flags.out}; }};
  if (auto r = show(terminal, format, view); !r) return std::unexpected(r.error());
  terminal.note("no keys, prompts or documents are in it; look through it before you give it away");
  return kGood;
}

}  // namespace

void add_diagnose(CommandLine& line) {
  auto flags = std::make_shared<DiagnoseFlags>();
  Word& word = line.root().sub("diagnose", "write one redacted file that helps others to help");
  word.example("tidegate diagnose").example("tidegate diagnose --out /tmp/report.json");
  word.option("--out", "FILE", flags->out, "where to (default: tidegate-diagnose-TIME.json here)");
  word.data_flag(flags->data).output_flag();
  word.action_result(
      [flags, &word](Terminal& terminal) { return diagnose(terminal, *flags, word.format()); });
}

}  // namespace tg::app
