// The live state of one Model that workers and the control thread share: replicas with their slots, demand
// counters and learned figures. Survives reloads (found by name). Exactness by single atomics, each on its
// own cache line; no mutex, no blocking. Protocol (seq_cst on `in_flight`, `state`, `waiting`):
//   worker, request ready:  try_acquire(); on failure waiting += 1, then post Wait to the controller.
//   worker, request ended:  release(i); if it returns true the controller has work: post SlotFree.
//   controller, on Wait:    always tries the queue itself, so a slot freed between the two steps is never
//   missed. controller, draining:   state = draining, then reads in_flight; a worker raises in_flight, then
//   reads state. One of the
//                           two sees the other, so a replica that is draining with in_flight 0 gets no
//                           request any more.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "replica/backend.hpp"

namespace tg::replica {

inline constexpr int kMaxReplicas = 64;

struct alignas(64) ReplicaEntry {
  enum State : int { empty, starting, ready, draining };
  std::atomic<int> in_flight{0};
  std::atomic<int> state{empty};
  std::atomic<int> slots{0};
  // Set by the controller before `state` becomes ready; kept until in_flight is 0 again. A worker that holds
  // a slot may read it without further care.
  std::shared_ptr<const Endpoint> endpoint;
  std::atomic<ReplicaId> id{0};  // whose place it is; 0 = nobody's. Written by the controller
};

// Counters one worker writes (plain load + store) and the controller sums.
struct alignas(64) DemandShard {
  std::atomic<std::int64_t> arrivals{0};       // admitted requests
  std::atomic<std::int64_t> prompt_tokens{0};  // their estimated prompt tokens
  std::atomic<std::int64_t> finished{0};       // answered requests
  std::atomic<std::int64_t> output_tokens{0};  // reported or estimated, of finished ones
  std::atomic<std::int64_t> reported_prompt_tokens{0};
  std::atomic<std::int64_t> prompt_code_points{
      0};  // of finished ones with reported usage: for code points per token
  std::atomic<std::int64_t> first_token_ns{0};  // sum over finished streams, from dispatch
  std::atomic<std::int64_t> first_tokens{0};
  std::atomic<std::int64_t> decode_ns{0};  // sum of (last − first token) over finished streams
  std::atomic<std::int64_t> decode_tokens{0};
};

class Table {
 public:
  Table(std::string name, std::size_t workers) : name_(std::move(name)), shards_(workers) {}

  const std::string& name() const { return name_; }

  // Any thread. Takes a slot of the least busy ready replica, or returns -1. Returns -1 also while somebody
  // waits, so that nobody overtakes; the controller passes `even_if_waiting`. May return -1 although a slot
  // is free when a replica changed its state in between: the caller waits and the controller, which tries
  // again, grants at once.
  int try_acquire(bool even_if_waiting = false);
  // Any thread. Gives the slot back. True: somebody waits, or this was the last request of a draining
  // replica, so tell the controller (SlotFree).
  bool release(int index);
  // Any thread. Whether the replica that had this place still lives, as far as was reported: it has neither
  // ended nor begun to drain. False for 0.
  bool lives(int index, ReplicaId id) const;

  ReplicaEntry& entry(int index) { return entries_[static_cast<std::size_t>(index)]; }
  const ReplicaEntry& entry(int index) const { return entries_[static_cast<std::size_t>(index)]; }
  DemandShard& shard(std::size_t worker) { return shards_[worker]; }
  const std::vector<DemandShard>& shards() const { return shards_; }

  std::atomic<int>& waiting() { return waiting_; }
  // Rises by one with each call. Taken once per request, when its body is complete, also by a request that
  // then finds a free slot: sent again, it waits by this old ticket, before all younger ones.
  std::uint64_t next_ticket() { return tickets_.fetch_add(1, std::memory_order_relaxed); }

  // Learned figures, written by the controller each second, read by workers (relaxed).
  std::atomic<double> code_points_per_token{4.0};
  std::atomic<std::int64_t> output_p90{256};  // tokens
  std::atomic<double> decode_rate{40};        // tokens per second and sequence
  std::atomic<Nanos> expected_ready_in{0};    // for Retry-After; 0 = a replica is ready

  // Sums for the controller.
  int in_flight() const;
  int ready_replicas() const;

  // ---- Control thread only ----
  // An empty place for a replica that starts, or -1 when all kMaxReplicas are in use.
  int add(ReplicaId id);
  // The replica takes requests from here on. Its place has in_flight 0 and is not ready.
  void set_ready(int index, std::shared_ptr<const Endpoint> endpoint, int slots);
  // Between starting (takes none for a while), ready (again) and draining.
  void set_state(int index, ReplicaEntry::State state);
  // The place is free when no worker holds a slot of it any more; until then it stays draining. True: it is
  // free now.
  bool clear(int index);

 private:
  std::string name_;
  std::array<ReplicaEntry, kMaxReplicas> entries_;
  alignas(64) std::atomic<int> waiting_{0};
  alignas(64) std::atomic<std::uint64_t> tickets_{0};
  alignas(64) std::atomic<int> used_{0};  // places ever used are below this index: bounds the search
  std::vector<DemandShard> shards_;
};

}  // namespace tg::replica
