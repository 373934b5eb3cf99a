// Time as integers: nanoseconds everywhere. Limits and timers use the monotonic clock, records use UTC.
#pragma once

#include <cstdint>
#include <string>

namespace tg {

using Nanos = std::int64_t;  // a duration, or a point on the monotonic clock

inline constexpr Nanos kMicrosecond = 1'000;
inline constexpr Nanos kMillisecond = 1'000'000;
inline constexpr Nanos kSecond = 1'000'000'000;
inline constexpr Nanos kMinute = 60 * kSecond;
inline constexpr Nanos kHour = 60 * kMinute;

Nanos mono_now();           // CLOCK_MONOTONIC, about 20 ns a call
std::int64_t utc_now_ns();  // nanoseconds since 1970-01-01T00:00:00Z

// "2026-11-21T10:11:12.123Z"
std::string format_utc(std::int64_t utc_ns);

}  // namespace tg
