#include "replica/hold_queue.hpp"

#include <algorithm>

namespace tg::replica {

void HoldQueue::add(const Held& held) {
  held_.emplace(held.ticket, held);
  since_.insert(held.since);
  deadlines_.emplace(held.deadline, held.ticket);
  bytes_ += held.bytes;
  prompt_tokens_ += held.prompt_tokens;
}

const Held* HoldQueue::first() const { return held_.empty() ? nullptr : &held_.begin()->second; }

std::optional<Held> HoldQueue::take_first() {
  if (held_.empty()) return std::nullopt;
  return take(held_.begin());
}

std::optional<Held> HoldQueue::remove(std::uint64_t ticket) {
  auto it = held_.find(ticket);
  if (it == held_.end()) return std::nullopt;
  return take(it);
}

std::vector<Held> HoldQueue::take_expired(Nanos now) {
  std::vector<Held> out;
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const auto [deadline, ticket] = *deadlines_.begin();
    auto [it, last] = held_.equal_range(ticket);
    while (it != last && it->second.deadline != deadline) ++it;
    out.push_back(take(it));
  }
  std::sort(out.begin(), out.end(), [](const Held& a, const Held& b) { return a.ticket < b.ticket; });
  return out;
}

std::vector<Held> HoldQueue::take_all() {
  std::vector<Held> out;
  while (auto h = take_first()) out.push_back(*h);
  return out;
}

std::optional<Nanos> HoldQueue::next_deadline() const {
  if (deadlines_.empty()) return std::nullopt;
  return deadlines_.begin()->first;
}

std::optional<Nanos> HoldQueue::oldest() const {
  if (since_.empty()) return std::nullopt;
  return *since_.begin();
}

Held HoldQueue::take(Order::iterator it) {
  const Held held = it->second;
  held_.erase(it);
  since_.erase(since_.find(held.since));
  auto [d, last] = deadlines_.equal_range(held.deadline);
  while (d != last && d->second != held.ticket) ++d;
  if (d != last) deadlines_.erase(d);
  bytes_ -= held.bytes;
  prompt_tokens_ -= held.prompt_tokens;
  return held;
}

}  // namespace tg::replica
