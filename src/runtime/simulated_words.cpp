#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

#include "runtime/simulated_engine.hpp"

namespace tg::runtime {
namespace {

using Fault = spec::SimulatedFault;

constexpr std::array<std::pair<Fault::At, std::string_view>, 4> kAt{{{Fault::At::load, "load"},
                                                                     {Fault::At::first_byte, "firstByte"},
                                                                     {Fault::At::event, "event"},
                                                                     {Fault::At::end, "end"}}};
constexpr std::array<std::pair<Fault::Do, std::string_view>, 3> kDo{
    {{Fault::Do::exit, "exit"}, {Fault::Do::stall, "stall"}, {Fault::Do::error, "error"}}};

std::string fault_word(const Fault& fault) {
  std::string text = fmt::format("{}:", fault.request);
  for (const auto& [at, name] : kAt) {
    if (at == fault.at) text += name;
  }
  if (fault.at == Fault::At::event) text += fmt::format(":{}", fault.event);
  for (const auto& [what, name] : kDo) {
    if (what == fault.what) text += fmt::format(":{}", name);
  }
  if (fault.what == Fault::Do::error) text += fmt::format(":{}", fault.status);
  return text;
}

std::string_view next_part(std::string_view& rest) {
  const std::size_t colon = rest.find(':');
  const std::string_view part = rest.substr(0, colon);
  rest = colon == std::string_view::npos ? std::string_view() : rest.substr(colon + 1);
  return part;
}

template <class T>
bool number(std::string_view text, T& out) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), out);
  return problem == std::errc{} && end == text.data() + text.size() && out >= T{};
}

bool parse_fault(std::string_view text, Fault& fault) {
  if (!number(next_part(text), fault.request)) return false;
  const std::string_view at = next_part(text);
  bool known = false;
  for (const auto& [value, name] : kAt) {
    if (name == at) fault.at = value, known = true;
  }
  if (!known || (fault.at == Fault::At::event && !number(next_part(text), fault.event))) return false;
  const std::string_view what = next_part(text);
  known = false;
  for (const auto& [value, name] : kDo) {
    if (name == what) fault.what = value, known = true;
  }
  if (!known) return false;
  if (fault.what == Fault::Do::error && !number(next_part(text), fault.status)) return false;
  return text.empty();
}

}  // namespace

std::vector<std::string> simulated_words(const SimulatedSettings& s) {
  std::vector<std::string> words{"--host",    s.host,
                                 "--port",    fmt::to_string(s.port),
                                 "--model",   s.model,
                                 "--slots",   fmt::to_string(s.slots),
                                 "--load-ms", fmt::to_string(s.engine.load / kMillisecond),
                                 "--prefill", fmt::format("{}", s.engine.prefill),
                                 "--decode",  fmt::format("{}", s.engine.decode),
                                 "--context", fmt::to_string(s.engine.context),
                                 "--start",   fmt::to_string(s.start)};
  for (const Fault& fault : s.engine.fail) {
    words.emplace_back("--fail");
    words.push_back(fault_word(fault));
  }
  return words;
}

Result<SimulatedSettings> parse_simulated_words(const std::vector<std::string>& words) {
  SimulatedSettings s;
  for (std::size_t i = 0; i < words.size(); i += 2) {
    const std::string& name = words[i];
    if (i + 1 == words.size()) return fail("usage", fmt::format("_simulate: '{}' needs a value", name));
    const std::string& value = words[i + 1];
    bool good = true;
    std::int64_t load_ms = 0;
    if (name == "--host") {
      s.host = value;
    } else if (name == "--port") {
      good = number(value, s.port);
    } else if (name == "--model") {
      s.model = value;
    } else if (name == "--slots") {
      good = number(value, s.slots) && s.slots > 0;
    } else if (name == "--load-ms") {
      good = number(value, load_ms) && load_ms <= 86'400'000;
      s.engine.load = load_ms * kMillisecond;
    } else if (name == "--prefill") {
      good = number(value, s.engine.prefill) && std::isfinite(s.engine.prefill);
    } else if (name == "--decode") {
      good = number(value, s.engine.decode) && std::isfinite(s.engine.decode);
    } else if (name == "--context") {
      good = number(value, s.engine.context);
    } else if (name == "--start") {
      good = number(value, s.start);
    } else if (name == "--fail") {
      good = parse_fault(value, s.engine.fail.emplace_back());
    } else {
      return fail("usage", fmt::format("_simulate: unknown option '{}'", name));
    }
    if (!good) return fail("usage", fmt::format("_simulate: '{}' is not a value of {}", value, name));
  }
  return s;
}

}  // namespace tg::runtime
