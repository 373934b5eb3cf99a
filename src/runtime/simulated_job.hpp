// One request to the simulated engine, understood, and the texts of its answer. Pure: see
// simulated_answer.hpp for what is said, here for how it is written (compact JSON, fixed order of members,
// `created` 0, so that every byte is known).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tg::runtime {

enum class SimulatedKind { chat, completion, embedding };

struct SimulatedRefusal {
  int status = 400;
  std::string code;  // OpenAI's `code`
  std::string message;
};

struct SimulatedJob {
  SimulatedKind kind = SimulatedKind::chat;
  bool stream = false;
  std::int64_t prompt_tokens = 0;
  std::vector<std::string> tokens;  // content events, in order
  // A stream is: opening, then before + token as JSON string + after for each token, then each of `closing`,
  // then [DONE]. All are whole events without `data: ` and the blank line.
  std::vector<std::string> opening;
  std::string before, after;
  std::vector<std::string> closing;
  std::string body;  // the whole answer if not streamed
};

// Reads a request body. False: `refusal` says why.
bool read_simulated_job(SimulatedKind kind, std::string_view body, std::int64_t context, SimulatedJob& job,
                        SimulatedRefusal& refusal);

// {"error":{"message":…,"type":…,"param":null,"code":…}} as OpenAI writes it.
std::string simulated_error(int status, std::string_view code, std::string_view message);

}  // namespace tg::runtime
