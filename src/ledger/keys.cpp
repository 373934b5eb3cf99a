#include "ledger/keys.hpp"

#include <bit>

namespace tg::ledger {

namespace {
constexpr std::size_t kFirstCapacity = 64;
}  // namespace

KeyRegistry::KeyRegistry() {
  tables_.push_back(std::make_unique<Table>(kFirstCapacity));
  table_.store(tables_.back().get(), std::memory_order_release);
}
KeyRegistry::~KeyRegistry() = default;

void KeyRegistry::insert(Table& table, KeyEntry& entry) {
  std::size_t i = DigestHash{}(entry.digest) & table.mask;
  while (table.slots[i].load(std::memory_order_relaxed) != nullptr) i = (i + 1) & table.mask;
  table.slots[i].store(&entry, std::memory_order_release);
}

void KeyRegistry::grow(std::size_t capacity) {
  const Table& old = *tables_.back();
  if (capacity <= old.mask + 1) return;
  auto next = std::make_unique<Table>(capacity);
  for (std::size_t i = 0; i <= old.mask; ++i) {
    if (KeyEntry* entry = old.slots[i].load(std::memory_order_relaxed)) insert(*next, *entry);
  }
  tables_.push_back(std::move(next));
  table_.store(tables_.back().get(), std::memory_order_seq_cst);
}

void KeyRegistry::reserve(std::size_t keys) { grow(std::bit_ceil(std::max(keys * 2, kFirstCapacity))); }

void KeyRegistry::publish(KeyEntry& entry) {
  std::sort(entry.models.begin(), entry.models.end());
  entry.models.erase(std::unique(entry.models.begin(), entry.models.end()), entry.models.end());
  if ((published_ + 1) * 2 > tables_.back()->mask + 1) grow((tables_.back()->mask + 1) * 2);
  insert(*tables_.back(), entry);
  ++published_;
}

}  // namespace tg::ledger
