// Request bodies of the simulated engine.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "runtime/simulated_job.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  tg::runtime::SimulatedJob job;
  tg::runtime::SimulatedRefusal refusal;
  const auto kind = static_cast<tg::runtime::SimulatedKind>(data[0] % 3);
  tg::runtime::read_simulated_job(kind, body, 512, job, refusal);
  return 0;
}
