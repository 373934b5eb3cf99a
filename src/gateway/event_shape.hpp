// Events of one stream differ in one string only: id, model and the rest repeat. The shape is what stands
// around that string in an event that was scanned. Another event with the same shape, whose string holds
// plain ASCII and no escape, is the same JSON with another string, so that a comparison of bytes tells all a
// scan would.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tg::gateway {

class EventShape {
 public:
  // `text`: the bytes inside the quotes of a string of `json`, which is valid and was scanned.
  void learn(std::string_view json, std::string_view text);
  // The code points of the string, if `json` has this shape and its string is plain.
  std::optional<std::int64_t> code_points(std::string_view json) const;

 private:
  std::string around_;      // what stands before the string with its quote, then what stands behind it
  std::size_t prefix_ = 0;  // bytes of `around_` before the string; 0 = no shape is known
};

}  // namespace tg::gateway
