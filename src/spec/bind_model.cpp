#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <tuple>

#include "spec/bind.hpp"

namespace tg::spec {

namespace {

void add(std::vector<Finding>& out, std::string_view code, const Reader& doc, std::string_view path,
         std::string message, std::string hint) {
  out.push_back({std::string(code), Severity::error, doc.at(path), doc.where(path), std::move(message),
                 std::move(hint)});
}

SimulatedFault::At moment(std::string_view word) {
  if (word == "load") return SimulatedFault::At::load;
  if (word == "event") return SimulatedFault::At::event;
  return word == "end" ? SimulatedFault::At::end : SimulatedFault::At::first_byte;
}

SimulatedEngine bind_simulated(const Reader& doc, std::vector<Finding>& out) {
  SimulatedEngine e;
  e.load = doc.value("spec.engine.simulated.load").integer;
  e.prefill = doc.value("spec.engine.simulated.prefill").number;
  e.decode = doc.value("spec.engine.simulated.decode").number;
  e.context = doc.value("spec.engine.simulated.context").integer;
  for (const Reader& entry : doc.entries("spec.engine.simulated.fail")) {
    SimulatedFault f;
    f.request = entry.value("request").integer;
    const Value at = entry.value("at");
    f.at = moment(at.text);
    f.event = at.integer;
    const Value act = entry.value("do");
    if (act.text == "stall") f.what = SimulatedFault::Do::stall;
    if (act.text == "error") {
      f.what = SimulatedFault::Do::error;
      f.status = static_cast<int>(act.integer);
    }
    if (f.request == 0 && f.at != SimulatedFault::At::load && entry.has("request")) {
      add(out, "out_of_range", entry, "request", fmt::format("{}: 0 is below 1", entry.where("request")),
          "requests count from 1; 0 means every start, with at: load");
    }
    e.fail.push_back(f);
  }
  return e;
}

// hf://OWNER/REPO: a whole repository, which only vLLM takes.
bool is_repository(std::string_view source) {
  return source.starts_with("hf://") && std::count(source.begin() + 5, source.end(), '/') == 1;
}

bool is_for_vllm(std::string_view source) {
  return source.ends_with(".safetensors") || is_repository(source);
}

// Which engine the document names or its source implies. Nothing when neither says it or what is said is
// wrong; there is a finding then.
std::optional<EngineKind> engine_of(const Reader& doc, Purpose purpose, const Model& m,
                                    std::vector<Finding>& out) {
  const std::string_view named = doc.chosen("spec.engine");
  const bool vllm = purpose == Purpose::platform && (named == "vllm" || !doc.has("spec.engine"));
  if (is_repository(m.source) && !vllm) {
    add(out, "bad_value", doc, "spec.source",
        fmt::format("spec.source: '{}' names no file in a repository", m.source),
        "write hf://OWNER/REPO/FILE.gguf");
    return std::nullopt;
  }
  if (named == "llamacpp") return EngineKind::llamacpp;
  if (named == "simulated") return EngineKind::simulated;
  if (named == "ollama") return EngineKind::ollama;
  if (named == "external") return EngineKind::external;
  if (named == "vllm" && vllm) return EngineKind::external;
  if (doc.has("spec.engine")) return std::nullopt;  // found wrong already
  if (vllm && is_for_vllm(m.source)) return EngineKind::external;
  if (m.source.starts_with("ollama://")) return EngineKind::ollama;
  if (m.source.ends_with(".gguf")) return EngineKind::llamacpp;
  if (m.source.empty()) {
    if (doc.is_map("spec") && !doc.has("spec.source")) {
      add(out, "engine_missing", doc, "spec", "there is neither spec.source nor spec.engine",
          "write source: hf://OWNER/REPO/FILE.gguf, or engine: simulated to try without weights");
    }
  } else {
    add(out, "engine_missing", doc, "spec.source",
        fmt::format("{} is no .gguf file, and engines for other files are not supported yet", m.source),
        "name a .gguf file, or write engine: llamacpp if it is one");
  }
  return std::nullopt;
}

std::string_view engine_name(EngineKind kind) {
  switch (kind) {
    case EngineKind::llamacpp:
      return "llamacpp";
    case EngineKind::simulated:
      return "simulated";
    case EngineKind::ollama:
      return "ollama";
    case EngineKind::external:
      return "external";
  }
  return {};
}

// Fields that would have no effect with this engine are refused: nothing is accepted and ignored.
void refuse_without_effect(const Reader& doc, const Model& m, std::vector<Finding>& out) {
  const bool foreign =
      m.engine == EngineKind::external || (m.engine == EngineKind::ollama && !m.ollama.url.empty());
  const auto refuse = [&](std::string_view path, std::string hint) {
    if (!doc.has(path)) return;
    add(out, "no_effect", doc, path,
        fmt::format("{} does nothing with {}", path,
                    foreign && m.engine == EngineKind::ollama ? "a running ollama" : engine_name(m.engine)),
        std::move(hint));
  };
  if (m.engine == EngineKind::simulated || m.engine == EngineKind::external) {
    refuse("spec.source", "remove it, or choose an engine that runs weights");
    refuse("spec.sha256", "remove it");
    refuse("spec.context", m.engine == EngineKind::simulated ? "write engine: {simulated: {context: …}}"
                                                             : "that server has its own");
  }
  if (m.engine == EngineKind::simulated)
    refuse("spec.memory", "remove it: the simulated engine has no weights");
  if (foreign) {
    for (const std::string_view path : {"spec.command", "spec.args", "spec.memory"})
      refuse(path, "remove it: somebody else runs that server");
    if (m.replicas_max > 1) {
      add(out, "no_effect", doc, "spec.replicas.max",
          fmt::format("a running server is one replica, spec.replicas.max is {}", m.replicas_max),
          "write max: 1");
    }
  }
}

void check_source(const Reader& doc, const Model& m, std::vector<Finding>& out) {
  const bool is_ollama = m.source.starts_with("ollama://");
  if (m.source.starts_with("https://") && !doc.has("spec.sha256")) {
    add(out, "missing_field", doc, "spec.source",
        "spec.sha256 is missing: a file from https:// is only taken with its digest",
        "add sha256: the digits that sha256sum prints");
  }
  if (is_ollama && doc.has("spec.sha256")) {
    add(out, "no_effect", doc, "spec.sha256", "spec.sha256 does nothing with ollama://",
        "remove it: Ollama checks its own digests");
  }
  if (m.engine == EngineKind::llamacpp && is_ollama) {
    add(out, "engine_mismatch", doc, "spec.source", fmt::format("llamacpp cannot read {}", m.source),
        "name a .gguf file, or write engine: ollama");
  }
  const bool weights = m.engine == EngineKind::llamacpp || m.engine == EngineKind::ollama;
  if (weights && !doc.has("spec.source")) {
    add(out, "missing_field", doc, "spec.engine",
        fmt::format("spec.source is missing: {} needs weights", engine_name(m.engine)),
        m.engine == EngineKind::ollama ? "add source: ollama://NAME"
                                       : "add source: hf://OWNER/REPO/FILE.gguf");
  }
  if (m.engine == EngineKind::ollama && !m.ollama.url.empty() && doc.has("spec.source") &&
      !m.source.empty() && !is_ollama) {
    add(out, "engine_mismatch", doc, "spec.source", "a running ollama takes only ollama://NAME",
        "write source: ollama://NAME");
  }
}

}  // namespace

Model bind_model(const Reader& doc, Purpose purpose, std::vector<Finding>& out) {
  Model m;
  m.name = doc.value("metadata.name").text;
  m.at = doc.at();
  m.source = doc.value("spec.source").text;
  m.sha256 = doc.value("spec.sha256").text;
  const auto engine = engine_of(doc, purpose, m, out);
  const bool vllm = engine == EngineKind::external && doc.chosen("spec.engine") != "external";
  m.engine = engine.value_or(EngineKind::simulated);
  m.simulated = bind_simulated(doc, out);
  m.ollama.url = doc.value("spec.engine.ollama.url").text;
  m.external.url = doc.value("spec.engine.external.url").text;
  m.replicas_min = static_cast<int>(doc.value("spec.replicas.min").integer);
  m.replicas_max = static_cast<int>(doc.value("spec.replicas.max").integer);
  m.replicas_max_at = doc.at("spec.replicas.max");
  m.context = doc.value("spec.context").integer;
  m.slots = static_cast<int>(doc.value("spec.slots").integer);
  for (auto& [word, at] : doc.texts("spec.command")) m.command.push_back(std::move(word));
  for (auto& [word, at] : doc.texts("spec.args")) m.args.push_back(std::move(word));
  m.memory = static_cast<std::uint64_t>(doc.value("spec.memory").integer);
  m.first_token_target = doc.value("spec.targets.firstToken").integer;
  const Value idle = doc.value("spec.idle");
  if (!idle.word) m.idle = idle.integer;
  m.hold.requests = doc.value("spec.hold.requests").integer;
  m.hold.bytes = static_cast<std::uint64_t>(doc.value("spec.hold.bytes").integer);
  m.hold.deadline = doc.value("spec.hold.deadline").integer;
  m.hold.keep_alive_after = doc.value("spec.hold.keepAliveAfter").integer;  // 0 with the word never

  if (m.replicas_min > m.replicas_max) {
    add(out, "out_of_range", doc, "spec.replicas.min",
        fmt::format("spec.replicas.min {} is above spec.replicas.max {}", m.replicas_min, m.replicas_max),
        fmt::format("write max: {}, or a smaller min", m.replicas_min));
  }
  if (engine && !vllm) refuse_without_effect(doc, m, out);
  if (engine && !vllm) check_source(doc, m, out);
  return m;
}

bool Model::same_revision(const Model& other) const {
  const auto fault = [](const SimulatedFault& f) {
    return std::tuple(f.request, f.at, f.event, f.what, f.status);
  };
  if (engine != other.engine || simulated.fail.size() != other.simulated.fail.size()) return false;
  for (std::size_t i = 0; i < simulated.fail.size(); ++i) {
    if (fault(simulated.fail[i]) != fault(other.simulated.fail[i])) return false;
  }
  const auto rest = [](const Model& m) {
    return std::tie(m.simulated.load, m.simulated.prefill, m.simulated.decode, m.simulated.context,
                    m.ollama.url, m.external.url, m.source, m.sha256, m.context, m.slots, m.command, m.args);
  };
  return rest(*this) == rest(other);
}

}  // namespace tg::spec
