// Server-sent events from an upstream to a client, byte for byte. A read that consists of whole chunks and
// ends on an event boundary goes out as it came, chunk heads included. An incomplete last event waits (at
// most 64 KiB); the usage event that we asked for is cut out; everything else is never changed.
#pragma once

#include <cstdint>
#include <vector>

#include "gateway/answer_scan.hpp"
#include "gateway/event_shape.hpp"
#include "http/client.hpp"
#include "http/server.hpp"
#include "http/sse.hpp"

namespace tg::gateway {

class EventRelay {
 public:
  struct Counts {
    Usage usage;
    std::int64_t code_points = 0;
    std::uint64_t events = 0;
    std::uint64_t bytes = 0;  // payload relayed
    bool done = false;        // data: [DONE] was seen
    bool error = false;       // an error event was seen
  };

  // `cut_usage`: the client did not ask for the usage event.
  EventRelay(AnswerScanner& scanner, bool cut_usage) : scanner_(scanner), cut_usage_(cut_usage) {}

  // Looks at the bytes and prepares what is to be sent; send() must follow before the part's bytes go away.
  void take(const http::BodyPart& part, net::BufferPool& pool);
  // Writes what take() prepared. `last`: and ends the answer.
  void send(http::ServerStream& stream, bool last);
  bool has_output() const { return whole_ || !out_.empty(); }

  const Counts& counts() const { return counts_; }

 private:
  void event(std::string_view bytes);
  void emit(std::string_view bytes);

  AnswerScanner& scanner_;
  EventShape shape_;  // of the last event that was scanned
  http::SseSplitter splitter_;
  net::Buffer pending_;    // the incomplete last event
  net::Buffer completed_;  // a pending event that this part completed, until sent
  std::vector<std::string_view> out_;
  std::string_view framed_;
  Counts counts_;
  bool cut_usage_;
  bool whole_ = false;
  bool cut_ = false;       // an event of this part was cut out
  bool overflow_ = false;  // the pending event is too long to wait: its bytes pass as they come
};

}  // namespace tg::gateway
