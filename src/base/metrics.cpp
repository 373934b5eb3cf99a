#include "base/metrics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

namespace tg {

const std::array<Nanos, Histogram::kBuckets> Histogram::kBounds = {
    100 * kMicrosecond, 250 * kMicrosecond, 500 * kMicrosecond, 1 * kMillisecond,     2'500 * kMicrosecond,
    5 * kMillisecond,   10 * kMillisecond,  25 * kMillisecond,  50 * kMillisecond,    100 * kMillisecond,
    250 * kMillisecond, 500 * kMillisecond, 1 * kSecond,        2'500 * kMillisecond, 10 * kSecond,
    30 * kSecond,       120 * kSecond,      600 * kSecond};

void Histogram::observe(std::size_t shard, Nanos duration) const {
  const auto it = std::lower_bound(kBounds.begin(), kBounds.end(), duration);
  const auto bump = [&](std::uint32_t index, std::int64_t n) {
    auto& s = owner_->slot(shard, index);
    s.store(s.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  };
  bump(slot_ + static_cast<std::uint32_t>(it - kBounds.begin()), 1);
  bump(slot_ + kBuckets + 1, duration);
}

std::int64_t Counter::total() const {
  std::int64_t total = 0;
  for (std::size_t shard = 0; shard < owner_->shards(); ++shard) {
    total += owner_->slot(shard, slot_).load(std::memory_order_relaxed);
  }
  return total;
}

Metrics::Metrics(std::size_t shards) : shards_(shards), chunks_(shards) {}

Metrics::~Metrics() {
  for (auto& row : chunks_) {
    for (auto& chunk : row) delete chunk.load(std::memory_order_relaxed);
  }
}

std::uint32_t Metrics::take_slots(std::uint32_t width) {
  // A histogram stays within one chunk so that a handle needs one index only.
  if (next_ % kChunk + width > kChunk) next_ = (next_ / kChunk + 1) * kChunk;
  const std::uint32_t slot = next_;
  next_ += width;
  if (slot / kChunk >= kMaxChunks) std::abort();  // 131,072 slots: far above any bounded label set
  for (auto& row : chunks_) {
    auto& chunk = row[slot / kChunk];
    if (chunk.load(std::memory_order_relaxed) == nullptr) chunk.store(new Chunk(), std::memory_order_release);
  }
  return slot;
}

std::uint32_t Metrics::find_or_add(Kind kind, std::string_view name, std::string_view help,
                                   const Labels& labels, std::uint32_t width) {
  std::string text;
  for (const auto& [key, value] : labels) {
    text += text.empty() ? "" : ",";
    text += key + "=\"";
    for (const char c : value) {
      if (c == '\\' || c == '"') text += '\\';
      text += c == '\n' ? ' ' : c;
    }
    text += "\"";
  }
  const std::lock_guard lock(mutex_);
  auto family =
      std::find_if(families_.begin(), families_.end(), [&](const Family& f) { return f.name == name; });
  if (family == families_.end()) {
    families_.push_back(Family{std::string(name), std::string(help), kind, {}});
    family = families_.end() - 1;
  }
  for (Series& s : family->series) {
    if (s.labels == text) {
      s.gone = false;
      return s.slot;
    }
  }
  family->series.push_back(Series{text, labels, take_slots(width)});
  return family->series.back().slot;
}

Counter Metrics::counter(std::string_view name, std::string_view help, const Labels& labels) {
  Counter c;
  c.owner_ = this;
  c.slot_ = find_or_add(Kind::counter, name, help, labels, 1);
  return c;
}

Counter Metrics::gauge(std::string_view name, std::string_view help, const Labels& labels) {
  Counter c;
  c.owner_ = this;
  c.slot_ = find_or_add(Kind::gauge, name, help, labels, 1);
  return c;
}

Histogram Metrics::histogram(std::string_view name, std::string_view help, const Labels& labels) {
  Histogram h;
  h.owner_ = this;
  h.slot_ = find_or_add(Kind::histogram, name, help, labels, Histogram::kBuckets + 2);
  return h;
}

void Metrics::remove(std::string_view label, std::string_view value) {
  const std::lock_guard lock(mutex_);
  for (Family& family : families_) {
    for (Series& s : family.series) {
      for (const auto& [key, v] : s.raw) s.gone = s.gone || (key == label && v == value);
    }
  }
}

std::int64_t Metrics::sum(std::uint32_t index) const {
  std::int64_t total = 0;
  for (std::size_t shard = 0; shard < shards_; ++shard)
    total += slot(shard, index).load(std::memory_order_relaxed);
  return total;
}

std::string Metrics::render() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  for (const Family& family : families_) {
    if (std::all_of(family.series.begin(), family.series.end(), [](const Series& s) { return s.gone; }))
      continue;
    const char* type = family.kind == Kind::counter ? "counter"
                       : family.kind == Kind::gauge ? "gauge"
                                                    : "histogram";
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", family.name, family.help, family.name, type);
    for (const Series& s : family.series) {
      if (s.gone) continue;
      if (family.kind != Kind::histogram) {
        out += s.labels.empty() ? fmt::format("{} {}\n", family.name, sum(s.slot))
                                : fmt::format("{}{{{}}} {}\n", family.name, s.labels, sum(s.slot));
        continue;
      }
      const std::string comma = s.labels.empty() ? "" : ",";
      std::int64_t running = 0;
      for (std::uint32_t i = 0; i <= Histogram::kBuckets; ++i) {
        running += sum(s.slot + i);
        const std::string bound = i == Histogram::kBuckets
                                      ? "+Inf"
                                      : fmt::format("{}", static_cast<double>(Histogram::kBounds[i]) / 1e9);
        out += fmt::format("{}_bucket{{{}{}le=\"{}\"}} {}\n", family.name, s.labels, comma, bound, running);
      }
      const std::string braces = s.labels.empty() ? "" : "{" + s.labels + "}";
      out += fmt::format("{}_sum{} {}\n", family.name, braces,
                         static_cast<double>(sum(s.slot + Histogram::kBuckets + 1)) / 1e9);
      out += fmt::format("{}_count{} {}\n", family.name, braces, running);
    }
  }
  return out;
}

}  // namespace tg
