// How many tokens an answer had whose upstream did not say. Pure: what is known goes in, a number comes out.
#pragma once

#include <cstdint>
#include <optional>

#include "base/clock.hpp"

namespace tg::gateway {

// What bounds an answer, known before it begins.
struct OutputBounds {
  bool text = true;                // false: embeddings, an answer without output tokens
  std::int64_t max_tokens = -1;    // per choice, as the request says; -1 = it does not
  std::int64_t choices = 1;        // `n`
  std::int64_t context = 0;        // the Model's, tokens of prompt and answer together; 0 = not known
  std::int64_t prompt_tokens = 0;  // estimate
};

// What is known of an answer that ended, whole or not.
struct OutputSeen {
  // Of the answer's texts, where the scanner could read them: streams, and plain answers that came whole.
  std::optional<std::int64_t> code_points = std::nullopt;
  std::uint64_t bytes = 0;  // of the body that came, where its texts could not be read
  Nanos generating = 0;     // how long a plain answer was being made of which no byte came
  double code_points_per_token = 4;
  double decode_rate = 0;  // tokens a second and sequence; 0 = nothing is known of this upstream
};

// The most that the request and the Model allow; empty = neither says.
std::optional<std::int64_t> largest_output(const OutputBounds& bounds);

// Texts count by code points, what could not be read by its bytes, nothing at all by the time that passed,
// and none of them beyond largest_output().
std::int64_t estimate_output(const OutputBounds& bounds, const OutputSeen& seen);

// Text to tokens, rounded up.
std::int64_t tokens_of(std::int64_t code_points, double per_token);

}  // namespace tg::gateway
