#include "runtime/leftovers.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/files.hpp"

namespace tg::runtime {
namespace {

using Json = nlohmann::json;

ProcessIdentity identity(const Json& json, const char* key) {
  const Json& process = json.value(key, Json::object());
  if (!process.is_object() || !process.contains("pid") || !process.contains("start")) return {};
  if (!process["pid"].is_number_integer() || !process["start"].is_number_unsigned()) return {};
  const auto pid = process["pid"].get<std::int64_t>();
  if (pid <= 1 || pid > 1 << 22) return {};  // never everyone (0, -1), never init
  return {static_cast<pid_t>(pid), process["start"].get<std::uint64_t>()};
}

std::vector<std::string> records(const std::string& run_dir) {
  std::vector<std::string> found;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(run_dir.c_str()), ::closedir);
  if (!dir) return found;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string_view name(entry->d_name);
    if (name.starts_with("replica-") && name.ends_with(".json"))
      found.push_back(run_dir + "/" + entry->d_name);
  }
  return found;
}

// The supervisor's session, and whatever else began with its mark. The session of a dead supervisor belongs
// to us only while its number is not a newer process; the mark holds the start time itself.
void add_family(std::vector<ProcessIdentity>& victims, const ProcessIdentity& supervisor) {
  const auto processes = all_processes();
  const auto add = [&](const ProcessIdentity& p) {
    if (std::ranges::find(victims, p) == victims.end()) victims.push_back(p);
  };
  const auto leader = read_proc_stat(supervisor.pid);
  if (!leader || leader->id.start == supervisor.start) {
    for (const ProcessIdentity& p : session_members(processes, supervisor.pid)) {
      if (p.start >= supervisor.start) add(p);
    }
  }
  for (const ProcessIdentity& p : marked_processes(processes, family_mark(supervisor))) add(p);
}

}  // namespace

std::string run_record_path(const std::string& run_dir, std::uint64_t id) {
  return fmt::format("{}/replica-{}.json", run_dir, id);
}

void write_run_record(const std::string& path, const RunRecord& record) {
  const auto json = [](const ProcessIdentity& p) { return Json{{"pid", p.pid}, {"start", p.start}}; };
  Json all{{"model", record.model}, {"boot", boot_id()}, {"supervisor", json(record.supervisor)}};
  if (record.engine.pid != 0) all["engine"] = json(record.engine);
  if (record.guard.pid != 0) all["guard"] = json(record.guard);
  const std::string text = all.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  // Written once and not by rename: replacing a file makes some file systems write to the disk at once. A
  // torn record is no record; its processes see their gateway's end all the same.
  const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (fd) [[maybe_unused]]
    const ssize_t n = ::write(fd.get(), text.data(), text.size());
}

void remove_run_record(const std::string& path) { ::unlink(path.c_str()); }

std::size_t end_leftovers(const std::string& run_dir, Nanos bound) {
  const Nanos until = mono_now() + bound;
  const std::string boot = boot_id();
  std::vector<Fd> dying;
  for (const std::string& path : records(run_dir)) {
    const auto text = read_file(path, 64 << 10);
    const Json json = text ? Json::parse(*text, nullptr, false) : Json();
    if (json.is_object() && json.value("boot", Json()) == Json(boot)) {
      std::vector<ProcessIdentity> victims;
      const ProcessIdentity supervisor = identity(json, "supervisor");
      if (supervisor.pid != 0) add_family(victims, supervisor);
      for (const char* who : {"engine", "guard"}) {
        const ProcessIdentity p = identity(json, who);
        if (p.pid != 0 && std::ranges::find(victims, p) == victims.end()) victims.push_back(p);
      }
      for (const ProcessIdentity& p : victims) {
        Fd fd = open_process(p);
        if (fd && signal_process(p, SIGKILL)) dying.push_back(std::move(fd));
      }
    }
    remove_run_record(path);
  }
  for (const Fd& fd : dying) {
    const Nanos left = until - mono_now();
    if (left <= 0) break;
    pollfd p{fd.get(), POLLIN, 0};
    ::poll(&p, 1, static_cast<int>(left / kMillisecond) + 1);
  }
  return dying.size();
}

}  // namespace tg::runtime
