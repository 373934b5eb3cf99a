// Request targets as they come from the console port: any bytes.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "admin/api.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view target(reinterpret_cast<const char*>(data), size);
  const tg::admin::Request request = tg::admin::make_request("GET", target, {}, false);
  if (request.path.find('?') != std::string::npos) std::abort();
  // What is encoded decodes to itself, whatever the bytes.
  for (const auto& [name, value] : request.query) {
    if (tg::admin::percent_decode(tg::admin::percent_encode(value), true) != value) std::abort();
  }
  return 0;
}
