#include "verify/cidr.hpp"

#include <fmt/format.h>

#include <charconv>

namespace tg::verify {

namespace {

// A decimal number of at most `max` at the front of `text`, which is shortened. No sign, no leading zero.
std::optional<std::uint32_t> number(std::string_view& text, std::uint32_t max) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value > max) return std::nullopt;
  const auto length = static_cast<std::size_t>(end - text.data());
  if (length > 1 && text.front() == '0') return std::nullopt;
  text.remove_prefix(length);
  return value;
}

}  // namespace

std::string Cidr::str() const {
  return fmt::format("{}.{}.{}.{}/{}", base >> 24, base >> 16 & 255, base >> 8 & 255, base & 255, bits);
}

std::optional<Cidr> parse_cidr(std::string_view text) {
  std::uint32_t address = 0;
  for (int i = 0; i < 4; ++i) {
    if (i > 0) {
      if (!text.starts_with('.')) return std::nullopt;
      text.remove_prefix(1);
    }
    const auto byte = number(text, 255);
    if (!byte) return std::nullopt;
    address = address << 8 | *byte;
  }
  Cidr out{address, 32};
  if (text.empty()) return out;
  if (!text.starts_with('/')) return std::nullopt;
  text.remove_prefix(1);
  const auto bits = number(text, 32);
  if (!bits || !text.empty()) return std::nullopt;
  out.bits = static_cast<int>(*bits);
  out.base = out.bits == 0 ? 0 : address & ~static_cast<std::uint32_t>((1ULL << (32 - out.bits)) - 1);
  return out;
}

}  // namespace tg::verify
