// What has to be known to run one engine: pure functions from a Model to a plan. One file per engine
// (engine_NAME.cpp). No I/O, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "replica/backend.hpp"
#include "spec/documents.hpp"

namespace tg::runtime {

struct PlanInput {
  const spec::Model& model;
  std::string label;               // "qwen3-4b-0"
  std::string self;                // this program, for the simulated engine
  std::string weights;             // path of the weights file; empty if the source names none
  std::uint16_t port = 0;          // on loopback, chosen by us
  std::string key;                 // random, for engines that check one
  std::size_t workers = 1;         // gateway threads that keep connections to the engine
  std::string engine_data;         // directory the engine may keep its own files in (Ollama's models)
  std::string ollama_models = {};  // the user's own store of Ollama's models; empty = engine_data
  int start = 1;                   // how often this model was started, for scripted faults
};

// One HTTP request to the engine and the answer that is wanted.
struct EngineCall {
  std::string method = "GET";
  std::string path;
  std::string body;  // JSON, empty = none
  int status = 200;  // 0 = anything below 500 but 401 and 403: it lives and lets us in
};

// A step between "answers" and "ready": pulling or making a model inside the engine. Skipped if `unless`
// answers as wanted.
struct SetupStep {
  EngineCall unless;  // path empty = always do it
  EngineCall call;    // path empty = run `command` instead
  std::vector<std::string> command;
  std::string what;        // for the reason: "pulling qwen3:4b"
  bool downloads = false;  // bounded by the time of a download, not by that of a start
};

struct EnginePlan {
  std::vector<std::string> argv;  // empty: nothing is started (external, a running Ollama)
  std::vector<std::pair<std::string, std::string>> env;    // besides engine_environment()
  std::vector<std::pair<std::string, std::string>> files;  // path and content, written before the start
  EngineCall probe;                                        // answers as wanted = the engine serves
  // The probe without the key must be refused with 401: else a stranger without keys is on our port.
  bool probe_demands_key = false;
  std::vector<SetupStep> setup;
  replica::Endpoint endpoint;
  int slots = 1;
};

// Errors: `engine_url` for a URL that cannot be one, `weights_missing` where the engine needs a file and the
// source has none.
Result<EnginePlan> plan_engine(const PlanInput& in);
Result<EnginePlan> plan_llamacpp(const PlanInput& in);
Result<EnginePlan> plan_simulated(const PlanInput& in);
Result<EnginePlan> plan_ollama(const PlanInput& in);
Result<EnginePlan> plan_external(const PlanInput& in);

// The program that a replica of this model is started with, as written: a path, or a name on PATH. Empty
// where none is needed, or where it is this one.
std::string engine_program(const spec::Model& model);

struct UrlParts {
  std::string host;  // without brackets
  std::uint16_t port = 0;
  bool tls = false;
  std::string path;  // without trailing slash, may be empty
};
// http:// or https://, host, optional port and path; no user, query or fragment.
Result<UrlParts> parse_engine_url(const std::string& url);

}  // namespace tg::runtime
