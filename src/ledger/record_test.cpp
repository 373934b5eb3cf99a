#include "ledger/record.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "ledger/testing.hpp"
#include "ledger/ticket_set.hpp"

namespace tg::ledger {
namespace {

using namespace testing;

TEST(Journal, WhatIsStoredIsRead) {
  const TestDir dir;
  LooseJournal journal(dir.path());
  RequestInfo r = request(5);
  r.stream = true;
  const Ticket t = journal->begin(r, kNoon);
  EXPECT_EQ(ticket_sequence(t), 1U);
  AnswerInfo a = answer(11, 22);
  a.reason = "upstream_no_answer";
  a.outcome = Outcome::upstream_error;
  a.status = 502;
  a.retries = 3;
  a.tokens_cached = 4;
  journal->settle(t, r, a, kNoon + 1);

  RecordReader reader(journal.segment().bytes(), sizeof(SegmentHeader), true);
  RecordView record;
  std::vector<std::string> names(kMaxNames + 1);
  int begins = 0;
  int settles = 0;
  while (reader.next(record) == RecordReader::Next::record) {
    NameView name;
    BeginBody b;
    SettleBody s;
    if (decode(record, name)) names[name.id] = name.text;
    if (decode(record, b)) {
      ++begins;
      EXPECT_EQ(make_ticket(1, record.offset), t);
      EXPECT_EQ(names[b.tenant], "default");
      EXPECT_EQ(b.stream, 1);
      EXPECT_EQ(b.prompt_estimate, 100);
      EXPECT_EQ(b.utc_ns, kNoon);
      EXPECT_EQ(b.key, 7);
      EXPECT_EQ(b.id, id_of(5));
    }
    if (decode(record, s)) {
      ++settles;
      EXPECT_EQ(s.begun_at, t);
      EXPECT_EQ(names[s.model], "gpt-4o-mini-2024");
      EXPECT_EQ(names[s.route], "gpt-4o-mini");
      EXPECT_EQ(names[s.backend], "openai");
      EXPECT_EQ(names[s.operation], "chat");
      EXPECT_EQ(names[s.reason], "upstream_no_answer");
      EXPECT_EQ(s.status, 502);
      EXPECT_EQ(s.outcome, Outcome::upstream_error);
      EXPECT_EQ(s.tokens_in, 11);
      EXPECT_EQ(s.tokens_out, 22);
      EXPECT_EQ(s.tokens_cached, 4);
      EXPECT_EQ(s.reported, 1);
      EXPECT_EQ(s.retries, 3);
      EXPECT_EQ(s.total_ns, 5'000'000);
      EXPECT_EQ(s.bytes_out, 20U);
    }
  }
  EXPECT_EQ(begins, 1);
  EXPECT_EQ(settles, 1);
  EXPECT_EQ(reader.next(record), RecordReader::Next::pending);
  journal.end();
  EXPECT_EQ(reader.next(record), RecordReader::Next::ended);
}

TEST(Journal, ANameIsStoredOncePerSegment) {
  const TestDir dir;
  LooseJournal journal(dir.path());
  for (std::uint64_t i = 0; i < 50; ++i) {
    RequestInfo r = request(i);
    r.route = i % 2 == 0 ? "even" : "odd";  // alternating: the memory of the last one does not help
    r.tenant = "";                          // the empty name needs no record
    journal->settle(0, r, answer(1, 1), kNoon);
  }
  RecordReader reader(journal.segment().bytes(), sizeof(SegmentHeader), true);
  RecordView record;
  std::multiset<std::string> names;
  while (reader.next(record) == RecordReader::Next::record) {
    NameView name;
    if (decode(record, name)) names.emplace(name.text);
  }
  EXPECT_EQ(names, (std::multiset<std::string>{"chat", "even", "gpt-4o-mini-2024", "odd", "openai"}));
}

TEST(Journal, TooManyNamesBecomeOther) {
  const TestDir dir;
  LooseJournal journal(dir.path(), 1, 0, 1 << 20);
  for (std::uint64_t i = 0; i < kMaxNames + 50; ++i) {
    const std::string backend = "backend-" + std::to_string(i);
    RequestInfo r = request(i);
    r.backend = backend;
    journal->settle(0, r, answer(1, 1), kNoon);
  }
  EXPECT_EQ(journal.lost(), 0);
  RecordReader reader(journal.segment().bytes(), sizeof(SegmentHeader), true);
  RecordView record;
  int other = 0;
  int all = 0;
  while (reader.next(record) == RecordReader::Next::record) {
    SettleBody s;
    if (!decode(record, s)) continue;
    ++all;
    other += s.backend == kOtherName ? 1 : 0;
  }
  EXPECT_EQ(all, kMaxNames + 50);
  EXPECT_EQ(other, 50 + 4);  // four names are those of the other fields
}

TEST(Journal, LongNamesAreCut) {
  const TestDir dir;
  LooseJournal journal(dir.path());
  const std::string longest(1'000, 'x');
  RequestInfo r = request(1);
  r.model = longest;
  for (int i = 0; i < 3; ++i) journal->settle(0, r, answer(1, 1), kNoon);
  RecordReader reader(journal.segment().bytes(), sizeof(SegmentHeader), true);
  RecordView record;
  int seen = 0;
  while (reader.next(record) == RecordReader::Next::record) {
    NameView name;
    if (decode(record, name) && name.text.starts_with('x')) {
      ++seen;
      EXPECT_EQ(name.text.size(), kMaxNameBytes);
    }
  }
  EXPECT_EQ(seen, 1);
}

TEST(Journal, AFullSegmentWithoutANextLosesAndCounts) {
  const TestDir dir;
  LooseJournal journal(dir.path(), 1, 0, 8'192);
  std::int64_t stored = 0;
  for (std::uint64_t i = 0; i < 200; ++i) {
    const std::int64_t before = journal.lost();
    journal->settle(0, request(i), answer(1, 1), kNoon);
    stored += journal.lost() == before ? 1 : 0;
  }
  EXPECT_GT(stored, 20);
  EXPECT_EQ(journal.lost(), 200 - stored);
  EXPECT_EQ(journal->begin(request(1), kNoon), 0U);
  journal.end();
  RecordReader reader(journal.segment().bytes(), sizeof(SegmentHeader), true);
  RecordView record;
  std::int64_t read = 0;
  RecordReader::Next next{};
  while ((next = reader.next(record)) == RecordReader::Next::record) {
    SettleBody s;
    read += decode(record, s) ? 1 : 0;
  }
  EXPECT_EQ(next, RecordReader::Next::ended) << "the end record always has its place";
  EXPECT_EQ(read, stored);
}

// Any one flipped bit in a record: it, and nothing after it, is given out.
TEST(Record, AFlippedBitIsSeen) {
  const TestDir dir;
  LooseJournal journal(dir.path());
  const Ticket t = journal->begin(request(1), kNoon);
  journal->settle(t, request(1), answer(1, 2), kNoon);
  const std::string good = journal.bytes();
  const auto records = [](const std::string& bytes) {
    std::vector<std::uint64_t> aligned((bytes.size() + 7) / 8);
    std::memcpy(aligned.data(), bytes.data(), bytes.size());
    RecordReader reader(std::as_bytes(std::span(aligned)).first(bytes.size()), sizeof(SegmentHeader), true);
    RecordView record;
    std::vector<std::uint64_t> offsets;
    while (reader.next(record) == RecordReader::Next::record) offsets.push_back(record.offset);
    return offsets;
  };
  const auto all = records(good);
  const std::uint64_t end = journal.used();
  ASSERT_EQ(all.size(), 7U);
  for (std::uint64_t at = sizeof(SegmentHeader); at < end; ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ (1 << at % 8));
    const auto seen = records(bad);
    const auto before =
        static_cast<std::size_t>(std::upper_bound(all.begin(), all.end(), at) - all.begin()) - 1;
    ASSERT_EQ(seen.size(), before) << at;
  }
}

TEST(Record, HeadersAreChecked) {
  SegmentHeader header;
  header.crc = header_crc(header);
  SegmentHeader out;
  EXPECT_TRUE(read_header(std::as_bytes(std::span(&header, 1)), out));
  EXPECT_FALSE(read_header(std::as_bytes(std::span(&header, 1)).first(63), out));
  header.sequence ^= 1;
  EXPECT_FALSE(read_header(std::as_bytes(std::span(&header, 1)), out));
}

TEST(TicketSet, BehavesAsASet) {
  TicketSet set;
  std::set<Ticket> model;
  std::uint64_t x = 9;
  for (int i = 0; i < 200'000; ++i) {
    x = x * 6364136223846793005 + 1442695040888963407;
    const Ticket t = x % 700 + 1;
    if (x >> 40 & 1) {
      set.insert(t);
      model.insert(t);
    } else {
      EXPECT_EQ(set.erase(t), model.erase(t) == 1);
    }
    ASSERT_EQ(set.size(), model.size());
    if (i % 1'000 == 0) {
      ASSERT_EQ(set.oldest(), model.empty() ? 0 : *model.begin());
    }
  }
  set.erase_before(350);
  EXPECT_GE(set.oldest(), 350U);
}

}  // namespace
}  // namespace tg::ledger
