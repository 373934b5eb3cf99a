// For the tests of this folder only: a directory that goes away, and a journal without a writer thread.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/files.hpp"
#include "base/log.hpp"
#include "ledger/journal.hpp"
#include "ledger/usage.hpp"

namespace tg::ledger::testing {

// In memory where there is such a place: the tests sync thousands of small files.
class TestDir {
 public:
  TestDir() {
    path_ = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm/tidegate-test-XXXXXX" : "/tmp/tidegate-test-XXXXXX";
    if (::mkdtemp(path_.data()) == nullptr) ADD_FAILURE() << "no temporary directory";
  }
  ~TestDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestDir(const TestDir&) = delete;
  TestDir& operator=(const TestDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

inline void write_text(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

inline std::vector<std::string> lines_of(const std::string& path) {
  std::vector<std::string> lines;
  std::istringstream in(read_text(path));
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

inline UlidBytes id_of(std::uint64_t n) {
  UlidBytes id{};
  for (std::size_t i = 0; i < 8; ++i) id[15 - i] = static_cast<std::uint8_t>(n >> (8 * i));
  return id;
}

inline RequestInfo request(std::uint64_t n, std::int64_t prompt = 100) {
  RequestInfo r;
  r.id = id_of(n);
  r.key = 7;
  r.tenant = "default";
  r.model = "gpt-4o-mini-2024";
  r.route = "gpt-4o-mini";
  r.backend = "openai";
  r.operation = "chat";
  r.prompt_estimate = prompt;
  return r;
}

inline AnswerInfo answer(std::int64_t in, std::int64_t out, bool reported = true) {
  AnswerInfo a;
  a.status = 200;
  a.tokens_in = in;
  a.tokens_out = out;
  a.reported = reported;
  a.first_byte_ns = 2'000'000;
  a.total_ns = 5'000'000;
  a.bytes_in = 10;
  a.bytes_out = 20;
  return a;
}

inline constexpr std::int64_t kNoon = 1'795'262'400LL * 1'000'000'000;  // 2026-11-21T12:00:00Z

inline UsageSums sums_of(const std::string& dir) {
  auto report = query_usage(dir, {}, {});
  EXPECT_TRUE(report) << (report ? "" : report.error().message);
  return report ? report->total : UsageSums{};
}

inline std::int64_t requests_with(const std::string& dir, Outcome outcome) {
  auto report = query_usage(dir, {UsageBy::outcome}, {});
  EXPECT_TRUE(report);
  std::int64_t n = 0;
  for (const UsageRow& row : report->rows) {
    if (row.group[0] == outcome_name(outcome)) n += row.sums.requests;
  }
  return n;
}

inline Logger quiet() { return Logger(LogFormat::json, LogLevel::error, -1); }

// A worker's journal in DIR/journal with one segment that nobody follows, as a killed program leaves it.
class LooseJournal {
 public:
  explicit LooseJournal(const std::string& dir, std::uint64_t sequence = 1, std::uint32_t worker = 0,
                        std::uint64_t bytes = 64 * 1024)
      : metrics_(1) {
    EXPECT_TRUE(make_directories(dir + "/journal"));
    SegmentHeader header;
    header.worker = worker;
    header.sequence = sequence;
    header.run = 42;
    auto made = Segment::create(segment_path(dir, worker, sequence), header, bytes);
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    segment_ = std::move(*made);
    channel_.next.store(segment_.get());
    journal_ = std::make_unique<JournalWriter>(0, channel_, signal_, metrics_);
  }
  JournalWriter& operator*() { return *journal_; }
  JournalWriter* operator->() { return journal_.get(); }
  Segment& segment() { return *segment_; }
  Signal& signal() { return signal_; }
  std::int64_t lost() const { return channel_.lost_records.load(); }
  void end() { journal_.reset(); }

  // The file without an end record: what a kill leaves.
  std::string bytes() const {
    return {reinterpret_cast<const char*>(segment_->bytes().data()), segment_->bytes().size()};
  }
  // Where the records end.
  std::uint64_t used() const {
    RecordReader reader(segment_->bytes(), sizeof(SegmentHeader), true);
    RecordView record;
    while (reader.next(record) == RecordReader::Next::record) {
    }
    return reader.offset();
  }

 private:
  Metrics metrics_;
  Signal signal_;
  JournalChannel channel_;
  std::unique_ptr<Segment> segment_;
  std::unique_ptr<JournalWriter> journal_;
};

}  // namespace tg::ledger::testing
