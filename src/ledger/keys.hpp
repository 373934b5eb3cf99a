// Client keys in memory. Workers look a key up by its digest without a lock; the control thread adds and
// revokes. Entries are never freed while the registry lives, so a pointer from find() stays good for the
// whole request, and the live limit state of a key outlives every reload.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.hpp"
#include "ledger/limits.hpp"

namespace tg::ledger {

using KeyId = std::int64_t;  // row number in the database, from 1, never reused; 0 = no key

// Immutable but for `state` and `revoked_utc_ns`.
struct KeyEntry {
  Digest digest{};  // SHA-256 of the key's text; the text itself is stored nowhere
  KeyId id = 0;
  std::string prefix;  // first 8 characters of the text, for people
  std::string name;    // may be empty
  std::string tenant;
  std::vector<std::string> models;  // sorted; empty = every route of the tenant
  Limits limits;
  std::int64_t created_utc_ns = 0;
  std::atomic<std::int64_t> revoked_utc_ns{0};  // 0 = active
  LimitState state;

  bool revoked() const { return revoked_utc_ns.load(std::memory_order_acquire) != 0; }
  bool allows(std::string_view model) const {
    return models.empty() || std::binary_search(models.begin(), models.end(), model);
  }
};

class KeyRegistry {
 public:
  KeyRegistry();
  ~KeyRegistry();
  KeyRegistry(const KeyRegistry&) = delete;
  KeyRegistry& operator=(const KeyRegistry&) = delete;

  // Null if there is no such key or it is revoked. Any thread, no lock, no allocation, about 10 ns.
  KeyEntry* find(const Digest& digest) const {
    const Table* table = table_.load(std::memory_order_acquire);
    for (std::size_t i = DigestHash{}(digest)&table->mask;; i = (i + 1) & table->mask) {
      KeyEntry* entry = table->slots[i].load(std::memory_order_acquire);
      if (entry == nullptr) return nullptr;
      if (entry->digest == digest) return entry->revoked() ? nullptr : entry;
    }
  }

  // The rest: control thread only. When one returns, every later find() of every worker sees it.
  void reserve(std::size_t keys);
  // A new entry to be filled in; publish() makes it visible.
  KeyEntry& append() { return entries_.emplace_back(); }
  void publish(KeyEntry& entry);
  void revoke(KeyEntry& entry, std::int64_t utc_ns) {
    entry.revoked_utc_ns.store(utc_ns, std::memory_order_seq_cst);
  }

  // In order of creation, revoked ones included.
  std::deque<KeyEntry>& entries() { return entries_; }
  const std::deque<KeyEntry>& entries() const { return entries_; }

 private:
  // Open addressing, at most half full. A grown table replaces the old one, which is kept: a worker may still
  // be probing it, and all old ones together are no larger than the newest.
  struct Table {
    explicit Table(std::size_t capacity)
        : mask(capacity - 1), slots(new std::atomic<KeyEntry*>[capacity]()) {}
    std::size_t mask;
    std::unique_ptr<std::atomic<KeyEntry*>[]> slots;
  };
  static void insert(Table& table, KeyEntry& entry);
  void grow(std::size_t capacity);

  std::atomic<Table*> table_;
  std::vector<std::unique_ptr<Table>> tables_;
  std::deque<KeyEntry> entries_;
  std::size_t published_ = 0;
};

}  // namespace tg::ledger
