#include "runtime/simulated_answer.hpp"

#include <algorithm>

namespace tg::runtime {

std::uint64_t simulated_hash(std::string_view text) {
  std::uint64_t h = 0xcbf29ce484222325;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return h;
}

std::uint64_t SimulatedRandom::next() {
  state_ += 0x9e3779b97f4a7c15;
  std::uint64_t z = state_;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

std::int64_t code_points(std::string_view utf8) {
  return std::ranges::count_if(utf8, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

std::int64_t simulated_tokens(std::string_view text) { return (code_points(text) + 3) / 4; }

std::vector<std::string_view> split_tokens(std::string_view text) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  int count = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    const bool starts = i == text.size() || (static_cast<unsigned char>(text[i]) & 0xc0) != 0x80;
    if (!starts) continue;
    if (count == 4 || i == text.size()) {
      if (i > begin) parts.push_back(text.substr(begin, i - begin));
      begin = i;
      count = 0;
    }
    ++count;
  }
  return parts;
}

std::string SimulatedText::text() const {
  std::string all;
  for (const std::string_view token : tokens) all += token;
  return all;
}

SimulatedText simulated_text(std::string_view prompt, std::int64_t limit, bool ignore_eos,
                             std::int64_t room) {
  const std::uint64_t hash = simulated_hash(prompt);
  const auto natural = static_cast<std::int64_t>(16 + hash % 49);
  const std::int64_t bound = std::max<std::int64_t>(0, limit < 0 ? room : std::min(limit, room));
  const std::int64_t length = ignore_eos ? bound : std::min(natural, bound);
  SimulatedText answer;
  answer.cut = ignore_eos || length < natural;
  answer.tokens.reserve(static_cast<std::size_t>(length));
  SimulatedRandom random(hash);
  for (std::int64_t i = 0; i < length; ++i) answer.tokens.push_back(kPieces[random.next() >> 59]);
  return answer;
}

std::vector<double> simulated_embedding(std::string_view input, std::size_t dimensions) {
  SimulatedRandom random(simulated_hash(input));
  std::vector<double> values(dimensions);
  for (double& v : values) v = (static_cast<double>(random.next() >> 53) - 1024.0) / 1024.0;
  return values;
}

}  // namespace tg::runtime
