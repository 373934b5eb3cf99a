// Who gets this machine's memory: a pure function of what every Model wants, what is free and who waits since
// when. Starts never take memory that is not free; for a Model whose requests wait and that has no replica,
// idle replicas of others are evicted, longest idle first, only if that suffices.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"

namespace tg::scale {

struct Claim {
  std::string model;
  int desired = 0;
  int running = 0;        // ready and starting, not those that drain
  int idle_replicas = 0;  // of the running ones: no request on them
  int min = 0;
  std::uint64_t need = 0;              // bytes per replica; 0 = unknown, admitted (the start finds out)
  std::optional<Nanos> waiting_since;  // the oldest held request
  std::optional<Nanos> idle_since;     // nothing held or running since then
};

struct Memory {
  std::uint64_t total = 0;  // 0 = not limited
  std::uint64_t free = 0;
  std::uint64_t releasing = 0;  // held by replicas that drain or stop: free soon
};

struct Start {
  std::string model;
  int count = 0;
  bool operator==(const Start&) const = default;
};

struct Evict {
  std::string model;
  int count = 0;
  std::string for_model;
  bool operator==(const Evict&) const = default;
};

struct Blocked {
  enum class Why { never_fits, memory_short, waits_for_release };
  std::string model;
  int count = 0;  // replicas that cannot start now
  Why why = Why::memory_short;
  std::uint64_t need = 0;  // bytes of one replica
  std::uint64_t free = 0;  // when it was looked at
  std::uint64_t total = 0;
  std::string held_by;  // a Model whose memory would help but may not be taken; may be empty
  bool operator==(const Blocked&) const = default;
};

struct Allotment {
  std::vector<Start> starts;
  std::vector<Evict> evictions;
  std::vector<Blocked> blocked;
  bool operator==(const Allotment&) const = default;
};

// Order: Models without a replica whose requests wait, oldest first; then `min` of each; then the rest,
// oldest waiting first, one replica each in turn, so that a large wish does not starve a small one. Ties go
// by name.
Allotment allot(const std::vector<Claim>& claims, const Memory& memory);

}  // namespace tg::scale
