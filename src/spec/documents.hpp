// The documents as typed values. Decoded from YAML or JSON by decode.hpp from one field table (fields.hpp);
// every default below is stated there once and repeated here never: a value is what the table or the user
// said.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "spec/fields.hpp"
#include "text/position.hpp"
#include "text/yaml.hpp"

namespace tg::spec {

using text::Position;

inline constexpr std::string_view kApiVersion = "tidegate.dev/v1alpha1";

// ---- Model
// -------------------------------------------------------------------------------------------------------
// vLLM runs in clusters only: with Purpose::platform such a Model counts as external here.
enum class EngineKind { llamacpp, simulated, ollama, external };

// One scripted fault of the simulated engine: on its n-th request (from 1, counted per replica process) …
struct SimulatedFault {
  enum class At { load, first_byte, event, end };
  enum class Do { exit, stall, error };
  std::int64_t request = 0;
  At at = At::first_byte;
  std::int64_t event = 0;  // with At::event: after this many content events
  Do what = Do::exit;
  int status = 500;  // with Do::error
};

struct SimulatedEngine {
  Nanos load = 0;            // time until ready
  double prefill = 0;        // tokens a second
  double decode = 0;         // tokens a second and sequence
  std::int64_t context = 0;  // tokens
  std::vector<SimulatedFault> fail;
};

struct OllamaEngine {
  std::string url;  // of a running server; empty = one `ollama serve` of our own per replica
};

struct ExternalEngine {
  std::string url;  // OpenAI-compatible base, for example http://host:8000/v1
};

struct Hold {
  std::int64_t requests = 0;   // at most this many held
  std::uint64_t bytes = 0;     // … with at most these body bytes in all
  Nanos deadline = 0;          // then 503 with Retry-After
  Nanos keep_alive_after = 0;  // comments to streaming clients; 0 = never
};

struct Model {
  std::string name;
  Position at;
  EngineKind engine = EngineKind::simulated;  // given, or from the source
  SimulatedEngine simulated;                  // with EngineKind::simulated
  OllamaEngine ollama;
  ExternalEngine external;
  std::string source;  // file:// hf:// https:// ollama://, empty for simulated and external
  std::string sha256;  // hex, lower case; demanded for https://
  int replicas_min = 0;
  int replicas_max = 1;
  Position replicas_max_at;          // explain names the line that bounds a decision
  std::int64_t context = 0;          // tokens per slot
  int slots = 0;                     // concurrent sequences per replica
  std::vector<std::string> command;  // replaces the engine's program; empty = found on PATH
  std::vector<std::string> args;     // added to the engine's arguments
  std::uint64_t memory = 0;          // bytes; 0 = estimated from the file
  Nanos first_token_target = 0;      // targets.firstToken
  std::optional<Nanos> idle;         // nullopt = auto
  Hold hold;

  // True if a change from `other` needs new processes (engine, source, slots, context, args, command).
  bool same_revision(const Model& other) const;
};

// ---- Provider
// ----------------------------------------------------------------------------------------------------
struct Credentials {
  enum class From { none, env, file };  // secretRef and vault are for clusters: none here
  From from = From::none;
  std::string name;  // variable or path
  Position at;
};

struct ProviderModel {
  std::string name;
  Position at;
};

struct Provider {
  std::string name;
  Position at;
  std::string dialect;  // "openai"
  std::string url;      // http(s)://host[:port][/path], no trailing slash
  Credentials credentials;
  std::vector<ProviderModel> models;
};

// ---- Route
// -------------------------------------------------------------------------------------------------------
struct Target {
  std::string model;     // a Model's name, or with `provider` the provider's name of the model
  std::string provider;  // empty = local Model
  int weight = 1;        // `to` only
  Position at;
};

struct Fallback {
  Target target;
  bool on_errors = false;  // when.errors
};

struct Retry {
  int attempts = 0;   // tries in all, fallbacks included
  double budget = 0;  // retries ÷ requests over the last 10 s, for example 0.2
};

struct Timeouts {
  Nanos connect = 0, tls = 0, first_byte = 0, between_events = 0, total = 0, client_stalled = 0;
};

struct Route {
  std::string name;
  Position at;
  std::vector<Target> to;
  std::vector<Fallback> fallback;
  Retry retry;
  Timeouts timeouts;
  bool implied = false;  // made from a Model or a Provider's entry
};

// ---- Tenant
// ------------------------------------------------------------------------------------------------------
struct Limits {
  std::int64_t requests_per_minute = 0;  // 0 = no limit
  std::int64_t tokens_per_minute = 0;
  std::int64_t concurrent = 0;
};

struct Tenant {
  std::string name;
  Position at;
  bool all_routes = true;
  std::vector<std::string> routes;  // with all_routes == false
  Limits limits;
};

// A document as it stands after merging, check and writing out of shorthands; read it with Reader.
struct Document {
  DocumentKind kind = DocumentKind::platform;
  std::string name;
  Position at;  // of its first writing
  text::Node node;
};

// All documents of one load, references checked, implied Routes and the `default` Tenant added.
struct Documents {
  std::map<std::string, Model> models;
  std::map<std::string, Provider> providers;
  std::map<std::string, Route> routes;  // name = what clients write in `model`
  std::map<std::string, Tenant> tenants;
  std::vector<std::string> platforms;      // names of Platform documents seen; they are for render
  std::vector<std::string> training_runs;  // names of TrainingRun documents seen, as platforms
  std::vector<Document> all;               // every document that has a name, in order of first appearance
  std::vector<std::string> files;          // names of the files; Mark::source counts into it

  Position position(text::Mark mark) const {
    const auto index = static_cast<std::size_t>(mark.source);
    return {index < files.size() ? files[index] : std::string(), mark.line, mark.column};
  }
  const Document* find(DocumentKind kind, std::string_view name) const {
    for (const Document& d : all) {
      if (d.kind == kind && d.name == name) return &d;
    }
    return nullptr;
  }
};

}  // namespace tg::spec
