#include "replica/table.hpp"

#include <gtest/gtest.h>

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace tg::replica {
namespace {

std::shared_ptr<const Endpoint> endpoint(int port) {
  auto e = std::make_shared<Endpoint>();
  e->port = static_cast<std::uint16_t>(port);
  return e;
}

int add_ready(Table& t, ReplicaId id, int slots) {
  const int i = t.add(id);
  t.set_ready(i, endpoint(static_cast<int>(id)), slots);
  return i;
}

TEST(Table, TakesTheLeastBusyReadyReplica) {
  Table t("a", 1);
  EXPECT_EQ(t.try_acquire(), -1);
  const int a = add_ready(t, 1, 2);
  const int b = add_ready(t, 2, 3);
  const int c = t.add(3);  // starting
  EXPECT_EQ(t.ready_replicas(), 2);
  EXPECT_EQ(t.try_acquire(), a);
  EXPECT_EQ(t.try_acquire(), b);
  EXPECT_EQ(t.try_acquire(), a);
  EXPECT_EQ(t.try_acquire(), b);
  EXPECT_EQ(t.try_acquire(), b);
  EXPECT_EQ(t.try_acquire(), -1);
  EXPECT_EQ(t.in_flight(), 5);
  EXPECT_FALSE(t.release(a));
  EXPECT_EQ(t.try_acquire(), a);
  t.set_ready(c, endpoint(3), 1);
  EXPECT_EQ(t.try_acquire(), c);
}

TEST(Table, AReplicaLivesUntilItsEndOrItsDrainIsReported) {
  Table t("a", 1);
  const int a = add_ready(t, 1, 1);
  const int b = add_ready(t, 2, 1);
  EXPECT_TRUE(t.lives(a, 1));
  EXPECT_FALSE(t.lives(a, 2));
  EXPECT_FALSE(t.lives(a, 0));
  t.set_state(a, ReplicaEntry::starting);  // suspect
  EXPECT_TRUE(t.lives(a, 1));
  t.set_state(b, ReplicaEntry::draining);
  EXPECT_FALSE(t.lives(b, 2));
  ASSERT_TRUE(t.clear(a));
  EXPECT_FALSE(t.lives(a, 1));
  ASSERT_EQ(add_ready(t, 3, 1), a);  // the next one in its place
  EXPECT_FALSE(t.lives(a, 1));
  EXPECT_TRUE(t.lives(a, 3));
}

TEST(Table, NobodyOvertakesAWaiterExceptTheController) {
  Table t("a", 1);
  const int a = add_ready(t, 1, 1);
  t.waiting().fetch_add(1);
  EXPECT_EQ(t.try_acquire(), -1);
  EXPECT_EQ(t.try_acquire(true), a);
  EXPECT_TRUE(t.release(a));
}

TEST(Table, ADrainingReplicaTellsItsLastRequestAndFreesItsPlaceAfterIt) {
  Table t("a", 1);
  const int a = add_ready(t, 1, 4);
  ASSERT_EQ(t.try_acquire(), a);
  ASSERT_EQ(t.try_acquire(), a);
  t.set_state(a, ReplicaEntry::draining);
  EXPECT_EQ(t.try_acquire(), -1);
  EXPECT_FALSE(t.release(a));
  EXPECT_FALSE(t.clear(a));
  EXPECT_TRUE(t.entry(a).endpoint);  // a worker still reads it
  EXPECT_TRUE(t.release(a));
  EXPECT_TRUE(t.clear(a));
  EXPECT_FALSE(t.entry(a).endpoint);
  EXPECT_EQ(t.add(2), a);
}

TEST(Table, AllPlacesCanBeUsedAndNoMore) {
  Table t("a", 1);
  for (int i = 0; i < kMaxReplicas; ++i) EXPECT_EQ(add_ready(t, static_cast<ReplicaId>(i + 1), 1), i);
  EXPECT_EQ(t.add(99), -1);
  std::set<int> taken;
  for (int i = 0; i < kMaxReplicas; ++i) taken.insert(t.try_acquire());
  EXPECT_EQ(taken.size(), static_cast<std::size_t>(kMaxReplicas));
  EXPECT_EQ(t.try_acquire(), -1);
}

TEST(Table, TicketsRise) {
  Table t("a", 1);
  EXPECT_EQ(t.next_ticket(), 0U);
  EXPECT_EQ(t.next_ticket(), 1U);
}

// The protocol of table.hpp as a transition system whose steps are the single atomic operations, explored
// over every interleaving. One replica with one slot, `n` workers with one request each, the controller's
// mailbox as a queue. `controller_retries`: the controller tries the queue on each Wait (the protocol);
// without it the wake-up can be lost, which shows that the exploration would find it.
struct Protocol {
  static constexpr int kMax = 3;
  enum Step : int { look_waiting, look_slot, take, raise, post, held, run, give, look_again, done };
  struct State {
    int in_flight = 0, waiting = 0;
    int step[kMax] = {};
    bool granted[kMax] = {};
    std::deque<int> mailbox;  // worker index = Wait, -1 = SlotFree
    std::deque<int> queue;
    bool controller_has_slot = false;
    auto key() const {
      std::vector<int> k = {in_flight, waiting, controller_has_slot};
      for (int i = 0; i < kMax; ++i) k.insert(k.end(), {step[i], granted[i]});
      k.push_back(-7);
      k.insert(k.end(), mailbox.begin(), mailbox.end());
      k.push_back(-8);
      k.insert(k.end(), queue.begin(), queue.end());
      return k;
    }
  };

  int n;
  bool controller_retries;
  std::set<std::vector<int>> seen;
  int stuck = 0, double_use = 0, ends = 0;

  // One atomic step of worker i; false when it can only wait.
  bool worker(State& s, int i) {
    int& step = s.step[i];
    switch (step) {
      case look_waiting:
        step = s.waiting > 0 ? raise : look_slot;
        return true;
      case look_slot:
        step = s.in_flight < 1 ? take : raise;
        return true;
      case take:  // compare and exchange
        if (s.in_flight == 0) {
          s.in_flight = 1;
          step = run;
        } else {
          step = look_slot;
        }
        return true;
      case raise:
        ++s.waiting;
        step = post;
        return true;
      case post:
        s.mailbox.push_back(i);
        step = held;
        return true;
      case held:
        if (!s.granted[i]) return false;
        step = run;
        return true;
      case run:
        step = give;
        return true;
      case give:
        --s.in_flight;
        step = look_again;
        return true;
      case look_again:
        if (s.waiting > 0) s.mailbox.push_back(-1);
        step = done;
        return true;
      default:
        return false;
    }
  }

  // One step of the controller: read a message and pump once.
  bool controller(State& s) {
    if (s.mailbox.empty()) return false;
    const int message = s.mailbox.front();
    s.mailbox.pop_front();
    if (message >= 0) s.queue.push_back(message);
    if (message >= 0 && !controller_retries) return true;
    if (!s.queue.empty() && s.in_flight == 0) {
      s.in_flight = 1;
      s.granted[s.queue.front()] = true;
      s.queue.pop_front();
      --s.waiting;
    }
    return true;
  }

  void explore(const State& s) {
    if (!seen.insert(s.key()).second) return;
    int running = 0;
    for (int i = 0; i < n; ++i)
      running += s.step[i] == run || s.step[i] == give || (s.step[i] == held && s.granted[i]) ? 1 : 0;
    if (running > 1) ++double_use;
    bool moved = false;
    for (int i = 0; i < n; ++i) {
      State next = s;
      if (worker(next, i)) {
        moved = true;
        explore(next);
      }
    }
    State next = s;
    if (controller(next)) {
      moved = true;
      explore(next);
    }
    if (moved) return;
    ++ends;
    for (int i = 0; i < n; ++i) stuck += s.step[i] != done ? 1 : 0;
    stuck += s.waiting != 0 || s.in_flight != 0 ? 1 : 0;
  }
};

TEST(TableProtocol, NoInterleavingLosesAWakeUpOrSharesASlot) {
  for (int n = 1; n <= Protocol::kMax; ++n) {
    Protocol p{n, true, {}, 0, 0, 0};
    p.explore({});
    EXPECT_EQ(p.stuck, 0) << n;
    EXPECT_EQ(p.double_use, 0) << n;
    EXPECT_GT(p.ends, 0) << n;
    if (n == 3) {
      EXPECT_GT(p.seen.size(), 1000U);
    }
  }
}

TEST(TableProtocol, TheExplorationFindsTheLostWakeUpOfAWeakerProtocol) {
  Protocol p{2, false, {}, 0, 0, 0};
  p.explore({});
  EXPECT_GT(p.stuck, 0);
}

// The same with real threads on the real table. A controller thread with a mailbox grants in ticket order;
// replicas come, drain and go meanwhile. Ends only if no wake-up is lost (a hang is the test's timeout) and
// no slot is used twice.
TEST(TableStress, WorkersAndControllerUnderReplicasThatComeAndGo) {
  constexpr int kWorkers = 6, kRequests = 3000, kPlaces = 3, kSlots = 1;
  Table t("a", kWorkers);
  struct Message {
    int worker;  // -1 = SlotFree
    std::uint64_t ticket;
  };
  std::mutex mutex;  // of the test's mailbox, not of the table
  std::condition_variable_any changed;
  std::deque<Message> mailbox;
  std::array<std::atomic<int>, kWorkers> grants;
  for (auto& g : grants) g = -1;
  std::atomic<int> finished{0}, violations{0};
  std::array<std::atomic<int>, kPlaces + 1> used{};

  const auto post = [&](Message m) {
    {
      std::lock_guard lock(mutex);
      mailbox.push_back(m);
    }
    changed.notify_all();
  };

  std::vector<std::thread> threads;
  for (int w = 0; w < kWorkers; ++w) {
    threads.emplace_back([&, w] {
      for (int i = 0; i < kRequests; ++i) {
        const auto ticket = t.next_ticket();
        int slot = t.try_acquire();
        if (slot < 0) {
          t.waiting().fetch_add(1);
          post({w, ticket});
          while ((slot = grants[static_cast<std::size_t>(w)].load()) < 0)
            grants[static_cast<std::size_t>(w)].wait(-1);
          grants[static_cast<std::size_t>(w)] = -1;
        }
        const auto port =
            t.entry(slot).endpoint->port;  // a data race here would be ThreadSanitizer's to find
        if (used[port].fetch_add(1) >= kSlots) ++violations;
        std::this_thread::yield();
        used[port].fetch_sub(1);
        if (t.release(slot)) post({-1, 0});
      }
      ++finished;
      changed.notify_all();
    });
  }

  // The controller: this thread.
  std::map<std::uint64_t, int> queue;
  std::vector<int> places;
  std::vector<int> draining;
  for (int i = 0; i < kPlaces; ++i) places.push_back(add_ready(t, static_cast<ReplicaId>(i + 1), kSlots));
  int next_drain = 0, drains = 0;
  std::uint64_t handled = 0;
  while (finished.load() < kWorkers) {
    Message m{-1, 0};
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return !mailbox.empty() || finished.load() == kWorkers; });
      if (mailbox.empty()) continue;
      m = mailbox.front();
      mailbox.pop_front();
    }
    if (m.worker >= 0) queue[m.ticket] = m.worker;
    // Every now and then one replica drains, and comes back empty once nobody uses it.
    if (++handled % 50 == 0 && draining.empty()) {
      draining.push_back(places[static_cast<std::size_t>(next_drain)]);
      t.set_state(draining[0], ReplicaEntry::draining);
      next_drain = (next_drain + 1) % kPlaces;
      ++drains;
    }
    if (!draining.empty() && t.entry(draining[0]).in_flight.load() == 0) {
      const int place = draining[0];
      const auto port = t.entry(place).endpoint->port;
      if (used[port].load() != 0) ++violations;
      if (t.clear(place)) {
        const int again = t.add(port);
        if (again != place) ++violations;
        t.set_ready(again, endpoint(port), kSlots);
      }
      if (t.entry(place).state.load() == ReplicaEntry::ready) draining.clear();
    }
    while (!queue.empty()) {
      const int slot = t.try_acquire(true);
      if (slot < 0) break;
      const int worker = queue.begin()->second;
      queue.erase(queue.begin());
      t.waiting().fetch_sub(1);
      grants[static_cast<std::size_t>(worker)] = slot;
      grants[static_cast<std::size_t>(worker)].notify_all();
    }
  }
  for (auto& th : threads) th.join();
  RecordProperty("messages", static_cast<int>(handled));
  RecordProperty("drains", drains);
  EXPECT_EQ(violations.load(), 0);
  EXPECT_EQ(t.waiting().load(), 0);
  EXPECT_EQ(t.in_flight(), 0);
  EXPECT_TRUE(queue.empty());
}

}  // namespace
}  // namespace tg::replica
