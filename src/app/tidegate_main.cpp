// The program. Two hidden words are answered before anything else is set up: they run once per replica.
#include <sys/stat.h>

#include <string_view>

#include "app/words.hpp"
#include "runtime/simulated_engine.hpp"
#include "runtime/supervise.hpp"

int main(int argc, char** argv) {
  if (argc > 1) {
    const std::string_view word = argv[1];
    if (word == "_supervise") return tg::runtime::supervise_main(argc - 1, argv + 1);
    if (word == "_simulate") return tg::runtime::simulate_main(argc - 1, argv + 1);
  }
  ::umask(077);
  tg::app::CommandLine line("tidegate", "one URL for models that start when they are asked for",
                            tg::app::program_version());
  tg::app::add_words(line);
  return line.run(argc, argv);
}
