// Incremental strict decoder of the chunked transfer coding. It consumes bytes as they arrive and reports
// payload spans as views into the input; nothing is copied. Extensions are skipped up to 256 bytes a chunk,
// trailers are read and dropped (up to 8 KiB), sizes are hex digits only (at most 15), lines end in CRLF
// only.
#pragma once

#include <cstdint>
#include <string_view>

namespace tg::http {

class ChunkDecoder {
 public:
  enum class Status { more, done, error };

  // Decodes a piece of `input`. Consumed bytes are removed from its front. If a payload span was found it is
  // put into `payload`, otherwise `payload` is empty. Call until `input` is empty or the status is not
  // `more`.
  Status next(std::string_view& input, std::string_view& payload);

  // True between two chunks: everything so far is whole chunks, so framed bytes may be passed on as they are.
  bool at_boundary() const { return state_ == State::size && digits_ == 0; }
  // Just behind the last chunk that was completed by next(); null if none was in the bytes given so far.
  const char* boundary() const { return boundary_; }
  // Bytes of the running chunk that are still to come: lets a limit be checked before they arrive.
  std::uint64_t left() const { return state_ == State::data || state_ == State::size_lf ? left_ : 0; }
  void clear_boundary() { boundary_ = nullptr; }
  void reset() { *this = ChunkDecoder(); }
  std::string_view error() const { return error_; }

 private:
  enum class State : std::uint8_t {
    size,
    extension,
    size_lf,
    data,
    data_cr,
    data_lf,
    trailer_start,
    trailer,
    trailer_lf,
    end_lf,
    done
  };
  Status fail(std::string_view what) {
    error_ = what;
    return Status::error;
  }
  State state_ = State::size;
  std::uint8_t digits_ = 0;
  bool colon_ = false;       // seen in the running trailer line
  std::uint16_t extra_ = 0;  // bytes of extension or trailers so far
  std::uint64_t left_ = 0;
  const char* boundary_ = nullptr;
  std::string_view error_;
};

}  // namespace tg::http
