// Counters, gauges and histograms as plain per-thread slots, summed and rendered (Prometheus text,
// OpenMetrics names) at scrape. A slot is written by one thread only ("shard") and read by the scraper, so
// the hot path is a load and a store.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.hpp"

namespace tg {

using Labels = std::vector<std::pair<std::string, std::string>>;

class Metrics;

// A counter or gauge of one label set. Copyable handle; valid as long as its Metrics.
class Counter {
 public:
  Counter() = default;
  void add(std::size_t shard, std::int64_t n = 1) const;
  void set(std::size_t shard, std::int64_t value) const;  // gauges
  std::int64_t total() const;

 private:
  friend class Metrics;
  const Metrics* owner_ = nullptr;
  std::uint32_t slot_ = 0;
};

// Seconds with fixed bounds (100 µs … 600 s, about 2.5 steps a decade), plus count and sum.
class Histogram {
 public:
  Histogram() = default;
  void observe(std::size_t shard, Nanos duration) const;
  static constexpr std::uint32_t kBuckets = 18;
  static const std::array<Nanos, kBuckets> kBounds;

 private:
  friend class Metrics;
  const Metrics* owner_ = nullptr;
  std::uint32_t slot_ = 0;  // kBuckets + 1 counts, then the sum in ns
};

class Metrics {
 public:
  // `shards` = number of threads that write (workers first, then control and writer).
  explicit Metrics(std::size_t shards);
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // Creates the series or returns the existing one. Any thread; takes a lock, so keep the handle.
  Counter counter(std::string_view name, std::string_view help, const Labels& labels = {});
  Counter gauge(std::string_view name, std::string_view help, const Labels& labels = {});
  Histogram histogram(std::string_view name, std::string_view help, const Labels& labels = {});
  // Removes every series that carries this label value (a removed model or route). Slots are not reused.
  void remove(std::string_view label, std::string_view value);

  // Prometheus text exposition, families in order of creation.
  std::string render() const;

  std::size_t shards() const { return shards_; }
  std::atomic<std::int64_t>& slot(std::size_t shard, std::uint32_t index) const {
    return (*chunks_[shard][index / kChunk].load(std::memory_order_acquire))[index % kChunk];
  }

 private:
  enum class Kind { counter, gauge, histogram };
  struct Series {
    std::string labels;  // rendered: {a="b"}
    Labels raw;
    std::uint32_t slot;
    bool gone = false;
  };
  struct Family {
    std::string name, help;
    Kind kind;
    std::deque<Series> series;
  };
  static constexpr std::uint32_t kChunk = 512;
  static constexpr std::uint32_t kMaxChunks = 256;
  using Chunk = std::array<std::atomic<std::int64_t>, kChunk>;

  std::uint32_t find_or_add(Kind kind, std::string_view name, std::string_view help, const Labels& labels,
                            std::uint32_t width);
  std::uint32_t take_slots(std::uint32_t width);
  std::int64_t sum(std::uint32_t slot) const;

  const std::size_t shards_;
  mutable std::mutex mutex_;  // families and slot hand-out only; never taken on the request path
  std::deque<Family> families_;
  std::uint32_t next_ = 0;
  std::vector<std::array<std::atomic<Chunk*>, kMaxChunks>> chunks_;
};

inline void Counter::add(std::size_t shard, std::int64_t n) const {
  auto& s = owner_->slot(shard, slot_);
  s.store(s.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}
inline void Counter::set(std::size_t shard, std::int64_t value) const {
  owner_->slot(shard, slot_).store(value, std::memory_order_relaxed);
}

}  // namespace tg
