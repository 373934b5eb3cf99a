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
  const std::vector<std::string> expected{"data: a\n\n", "data: b\ndata: c\n\n", ": comment\n\n", "…data: half"};
  for (std::size_t cut = 0; cut <= text.size(); ++cut) EXPECT_EQ(split(text, cut), expected) << cut;
}

TEST(Sse, CrlfAndCrEvents) {
  const std::string crlf = "data: a\r\n\r\ndata: b\r\n\r\n";
  for (std::size_t cut = 0; cut <= crlf.size(); ++cut) {
    // A cut between the CR and the LF of an empty line may leave the LF to itself; no byte is lost and no event is merged.
    std::string joined;
    int with_data = 0;
    for (const std::string& e : split(crlf, cut)) {
      joined += e;
      with_data += e.find("data:") != std::string::npos;
    }
    EXPECT_EQ(joined, crlf) << cut;
    EXPECT_EQ(with_data, 2) << cut;
  }
  EXPECT_EQ(split("data: a\r\rdata: b\r\r", 18).size(), 2U);
}

TEST(Sse, DataOfAnEvent) {
  EXPECT_EQ(sse_data("data: {\"a\":1}\n\n"), "{\"a\":1}");
  EXPECT_EQ(sse_data("data:[DONE]\n\n"), "[DONE]");
  EXPECT_EQ(sse_data("event: x\r\ndata: y\r\n\r\n"), "y");
  EXPECT_EQ(sse_data(": ping\n\n"), "");
}

}  // namespace
}  // namespace tg::http
