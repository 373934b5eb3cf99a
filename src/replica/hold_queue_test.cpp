#include "replica/hold_queue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace tg::replica {
namespace {

Held held(std::uint64_t ticket, Nanos deadline, std::uint64_t bytes = 1) {
  Held h;
  h.ticket = ticket;
  h.request = ticket + 1000;
  h.bytes = bytes;
  h.prompt_tokens = 10;
  h.since = static_cast<Nanos>(ticket);
  h.deadline = deadline;
  return h;
}

TEST(HoldQueue, OrdersByTicketNotByArrival) {
  HoldQueue q;
  for (const auto t : {5, 2, 9, 1}) q.add(held(static_cast<std::uint64_t>(t), 100));
  EXPECT_EQ(q.first()->ticket, 1U);
  std::vector<std::uint64_t> order;
  while (auto h = q.take_first()) order.push_back(h->ticket);
  EXPECT_EQ(order, (std::vector<std::uint64_t>{1, 2, 5, 9}));
  EXPECT_EQ(q.first(), nullptr);
}

TEST(HoldQueue, ARequestSentAgainStandsByItsOldTicket) {
  HoldQueue q;
  q.add(held(10, 100));
  q.add(held(11, 100));
  auto again = held(3, 500);
  again.again = true;
  q.add(again);
  EXPECT_TRUE(q.take_first()->again);
  EXPECT_EQ(q.take_first()->ticket, 10U);
}

TEST(HoldQueue, CountsBytesAndPrompts) {
  HoldQueue q;
  q.add(held(1, 100, 30));
  q.add(held(2, 100, 12));
  EXPECT_EQ(q.bytes(), 42U);
  EXPECT_EQ(q.prompt_tokens(), 20);
  EXPECT_EQ(q.oldest(), 1);
  EXPECT_TRUE(q.remove(1));
  EXPECT_FALSE(q.remove(1));
  EXPECT_EQ(q.oldest(), 2);
  EXPECT_EQ(q.bytes(), 12U);
  q.take_all();
  EXPECT_EQ(q.bytes(), 0U);
  EXPECT_EQ(q.prompt_tokens(), 0);
  EXPECT_FALSE(q.oldest());
  EXPECT_FALSE(q.next_deadline());
}

TEST(HoldQueue, ExpiresInTicketOrderWhateverTheDeadlines) {
  HoldQueue q;
  q.add(held(4, 10));
  q.add(held(2, 20));
  q.add(held(3, 30));
  EXPECT_EQ(q.next_deadline(), 10);
  EXPECT_TRUE(q.take_expired(9).empty());
  const auto out = q.take_expired(20);
  ASSERT_EQ(out.size(), 2U);
  EXPECT_EQ(out[0].ticket, 2U);
  EXPECT_EQ(out[1].ticket, 4U);
  EXPECT_EQ(q.size(), 1U);
}

// Against a plain sorted vector.
TEST(HoldQueue, AgreesWithAModelOverRandomSteps) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    std::mt19937 random(seed);
    HoldQueue q;
    std::vector<Held> model;
    const auto by_ticket = [](const Held& a, const Held& b) { return a.ticket < b.ticket; };
    for (int step = 0; step < 400; ++step) {
      switch (random() % 5) {
        case 0:
        case 1: {
          const auto ticket = random() % 200;
          if (std::any_of(model.begin(), model.end(), [&](const Held& h) { return h.ticket == ticket; }))
            break;
          const auto h = held(ticket, static_cast<Nanos>(random() % 1000), random() % 50);
          q.add(h);
          model.insert(std::upper_bound(model.begin(), model.end(), h, by_ticket), h);
          break;
        }
        case 2: {
          const auto got = q.take_first();
          ASSERT_EQ(got.has_value(), !model.empty());
          if (!got) break;
          EXPECT_EQ(got->ticket, model.front().ticket);
          model.erase(model.begin());
          break;
        }
        case 3: {
          const auto ticket = random() % 200;
          const auto it =
              std::find_if(model.begin(), model.end(), [&](const Held& h) { return h.ticket == ticket; });
          ASSERT_EQ(q.remove(ticket).has_value(), it != model.end());
          if (it != model.end()) model.erase(it);
          break;
        }
        default: {
          const auto now = static_cast<Nanos>(random() % 300);
          std::vector<std::uint64_t> want, got;
          for (const auto& h : model) {
            if (h.deadline <= now) want.push_back(h.ticket);
          }
          for (const auto& h : q.take_expired(now)) got.push_back(h.ticket);
          EXPECT_EQ(got, want);
          std::erase_if(model, [&](const Held& h) { return h.deadline <= now; });
        }
      }
      ASSERT_EQ(q.size(), model.size());
      std::uint64_t bytes = 0;
      for (const auto& h : model) bytes += h.bytes;
      ASSERT_EQ(q.bytes(), bytes);
    }
  }
}

}  // namespace
}  // namespace tg::replica
