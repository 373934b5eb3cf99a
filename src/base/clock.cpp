#include "base/clock.hpp"

#include <fmt/format.h>
#include <time.h>

namespace tg {

namespace {
std::int64_t read_clock(clockid_t id) {
  timespec t{};
  clock_gettime(id, &t);
  return static_cast<std::int64_t>(t.tv_sec) * kSecond + t.tv_nsec;
}
}  // namespace

Nanos mono_now() { return read_clock(CLOCK_MONOTONIC); }
std::int64_t utc_now_ns() { return read_clock(CLOCK_REALTIME); }

std::string format_utc(std::int64_t utc_ns) {
  const time_t seconds = utc_ns / kSecond;
  tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     utc_ns % kSecond / kMillisecond);
}

}  // namespace tg
