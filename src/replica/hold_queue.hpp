// The held requests of one Model as a value: who waits, in which order, until when. No clock, no thread: the
// controller owns it on the control thread. Order is the order of tickets, whatever the order of arrival
// here: workers post concurrently, and a request sent again comes back with its old ticket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/clock.hpp"

namespace tg::replica {

struct Held {
  std::uint64_t ticket = 0;
  std::size_t worker = 0;
  std::uint64_t request = 0;       // the worker's handle
  std::uint64_t bytes = 0;         // body
  std::int64_t prompt_tokens = 0;  // estimate
  Nanos arrived = 0;               // body complete
  Nanos since = 0;                 // held since
  Nanos counts_from = 0;           // the deadline does
  Nanos deadline = 0;              // refused then
  bool again = false;
};

class HoldQueue {
 public:
  void add(const Held& held);
  // The lowest ticket; nullptr when empty. Valid until the next change.
  const Held* first() const;
  std::optional<Held> take_first();
  // A client that left. Nothing if the ticket is not here (granted or refused before).
  std::optional<Held> remove(std::uint64_t ticket);
  // Everybody whose deadline is at or before `now`, in ticket order.
  std::vector<Held> take_expired(Nanos now);
  std::vector<Held> take_all();

  bool empty() const { return held_.empty(); }
  std::size_t size() const { return held_.size(); }
  std::uint64_t bytes() const { return bytes_; }
  std::int64_t prompt_tokens() const { return prompt_tokens_; }
  std::optional<Nanos> next_deadline() const;
  // The longest wait so far began then.
  std::optional<Nanos> oldest() const;

 private:
  using Order = std::multimap<std::uint64_t, Held>;
  Held take(Order::iterator it);

  Order held_;
  std::multiset<Nanos> since_;
  std::multimap<Nanos, std::uint64_t> deadlines_;  // → ticket
  std::uint64_t bytes_ = 0;
  std::int64_t prompt_tokens_ = 0;
};

}  // namespace tg::replica
