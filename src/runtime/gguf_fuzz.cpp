// The head of a GGUF file is what somebody put on the internet.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "runtime/gguf.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto info = tg::runtime::parse_gguf(bytes);
  if (!info) return 0;
  [[maybe_unused]] const volatile std::uint64_t kv = info->kv_bytes_per_token();
  // More bytes behind a head that was complete change nothing.
  const std::string longer = std::string(bytes) + "rest";
  const auto again = tg::runtime::parse_gguf(longer);
  if (!again || again->layers != info->layers) std::abort();
  return 0;
}
