// IPv4 networks as numbers. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tg::verify {

struct Cidr {
  std::uint32_t base = 0;  // host order, host bits clear
  int bits = 32;           // of the network part

  std::uint32_t last() const {
    return bits == 0 ? 0xffffffffU : base | static_cast<std::uint32_t>((1ULL << (32 - bits)) - 1);
  }
  std::uint64_t size() const { return 1ULL << (32 - bits); }
  bool contains(std::uint32_t address) const { return address >= base && address <= last(); }
  bool contains(const Cidr& other) const { return other.base >= base && other.last() <= last(); }
  bool overlaps(const Cidr& other) const { return base <= other.last() && other.base <= last(); }
  std::string str() const;
};

// "10.0.0.0/16"; an address alone is a network of one. Nothing if it is neither.
std::optional<Cidr> parse_cidr(std::string_view text);

}  // namespace tg::verify
