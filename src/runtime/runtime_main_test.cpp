// The test program is also the program that LocalBackend starts again under its hidden words, as `tidegate`
// is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "runtime/raw_server.hpp"
#include "runtime/simulated_engine.hpp"
#include "runtime/supervise.hpp"

extern char** environ;

// A gateway that starts one engine and then only lives: `_gateway GRACE_MS LOG COMMAND` prints the
// supervisor's pid.
static int hold(char** argv) {
  tg::runtime::SuperviseRequest request;
  request.grace = std::atoll(argv[2]) * tg::kMillisecond;
  request.log_path = argv[3];
  request.argv = {"/bin/sh", "-c", argv[4]};
  request.env = tg::runtime::engine_environment(environ, {});
  const auto supervised = tg::runtime::spawn_supervised(request);
  if (!supervised) return 1;
  std::printf("%d\n", static_cast<int>(supervised->supervisor.pid));
  std::fflush(stdout);
  for (;;) ::pause();
}

// What LocalBackend needs of Ollama: `_ollama serve` answers on $OLLAMA_HOST, `_ollama create NAME -f FILE`
// makes a model (a file in $OLLAMA_MODELS), unless the recipe names a file that is not there.
static int ollama(int argc, char** argv) {
  const std::string models = std::getenv("OLLAMA_MODELS");
  if (std::string_view(argv[2]) == "create" && argc == 6) {
    std::string recipe;
    std::getline(std::ifstream(argv[5]), recipe);
    if (!recipe.starts_with("FROM ") || !std::filesystem::exists(recipe.substr(5))) {
      std::fprintf(stderr, "Error: cannot import %s\n", recipe.c_str());
      return 1;
    }
    std::ofstream(models + "/" + argv[3]) << recipe;
    return 0;
  }
  const std::string host = std::getenv("OLLAMA_HOST");
  const tg::runtime::RawServer server(
      [&models](const std::string& request) {
        const auto answer = [](const char* status) {
          return "HTTP/1.1 " + std::string(status) + "\r\ncontent-length: 2\r\n\r\n{}";
        };
        if (request.starts_with("POST /api/show")) {
          return answer(std::filesystem::exists(models + "/mine") ? "200 OK" : "404 Not Found");
        }
        return answer("200 OK");
      },
      static_cast<std::uint16_t>(std::atoi(host.substr(host.find(':') + 1).c_str())));
  for (;;) ::pause();
}

int main(int argc, char** argv) {
  const std::string_view word = argc > 1 ? argv[1] : "";
  if (word == "_supervise") return tg::runtime::supervise_main(argc - 1, argv + 1);
  if (word == "_simulate") return tg::runtime::simulate_main(argc - 1, argv + 1);
  if (word == "_ollama") return ollama(argc, argv);
  if (word == "_gateway") return hold(argv);
  ::signal(SIGPIPE, SIG_IGN);
  testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
