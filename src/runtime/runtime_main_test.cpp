// The test program is also the program that LocalBackend starts again under its hidden words, as `tidegate` is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <string_view>

#include "runtime/simulated_engine.hpp"
#include "runtime/supervise.hpp"

int main(int argc, char** argv) {
  const std::string_view word = argc > 1 ? argv[1] : "";
  if (word == "_supervise") return tg::runtime::supervise_main(argc - 1, argv + 1);
  if (word == "_simulate") return tg::runtime::simulate_main(argc - 1, argv + 1);
  ::signal(SIGPIPE, SIG_IGN);
  testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
