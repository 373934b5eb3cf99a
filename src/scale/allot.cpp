#include "scale/allot.hpp"

#include <algorithm>
#include <limits>

namespace tg::scale {

namespace {

struct Work {
  const Claim* claim;
  int running;  // with what was given in this round
  int given = 0;
  int evictable;
  int evicted = 0;
  bool stopped = false;  // blocked, so not looked at again
};

// Replicas that may be taken for a Model that has none: idle ones, never below min, and of a busy Model never
// the last one.
int evictable_of(const Claim& c) {
  const int keep = c.idle_since && !c.waiting_since ? c.min : std::max(1, c.min);
  return std::clamp(std::min(c.idle_replicas, c.running - keep), 0, c.running);
}

// First the starving, then the owed minimum, then the rest.
int rank(const Work& w) {
  if (w.running == 0 && w.claim->waiting_since) return 0;
  if (w.running < w.claim->min) return 1;
  return 2;
}

bool before(const Work& a, const Work& b) {
  if (rank(a) != rank(b)) return rank(a) < rank(b);
  if (rank(a) == 2 && a.given != b.given) return a.given < b.given;
  const Nanos wa = a.claim->waiting_since.value_or(std::numeric_limits<Nanos>::max());
  const Nanos wb = b.claim->waiting_since.value_or(std::numeric_limits<Nanos>::max());
  if (wa != wb) return wa < wb;
  return a.claim->model < b.claim->model;
}

bool idles_longer(const Work* a, const Work* b) {
  const Nanos ia = a->claim->idle_since.value_or(std::numeric_limits<Nanos>::max());
  const Nanos ib = b->claim->idle_since.value_or(std::numeric_limits<Nanos>::max());
  if (ia != ib) return ia < ib;
  return a->claim->model < b->claim->model;
}

}  // namespace

Allotment allot(const std::vector<Claim>& claims, const Memory& memory) {
  Allotment out;
  std::vector<Work> works;
  works.reserve(claims.size());
  for (const auto& c : claims) works.push_back({&c, c.running, 0, evictable_of(c)});

  std::uint64_t free = memory.free;
  std::uint64_t releasing = memory.releasing;
  const auto block = [&](Work& w, Blocked::Why why, std::string held_by = {}) {
    w.stopped = true;
    out.blocked.push_back({w.claim->model, w.claim->desired - w.running, why, w.claim->need, free,
                           memory.total, std::move(held_by)});
  };

  for (;;) {
    Work* next = nullptr;
    for (auto& w : works) {
      if (w.stopped || w.running >= w.claim->desired) continue;
      if (!next || before(w, *next)) next = &w;
    }
    if (!next) break;
    Work& w = *next;
    const std::uint64_t need = w.claim->need;
    if (need == 0 || memory.total == 0 || need <= free) {
      if (need != 0 && memory.total != 0) free -= need;
      ++w.running;
      ++w.given;
      continue;
    }
    if (need > memory.total) {
      block(w, Blocked::Why::never_fits);
      continue;
    }
    const bool starving = rank(w) == 0;
    if (starving && need <= free + releasing) {
      // Keep what is about to come free for it: nobody behind it may take the part that is free already.
      const std::uint64_t from_free = free;
      block(w, Blocked::Why::waits_for_release);
      releasing -= need - from_free;
      free = 0;
      continue;
    }
    if (starving) {
      std::vector<Work*> victims;
      for (auto& v : works) {
        if (&v != &w && v.evictable > v.evicted && v.claim->need > 0) victims.push_back(&v);
      }
      std::sort(victims.begin(), victims.end(), idles_longer);
      std::vector<std::pair<Work*, int>> taken;
      std::uint64_t gain = free + releasing;
      for (auto* v : victims) {
        int count = 0;
        while (gain < need && v->evicted + count < v->evictable) {
          gain += v->claim->need;
          ++count;
        }
        if (count > 0) taken.emplace_back(v, count);
        if (gain >= need) break;
      }
      if (gain >= need) {
        for (auto& [v, count] : taken) {
          v->evicted += count;
          v->stopped = true;  // who gives does not take in the same round
          out.evictions.push_back({v->claim->model, count, w.claim->model});
        }
        block(w, Blocked::Why::waits_for_release);
        free = 0;
        releasing = gain - need;
        continue;
      }
    }
    // Name the Model that holds the most, so that a person sees whom to shrink.
    const Work* holder = nullptr;
    for (const auto& v : works) {
      if (&v == &w || v.claim->running == 0 || v.claim->need == 0) continue;
      const auto holds = [](const Work& x) {
        return x.claim->need * static_cast<std::uint64_t>(x.claim->running);
      };
      if (!holder || holds(v) > holds(*holder)) holder = &v;
    }
    block(w, Blocked::Why::memory_short, holder ? holder->claim->model : std::string());
    // A starving Model that fits once the others shrink to their minimum keeps what is free: growth elsewhere
    // could starve it for ever.
    if (starving) {
      std::uint64_t pinned = 0;
      for (const auto& v : works) {
        if (&v != &w)
          pinned += v.claim->need * static_cast<std::uint64_t>(std::min(v.claim->min, v.claim->running));
      }
      if (pinned <= memory.total && need <= memory.total - pinned) free = 0;
    }
  }
  for (const auto& w : works) {
    if (w.given > 0) out.starts.push_back({w.claim->model, w.given});
  }
  return out;
}

}  // namespace tg::scale
