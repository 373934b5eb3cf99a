// Clocks: time zones that somebody knows. A program that is given another name does not start.
#include <fmt/format.h>

#include "catalog/time_zones.hpp"
#include "text/suggest.hpp"
#include "verify/rules.hpp"

namespace tg::verify {

namespace {

void check_zone(const spec::Reader& reader, const std::string& path, Report& report) {
  const std::string zone = reader.has(path) ? reader.text(path) : std::string();
  if (zone.empty() || catalog::standard_offset(zone)) return;
  const std::string near = text::did_you_mean(zone, catalog::time_zones());
  report.error(reader, path, "unknown_time_zone", fmt::format("no clock knows the time zone {}", zone),
               near.empty() ? "write the city as IANA's list has it, for example Europe/Brussels" : near);
}

}  // namespace

void check_clocks(const Subject& s, Report& report) {
  for (const char* path : {"upkeep.window.timeZone", "upkeep.reboot.timeZone"})
    check_zone(s.spec, path, report);
  for (const auto& [name, app] : s.spec.named("apps")) {
    for (const spec::Reader& hours : app.entries("scale.cron")) check_zone(hours, "timeZone", report);
  }
}

}  // namespace tg::verify
