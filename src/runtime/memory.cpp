#include "runtime/memory.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/fd.hpp"
#include "base/files.hpp"
#include "runtime/gguf.hpp"

namespace tg::runtime {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
// A simulated engine: measured 6 to 9 MiB, mostly shared with this program.
constexpr std::uint64_t kSimulatedNeed = 16u << 20;
// Buffers for computing and the program itself, besides weights and context.
constexpr std::uint64_t kEngineBase = 64u << 20;

std::optional<std::uint64_t> read_limit(const std::string& path) {
  const auto text = read_file(path, 4096);
  if (!text) return std::nullopt;
  std::uint64_t limit = 0;
  const auto [end, problem] = std::from_chars(text->data(), text->data() + text->size(), limit);
  // v2 writes "max" for none, v1 a number near 2^63.
  if (problem != std::errc{} || limit >= 1ull << 60) return std::nullopt;
  return limit;
}

// The limits of `path` and of all above it, below `root`.
std::optional<std::uint64_t> tightest(const std::string& root, std::string path, const char* file) {
  std::optional<std::uint64_t> best;
  for (;;) {
    const auto limit = read_limit(root + path + "/" + file);
    if (limit) best = std::min(*limit, best.value_or(kMost));
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return best;
    path.resize(slash);
  }
}

std::uint64_t add(std::uint64_t a, std::uint64_t b) { return a > kMost - b ? kMost : a + b; }

std::string revision_key(const spec::Model& m) {
  return fmt::format("{}|{}|{}|{}|{}|{}", m.name, static_cast<int>(m.engine), m.source, m.context, m.slots,
                     fmt::join(m.args, " "));
}

std::optional<std::uint64_t> file_size(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return std::nullopt;
  return static_cast<std::uint64_t>(info.st_size);
}

}  // namespace

std::optional<std::uint64_t> cgroup_memory_limit(const std::string& cgroup_text, const std::string& mount) {
  std::optional<std::uint64_t> best;
  std::string_view rest = cgroup_text;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    // HIERARCHY:CONTROLLERS:PATH
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string controllers = fmt::format(",{},", line.substr(first + 1, second - first - 1));
    std::string path(line.substr(second + 1));
    if (path == "/") path.clear();
    std::optional<std::uint64_t> limit;
    if (controllers == ",,") {
      limit = tightest(mount, path, "memory.max");
    } else if (controllers.find(",memory,") != std::string::npos) {
      limit = tightest(mount + "/memory", path, "memory.limit_in_bytes");
    }
    if (limit) best = std::min(*limit, best.value_or(kMost));
  }
  return best;
}

std::optional<std::uint64_t> cgroup_memory_limit() {
  const auto text = read_file("/proc/self/cgroup", 1 << 20);
  return text ? cgroup_memory_limit(*text, "/sys/fs/cgroup") : std::nullopt;
}

std::uint64_t memory_available(const std::string& meminfo) {
  const std::size_t at = meminfo.find("MemAvailable:");
  const std::size_t digit = at == std::string::npos ? at : meminfo.find_first_of("0123456789", at);
  if (digit == std::string::npos) return 0;
  std::uint64_t kib = 0;
  std::from_chars(meminfo.data() + digit, meminfo.data() + meminfo.size(), kib);
  return kib * 1024;
}

std::uint64_t least_need(std::uint64_t weights_size) { return add(weights_size, weights_size / 10); }

std::uint64_t estimate_need(const std::string& weights_path, std::int64_t context, int slots) {
  const auto size = file_size(weights_path);
  if (!size) return 0;
  const auto info = read_gguf(weights_path);
  std::uint64_t kv = *size / 10;
  if (info && info->layers != 0) {
    const auto tokens =
        context > 0 ? static_cast<std::uint64_t>(context) * static_cast<std::uint64_t>(std::max(1, slots))
                    : info->trained_context;
    if (__builtin_mul_overflow(info->kv_bytes_per_token(), tokens, &kv)) kv = kMost;
  }
  return add(add(least_need(*size), kv), kEngineBase);
}

MemoryBook::MemoryBook(std::string state_path) : path_(std::move(state_path)) {
  const auto text = read_file(path_, 4 << 20);
  if (!text) return;
  const Json json = Json::parse(*text, nullptr, false);
  if (!json.is_object()) return;
  for (const auto& [key, value] : json.items()) {
    if (!value.is_object() || !value.contains("peak") || !value["peak"].is_number_unsigned()) continue;
    entries_[key] = {value["peak"].get<std::uint64_t>(),
                     value.contains("settled") && value["settled"] == Json(true)};
  }
}

std::uint64_t MemoryBook::need(const spec::Model& model, const std::optional<std::string>& weights,
                               std::uint64_t announced) const {
  if (model.memory != 0) return model.memory;
  if (model.engine == spec::EngineKind::external) return 0;
  if (model.engine == spec::EngineKind::ollama && !model.ollama.url.empty())
    return 0;  // another program's memory
  const auto known = entries_.find(revision_key(model));
  if (known != entries_.end() && known->second.settled) return known->second.peak;
  const std::uint64_t peak = known != entries_.end() ? known->second.peak : 0;
  if (model.engine == spec::EngineKind::simulated) return std::max(kSimulatedNeed, peak);
  if (!weights) return std::max(peak, least_need(announced));
  const std::string key =
      fmt::format("{}|{}|{}|{}", *weights, file_size(*weights).value_or(0), model.context, model.slots);
  auto [estimate, fresh] = estimates_.try_emplace(key, 0);
  if (fresh) estimate->second = estimate_need(*weights, model.context, model.slots);
  return std::max(peak, estimate->second);
}

std::uint64_t MemoryBook::measured(const spec::Model& model) const {
  const auto known = entries_.find(revision_key(model));
  return known == entries_.end() ? 0 : known->second.peak;
}

void MemoryBook::sample(const spec::Model& model, std::uint64_t peak, bool settled) {
  Entry& entry = entries_[revision_key(model)];
  dirty_ = dirty_ || peak > entry.peak + entry.peak / 20 || (settled && !entry.settled);
  entry.peak = std::max(entry.peak, peak);
  entry.settled = entry.settled || settled;
}

void MemoryBook::save() {
  if (!std::exchange(dirty_, false)) return;
  Json json = Json::object();
  for (const auto& [key, entry] : entries_) json[key] = {{"peak", entry.peak}, {"settled", entry.settled}};
  const std::string text = json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
  // No fsync on the control thread: the figures can be learned again.
  const std::string next = path_ + ".new";
  {
    const Fd fd(::open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!fd || ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) return;
  }
  ::rename(next.c_str(), path_.c_str());
}

}  // namespace tg::runtime
