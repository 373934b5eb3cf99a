// `tidegate up`: everything on this machine in one process. The word (word_up.cpp) fills UpOptions from the
// command line; run_up (up.cpp) is the wiring.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "app/terminal.hpp"
#include "base/error.hpp"
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
  std::uint64_t cache_limit = 0;           // bytes of fetched weights kept; 0 = all but 1 GiB of what is free
  bool draw_progress = false;              // stderr is a terminal for people: downloads are drawn there
  Format format = Format::table;           // of what is said on stdout once it serves
};

// Serves until told to stop, then 0. Where it is reached is said on `terminal` as soon as it serves; findings
// in the documents are, before they fail as documents_invalid. Nothing was started where it returns an error.
Result<int> run_up(Terminal& terminal, const UpOptions& options);

}  // namespace tg::app
