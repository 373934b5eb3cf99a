// What the simulated engine says: a pure function of the prompt, so that a test computes every byte
// (test/lib/simulated.py does). Nothing here depends on time, chance or order.
//
// TOKEN     4 code points of UTF-8, the last of a text may have fewer; tokens(text) = ⌈code points ÷ 4⌉. The
// same in prompt,
//           answer and usage.
// PROMPT    of a chat: for each message  role "\n" text "\n"; text = `content` if it is a string, else its
// parts' `text`
//           joined without a separator; absent or null = "". Of a completion: `prompt`; a list of strings is
//           joined by "\n".
// HASH      FNV-1a, 64 bits, over the prompt's UTF-8 bytes (offset 0xcbf29ce484222325, prime 0x100000001b3).
// RANDOM    splitmix64 seeded with the hash: state += 0x9e3779b97f4a7c15; z = state; z = (z ^ z>>30) ×
// 0xbf58476d1ce4e5b9;
//           z = (z ^ z>>27) × 0x94d049bb133111eb; result z ^ z>>31. All modulo 2^64.
// LENGTH    natural = 16 + hash mod 49 tokens. room = context − tokens(prompt). limit = min(the request's
// max_tokens or
//           max_completion_tokens, room). With `ignore_eos: true` the length is the limit, else min(natural,
//           limit). finish_reason: "length" if the length is below natural or ignore_eos is set, else "stop".
// TEXT      token i (from 0) = kPieces[result i+1 >> 59] of RANDOM.
// TOOL      a request with `tools` whose tool_choice is not "none" and whose last message has not the role
// "tool" is answered
//           by one call: of the function that tool_choice names, else of tools[hash mod count]. Arguments:
//           one member for each name in `parameters.required`, in that order: enum → enum[hash mod count];
//           string → "tide " + the last 4 hex digits of the hash; integer → hash mod 100; number → (hash mod
//           100) + 0.5; boolean → hash is odd; array → []; object → {}; otherwise null. Compact JSON. id
//           "call_" + 16 hex digits of the hash; finish_reason "tool_calls"; completion tokens =
//           tokens(arguments); streamed by tokens. A token limit does not shorten a call.
// EMBEDDING value i = ((result i+1 >> 53) − 1024) ÷ 1024 of RANDOM for the input's hash; `dimensions` of
// them, 32 unless told.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tg::runtime {

// Exactly 4 code points each, with what JSON must escape and UTF-8 of every length among them.
inline constexpr std::array<std::string_view, 32> kPieces{
    "the ",  "tide", " ris", "es a",     "nd f",  "alls",   " by ", "moon", "ligh", "t.\n\n", "Gate",
    "s op",  "en, ", "wate", "r fi",     "nds ",  "its ",   "way ", "to s", "ea: ", "\"ebb",  "\" — ",
    "C:\\f", "Größ", "e 12", "水位潮汐", "🌊 up", "{\"a\"", ": [1", "]}, ", "été ", "</p>"};

std::uint64_t simulated_hash(std::string_view text);

class SimulatedRandom {
 public:
  explicit SimulatedRandom(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next();

 private:
  std::uint64_t state_;
};

std::int64_t code_points(std::string_view utf8);
std::int64_t simulated_tokens(std::string_view text);               // ⌈code points ÷ 4⌉
std::vector<std::string_view> split_tokens(std::string_view text);  // into 4 code points each

struct SimulatedText {
  std::vector<std::string_view> tokens;  // views of kPieces
  bool cut = false;                      // finish_reason "length"
  std::string text() const;
};
// `limit` < 0 = none was given. `room` = tokens left in the context.
SimulatedText simulated_text(std::string_view prompt, std::int64_t limit, bool ignore_eos, std::int64_t room);

std::vector<double> simulated_embedding(std::string_view input, std::size_t dimensions);

}  // namespace tg::runtime
