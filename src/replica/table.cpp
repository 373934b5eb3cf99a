#include "replica/table.hpp"

#include <limits>

namespace tg::replica {

int Table::try_acquire(bool even_if_waiting) {
  if (!even_if_waiting && waiting_.load(std::memory_order_seq_cst) > 0) return -1;
  for (;;) {
    int best = -1;
    int best_load = std::numeric_limits<int>::max();
    const int used = used_.load(std::memory_order_acquire);
    for (int i = 0; i < used; ++i) {
      const auto& e = entry(i);
      if (e.state.load(std::memory_order_relaxed) != ReplicaEntry::ready) continue;
      const int load = e.in_flight.load(std::memory_order_relaxed);
      if (load < e.slots.load(std::memory_order_relaxed) && load < best_load) {
        best = i;
        best_load = load;
      }
    }
    if (best < 0) return -1;
    auto& e = entry(best);
    int seen = best_load;
    if (!e.in_flight.compare_exchange_strong(seen, best_load + 1, std::memory_order_seq_cst))
      continue;  // somebody was faster
    // The other half of the drain protocol. The place may even belong to a new replica with fewer slots by
    // now.
    if (e.state.load(std::memory_order_seq_cst) == ReplicaEntry::ready &&
        best_load < e.slots.load(std::memory_order_relaxed)) {
      return best;
    }
    // No second search: the caller posts Wait, which makes the controller look again after this slot was
    // given back. A search that succeeded elsewhere could leave a waiter that was turned away by our
    // short-lived count.
    e.in_flight.fetch_sub(1, std::memory_order_seq_cst);
    return -1;
  }
}

bool Table::release(int index) {
  auto& e = entry(index);
  const int before = e.in_flight.fetch_sub(1, std::memory_order_seq_cst);
  if (waiting_.load(std::memory_order_seq_cst) > 0) return true;
  return before == 1 && e.state.load(std::memory_order_seq_cst) == ReplicaEntry::draining;
}

bool Table::lives(int index, ReplicaId id) const {
  if (id == 0) return false;
  const auto& e = entry(index);
  const int state = e.state.load(std::memory_order_seq_cst);
  return (state == ReplicaEntry::starting || state == ReplicaEntry::ready) &&
         e.id.load(std::memory_order_relaxed) == id;
}

int Table::in_flight() const {
  int sum = 0;
  for (const auto& e : entries_) sum += e.in_flight.load(std::memory_order_relaxed);
  return sum;
}

int Table::ready_replicas() const {
  int n = 0;
  for (const auto& e : entries_) n += e.state.load(std::memory_order_relaxed) == ReplicaEntry::ready ? 1 : 0;
  return n;
}

int Table::add(ReplicaId id) {
  for (int i = 0; i < kMaxReplicas; ++i) {
    auto& e = entry(i);
    if (e.state.load(std::memory_order_relaxed) != ReplicaEntry::empty) continue;
    e.id.store(id, std::memory_order_relaxed);
    e.state.store(ReplicaEntry::starting, std::memory_order_seq_cst);
    if (i >= used_.load(std::memory_order_relaxed)) used_.store(i + 1, std::memory_order_release);
    return i;
  }
  return -1;
}

void Table::set_ready(int index, std::shared_ptr<const Endpoint> endpoint, int slots) {
  auto& e = entry(index);
  e.endpoint = std::move(endpoint);
  e.slots.store(slots, std::memory_order_relaxed);
  e.state.store(ReplicaEntry::ready, std::memory_order_seq_cst);
}

void Table::set_state(int index, ReplicaEntry::State state) {
  entry(index).state.store(state, std::memory_order_seq_cst);
}

bool Table::clear(int index) {
  auto& e = entry(index);
  e.state.store(ReplicaEntry::draining, std::memory_order_seq_cst);
  if (e.in_flight.load(std::memory_order_seq_cst) != 0) return false;
  e.endpoint.reset();
  e.id.store(0, std::memory_order_relaxed);
  e.slots.store(0, std::memory_order_relaxed);
  e.state.store(ReplicaEntry::empty, std::memory_order_seq_cst);
  return true;
}

}  // namespace tg::replica
