// `tidegate up`: everything on this machine in one process. The word (word_up.cpp) fills UpOptions from the
// command line; run_up (up.cpp) is the wiring.
#pragma once

#include <string>
#include <vector>

#include "base/log.hpp"

namespace tg::app {

struct UpOptions {
  std::vector<std::string>
      files;  // -f: files, directories or "-"; empty = DIR/documents, then the built-in Model
  std::vector<std::string> models;  // --model: references such as hf://owner/repo/file.gguf, made into Models
  std::string listen = "127.0.0.1:4000";   // ADDR:PORT, port 0 = any
  std::string console = "127.0.0.1:4001";  // ADDR:PORT
  std::string data;                        // data directory as resolved by data_dir_path(); not created yet
  int workers = 0;                         // 0 = one per core, as far as the cgroup allows
  bool simulated = false;                  // the built-in Model `simulated` beside the documents
  LogFormat log = LogFormat::text;         // text on a terminal, JSON lines else, unless --log says
  bool color = false;                      // paint the text printed for people on stdout
};

// Returns the exit status: 0 after a drain, 1 failed, 2 wrong use (address taken, data directory in use, bad
// documents). It prints its own errors.
int run_up(const UpOptions& options);

}  // namespace tg::app
