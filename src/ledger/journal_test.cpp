#include "ledger/journal.hpp"

#include <gtest/gtest.h>

#include "ledger/testing.hpp"

namespace tg::ledger {
namespace {

using namespace testing;

// How long a writer thread that goes to sleep after `record` was stored stays asleep, at most `bound`.
template <class Record>
Nanos asleep(Signal& signal, Nanos bound, Record&& record) {
  signal.announce_sleep();
  record();
  const Nanos begin = mono_now();
  signal.wait(bound);
  return mono_now() - begin;
}

// The first record takes a segment, which wakes the writer thread in any case.
void take_segment(LooseJournal& journal) {
  journal->settle(0, request(1), answer(1, 1), kNoon);
  journal.signal().cancel();
}

constexpr Nanos kLong = 20 * kSecond;
constexpr Nanos kShort = 20 * kMillisecond;

TEST(JournalWakes, ARecordWakesTheWriter) {
  const TestDir dir;
  LooseJournal journal(dir.path());
  take_segment(journal);
  EXPECT_LT(asleep(journal.signal(), kLong, [&] { journal->begin(request(1), kNoon); }), kLong);
}

TEST(JournalWakes, HeldWakesComeWithTheAnnouncement) {
  const TestDir dir;
  LooseJournal journal(dir.path());
  take_segment(journal);
  journal->hold_wakes();
  Ticket ticket = 0;
  EXPECT_GE(asleep(journal.signal(), kShort, [&] { ticket = journal->begin(request(1), kNoon); }), kShort);
  EXPECT_GE(
      asleep(journal.signal(), kShort, [&] { journal->settle(ticket, request(1), answer(1, 1), kNoon); }),
      kShort);
  EXPECT_LT(asleep(journal.signal(), kLong, [&] { journal->announce(); }), kLong);
  EXPECT_GE(asleep(journal.signal(), kShort, [&] { journal->announce(); }), kShort) << "nothing new";
}

}  // namespace
}  // namespace tg::ledger
