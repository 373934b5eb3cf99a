// Weights on this machine. Sources file://, hf:// and https:// become a path; what has to be fetched is
// fetched once into DIR/cache/sha256/HEX, whatever it was called, and is taken from there by every model with
// that digest. Resumed after a break, refused before the first byte if the disk budget does not allow it,
// verified before it is used.
//
// All calls and callbacks are on the loop's thread; downloads and hashing run on threads of their own.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "base/log.hpp"
#include "net/loop.hpp"
#include "replica/backend.hpp"

namespace tg::runtime {

struct WeightsOptions {
  std::string cache_dir;          // DIR/cache
  std::uint64_t disk_budget = 0;  // bytes the cache may hold; 0 = all but 1 GiB of what is free
  std::string hf_endpoint;        // HF_ENDPOINT, empty = https://huggingface.co
  std::string hf_token;           // HF_TOKEN, sent to that host only
  int terminal = -1;              // a person's terminal to draw the progress on; -1 = log lines instead
  std::size_t at_once = 2;        // downloads
  int attempts = 5;             // of one download, each resumes; only failures of the network are tried again
  Nanos retry_pause = kSecond;  // doubled each time
};

struct WeightsUpdate {
  enum class What { progress, present, failed };
  What what = What::progress;
  replica::Progress progress;
  std::string path;        // with present
  Error error;             // with failed
  bool will_retry = true;  // with failed: false = nothing changes until the document does
};

// What engines may use in all: a file that cannot fit there is not fetched. 0 = no bound.
struct MemoryBound {
  std::uint64_t total = 0;
  std::string limited_by = {};
};

class Weights {
 public:
  Weights(net::Loop& loop, Logger& log, WeightsOptions options);
  // Downloads are told to stop; their partial files stay and are resumed later.
  ~Weights();
  Weights(const Weights&) = delete;
  Weights& operator=(const Weights&) = delete;

  // True for sources this class serves.
  static bool handles(const std::string& source);

  // The path, if the file is here and, where `sha256` is given, was verified. Reads one stat(2).
  std::optional<std::string> present(const std::string& source, const std::string& sha256) const;

  // The size of a file that is not here, as its host stated it when it was last asked; 0 = never.
  std::uint64_t announced(const std::string& source, const std::string& sha256) const;

  using Callback = std::function<void(const WeightsUpdate&)>;
  // Fetches unless present; several askers share one download, which the bound of the first one holds.
  // `present` or `failed` is the last call of the callback, never made from inside get(). Returns a handle
  // for forget().
  std::uint64_t get(const std::string& source, const std::string& sha256, const MemoryBound& memory,
                    Callback callback);
  // No further call. The download goes on if others wait for it, and otherwise stops (its part is kept).
  void forget(std::uint64_t handle);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tg::runtime
