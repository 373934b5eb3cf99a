#include "gateway/event_relay.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

namespace tg::gateway {
namespace {

// A client's side that records payload and how often framed bytes passed untouched.
class Sink final : public http::ServerStream {
 public:
  std::string payload;
  int framed_writes = 0;
  int calls = 0;  // that send something
  bool finished = false;
  void respond(int, std::string_view, std::string_view) override {}
  void start(int, std::string_view, http::Framing, std::uint64_t) override {}
  using ServerStream::write;
  void write(const std::string_view* parts, std::size_t count) override {
    ++calls;
    for (std::size_t i = 0; i < count; ++i) payload += parts[i];
  }
  void write_chunks(std::string_view framed) override {
    ++calls;
    decode(framed);
  }
  bool takes_chunks() const override { return true; }
  void flush() override {}
  void finish(std::string_view framed) override {
    ++calls;
    decode(framed);
    finished = true;
  }
  void finish_with(const std::string_view* parts, std::size_t count) override {
    write(parts, count);
    finished = true;
  }
  void abort() override {}
  bool blocked() const override { return false; }
  std::size_t pending() const override { return 0; }
  void set_write_stall(Nanos) override {}
  bool started() const override { return true; }
  bool http11() const override { return true; }
  bool head_method() const override { return false; }
  net::Loop& loop() override { std::abort(); }

 private:
  void decode(std::string_view framed) {
    if (!framed.empty()) ++framed_writes;
    http::ChunkDecoder decoder;
    while (!framed.empty()) {
      std::string_view part;
      ASSERT_NE(decoder.next(framed, part), http::ChunkDecoder::Status::error);
      payload += part;
    }
  }
};

struct Relayed {
  Sink sink;
  EventRelay::Counts counts;
};

// Relays the pieces as separate reads, each one whole chunk as a server would send it.
void relay(const std::vector<std::string>& pieces, bool cut_usage, Relayed& run) {
  AnswerScanner scanner;
  net::BufferPool pool;
  EventRelay relay(scanner, cut_usage);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const std::string_view bytes = pieces[i];
    char size[24];
    std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
    const std::string framed = bytes.empty() ? std::string() : size + pieces[i] + "\r\n";
    http::BodyPart part;
    part.payload = &bytes;
    part.count = bytes.empty() ? 0 : 1;
    part.framed = framed;
    part.whole_chunks = true;
    part.last = i + 1 == pieces.size();
    relay.take(part, pool);
    relay.send(run.sink, part.last);
  }
  run.counts = relay.counts();
}

const std::string kContent = "data: {\"choices\":[{\"delta\":{\"content\":\"h\xC3\xA9\"}}]}\n\n";
const std::string kUsage =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n";
const std::string kDone = "data: [DONE]\n\n";

TEST(EventRelay, EveryCutGivesTheSameBytesLessTheUsageEvent) {
  const std::string text = ": hi\n\n" + kContent + kContent + kUsage + kDone;
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    Relayed kept;
    relay({text.substr(0, cut), text.substr(cut)}, false, kept);
    ASSERT_EQ(kept.sink.payload, text) << cut;
    Relayed without;
    relay({text.substr(0, cut), text.substr(cut)}, true, without);
    ASSERT_EQ(without.sink.payload, ": hi\n\n" + kContent + kContent + kDone) << cut;
    ASSERT_TRUE(without.sink.finished);
    ASSERT_TRUE(without.counts.done);
    ASSERT_EQ(without.counts.usage.completion_tokens, 4);
    ASSERT_EQ(without.counts.code_points, 4);
  }
}

TEST(EventRelay, WholeReadsPassWithTheirFraming) {
  Relayed run;
  relay({kContent, kContent + kContent, kDone}, true, run);
  EXPECT_EQ(run.sink.framed_writes, 3);
}

// What a relay knows of a shape from the events before must not change what it sees in the next one.
TEST(EventRelay, AKnownShapeTellsWhatAScanTells) {
  const std::string before = R"(data: {"id":"a","choices":[{"delta":{"content":")";
  const std::string behind = "\"},\"finish_reason\":null}]}\n\n";
  std::vector<std::string> events;
  for (const char* text :
       {"one", "", " two words, and more than sixteen bytes of them", "\\n", "\\u00e9", "\\", "a\"", "\"",
        "x\\\"", "h\xC3\xA9", "\xFF", "\x01", "\x7F", "sixteen bytes ..\x02", "sixteen bytes ..\"",
        "\"},\"finish_reason\":null}]}, {\"usage\":{\"prompt_tokens\":1}}",
        "x\"},\"usage\":{\"completion_tokens\":9},\"finish_reason\":null}],\"a\":[{\"b\":\"", "[DONE]"}) {
    events.push_back(before + text + behind);
  }
  events.insert(
      events.end(),
      {kContent, kContent, "data: " + behind, before + "\n\n", before + "cut\n\n", "data: {}\n\n",
       R"(data: {"id":"a","choices":[{"delta":{"content":"x","reasoning":"yy"},"finish_reason":null}]})"
       "\n\n",
       R"(data: {"error":{"message":"x"},"choices":[{"delta":{"content":"x"}}]})"
       "\n\n",
       R"(data: {"choices":[{"delta":{"content":"x"}}],"usage":{"completion_tokens":5}})"
       "\n\n",
       kUsage});
  for (const std::string& first : events) {
    for (const std::string& second : events) {
      Relayed alone;
      relay({first}, true, alone);
      Relayed next;
      relay({second}, true, next);
      Relayed both;
      relay({first, second}, true, both);
      SCOPED_TRACE(first + second);
      ASSERT_EQ(both.counts.code_points, alone.counts.code_points + next.counts.code_points);
      ASSERT_EQ(both.counts.events, alone.counts.events + next.counts.events);
      ASSERT_EQ(both.counts.error, alone.counts.error || next.counts.error);
      const Usage& last = next.counts.usage.told() ? next.counts.usage : alone.counts.usage;
      ASSERT_EQ(both.counts.usage.completion_tokens, last.completion_tokens);
      ASSERT_EQ(both.sink.payload, alone.sink.payload + next.sink.payload);
    }
  }
}

TEST(EventRelay, TheEndIsOneSendAlsoWhereAnEventIsCutOut) {
  Relayed run;
  relay({kContent, kContent + kUsage + kDone}, true, run);
  EXPECT_EQ(run.sink.payload, kContent + kContent + kDone);
  EXPECT_TRUE(run.sink.finished);
  EXPECT_EQ(run.sink.calls, 2);
}

TEST(EventRelay, HalfAnEventWaitsAndPassesAtACleanEnd) {
  AnswerScanner scanner;
  net::BufferPool pool;
  EventRelay relay(scanner, true);
  Sink sink;
  std::string_view bytes = "data: {\"a\"";
  http::BodyPart part;
  part.payload = &bytes;
  part.count = 1;
  relay.take(part, pool);
  EXPECT_FALSE(relay.has_output());
  relay.send(sink, false);
  EXPECT_EQ(sink.payload, "");
  part = {};
  part.last = true;
  relay.take(part, pool);
  relay.send(sink, true);
  EXPECT_EQ(sink.payload, "data: {\"a\"");
}

TEST(EventRelay, AnEventBeyondTheBoundPassesAsItComes) {
  const std::string large = "data: " + std::string(200'000, 'x') + "\n\n";
  Relayed run;
  relay({large.substr(0, 100'000), large.substr(100'000), kDone}, true, run);
  EXPECT_EQ(run.sink.payload, large + kDone);
}

}  // namespace
}  // namespace tg::gateway
