#include "http/chunked.hpp"

#include <algorithm>

namespace tg::http {

namespace {
int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
constexpr std::uint16_t kMaxExtension = 256;
constexpr std::uint16_t kMaxTrailers = 8192;
}  // namespace

ChunkDecoder::Status ChunkDecoder::next(std::string_view& input, std::string_view& payload) {
  payload = {};
  while (!input.empty()) {
    const char c = input.front();
    switch (state_) {
      case State::size: {
        const int digit = hex_value(c);
        if (digit >= 0) {
          if (digits_ == 15) return fail("a chunk size has more than 15 digits");
          left_ = left_ << 4 | static_cast<std::uint64_t>(digit);
          ++digits_;
        } else if (digits_ > 0 && c == '\r') {
          state_ = State::size_lf;
        } else if (digits_ > 0 && c == ';') {
          state_ = State::extension;
          extra_ = 0;
        } else {
          return fail("a chunk size is not a hex number");
        }
        break;
      }
      case State::extension:
        if (c == '\r') {
          state_ = State::size_lf;
        } else if (c == '\n' || c == '\0' || ++extra_ > kMaxExtension) {
          return fail("a chunk extension is malformed or longer than 256 bytes");
        }
        break;
      case State::size_lf:
        if (c != '\n') return fail("a chunk size line does not end in CRLF");
        digits_ = 0;
        extra_ = 0;
        state_ = left_ > 0 ? State::data : State::trailer_start;
        break;
      case State::data: {
        const std::size_t n = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size()));
        payload = input.substr(0, n);
        input.remove_prefix(n);
        left_ -= n;
        if (left_ == 0) state_ = State::data_cr;
        return Status::more;
      }
      case State::data_cr:
        if (c != '\r') return fail("a chunk is longer than its size");
        state_ = State::data_lf;
        break;
      case State::data_lf:
        if (c != '\n') return fail("a chunk does not end in CRLF");
        boundary_ = input.data() + 1;
        state_ = State::size;
        break;
      case State::trailer_start:
        if (c == '\r') {
          state_ = State::end_lf;
        } else if (c == '\n' || c == ' ' || c == '\t' || c == ':') {
          return fail("a trailer line is malformed");
        } else {
          state_ = State::trailer;
          colon_ = false;
          ++extra_;
        }
        break;
      case State::trailer:
        colon_ = colon_ || c == ':';
        if (c == '\r') {
          if (!colon_) return fail("a trailer line has no colon");
          state_ = State::trailer_lf;
        } else if (c == '\n' || c == '\0' || ++extra_ > kMaxTrailers) {
          return fail("trailers are malformed or larger than 8 KiB");
        }
        break;
      case State::trailer_lf:
        if (c != '\n') return fail("a trailer line does not end in CRLF");
        state_ = State::trailer_start;
        break;
      case State::end_lf:
        if (c != '\n') return fail("the last chunk does not end in CRLF");
        input.remove_prefix(1);
        state_ = State::done;
        return Status::done;
      case State::done:
        return Status::done;
    }
    input.remove_prefix(1);
  }
  return state_ == State::done ? Status::done : Status::more;
}

}  // namespace tg::http
