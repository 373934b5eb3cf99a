// The gateway's side of supervise.hpp.
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>

#include "runtime/supervise.hpp"

namespace tg::runtime {
namespace {

struct Pipe {
  Fd read, write;
};

// Both ends close-on-exec and above the numbers that the child's ends are moved to.
Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("cannot_start", "pipe", errno);
  Pipe low{Fd(ends[0]), Fd(ends[1])};
  Pipe high{Fd(::fcntl(ends[0], F_DUPFD_CLOEXEC, 10)), Fd(::fcntl(ends[1], F_DUPFD_CLOEXEC, 10))};
  if (!high.read || !high.write) return fail_errno("cannot_start", "pipe", errno);
  return high;
}

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> result;
  result.reserve(words.size() + 1);
  for (const std::string& word : words) result.push_back(const_cast<char*>(word.c_str()));
  result.push_back(nullptr);
  return result;
}

bool engine_may_see(std::string_view name) {
  static constexpr std::array kNames = {"PATH",          "HOME",
                                        "USER",          "LOGNAME",
                                        "SHELL",         "LANG",
                                        "LANGUAGE",      "TZ",
                                        "TMPDIR",        "LD_LIBRARY_PATH",
                                        "LD_PRELOAD",    "http_proxy",
                                        "https_proxy",   "no_proxy",
                                        "all_proxy",     "HTTP_PROXY",
                                        "HTTPS_PROXY",   "NO_PROXY",
                                        "ALL_PROXY",     "SSL_CERT_FILE",
                                        "SSL_CERT_DIR",  "ASAN_OPTIONS",
                                        "UBSAN_OPTIONS", "TSAN_OPTIONS",
                                        "LSAN_OPTIONS"};
  static constexpr std::array kPrefixes = {"LC_",  "XDG_",      "CUDA_",  "NVIDIA_", "HIP_",   "ROCR_",
                                           "HSA_", "GGML_",     "LLAMA_", "OMP_",    "GOMP_",  "KMP_",
                                           "MKL_", "OPENBLAS_", "VK_",    "MESA_",   "OLLAMA_"};
  return std::ranges::any_of(kNames, [&](std::string_view n) { return n == name; }) ||
         std::ranges::any_of(kPrefixes, [&](std::string_view p) { return name.starts_with(p); });
}

}  // namespace

std::vector<std::string> engine_environment(char* const* environment,
                                            const std::vector<std::pair<std::string, std::string>>& extra) {
  std::vector<std::string> result;
  for (; environment != nullptr && *environment != nullptr; ++environment) {
    const std::string_view entry(*environment);
    const std::string_view name = entry.substr(0, entry.find('='));
    const bool replaced = std::ranges::any_of(extra, [&](const auto& e) { return e.first == name; });
    if (!replaced && engine_may_see(name)) result.emplace_back(entry);
  }
  for (const auto& [name, value] : extra) {
    std::string& entry = result.emplace_back(name);
    entry += '=';
    entry += value;
  }
  return result;
}

Result<Supervised> spawn_supervised(const SuperviseRequest& request) {
  auto life = make_pipe();
  if (!life) return std::unexpected(life.error());
  auto report = make_pipe();
  if (!report) return std::unexpected(report.error());

  constexpr int kLife = 3, kReport = 4;
  std::vector<std::string> words{"tidegate",
                                 "_supervise",
                                 fmt::to_string(kLife),
                                 fmt::to_string(kReport),
                                 request.log_path,
                                 fmt::to_string(request.log_bytes),
                                 fmt::to_string(request.grace / kMillisecond),
                                 "--"};
  words.insert(words.end(), request.argv.begin(), request.argv.end());

  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  // Not the gateway's output: whoever waits for its end must not wait for an engine.
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, life->read.get(), kLife);
  ::posix_spawn_file_actions_adddup2(&actions, report->write.get(), kReport);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  // The gateway blocks and ignores signals for itself; an engine starts with a clean slate.
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  pid_t pid = 0;
  auto argv = pointers(words);
  auto env = pointers(request.env);
  const int err = ::posix_spawn(&pid, request.self.c_str(), &actions, &attributes, argv.data(), env.data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (err != 0) return fail_errno("cannot_start", request.self, err);

  Supervised result;
  const auto stat = read_proc_stat(pid);  // our child: it cannot vanish before waitpid
  result.supervisor = {pid, stat ? stat->id.start : 0};
  result.life = std::move(life->write);
  result.report = std::move(report->read);
  ::fcntl(result.report.get(), F_SETFL, O_NONBLOCK);
  result.pidfd = open_process(result.supervisor);
  return result;
}

Report parse_report(std::string_view line) {
  Report report;
  const std::size_t space = line.find(' ');
  const std::string_view word = line.substr(0, space);
  std::string_view rest = space == std::string_view::npos ? std::string_view() : line.substr(space + 1);
  const auto number = [&rest](auto& out) {
    const auto [end, problem] = std::from_chars(rest.data(), rest.data() + rest.size(), out);
    if (problem != std::errc{}) return false;
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    if (rest.starts_with(' ')) rest.remove_prefix(1);
    return true;
  };
  if ((word == "started" || word == "guard") && number(report.process.pid) && number(report.process.start)) {
    report.what = word == "guard" ? Report::What::guard : Report::What::started;
  } else if (word == "cannot_exec" && number(report.value)) {
    report.what = Report::What::cannot_exec;
  } else if (word == "exited" && number(report.value)) {
    report.what = Report::What::exited;
  } else if (word == "signaled" && number(report.value)) {
    report.what = Report::What::signaled;
  } else if (word == "gone") {
    report.what = Report::What::gone;
  }
  return report;
}

}  // namespace tg::runtime
