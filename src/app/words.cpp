#include "app/words.hpp"

namespace tg::app {

std::string program_version() { return TIDEGATE_VERSION; }

void add_words(CommandLine& line) {
  line.root().example("tidegate up -f models.yaml").example("tidegate keys create --name laptop");
  add_up(line);
  add_init(line);
  add_check(line);
  add_render(line);
  add_status(line);
  add_models(line);
  add_keys(line);
  add_usage(line);
  add_explain(line);
  add_schema(line);
  add_diagnose(line);
  add_version(line);
}

}  // namespace tg::app
