// The directory side of fetch.hpp.
#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/files.hpp"
#include "base/id.hpp"
#include "base/units.hpp"
#include "runtime/fetch.hpp"

namespace tg::runtime {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kKeepFree = 1ull << 30;

std::string hex_of(std::string_view text) {
  Sha256 hash;
  return to_hex(hash.of(text));
}

template <class F>
void each_file(const std::string& path, F f) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), ::closedir);
  if (!dir) return;
  while (const dirent* entry = ::readdir(dir.get())) {
    if (entry->d_name[0] != '.') f(path + "/" + entry->d_name);
  }
}

}  // namespace

WeightsCache::WeightsCache(WeightsOptions options) : options_(std::move(options)) {}

std::string WeightsCache::part_path(const std::string& url) const {
  return options_.cache_dir + "/parts/" + hex_of(url);
}

std::map<std::string, Fetched> WeightsCache::known() const {
  std::map<std::string, Fetched> result;
  each_file(options_.cache_dir + "/sources", [&](const std::string& path) {
    const auto text = read_file(path, 64 << 10);
    const Json json = text ? Json::parse(*text, nullptr, false) : Json();
    if (!json.is_object() || !json.contains("source") || !json["source"].is_string() ||
        !json.contains("sha256") || !json["sha256"].is_string() || !json.contains("size") ||
        !json["size"].is_number_unsigned()) {
      return;
    }
    Fetched f;
    f.source = json["source"].get<std::string>();
    f.sha256 = json["sha256"].get<std::string>();
    f.size = json["size"].get<std::uint64_t>();
    if (json.contains("modified") && json["modified"].is_number_integer())
      f.modified_ns = json["modified"].get<std::int64_t>();
    f.path = f.source.starts_with("file://") ? f.source.substr(7) : file_path(f.sha256);
    struct stat info{};
    if (f.sha256.size() != 64 || ::stat(f.path.c_str(), &info) != 0 ||
        static_cast<std::uint64_t>(info.st_size) != f.size)
      return;
    result[f.source] = f;
  });
  return result;
}

void WeightsCache::remember(const Fetched& fetched) const {
  const Json json{{"source", fetched.source},
                  {"sha256", fetched.sha256},
                  {"size", fetched.size},
                  {"modified", fetched.modified_ns}};
  const std::string dir = options_.cache_dir + "/sources";
  if (!make_directories(dir)) return;
  // A record that cannot be written costs a look at the network next time, nothing else.
  (void)replace_file(dir + "/" + hex_of(fetched.source) + ".json",
                     json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

Result<> WeightsCache::room_for(std::uint64_t total, std::uint64_t have, const std::string& name) const {
  const std::uint64_t more = total > have ? total - have : 0;
  if (options_.disk_budget != 0) {
    std::uint64_t used = 0;
    for (const char* part : {"/sha256", "/parts"}) {
      each_file(options_.cache_dir + part, [&used](const std::string& path) {
        struct stat info{};
        if (::stat(path.c_str(), &info) == 0) used += static_cast<std::uint64_t>(info.st_size);
      });
    }
    if (used + more > options_.disk_budget) {
      return fail(
          "disk_budget",
          fmt::format("{} needs {} more, the cache holds {} of its budget of {}", name, format_bytes(more),
                      format_bytes(used), format_bytes(options_.disk_budget)),
          "remove files from " + options_.cache_dir + "/sha256, or start with a larger --cache-limit");
    }
  }
  struct statvfs disk{};
  if (::statvfs(options_.cache_dir.c_str(), &disk) != 0) return {};
  const std::uint64_t available = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
  const std::uint64_t keep = options_.disk_budget == 0 ? kKeepFree : 0;
  if (more + keep > available) {
    return fail(
        "disk_full",
        fmt::format("{} needs {} more, {} has {} free of which {} stay free", name, format_bytes(more),
                    options_.cache_dir, format_bytes(available), format_bytes(keep)),
        "make room, or choose another --data directory");
  }
  return {};
}

WeightsCache::Claim::~Claim() {
  {
    const std::lock_guard lock(cache_.mutex_);
    cache_.claimed_.erase(key_);
  }
  cache_.freed_.notify_all();
}

std::unique_ptr<WeightsCache::Claim> WeightsCache::claim(const std::string& key, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  const bool mine = freed_.wait(lock, std::move(stop), [&] { return !claimed_.contains(key); });
  if (!mine) return nullptr;
  claimed_.insert(key);
  return std::make_unique<Claim>(*this, key);
}

std::optional<LfsPointer> parse_lfs_pointer(std::string_view text) {
  if (!text.starts_with("version https://git-lfs.github.com/spec/")) return std::nullopt;
  LfsPointer pointer;
  bool sized = false;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (line.starts_with("oid sha256:")) pointer.sha256 = digest_of_etag(line.substr(11));
    if (line.starts_with("size ")) {
      line.remove_prefix(5);
      const auto [stop, problem] = std::from_chars(line.data(), line.data() + line.size(), pointer.size);
      sized = problem == std::errc{} && stop == line.data() + line.size();
    }
  }
  if (pointer.sha256.empty() || !sized) return std::nullopt;
  return pointer;
}

std::string digest_of_etag(std::string_view value) {
  if (value.starts_with("W/")) value.remove_prefix(2);
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
    value = value.substr(1, value.size() - 2);
  if (value.size() != 64) return {};
  std::string digest(value);
  for (char& c : digest) {
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c + 32);
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return {};
  }
  return digest;
}

}  // namespace tg::runtime
