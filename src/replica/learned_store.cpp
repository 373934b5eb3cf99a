#include "replica/learned_store.hpp"

#include <unistd.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/files.hpp"
#include "base/id.hpp"

namespace tg::replica {

namespace {

using Json = nlohmann::ordered_json;

struct Field {
  const char* name;
  double scale::Learner::* value;
  bool of_engine;  // forgotten with another revision
};

constexpr Field kFields[] = {
    {"codePoints", &scale::Learner::code_points, false},
    {"tokens", &scale::Learner::tokens, false},
    {"outputMean", &scale::Learner::output_mean, false},
    {"outputVariance", &scale::Learner::output_var, false},
    {"promptMean", &scale::Learner::prompt_mean, false},
    {"requests", &scale::Learner::requests, false},
    {"fitWeight", &scale::Learner::w, true},
    {"fitC", &scale::Learner::wc, true},
    {"fitCC", &scale::Learner::wcc, true},
    {"fitY", &scale::Learner::wy, true},
    {"fitCY", &scale::Learner::wcy, true},
    {"perPromptToken", &scale::Learner::per_prompt_token, true},
    {"promptSamples", &scale::Learner::prompt_samples, true},
    {"prefillShare", &scale::Learner::prefill_share, true},
    {"slots", &scale::Learner::slots, true},
    {"decodeSeconds", &scale::Learner::decode_seconds, true},
    {"decoded", &scale::Learner::decoded, true},
    {"rhoWork", &scale::Learner::rho_work, true},
    {"rhoSeconds", &scale::Learner::rho_seconds, true},
};

Json durations_json(const scale::Durations& d) {
  Json out = Json::array();
  for (const Nanos v : d.values()) out.push_back(v / kMicrosecond);
  return out;
}

Result<scale::Durations> parse_durations(const Json& json, const char* name) {
  scale::Durations d;
  if (!json.is_array()) return fail("state_invalid", std::string(name) + " is not a list");
  std::vector<Nanos> values;
  for (const auto& v : json) {
    if (!v.is_number_integer())
      return fail("state_invalid", std::string(name) + " holds something that is not a whole number");
    const auto us = v.get<std::int64_t>();
    if (us < 0 || us > 7 * 24 * kHour / kMicrosecond)
      return fail("state_invalid", std::string(name) + " holds a value out of range");
    values.push_back(us * kMicrosecond);
  }
  d.assign(std::move(values));
  return d;
}

}  // namespace

std::string revision_digest(const spec::Model& m) {
  std::string text;
  const auto add = [&text](std::string_view part) {
    text += std::to_string(part.size());
    text += ':';
    text += part;
  };
  add(std::to_string(static_cast<int>(m.engine)));
  add(m.source);
  add(m.sha256);
  add(std::to_string(m.slots));
  add(std::to_string(m.context));
  add(m.ollama.url);
  add(m.external.url);
  add(std::to_string(m.simulated.load));
  add(std::to_string(m.simulated.prefill));
  add(std::to_string(m.simulated.decode));
  for (const auto& c : m.command) add(c);
  add("");
  for (const auto& a : m.args) add(a);
  Sha256 sha;
  return to_hex(sha.of(text));
}

std::string memory_path(const std::string& dir, const std::string& model) {
  std::string name;
  for (const char c : model) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '-' || (c == '.' && !name.empty());
    if (plain) {
      name += c;
    } else {
      constexpr char kHex[] = "0123456789ABCDEF";
      const auto u = static_cast<unsigned char>(c);
      name += {'%', kHex[u >> 4], kHex[u & 15]};
    }
  }
  return dir + "/" + name + ".json";
}

std::string memory_json(const Memory& memory, const std::string& revision) {
  Json json;
  json["version"] = 1;
  json["revision"] = revision;
  json["settled"] = memory.settled;
  json["starts"] = memory.learner.cold.starts;
  json["waitingMean"] = memory.learner.cold.waiting_mean;
  json["fetchMicroseconds"] = durations_json(memory.learner.cold.fetch);
  json["loadMicroseconds"] = durations_json(memory.learner.cold.load);
  for (const auto& f : kFields) json[f.name] = memory.learner.*f.value;
  return json.dump(1) + "\n";
}

Result<Memory> parse_memory(const std::string& text, const std::string& revision) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return fail("state_invalid", "not a JSON object");
  const auto number = [&json](const char* name) -> Result<double> {
    const auto it = json.find(name);
    if (it == json.end() || !it->is_number())
      return fail("state_invalid", std::string(name) + " is missing or not a number");
    const double v = it->get<double>();
    if (!std::isfinite(v) || v < 0 || v > 1e18)
      return fail("state_invalid", std::string(name) + " is out of range");
    return v;
  };
  const auto version = number("version");
  if (!version) return std::unexpected(version.error());
  if (*version != 1) return fail("state_invalid", "version is not 1");

  Memory memory;
  for (const auto& f : kFields) {
    const auto v = number(f.name);
    if (!v) return std::unexpected(v.error());
    memory.learner.*f.value = *v;
  }
  const auto starts = number("starts");
  const auto waiting = number("waitingMean");
  const auto settled = number("settled");
  if (!starts || !waiting || !settled)
    return fail("state_invalid", "starts, waitingMean or settled is missing or out of range");
  auto fetch = parse_durations(json.value("fetchMicroseconds", Json::array()), "fetchMicroseconds");
  if (!fetch) return std::unexpected(fetch.error());
  auto load = parse_durations(json.value("loadMicroseconds", Json::array()), "loadMicroseconds");
  if (!load) return std::unexpected(load.error());
  memory.learner.cold.fetch = *fetch;
  memory.learner.cold.load = *load;
  memory.learner.cold.starts = static_cast<std::size_t>(std::min(*starts, 1e9));
  memory.learner.cold.waiting_mean = *waiting;
  memory.settled = static_cast<int>(std::min(*settled, 1e6));
  const auto seen = json.find("revision");
  if (seen == json.end() || !seen->is_string() || seen->get<std::string>() != revision) {
    memory.learner.forget_engine();
    memory.settled = 0;
  }
  return memory;
}

Result<Memory> load_memory(const std::string& dir, const spec::Model& model) {
  const auto path = memory_path(dir, model.name);
  if (::access(path.c_str(), F_OK) != 0) return Memory{};
  auto text = read_file(path, 1 << 20);
  if (!text) return std::unexpected(text.error());
  auto memory = parse_memory(*text, revision_digest(model));
  if (!memory) return std::unexpected(std::move(memory.error()).context(path));
  return memory;
}

Result<> save_memory(const std::string& dir, const spec::Model& model, const Memory& memory) {
  return replace_file(memory_path(dir, model.name), memory_json(memory, revision_digest(model)));
}

}  // namespace tg::replica
