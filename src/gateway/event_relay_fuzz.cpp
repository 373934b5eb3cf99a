// A stream through the relay, whole and cut in two reads, chunked or not: what goes out is the input, less
// whole usage events.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "gateway/event_relay.hpp"

namespace {

class Sink final : public tg::http::ServerStream {
 public:
  std::string payload;
  bool chunks = false;
  void respond(int, std::string_view, std::string_view) override {}
  void start(int, std::string_view, tg::http::Framing, std::uint64_t) override {}
  using ServerStream::write;
  void write(const std::string_view* parts, std::size_t count) override {
    for (std::size_t i = 0; i < count; ++i) payload += parts[i];
  }
  void write_chunks(std::string_view framed) override { decode(framed); }
  bool takes_chunks() const override { return chunks; }
  void flush() override {}
  void finish(std::string_view framed) override { decode(framed); }
  void finish_with(const std::string_view* parts, std::size_t count) override { write(parts, count); }
  void abort() override {}
  bool blocked() const override { return false; }
  std::size_t pending() const override { return 0; }
  void set_write_stall(tg::Nanos) override {}
  bool started() const override { return true; }
  bool http11() const override { return true; }
  bool head_method() const override { return false; }
  tg::net::Loop& loop() override { std::abort(); }

 private:
  void decode(std::string_view framed) {
    tg::http::ChunkDecoder decoder;
    while (!framed.empty()) {
      std::string_view part;
      if (decoder.next(framed, part) == tg::http::ChunkDecoder::Status::error) std::abort();
      payload += part;
    }
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  const std::size_t cut = text.empty() ? 0 : static_cast<std::size_t>(data[0]) * text.size() / 256;
  const bool framed = (data[1] & 1) != 0;
  static tg::gateway::AnswerScanner scanner;
  tg::net::BufferPool pool;
  tg::gateway::EventRelay relay(scanner, (data[1] & 2) != 0);
  Sink sink;
  sink.chunks = framed;
  std::array<std::string_view, 2> reads{text.substr(0, cut), text.substr(cut)};
  std::string wrapped[2];
  for (std::size_t i = 0; i < 2; ++i) {
    tg::http::BodyPart part;
    part.payload = &reads[i];
    part.count = reads[i].empty() ? 0 : 1;
    if (framed && !reads[i].empty()) {
      char head[24];
      std::snprintf(head, sizeof head, "%zx\r\n", reads[i].size());
      wrapped[i] = head + std::string(reads[i]) + "\r\n";
      part.framed = wrapped[i];
      part.whole_chunks = true;
    }
    part.last = i == 1;
    relay.take(part, pool);
    relay.send(sink, part.last);
  }
  if ((data[1] & 2) == 0 ? sink.payload != text : sink.payload.size() > text.size()) std::abort();
  return 0;
}
