// tidegate status
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/admin_call.hpp"
#include "app/model_table.hpp"
#include "app/table.hpp"
#include "app/view.hpp"
#include "app/words.hpp"
#include "base/clock.hpp"

namespace tg::app {

namespace {

using Json = nlohmann::ordered_json;

struct StatusFlags {
  std::string data;
  bool watch = false;
};

std::string count(std::int64_t n, const char* what) {
  return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

void show_status(Terminal& terminal, const Json& j, bool wide) {
  const std::int64_t now = utc_now_ns();
  const auto line = [&](const char* name, const std::string& text) {
    terminal.out(fmt::format("{:<10} {}\n", name, printable(text)));
  };
  const std::string state = text_at(j, "/state");
  terminal.out(fmt::format("tidegate {} {}, started {}, pid {}, {}\n", text_at(j, "/version"),
                           terminal.out_paint(state_style(state), state),
                           relative_time(text_at(j, "/startedAt"), now), text_at(j, "/pid"),
                           count(number_at(j, "/workers"), "worker")));
  line("gateway", fmt::format("http://{}/v1", text_at(j, "/listen")));
  line("console", fmt::format("http://{}", text_at(j, "/console")));
  line("data", text_at(j, "/data"));
  std::string files;
  for (const Json& f : j.at("documents").at("files"))
    files += (files.empty() ? "" : ", ") + f.get<std::string>();
  line("documents", fmt::format("{}: {}, {}, {}, {}", files.empty() ? "none" : files,
                                count(number_at(j, "/documents/models"), "Model"),
                                count(number_at(j, "/documents/providers"), "Provider"),
                                count(number_at(j, "/documents/routes"), "Route"),
                                count(number_at(j, "/documents/tenants"), "Tenant")));
  const bool ok = j.at("lastReload").value("ok", true);
  const std::string reloaded = relative_time(text_at(j, "/lastReload/at"), now);
  if (ok) {
    line("loaded", fmt::format("{}, load {}", reloaded, text_at(j, "/documents/generation")));
  } else {
    terminal.out(fmt::format(
        "{:<10} {}\n", "loaded",
        terminal.out_paint(Style::bad, fmt::format("refused {}; load {} goes on serving", reloaded,
                                                   text_at(j, "/documents/generation")))));
    for (const Json& f : j.at("lastReload").at("findings"))
      terminal.out("  " + printable(f.get<std::string>()) + "\n");
  }
  line("keys", fmt::format("{} active", text_at(j, "/keys")));
  line("clients", fmt::format("{}, {} now", count(number_at(j, "/connections"), "connection"),
                              count(number_at(j, "/inFlight"), "request")));
  const Json& models = j.at("models");
  if (!models.empty()) terminal.out("\n" + model_table(terminal, models, wide));
  Table providers({{"PROVIDER"}, {"STATE"}, {"URL"}, {"WHY"}});
  for (const Json& p : j.at("providers")) {
    providers.row({{text_at(p, "/name")},
                   {text_at(p, "/state"), state_style(text_at(p, "/state"))},
                   {text_at(p, "/url")},
                   {text_at(p, "/reason/text")}});
  }
  if (!providers.empty()) terminal.out("\n" + providers.text(terminal));
  for (const Json& m : sick_models(models))
    terminal.next(fmt::format("tidegate explain model {}", m.value("name", "")));
  if (!ok && !j.at("documents").at("files").empty()) {
    terminal.next(fmt::format("tidegate check {}", j.at("documents").at("files").front().get<std::string>()));
  }
}

}  // namespace

void add_status(CommandLine& line) {
  auto flags = std::make_shared<StatusFlags>();
  Word& word = line.root().sub("status", "show what the running tidegate serves and what it waits for");
  word.example("tidegate status").example("tidegate status --watch");
  word.flag("-w,--watch", flags->watch, "redraw on a terminal, JSON lines in a pipe");
  word.data_flag(flags->data).output_flag();
  word.action_result([flags, &word](Terminal& terminal) -> Result<int> {
    auto call = AdminCall::open(terminal, flags->data);
    if (!call) return std::unexpected(call.error());
    const View view{[&call] { return call->get("/api/v1/status"); },
                    [](Terminal& t, const Json& j, bool wide) { show_status(t, j, wide); },
                    [](const Json& j) {
                      return std::vector<std::string>{fmt::format("http://{}/v1", text_at(j, "/listen"))};
                    }};
    const auto r = flags->watch ? watch(terminal, word.format(), view) : show(terminal, word.format(), view);
    if (!r) return std::unexpected(r.error());
    return kGood;
  });
}

}  // namespace tg::app
