#include "http/sse.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tg::http {
namespace {

// Events as the splitter sees them when the text arrives in pieces of these sizes.
std::vector<std::string> split(const std::string& text, std::size_t cut) {
  SseSplitter splitter;
  std::vector<std::string> events;
  std::string pending;
  for (std::string_view piece : {std::string_view(text).substr(0, cut), std::string_view(text).substr(cut)}) {
    while (!piece.empty()) {
      const std::size_t end = splitter.event_end(piece);
      if (end == std::string_view::npos) {
        pending += piece;
        break;
      }
      pending += piece.substr(0, end);
      events.push_back(pending);
      pending.clear();
      piece.remove_prefix(end);
    }
  }
  if (!pending.empty()) events.push_back("…" + pending);
  return events;
}

TEST(Sse, LfEventsAtEveryCut) {
  const std::string text = "data: a\n\ndata: b\ndata: c\n\n: comment\n\ndata: half";
  const std::vector<std::string> expected{"data: a\n\n", "data: b\ndata: c\n\n", ": comment\n\n",
                                          "…data: half"};
  for (std::size_t cut = 0; cut <= text.size(); ++cut) EXPECT_EQ(split(text, cut), expected) << cut;
}

TEST(Sse, CrlfEventsAtEveryCut) {
  const std::string crlf = "data: a\r\n\r\ndata: b\r\nid: 1\r\n\r\n";
  const std::vector<std::string> expected{"data: a\r\n\r\n", "data: b\r\nid: 1\r\n\r\n"};
  for (std::size_t cut = 0; cut <= crlf.size(); ++cut) EXPECT_EQ(split(crlf, cut), expected) << cut;
}

TEST(Sse, CrAndMixedEvents) {
  const std::vector<std::string> cr{"data: a\r\r", "data: b\r\r"};
  for (std::size_t cut = 0; cut <= 18; ++cut) EXPECT_EQ(split("data: a\r\rdata: b\r\r", cut), cr) << cut;
  const std::string mixed = "x\r\n\r\r\rdata: b\n\r\n";
  for (std::size_t cut = 0; cut <= mixed.size(); ++cut) {
    std::string joined;
    for (const std::string& e : split(mixed, cut)) joined += e.starts_with("…") ? e.substr(3) : e;
    EXPECT_EQ(joined, mixed) << cut;
  }
}

TEST(Sse, DataOfAnEvent) {
  EXPECT_EQ(sse_data("data: {\"a\":1}\n\n"), "{\"a\":1}");
  EXPECT_EQ(sse_data("data:[DONE]\n\n"), "[DONE]");
  EXPECT_EQ(sse_data("event: x\r\ndata: y\r\n\r\n"), "y");
  EXPECT_EQ(sse_data(": ping\n\n"), "");
}

}  // namespace
}  // namespace tg::http
