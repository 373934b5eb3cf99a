#include "gateway/output_estimate.hpp"

#include <algorithm>

namespace tg::gateway {

namespace {
constexpr std::int64_t kMost = 1'000'000'000'000;  // of one choice, so that products stay in range
}

std::int64_t tokens_of(std::int64_t code_points, double per_token) {
  return static_cast<std::int64_t>(static_cast<double>(code_points) / std::max(0.1, per_token) + 0.999);
}

std::optional<std::int64_t> largest_output(const OutputBounds& bounds) {
  if (!bounds.text) return 0;
  std::optional<std::int64_t> one;
  if (bounds.max_tokens >= 0) one = std::min(bounds.max_tokens, kMost);
  if (bounds.context > 0) {
    const std::int64_t room = std::max<std::int64_t>(0, bounds.context - bounds.prompt_tokens);
    one = one ? std::min(*one, room) : room;
  }
  if (!one) return std::nullopt;
  return *one * std::max<std::int64_t>(1, bounds.choices);
}

std::int64_t estimate_output(const OutputBounds& bounds, const OutputSeen& seen) {
  std::int64_t tokens = 0;
  if (seen.code_points) {
    tokens = tokens_of(*seen.code_points, seen.code_points_per_token);
  } else if (seen.bytes > 0) {
    tokens = tokens_of(static_cast<std::int64_t>(seen.bytes), seen.code_points_per_token);
  } else {
    // The choices of one request are written at the same time.
    const double seconds = static_cast<double>(std::max<Nanos>(0, seen.generating)) / 1e9;
    tokens = static_cast<std::int64_t>(seconds * seen.decode_rate *
                                       static_cast<double>(std::max<std::int64_t>(1, bounds.choices)));
  }
  const auto most = largest_output(bounds);
  return most ? std::min(tokens, *most) : tokens;
}

}  // namespace tg::gateway
