// How much memory engines may take here, and how much a replica of a model needs: an estimate from the file
// at first, the measured peak later.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "replica/backend.hpp"
#include "spec/documents.hpp"

namespace tg::runtime {

// The tightest limit of this process's memory cgroup (v2 or v1) and its parents; nullopt if none is set.
std::optional<std::uint64_t> cgroup_memory_limit();
// The same on given roots: `cgroup_file` as /proc/self/cgroup, `mount` as /sys/fs/cgroup. For tests.
std::optional<std::uint64_t> cgroup_memory_limit(const std::string& cgroup_text, const std::string& mount);
// MemAvailable of /proc/meminfo in bytes, 0 if it is not there.
std::uint64_t memory_available(const std::string& meminfo_text);

// The least that a replica needs for weights of this size, whatever its context may be.
std::uint64_t least_need(std::uint64_t weights_size);

// Weights file × 1.1 + context estimate. For a GGUF file the context is context × slots tokens of keys and
// values in 16 bits for each layer, otherwise a tenth of the file.
std::uint64_t estimate_need(const std::string& weights_path, std::int64_t context, int slots);

// Peaks by model revision, kept in DIR/cache/engine-memory.json.
class MemoryBook {
 public:
  explicit MemoryBook(std::string state_path);

  // Bytes for one replica: the document's word, the measured peak, or the estimate (0 = nothing known).
  // `announced`: the size of weights that are not here yet, as their host stated it; 0 = not known.
  std::uint64_t need(const spec::Model& model, const std::optional<std::string>& weights,
                     std::uint64_t announced = 0) const;
  // A sample of a running replica. `settled`: it served long enough that its peak replaces the estimate.
  void sample(const spec::Model& model, std::uint64_t peak, bool settled);
  // The measured peak, 0 = none yet.
  std::uint64_t measured(const spec::Model& model) const;
  // Writes the file if a figure changed by more than a twentieth since the last time.
  void save();

 private:
  struct Entry {
    std::uint64_t peak = 0;
    bool settled = false;
  };
  std::string path_;
  std::map<std::string, Entry> entries_;
  mutable std::map<std::string, std::uint64_t> estimates_;  // by path and sizes: the file's head is read once
  bool dirty_ = false;
};

}  // namespace tg::runtime
