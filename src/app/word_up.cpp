// tidegate up: the flags. What it does is in up.cpp.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "app/data_dir.hpp"
#include "app/up.hpp"
#include "app/words.hpp"
#include "base/units.hpp"

namespace tg::app {

namespace {

struct UpFlags {
  UpOptions options;
  std::string data, log, cache_limit;
  std::int64_t workers = 0;
};

Result<int> up(Terminal& terminal, UpFlags& flags) {
  auto dir = data_dir_path(flags.data, process_environment());
  if (!dir) return std::unexpected(dir.error());
  flags.options.data = std::move(*dir);
  if (flags.workers > 1024)
    return fail("bad_flag", fmt::format("--workers {}: more than 1024", flags.workers),
                "leave it out: one per core");
  flags.options.workers = static_cast<int>(flags.workers);
  if (flags.log.empty()) {
    flags.options.log = ::isatty(2) == 1 ? LogFormat::text : LogFormat::json;
  } else if (flags.log == "text" || flags.log == "json") {
    flags.options.log = flags.log == "text" ? LogFormat::text : LogFormat::json;
  } else {
    return fail("bad_flag", fmt::format("--log '{}': neither text nor json", printable(flags.log)),
                "write --log text or --log json");
  }
  if (!flags.cache_limit.empty()) {
    const auto bytes = parse_bytes(flags.cache_limit);
    if (!bytes || *bytes == 0)
      return fail("bad_flag",
                  fmt::format("--cache-limit '{}': not an amount of bytes", printable(flags.cache_limit)),
                  "write for example 200Gi, or leave it out");
    flags.options.cache_limit = *bytes;
  }
  const char* term = std::getenv("TERM");
  flags.options.draw_progress = flags.options.log == LogFormat::text && terminal.err_is_terminal() &&
                                (term == nullptr || std::strcmp(term, "dumb") != 0);
  return run_up(terminal, flags.options);
}

}  // namespace

void add_up(CommandLine& line) {
  auto flags = std::make_shared<UpFlags>();
  UpOptions& o = flags->options;
  Word& word = line.root().sub("up", "serve everything of the documents on this machine");
  word.example("tidegate up -f models.yaml");
  word.example("tidegate up --model ollama://gemma3:270m --listen 0.0.0.0:4000");
  word.list("-f,--file", "FILE", o.files, "documents: file, directory or - (stdin); repeatable");
  word.list("--model", "REF", o.models, "a Model by its source: hf://, file://, ollama://; repeatable");
  word.option("--listen", "ADDR:PORT", o.listen, "gateway (default 127.0.0.1:4000)");
  word.option("--console", "ADDR:PORT", o.console, "admin API and metrics (default 127.0.0.1:4001)");
  word.data_flag(flags->data);
  word.number("--workers", "N", flags->workers, "threads that serve (default: one per core)");
  word.option("--log", "FORM", flags->log, "text or json (default: text on a terminal)");
  word.flag("--simulated", o.simulated, "add the built-in Model 'simulated'");
  word.option("--cache-limit", "SIZE", flags->cache_limit, "room for fetched weights, such as 200Gi");
  word.output_flag();
  word.action_result([flags, &word](Terminal& terminal) {
    flags->options.format = word.format();
    return up(terminal, *flags);
  });
}

}  // namespace tg::app
