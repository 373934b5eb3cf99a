#include "app/explain_model.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/table.hpp"
#include "app/view.hpp"
#include "base/clock.hpp"
#include "base/units.hpp"

namespace tg::app {

namespace {

using Json = nlohmann::ordered_json;

std::string bytes(const Json& j, const char* pointer) {
  return format_bytes(static_cast<std::uint64_t>(std::max<std::int64_t>(0, number_at(j, pointer))));
}

// Seconds or milliseconds of the API as people read them.
std::string seconds(const Json& j, const char* pointer, double unit) {
  const Json::json_pointer p(pointer);
  if (!j.contains(p) || !j.at(p).is_number()) return "-";
  const auto t = static_cast<Nanos>(j.at(p).get<double>() * unit);
  const Nanos step = t >= 10 * kSecond ? kSecond
                     : t >= kSecond    ? 100 * kMillisecond
                                       : kMillisecond;  // nobody reads 1m2s557ms
  return format_duration((t + step / 2) / step * step);
}

constexpr double kInSeconds = 1e9;
constexpr double kInMs = 1e6;

std::string quantiles(const Json& learned, const char* pointer) {
  const std::string base(pointer);
  const std::int64_t samples = number_at(learned, (base + "/samples").c_str());
  if (samples == 0) return "not seen yet";
  return fmt::format("p50 {}, p90 {} of {}", seconds(learned, (base + "/p50Ms").c_str(), kInMs),
                     seconds(learned, (base + "/p90Ms").c_str(), kInMs), samples);
}

void add_instances(std::string& out, const Terminal& terminal, const Json& model, std::int64_t now) {
  const Json list = model.value("instances", Json::array());
  if (list.empty()) return;
  Table table({{"REPLICA"}, {"STATE"}, {"BUSY", true}, {"SLOTS", true}, {"SINCE"}, {"WHY"}});
  for (const Json& r : list) {
    std::string why = text_at(r, "/reason/text");
    if (why.empty()) why = text_at(r, "/drainsBecause");
    if (const std::int64_t total = number_at(r, "/progress/total"); total > 0) {
      why += fmt::format("{}{} of {}", why.empty() ? "" : ", ", bytes(r, "/progress/done"),
                         bytes(r, "/progress/total"));
    }
    if (r.contains("etaSeconds"))
      why += fmt::format("{}about {} left", why.empty() ? "" : ", ", seconds(r, "/etaSeconds", kInSeconds));
    table.row({{text_at(r, "/id")},
               {text_at(r, "/state"), state_style(text_at(r, "/state"))},
               {text_at(r, "/busy")},
               {text_at(r, "/slots")},
               {relative_time(text_at(r, "/since"), now)},
               {why}});
  }
  out += "\n" + table.text(terminal);
}

void add_decisions(std::string& out, const Terminal& terminal, const Json& model, bool wide,
                   std::int64_t now) {
  const Json list = model.value("decisions", Json::array());
  if (list.empty()) return;
  out += "\n" + terminal.out_paint(Style::strong, "Last decisions") + "\n";
  std::size_t shown = 0;
  for (const Json& d : list) {
    if (!wide && shown++ == 5) {
      out += fmt::format("  {} more: -o wide\n", list.size() - 5);
      break;
    }
    out += fmt::format("  {:>9}  {} -> {}  {}: {}\n", relative_time(text_at(d, "/at"), now),
                       text_at(d, "/from"), text_at(d, "/to"), text_at(d, "/rule"), text_at(d, "/text"));
    if (d.contains("bound")) {
      out += fmt::format("             bound by {} {}{}, wanted {}\n", text_at(d, "/bound/field"),
                         text_at(d, "/bound/value"),
                         text_at(d, "/bound/at").empty() ? "" : fmt::format(" ({})", text_at(d, "/bound/at")),
                         text_at(d, "/bound/wanted"));
    }
    if (!wide) continue;
    std::string inputs;
    for (const auto& [name, value] : d.at("inputs").items())
      inputs += fmt::format(" {}={}", name, value.is_string() ? value.get<std::string>() : value.dump());
    out += "             inputs:" + inputs + "\n";
    for (const Json& c : d.value("candidates", Json::array())) {
      out += fmt::format("             n={} cost {} (replicas {}, late {})\n", text_at(c, "/n"),
                         text_at(c, "/cost"), text_at(c, "/replicaCost"), text_at(c, "/lateCost"));
    }
  }
}

void add_starts(std::string& out, const Terminal& terminal, const Json& model, bool wide, std::int64_t now) {
  const Json list = model.value("coldStarts", Json::array());
  if (list.empty()) return;
  Table table({{"LAST STARTS"},
               {"OUTCOME"},
               {"ORDER", true},
               {"FETCH", true},
               {"LOAD", true},
               {"FIRST GRANT", true},
               {"WAITED", true}});
  std::size_t shown = 0;
  for (const Json& s : list) {
    if (!wide && shown++ == 5) break;
    table.row({{relative_time(text_at(s, "/at"), now)},
               {text_at(s, "/outcome")},
               {seconds(s, "/startOrderedMs", kInMs)},
               {seconds(s, "/fetchMs", kInMs)},
               {seconds(s, "/loadMs", kInMs)},
               {seconds(s, "/readyToFirstGrantMs", kInMs)},
               {text_at(s, "/waiting")}});
  }
  out += "\n" + table.text(terminal);
}

}  // namespace

std::string explain_model_text(const Terminal& terminal, const Json& m, bool wide) {
  const std::int64_t now = utc_now_ns();
  const std::string state = text_at(m, "/state");
  std::string out = fmt::format("{}: {}\n", terminal.out_paint(Style::strong, text_at(m, "/name")),
                                terminal.out_paint(state_style(state), state));
  const auto line = [&out](const char* name, const std::string& text) {
    out += fmt::format("  {:<11} {}\n", name, text);
  };
  line("why", fmt::format("{} [{}]", text_at(m, "/reason/text"), text_at(m, "/reason/code")));
  if (const std::string hint = text_at(m, "/reason/hint"); !hint.empty()) line("hint", hint);
  if (const std::string eta = text_at(m, "/notReady/eta/basis"); !eta.empty()) {
    line("ready in",
         fmt::format("{} ({})",
                     eta == "none yet" ? "no estimate" : seconds(m, "/notReady/eta/seconds", kInSeconds),
                     eta));
  }
  line("engine", text_at(m, "/engine") + (text_at(m, "/source").empty() ? "" : ", " + text_at(m, "/source")));
  line("replicas", fmt::format("{} ready, {} starting, {} draining; wanted {} (min {}, max {})",
                               text_at(m, "/replicas/ready"), text_at(m, "/replicas/starting"),
                               text_at(m, "/replicas/draining"), text_at(m, "/replicas/desired"),
                               text_at(m, "/replicas/min"), text_at(m, "/replicas/max")));
  line("requests",
       fmt::format("{} running, {} held of at most {} ({} of {}), for at most {}", text_at(m, "/inFlight"),
                   text_at(m, "/queue/held"), text_at(m, "/queue/limit/requests"), bytes(m, "/queue/bytes"),
                   bytes(m, "/queue/limit/bytes"), seconds(m, "/queue/limit/deadlineSeconds", kInSeconds)));
  line("idle",
       fmt::format("for {}; to replicas.min after {} ({})", seconds(m, "/idle/forSeconds", kInSeconds),
                   seconds(m, "/idle/keepSeconds", kInSeconds), text_at(m, "/idle/from")));
  const std::string need =
      m.contains("memoryNeed") ? fmt::format("needs ~{} a replica; ", bytes(m, "/memoryNeed")) : "";
  line("memory", fmt::format("{}engines have {} of {} ({})", need, bytes(m, "/capacity/inUse"),
                             bytes(m, "/capacity/total"), text_at(m, "/capacity/limitedBy")));
  line("cold start", fmt::format("fetch {}; load {}", quantiles(m, "/learned/coldStart/fetch"),
                                 quantiles(m, "/learned/coldStart/load")));
  if (const std::string evicted = text_at(m, "/lastEvictedFor"); !evicted.empty())
    line("evicted for", evicted);
  add_instances(out, terminal, m, now);
  add_decisions(out, terminal, m, wide, now);
  add_starts(out, terminal, m, wide, now);
  return out;
}

}  // namespace tg::app
