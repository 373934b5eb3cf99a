// Random worlds: several Models, clients that come, leave and insist, engines that die at any moment,
// reloads, removals and a small memory. Whatever happens, nothing may be lost, no engine may be overloaded or
// stopped under a request, and memory and bounds hold (fake_fleet.hpp checks the last three at each step).
#include <gtest/gtest.h>

#include <random>

#include "replica/fake_fleet.hpp"

namespace tg::replica {
namespace {

using State = Request::State;

struct World {
  explicit World(unsigned seed) : random(seed), seed_(seed) {
    fleet.backend.workers_see_first = seed % 2 == 0;
    models = {Fleet::model("a", 1 + pick(3), 1 + pick(4)), Fleet::model("b", 1 + pick(2), 1 + pick(2)),
              Fleet::model("c", 1, 2)};
    if (seed % 3 == 0) fleet.backend.total_memory = 12;
    for (auto& m : models) {
      auto& plan = fleet.backend.plans[m.name];
      plan.memory = static_cast<std::uint64_t>(2 + pick(4));
      plan.load = (100 + pick(4000)) * kMillisecond;
      if (pick(3) == 0) {
        plan.fetch = (1 + pick(20)) * kSecond;
        plan.fetched = false;
      }
      plan.stop_takes = pick(2000) * kMillisecond;
      m.hold = {10 + pick(60), 4000, (20 + pick(100)) * kSecond, 0};
      if (pick(2) == 0) m.idle = pick(30) * kSecond;
      if (pick(4) == 0 && fleet.backend.total_memory == 0) m.replicas_min = 1;
    }
    fleet.apply(models);
  }

  int pick(int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); }

  void step() {
    auto& backend = fleet.backend;
    switch (pick(14)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4: {
        const auto& m = models[static_cast<std::size_t>(pick(static_cast<int>(models.size())))];
        for (int i = pick(6); i >= 0; --i) {
          const auto id =
              fleet.send(m.name, pick(5000) * kMillisecond, static_cast<std::uint64_t>(pick(300)));
          if (pick(6) == 0) {
            fleet.time.after(pick(8000) * kMillisecond, [this, id] { fleet.leave(id); });
          } else if (pick(20) == 0) {
            fleet.leave(id);
          }
        }
        break;
      }
      case 5: {  // an engine dies: while it loads, serves or drains
        std::vector<ReplicaId> alive;
        for (const auto& [id, e] : backend.engines) {
          if (e.alive) alive.push_back(id);
        }
        if (!alive.empty()) backend.die(alive[random() % alive.size()]);
        break;
      }
      case 6:
        backend.plans[models[0].name].fail_starts = pick(3);
        break;
      case 7: {  // reload: bounds, hold, or a new revision
        auto& m = models[static_cast<std::size_t>(pick(static_cast<int>(models.size())))];
        if (pick(2) == 0) {
          m.slots = 1 + pick(4);
        } else {
          m.replicas_max = std::max(1 + pick(3), m.replicas_min);
        }
        fleet.apply(models);
        break;
      }
      case 8: {  // remove one and bring it back at once or later
        if (pick(3) != 0 || models.size() < 2) break;
        const auto gone = models.back();
        models.pop_back();
        fleet.apply(models);
        if (pick(2) == 0) fleet.run_for(pick(3000) * kMillisecond);
        models.push_back(gone);
        fleet.apply(models);
        break;
      }
      default:
        break;
    }
    check();
    fleet.run_for(pick(3000) * kMillisecond);
  }

  void check() {
    std::map<std::string, int> held;
    for (const auto& [id, r] : fleet.requests) held[r.model] += r.state == State::waiting ? 1 : 0;
    for (const auto& m : models) {
      const auto table = fleet.controller->table(m.name);
      ASSERT_TRUE(table);
      ASSERT_GE(table->waiting().load(), 0);
      int serving = 0;
      for (int i = 0; i < kMaxReplicas; ++i) {
        ASSERT_GE(table->entry(i).in_flight.load(), 0);
        serving += table->entry(i).state.load() == ReplicaEntry::ready ? 1 : 0;
      }
      // A new revision may stand beside the old one for a while.
      ASSERT_LE(serving, 2 * std::max(3, m.replicas_max)) << seed_;
    }
  }

  Fleet fleet;
  std::mt19937 random;
  unsigned seed_;
  std::vector<spec::Model> models;
};

TEST(ControllerProperty, NothingIsLostInRandomWorlds) {
  int completed = 0, cut = 0, refused = 0, gone = 0, retried = 0;
  for (unsigned seed = 1; seed <= 150; ++seed) {
    World w(seed);
    for (int i = 0; i < 80; ++i) w.step();
    for (auto& [name, plan] : w.fleet.backend.plans) plan.fail_starts = 0;
    ASSERT_TRUE(w.fleet.run_while([&] { return !w.fleet.settled(); }, 10 * kMinute)) << "seed " << seed;
    w.fleet.run_for(10 * kSecond);
    w.fleet.expect_nothing_lost("seed " + std::to_string(seed));
    if (testing::Test::HasFailure()) FAIL() << "seed " << seed;
    for (const auto& [id, r] : w.fleet.requests) {
      completed += r.state == State::complete ? 1 : 0;
      cut += r.state == State::cut ? 1 : 0;
      gone += r.state == State::gone ? 1 : 0;
      retried += r.attempts > 1 ? 1 : 0;
      if (r.state != State::refused) continue;
      ++refused;
      EXPECT_TRUE(r.refusal.status == 429 || r.refusal.status == 503 || r.refusal.status == 404)
          << r.refusal.status;
    }
    // After everything: shut down ends every process.
    w.fleet.ticking = false;
    bool done = false;
    for (int i = 0; i < 1000 && !done; ++i) {
      done = w.fleet.controller->shut_down(w.fleet.time.now());
      w.fleet.run_for(100 * kMillisecond);
    }
    ASSERT_TRUE(done) << "seed " << seed;
    ASSERT_EQ(w.fleet.backend.processes(), 0) << "seed " << seed;
  }
  // The worlds are no use if one of these never happens.
  EXPECT_GT(completed, 5000);
  EXPECT_GT(cut, 20);
  EXPECT_GT(refused, 100);
  EXPECT_GT(gone, 100);
  EXPECT_GT(retried, 20);
}

TEST(ControllerProperty, TheSameWorldTwiceGivesTheSameGrantsAndDecisions) {
  for (unsigned seed = 200; seed < 210; ++seed) {
    World a(seed), b(seed);
    for (int i = 0; i < 40; ++i) {
      a.step();
      b.step();
    }
    EXPECT_EQ(a.fleet.grant_order, b.fleet.grant_order);
    EXPECT_EQ(a.fleet.backend.starts, b.fleet.backend.starts);
  }
}

}  // namespace
}  // namespace tg::replica
