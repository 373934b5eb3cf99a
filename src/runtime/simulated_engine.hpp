// The engine without weights: body of the hidden word `tidegate _simulate`, a process of its own with a real
// HTTP server. What it answers is defined in simulated_answer.hpp; how fast, how many at once and which
// faults, by its settings.
//
//   GET /health                      no key; 503 while "loading"
//   GET /v1/models                   the one model
//   POST /v1/chat/completions        streaming or not, tools
//   POST /v1/completions             streaming or not
//   POST /v1/embeddings              float or base64
//
// It listens while it loads and answers 503 then, as llama-server does. More requests than slots wait in
// order of arrival.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "spec/documents.hpp"

namespace tg::runtime {

// The key the engine demands comes by environment; empty or absent = none.
inline constexpr std::string_view kSimulatedKeyVariable = "TIDEGATE_SIMULATED_KEY";

struct SimulatedSettings {
  // A fault at `load` counts the model's starts in `request` (0 = every start); all others count this
  // process's requests for completions and embeddings. Rates of 0 or less mean "at once".
  spec::SimulatedEngine engine;
  std::string model = "simulated";
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;  // 0 = any; the line "listening on HOST:PORT" on stdout tells
  int slots = 4;
  int start = 1;
  std::string key;  // not part of the words
};

// Settings as command-line words and back: `--port 4001 --model m --slots 4 --load-ms 2000 --prefill 2000
// --decode 40
// --context 8192 --start 1 --fail 7:event:5:exit`. A fault is REQUEST:AT[:EVENT]:DO[:STATUS].
std::vector<std::string> simulated_words(const SimulatedSettings& settings);
Result<SimulatedSettings> parse_simulated_words(const std::vector<std::string>& words);

// argv[0] is the word itself. Returns the exit status: 0 after SIGTERM, 1 if the port is taken, 2 for wrong
// words.
int simulate_main(int argc, char** argv);

}  // namespace tg::runtime
