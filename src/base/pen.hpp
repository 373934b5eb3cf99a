// Writes text into memory that is known to be large enough. For message heads: they are made of many small
// pieces, and a bounds check or a format string for each would cost more than the pieces. Whoever makes a Pen
// adds up the room first, kNumber for each number.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace tg {

class Pen {
 public:
  static constexpr std::size_t kNumber = 20;  // the longest 64-bit number, sign included

  explicit Pen(char* at) : begin_(at), at_(at) {}

  void put(std::string_view text) {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  void put_number(std::int64_t value) { at_ = std::to_chars(at_, at_ + kNumber, value).ptr; }
  void put_hex(std::uint64_t value) { at_ = std::to_chars(at_, at_ + kNumber, value, 16).ptr; }

  char* at() { return at_; }
  void skip(std::size_t n) { at_ += n; }  // after writing at at()
  std::size_t size() const { return static_cast<std::size_t>(at_ - begin_); }
  std::string_view text() const { return {begin_, size()}; }

 private:
  char* begin_;
  char* at_;
};

}  // namespace tg
