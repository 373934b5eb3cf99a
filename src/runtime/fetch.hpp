// From a source to a verified file in the cache. Blocking, on a download's thread; several threads may share
// one WeightsCache.
//
//   DIR/cache/sha256/HEX      whole, verified files; never changed
//   DIR/cache/parts/KEY.part  unfinished files, KEY = SHA-256 of the URL; KEY.json holds the validator for
//   resuming DIR/cache/sources/KEY.json which digest a source had, KEY = SHA-256 of the source
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>

#include "base/error.hpp"
#include "runtime/source.hpp"
#include "runtime/weights.hpp"

namespace tg::runtime {

struct Fetched {
  std::string source;
  std::string path;
  std::string sha256;  // empty: a file:// source that nobody asked to verify
  std::uint64_t size = 0;
  std::int64_t modified_ns = 0;  // of file:// sources
};

class WeightsCache {
 public:
  explicit WeightsCache(WeightsOptions options);

  const WeightsOptions& options() const { return options_; }
  std::string file_path(const std::string& sha256) const { return options_.cache_dir + "/sha256/" + sha256; }
  std::string part_path(const std::string& url) const;

  // What earlier runs fetched. Files that are gone or have another size are left out.
  std::map<std::string, Fetched> known() const;
  void remember(const Fetched& fetched) const;

  // Refuses a file of `total` bytes of which `have` are here already: `disk_budget` or `disk_full` with the
  // numbers.
  Result<> room_for(std::uint64_t total, std::uint64_t have, const std::string& name) const;

  // One thread at a time fetches a digest (or, while that is unknown, a URL). Empty if stopped while waiting.
  class Claim {
   public:
    Claim(WeightsCache& cache, std::string key) : cache_(cache), key_(std::move(key)) {}
    ~Claim();
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;

   private:
    WeightsCache& cache_;
    std::string key_;
  };
  std::unique_ptr<Claim> claim(const std::string& key, std::stop_token stop);

 private:
  WeightsOptions options_;
  std::mutex mutex_;
  std::condition_variable_any freed_;
  std::set<std::string> claimed_;
};

using ProgressSink = std::function<void(const replica::Progress&)>;

// `sha256` empty = not demanded by the document. Errors, besides those of parse_source and transfer:
// `weights_missing`, `weights_denied`, `weights_host` (another status), `weights_no_network`,
// `digest_missing`, `digest_mismatch`, `wrong_length`, `disk_full`, `disk_budget`, `memory_short`, `stopped`.
// A file whose size breaks a bound is refused before a byte of it is fetched, where its host states the size.
Result<Fetched> fetch_weights(WeightsCache& cache, const std::string& source, const std::string& sha256,
                              const MemoryBound& memory, const ProgressSink& progress,
                              const std::stop_token& stop);

// False: trying again changes nothing until somebody changes the document.
bool worth_retrying(const Error& error);

// The digest in a Git LFS pointer file ("oid sha256:HEX", "size N").
struct LfsPointer {
  std::string sha256;
  std::uint64_t size = 0;
};
std::optional<LfsPointer> parse_lfs_pointer(std::string_view text);
// 64 hex digits in lower case from an ETag-like value (quotes and W/ removed); empty if it is none.
std::string digest_of_etag(std::string_view value);

}  // namespace tg::runtime
