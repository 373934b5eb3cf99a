// The head of a GGUF file, as far as memory planning needs it. Own bounded reader: a file is untrusted input.
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (little endian, versions 2 and 3).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace tg::runtime {

struct GgufInfo {
  std::string architecture;
  std::uint64_t layers = 0;     // ARCH.block_count
  std::uint64_t embedding = 0;  // ARCH.embedding_length
  std::uint64_t heads = 0;      // ARCH.attention.head_count; the largest if given per layer
  std::uint64_t kv_heads =
      0;  // ARCH.attention.head_count_kv; the mean, rounded up, if given per layer; else heads
  std::uint64_t key_length = 0;       // ARCH.attention.key_length, else embedding ÷ heads
  std::uint64_t value_length = 0;     // likewise
  std::uint64_t trained_context = 0;  // ARCH.context_length

  // Bytes of keys and values for one token: layers × kv_heads × (key_length + value_length) × 2 (16-bit
  // floats). An upper bound for models with sliding windows. Saturates.
  std::uint64_t kv_bytes_per_token() const;
};

// Reads the metadata of a head. `bytes` may be the start of a file; what it needs and lies beyond is an error
// ("gguf_truncated"). Arrays are skipped, not stored. Errors: "not_gguf", "gguf_truncated", "gguf_malformed".
Result<GgufInfo> parse_gguf(std::string_view bytes);
// The same for a file: reads at most its first 64 MiB.
Result<GgufInfo> read_gguf(const std::string& path);

}  // namespace tg::runtime
