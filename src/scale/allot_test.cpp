#include "scale/allot.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace tg::scale {
namespace {

constexpr std::uint64_t kGi = 1ULL << 30;

Claim claim(const std::string& model, int desired, int running, std::uint64_t need) {
  Claim c;
  c.model = model;
  c.desired = desired;
  c.running = running;
  c.need = need;
  return c;
}
Claim waiting(Claim c, Nanos since) {
  c.waiting_since = since;
  return c;
}
Claim idle(Claim c, Nanos since) {
  c.idle_since = since;
  c.idle_replicas = c.running;
  return c;
}

TEST(Allot, StartsWhatFits) {
  const auto a =
      allot({waiting(claim("a", 2, 0, 4 * kGi), 5), claim("b", 1, 1, 4 * kGi)}, {16 * kGi, 10 * kGi, 0});
  EXPECT_EQ(a.starts, (std::vector<Start>{{"a", 2}}));
  EXPECT_TRUE(a.blocked.empty());
  EXPECT_TRUE(a.evictions.empty());
}

TEST(Allot, EvictsTheLongestIdleForAWaitingOne) {
  const auto a = allot({waiting(claim("a", 1, 0, 6 * kGi), 5), idle(claim("b", 1, 1, 6 * kGi), 100),
                        idle(claim("c", 1, 1, 6 * kGi), 50)},
                       {16 * kGi, 2 * kGi, 0});
  EXPECT_EQ(a.evictions, (std::vector<Evict>{{"c", 1, "a"}}));
  ASSERT_EQ(a.blocked.size(), 1U);
  EXPECT_EQ(a.blocked[0].why, Blocked::Why::waits_for_release);
  EXPECT_TRUE(a.starts.empty());
}

TEST(Allot, EvictsNothingWhenThatWouldNotSuffice) {
  const auto a = allot({waiting(claim("a", 1, 0, 10 * kGi), 5), idle(claim("b", 1, 1, 4 * kGi), 100),
                        claim("c", 1, 1, 9 * kGi)},
                       {16 * kGi, 3 * kGi, 0});
  EXPECT_TRUE(a.evictions.empty());
  ASSERT_EQ(a.blocked.size(), 1U);
  EXPECT_EQ(a.blocked[0].why, Blocked::Why::memory_short);
  EXPECT_EQ(a.blocked[0].need, 10 * kGi);
  EXPECT_EQ(a.blocked[0].free, 3 * kGi);
  EXPECT_EQ(a.blocked[0].total, 16 * kGi);
  EXPECT_EQ(a.blocked[0].held_by, "c");
}

TEST(Allot, WaitsForWhatIsBeingReleasedInsteadOfEvictingMore) {
  const auto a = allot({waiting(claim("a", 1, 0, 6 * kGi), 5), idle(claim("b", 1, 1, 6 * kGi), 100)},
                       {16 * kGi, 2 * kGi, 8 * kGi});
  EXPECT_TRUE(a.evictions.empty());
  ASSERT_EQ(a.blocked.size(), 1U);
  EXPECT_EQ(a.blocked[0].why, Blocked::Why::waits_for_release);
}

TEST(Allot, ASecondReplicaEvictsNobody) {
  const auto a = allot({waiting(claim("a", 2, 1, 6 * kGi), 5), idle(claim("b", 1, 1, 6 * kGi), 100)},
                       {16 * kGi, 2 * kGi, 0});
  EXPECT_TRUE(a.evictions.empty());
  EXPECT_EQ(a.blocked.at(0).why, Blocked::Why::memory_short);
}

TEST(Allot, MinIsNeverEvictedAndABusyModelKeepsItsLastReplica) {
  auto b = idle(claim("b", 1, 1, 6 * kGi), 100);
  b.min = 1;
  auto c = claim("c", 1, 1, 6 * kGi);
  c.idle_replicas = 1;  // between two requests, but somebody waits for it
  c.waiting_since = 7;
  const auto a = allot({waiting(claim("a", 1, 0, 6 * kGi), 5), b, c}, {16 * kGi, 2 * kGi, 0});
  EXPECT_TRUE(a.evictions.empty());
}

TEST(Allot, AnIdleReplicaOfALargeFleetGivesWayToAStarvingModel) {
  auto b = claim("b", 3, 3, 4 * kGi);
  b.idle_replicas = 2;
  const auto a = allot({waiting(claim("a", 1, 0, 6 * kGi), 5), b}, {14 * kGi, 2 * kGi, 0});
  EXPECT_EQ(a.evictions, (std::vector<Evict>{{"b", 1, "a"}}));
}

TEST(Allot, WhatNeverFitsSaysSoAndDoesNotBlockOthers) {
  const auto a = allot({waiting(claim("a", 1, 0, 20 * kGi), 1), waiting(claim("b", 1, 0, 4 * kGi), 5)},
                       {16 * kGi, 8 * kGi, 0});
  EXPECT_EQ(a.starts, (std::vector<Start>{{"b", 1}}));
  EXPECT_EQ(a.blocked.at(0).why, Blocked::Why::never_fits);
}

TEST(Allot, GrowthElsewhereDoesNotTakeWhatAStarvingModelWaitsFor) {
  const auto a = allot({waiting(claim("a", 1, 0, 8 * kGi), 1), waiting(claim("b", 3, 2, 4 * kGi), 0)},
                       {16 * kGi, 5 * kGi, 0});
  EXPECT_TRUE(a.starts.empty());
  EXPECT_EQ(a.blocked.size(), 2U);
}

TEST(Allot, OldestWaitingFirstThenMinThenOneEachInTurn) {
  auto m = claim("m", 1, 0, 4 * kGi);
  m.min = 1;
  const std::vector<Claim> claims = {claim("z", 3, 1, 4 * kGi), m, waiting(claim("b", 1, 0, 4 * kGi), 9),
                                     waiting(claim("c", 1, 0, 4 * kGi), 3), claim("y", 3, 1, 4 * kGi)};
  EXPECT_EQ(allot(claims, {64 * kGi, 4 * kGi, 0}).starts, (std::vector<Start>{{"c", 1}}));
  EXPECT_EQ(allot(claims, {64 * kGi, 8 * kGi, 0}).starts, (std::vector<Start>{{"b", 1}, {"c", 1}}));
  EXPECT_EQ(allot(claims, {64 * kGi, 12 * kGi, 0}).starts,
            (std::vector<Start>{{"m", 1}, {"b", 1}, {"c", 1}}));
  EXPECT_EQ(allot(claims, {64 * kGi, 20 * kGi, 0}).starts,
            (std::vector<Start>{{"z", 1}, {"m", 1}, {"b", 1}, {"c", 1}, {"y", 1}}));
}

TEST(Allot, AnUnknownNeedStarts) {
  EXPECT_EQ(allot({waiting(claim("a", 1, 0, 0), 1)}, {16 * kGi, 0, 0}).starts.size(), 1U);
}

TEST(AllotProperty, NeverBeyondMemoryMinOrWhatIsIdleAndTheSameTwice) {
  for (unsigned seed = 0; seed < 3000; ++seed) {
    std::mt19937 random(seed);
    std::vector<Claim> claims;
    std::map<std::string, Claim> by_name;
    std::uint64_t used = 0;
    const auto models = 1 + random() % 6;
    for (std::size_t i = 0; i < models; ++i) {
      Claim c;
      c.model = std::string(1, static_cast<char>('a' + i));
      c.min = static_cast<int>(random() % 2);
      c.running = static_cast<int>(random() % 4);
      c.desired = std::max(c.min, static_cast<int>(random() % 5));
      c.need = (1 + random() % 6) * kGi;
      c.idle_replicas =
          c.running == 0 ? 0 : static_cast<int>(random() % (static_cast<unsigned>(c.running) + 1));
      if (random() % 2) {
        c.waiting_since = static_cast<Nanos>(random() % 100);
      } else if (c.idle_replicas == c.running) {
        c.idle_since = static_cast<Nanos>(random() % 100);
      }
      used += c.need * static_cast<std::uint64_t>(c.running);
      claims.push_back(c);
      by_name[c.model] = c;
    }
    Memory memory;
    memory.releasing = (random() % 3) * kGi;
    memory.total = used + memory.releasing + (random() % 8) * kGi;
    if (memory.total == 0) continue;  // means not limited
    memory.free = memory.total - used - memory.releasing;
    const auto a = allot(claims, memory);
    ASSERT_EQ(a, allot(claims, memory));

    std::uint64_t started = 0;
    for (const auto& s : a.starts) {
      const auto& c = by_name[s.model];
      started += c.need * static_cast<std::uint64_t>(s.count);
      ASSERT_LE(c.running + s.count, c.desired) << seed;
      for (const auto& e : a.evictions) ASSERT_NE(e.model, s.model) << seed;
    }
    ASSERT_LE(started, memory.free) << seed;
    for (const auto& e : a.evictions) {
      const auto& c = by_name[e.model];
      ASSERT_LE(e.count, c.idle_replicas) << seed;
      ASSERT_GE(c.running - e.count, c.min) << seed;
      const auto& w = by_name[e.for_model];
      ASSERT_TRUE(w.waiting_since && w.running == 0) << seed;
    }
    // Nothing is lost: what is wanted is started or named as blocked.
    for (const auto& c : claims) {
      int told = 0;
      for (const auto& s : a.starts) told += s.model == c.model ? s.count : 0;
      for (const auto& b : a.blocked) told += b.model == c.model ? b.count : 0;
      bool gave = std::any_of(a.evictions.begin(), a.evictions.end(),
                              [&](const Evict& e) { return e.model == c.model; });
      if (!gave) {
        ASSERT_EQ(told, std::max(0, c.desired - c.running)) << seed << c.model;
      }
    }
    // A starving Model that fits into what is free starts, if no older one starves.
    const Claim* oldest = nullptr;
    for (const auto& c : claims) {
      if (c.running == 0 && c.desired > 0 && c.waiting_since &&
          (!oldest ||
           std::pair(*c.waiting_since, c.model) < std::pair(*oldest->waiting_since, oldest->model))) {
        oldest = &c;
      }
    }
    if (oldest && oldest->need <= memory.free) {
      ASSERT_TRUE(std::any_of(a.starts.begin(), a.starts.end(), [&](const Start& s) {
        return s.model == oldest->model;
      })) << seed;
    }
  }
}

}  // namespace
}  // namespace tg::scale
