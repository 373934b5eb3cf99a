// tidegate models, tidegate models logs
#include <fmt/format.h>
#include <time.h>

#include <map>
#include <nlohmann/json.hpp>

#include "app/admin_call.hpp"
#include "app/model_table.hpp"
#include "app/view.hpp"
#include "app/words.hpp"

namespace tg::app {

namespace {

using Json = nlohmann::ordered_json;

struct ModelsFlags {
  std::string data;
  bool watch = false;
};

struct LogsFlags {
  std::string data, model;
  bool follow = false;
  std::int64_t lines = 100, replica = -1;
};

View models_view(AdminCall& call) {
  return {[&call] { return call.get("/api/v1/models"); },
          [](Terminal& terminal, const Json& j, bool wide) {
            const Json& items = j.value("items", Json::array());
            if (items.empty()) {
              terminal.next("tidegate up -f FILE, for there is no Model yet");
              return;
            }
            terminal.out(model_table(terminal, items, wide));
            for (const Json& m : sick_models(items)) {
              terminal.next(fmt::format("tidegate explain model {}", m.value("name", "")));
            }
          },
          [](const Json& j) {
            std::vector<std::string> names;
            for (const Json& m : j.value("items", Json::array())) names.push_back(m.value("name", ""));
            return names;
          }};
}

std::string logs_target(const LogsFlags& flags, std::int64_t replica, std::int64_t lines) {
  std::string target =
      fmt::format("/api/v1/models/{}/logs?lines={}", admin::percent_encode(flags.model), lines);
  if (replica >= 0) target += fmt::format("&replica={}", replica);
  return target;
}

// Whole lines with the replica in front when there are several; the start of a line without its end stays in
// `rest`.
void print_lines(Terminal& terminal, std::string& rest, const std::string& text, const std::string& prefix) {
  rest += text;
  std::size_t at = 0;
  for (std::size_t end = 0; (end = rest.find('\n', at)) != std::string::npos; at = end + 1) {
    terminal.out(prefix + printable(std::string_view(rest).substr(at, end - at)) + "\n");
  }
  rest.erase(0, at);
}

Result<int> logs(Terminal& terminal, const LogsFlags& flags, Format format) {
  auto call = AdminCall::open(terminal, flags.data);
  if (!call) return std::unexpected(call.error());
  const auto text = call->get(logs_target(flags, flags.replica, flags.lines));
  if (!text) return std::unexpected(text.error());
  if (format == Format::json || format == Format::yaml) {
    if (auto r = print_object(terminal, format, *text); !r) return std::unexpected(r.error());
    return kGood;
  }
  auto j = parse_object(*text);
  if (!j) return std::unexpected(j.error());
  if (format == Format::name) {
    for (const Json& f : (*j)["items"]) terminal.out(printable(f.value("path", "")) + "\n");
    return kGood;
  }
  struct Followed {
    std::int64_t next = 0;
    std::string rest;
  };
  std::map<std::int64_t, Followed> files;
  if ((*j)["items"].empty())
    terminal.note(flags.replica >= 0
                      ? fmt::format("{} has no log of a replica {}", flags.model, flags.replica)
                      : fmt::format("{} has no log yet: no replica of it was started", flags.model));
  const auto prefix = [&](std::int64_t replica) {
    return files.size() > 1 ? fmt::format("{}-{} | ", flags.model, replica) : std::string();
  };
  for (const Json& f : (*j)["items"]) files[number_at(f, "/replica")].next = number_at(f, "/next");
  for (const Json& f : (*j)["items"]) {
    const std::int64_t replica = number_at(f, "/replica");
    print_lines(terminal, files[replica].rest, f.value("text", ""), prefix(replica));
    if (!flags.follow && !files[replica].rest.empty())
      print_lines(terminal, files[replica].rest, "\n", prefix(replica));
  }
  if (!flags.follow) return kGood;

  for (;;) {
    if (!terminal.flush()) return kGood;
    const timespec pause{0, 200'000'000};
    ::nanosleep(&pause, nullptr);
    // New replicas show up here; each file is then read on from where it was.
    const auto list = call->get(logs_target(flags, flags.replica, 0));
    if (!list) return std::unexpected(list.error());
    auto now = parse_object(*list);
    if (!now) return std::unexpected(now.error());
    for (const Json& f : (*now)["items"]) files.try_emplace(number_at(f, "/replica"));
    for (auto& [replica, file] : files) {
      const auto part = call->get(logs_target(flags, replica, 0) + fmt::format("&after={}", file.next));
      if (!part) return std::unexpected(part.error());
      auto added = parse_object(*part);
      if (!added) return std::unexpected(added.error());
      for (const Json& f : (*added)["items"]) {
        file.next = number_at(f, "/next");
        print_lines(terminal, file.rest, f.value("text", ""), prefix(replica));
      }
    }
  }
}

}  // namespace

void add_models(CommandLine& line) {
  auto flags = std::make_shared<ModelsFlags>();
  Word& models = line.root().sub("models", "list Models: state, replicas, and why not ready");
  models.example("tidegate models")
      .example("tidegate models --watch")
      .example("tidegate models logs qwen3-4b --follow");
  models.flag("-w,--watch", flags->watch, "redraw on a terminal, JSON lines in a pipe")
      .data_flag(flags->data)
      .output_flag();
  models.action_result([flags, &models](Terminal& terminal) -> Result<int> {
    auto call = AdminCall::open(terminal, flags->data);
    if (!call) return std::unexpected(call.error());
    const View view = models_view(*call);
    const auto r =
        flags->watch ? watch(terminal, models.format(), view) : show(terminal, models.format(), view);
    if (!r) return std::unexpected(r.error());
    return kGood;
  });

  auto log_flags = std::make_shared<LogsFlags>();
  Word& word = models.sub("logs", "show what the engine of a Model wrote");
  word.example("tidegate models logs qwen3-4b --follow")
      .example("tidegate models logs qwen3-4b --replica 1 --lines 20");
  word.argument("NAME", log_flags->model, "the Model");
  word.flag("-f,--follow", log_flags->follow, "go on with new lines until Ctrl-C");
  word.number("--lines", "N", log_flags->lines, "the last N lines (default 100)", 1);
  word.number("--replica", "N", log_flags->replica, "of this replica only");
  word.data_flag(log_flags->data).output_flag();
  word.action_result(
      [log_flags, &word](Terminal& terminal) { return logs(terminal, *log_flags, word.format()); });
}

}  // namespace tg::app
