#include "render/infrastructure/cloud_upkeep.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "catalog/time_zones.hpp"
#include "render/infrastructure/window.hpp"

namespace tg::render {

namespace {

constexpr int kHour = 60;
constexpr int kDay = 24 * kHour;
constexpr int kLeast = 4 * kHour;  // of both clouds, of one piece

// What the document asks for, and what the cloud is given.
struct Care {
  Window asked{};
  int offset = 0;   // minutes
  UtcWindow utc{};  // as long as the cloud takes
  bool longer = false;
};

// In 32 days a weekday comes four times at least.
int least_of_google(std::size_t days) {
  constexpr int kHours = 48;
  const int pieces = 4 * static_cast<int>(days);
  return std::max(kLeast, (kHours + pieces - 1) / pieces * kHour);
}

Care care(const Context& context) {
  Care out{.asked = upkeep_window(context)};
  const auto offset = catalog::standard_offset(out.asked.time_zone);
  out.offset = offset.value_or(0);
  out.utc = in_utc(out.asked, out.offset);
  const int least = context.site() == Site::google ? least_of_google(out.utc.days.size()) : kLeast;
  out.longer = out.utc.length < least;
  out.utc.length = std::max(out.utc.length, least);
  return out;
}

void tell(const Context& context, const Care& c) {
  const spec::Reader& spec = context.spec();
  const bool by_restarts = !spec.has("upkeep.window.at");
  const char* at = by_restarts ? "upkeep.reboot.at" : "upkeep.window.at";
  if (c.longer && spec.has(at) && !(by_restarts && reboot_window(context).days.empty())) {
    const bool google = context.site() == Site::google;
    context.warn("window_too_short", spec.at(at), fmt::format("spec.{}", at),
                 fmt::format("{} for its own care of the cluster; the window is {} hours long there",
                             google ? "Google takes 48 hours in 32 days, in pieces of four or more,"
                                    : "Azure takes four hours or more",
                             c.utc.length / kHour),
                 google ? "write twelve hours, or four on three days" : "write four hours");
  }
}

std::string clock(int minutes) { return fmt::format("{:02}:{:02}", minutes / kHour % 24, minutes % kHour); }

// A moment of the first week of 2024, which began with a Monday.
std::string moment(int day, int minutes) {
  return fmt::format("2024-01-{:02}T{}:00Z", day + 1 + minutes / kDay, clock(minutes));
}

std::string recurrence(const std::vector<int>& days) {
  if (days.size() == 7) return "FREQ=DAILY";
  std::string out;
  for (const int day : days) {
    out += out.empty() ? "FREQ=WEEKLY;BYDAY=" : ",";
    for (const char letter : day_name(day).substr(0, 2))
      out += letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 32) : letter;  // "SU"
  }
  return out;
}

// Azure's care of the parts that it runs itself takes whole hours of UTC, of any days.
Json allowed(const UtcWindow& utc) {
  std::map<int, std::set<int>> hours;
  for (const int day : utc.days) {
    for (int at = utc.from / kHour; at * kHour < utc.from + utc.length; ++at)
      hours[(day + at / 24) % 7].insert(at % 24);
  }
  Json out = Json::array();
  for (const auto& [day, of_day] : hours) out.push_back({{"day", day_name(day)}, {"hours", of_day}});
  return out;
}

std::string utc_offset(int minutes) {
  return fmt::format("{}{}", minutes < 0 ? '-' : '+', clock(minutes < 0 ? -minutes : minutes));
}

// One day a week, by the clock of the zone's standard time.
Json weekly(const Care& c) {
  const int day = in_utc(c.asked, 0).days.front();
  Json out{{"frequency", "Weekly"}, {"interval", 1}, {"day_of_week", day_name(day)}};
  out["start_time"] = c.asked.from;
  out["utc_offset"] = utc_offset(c.offset);
  out["duration"] = (c.utc.length + kHour - 1) / kHour;
  return out;
}

std::string days_text(const std::vector<int>& days) {
  if (days.size() == 7) return "every day";
  std::string out;
  for (const int day : days) out += fmt::format("{}{}", out.empty() ? "" : ", ", day_name(day));
  return out;
}

// Shows what the cloud took.
std::string command(const Context& context) {
  const spec::Reader site = context.infrastructure();
  if (context.site() == Site::google)
    return fmt::format(
        "gcloud container clusters describe {} --location {} --format 'yaml(maintenancePolicy)'",
        context.cluster_name(), site.text("region"));
  const std::string group = site.text("resourceGroup");
  return fmt::format(
      "az aks maintenanceconfiguration list --resource-group {} --cluster-name {} --output yaml",
      group.empty() ? context.name() : group, context.cluster_name());
}

}  // namespace

Json google_maintenance(const Context& context) {
  const Care c = care(context);
  tell(context, c);
  const int day = c.utc.days.front();
  Json window{{"start_time", moment(day, c.utc.from)}, {"end_time", moment(day, c.utc.from + c.utc.length)}};
  window["recurrence"] = recurrence(c.utc.days);
  return {{"recurring_window", std::move(window)}};
}

Json azure_maintenance(const Context& context) {
  const Care c = care(context);
  tell(context, c);
  Json out{{"maintenance_window", {{"allowed", allowed(c.utc)}}}};
  const Json once = weekly(c);
  out["maintenance_window_auto_upgrade"] = once;
  Json nodes = once;
  if (c.utc.days.size() == 7) {
    nodes["frequency"] = "Daily";
    nodes.erase("day_of_week");
  }
  out["maintenance_window_node_os"] = std::move(nodes);
  return out;
}

Section cloud_care(const Context& context) {
  const Care c = care(context);
  const bool google = context.site() == Site::google;
  const std::string hours = fmt::format("{} from {} for {} hours, by UTC", days_text(c.utc.days),
                                        clock(c.utc.from), (c.utc.length + kHour - 1) / kHour);
  const char* what = google ? "Google upgrades the control plane and the nodes by itself"
                            : "Azure installs patches of Kubernetes and new images of the nodes by itself";
  const char* least = google ? "48 hours in 32 days, in pieces of four or more" : "four hours or more";
  std::string text = fmt::format("{}: {}.", what, hours);
  if (!google && c.utc.days.size() > 1)
    text += fmt::format(" Patches come on {} only: it takes one day a week for them.",
                        day_name(in_utc(c.asked, 0).days.front()));
  if (c.longer) text += fmt::format(" `upkeep.window` is shorter, and the cloud takes {}.", least);
  if (c.offset != 0)
    text += " The cloud knows no time zones: where clocks change, the hours come one later in summer.";
  text += "\n\n```sh\n" + command(context) + "\n```\n";
  return {.chapter = Section::Chapter::monthly,
          .title = "What the cloud does by itself",
          .text = std::move(text)};
}

}  // namespace tg::render
