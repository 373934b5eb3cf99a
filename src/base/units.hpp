// The units that users type: Kubernetes quantities (4Gi, 500m, 200k) and durations (30s, 1m30s, 250ms).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/pen.hpp"

namespace tg {

// Bytes: a non-negative number with an optional suffix k M G T (10^3…) or Ki Mi Gi Ti (2^10…); "1.5Gi" is
// allowed.
Result<std::uint64_t> parse_bytes(std::string_view text);
// A plain count: "600", "200k", "4k", "1M". No fractions below one.
Result<std::int64_t> parse_count(std::string_view text);
// One or more NUMBER UNIT pairs with units ms, s, m, h, d in falling order: "1m30s". "0" alone is zero.
Result<Nanos> parse_duration(std::string_view text);
// "20%" → 0.2. Values above 100% are allowed.
Result<double> parse_percent(std::string_view text);

std::string format_bytes(std::uint64_t bytes);  // "1.5 GiB", "512 B"
std::string format_duration(
    Nanos duration);  // "1m30s", "250ms", "0s"; the inverse of parse_duration to the ms
// OpenAI's x-ratelimit-reset-* form: "12ms", "1s", "6m0s" (rounded up to the ms, to the second above one
// second).
std::string format_reset(Nanos duration);
inline constexpr std::size_t kMaxReset = Pen::kNumber + 6;  // "…h59m59s"
void put_reset(Pen& pen, Nanos duration);

}  // namespace tg
