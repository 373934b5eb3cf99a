#include "app/up.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>

#include "app/control.hpp"
#include "app/data_dir.hpp"
#include "app/port_owner.hpp"
#include "app/view.hpp"
#include "base/files.hpp"
#include "net/socket.hpp"

namespace tg::app {

namespace {

// A bound address and its listeners, one per worker. Bound once without SO_REUSEPORT first: a second program
// on the same port would otherwise silently share it.
struct Bound {
  std::vector<Fd> listeners;
  std::string address;
};

Result<Bound> bind_all(const std::string& text, std::size_t count, const char* flag) {
  auto address = net::parse_address(text);
  if (!address) return std::unexpected(std::move(address.error()).context(flag));
  auto probe = net::listen_tcp(*address, false);
  if (!probe) {
    Error e = std::move(probe.error());
    if (e.code == "address_in_use") {
      e.message = fmt::format("{} is taken{}", text, port_owner(address->port()));
      e.hint = fmt::format("choose another one with {} ADDRESS:PORT", flag);
    }
    return std::unexpected(std::move(e));
  }
  const auto actual = net::local_address(probe->get());
  if (!actual) return std::unexpected(actual.error());
  Bound bound;
  bound.address = actual->str();
  if (count == 1) {
    bound.listeners.push_back(std::move(*probe));
    return bound;
  }
  probe->reset();
  for (std::size_t i = 0; i < count; ++i) {
    auto listener = net::listen_tcp(*actual, true);
    if (!listener) return std::unexpected(std::move(listener.error()));
    bound.listeners.push_back(std::move(*listener));
  }
  return bound;
}

rlim_t raise_file_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

class Signals final : public net::Handler {
 public:
  Signals(net::Loop& loop, const sigset_t& set, Control& control)
      : loop_(loop), control_(control), fd_(::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)) {
    loop_.add(fd_.get(), *this, EPOLLIN | EPOLLET);
  }
  ~Signals() override { loop_.remove(fd_.get()); }
  void on_events(std::uint32_t) override {
    signalfd_siginfo info{};
    while (::read(fd_.get(), &info, sizeof info) == sizeof info)
      control_.on_signal(static_cast<int>(info.ssi_signo));
  }

 private:
  net::Loop& loop_;
  Control& control_;
  Fd fd_;
};

// The first key of a directory that never had one: who revoked all keys wants nobody to get in. It also
// stands in DIR/key until the user deletes that file.
Result<std::string> first_key(ledger::KeyStore& keys, const std::string& dir, Logger& log) {
  if (keys.active() == 0 && !keys.registry().entries().empty())
    log.warn("every key is revoked: all requests are refused", {field("next", "tidegate keys create")});
  if (!keys.registry().entries().empty()) return std::string();
  auto created = keys.create({.name = "first", .tenant = "default", .models = {}, .limits = {}});
  if (!created) return std::unexpected(std::move(created.error()));
  std::string text = created->front().text;
  if (auto written = replace_file(dir + "/key", text + "\n"); !written)
    return std::unexpected(std::move(written.error()));
  return text;
}

// Not that of a key which was revoked since.
bool holds_active_key(const ledger::KeyStore& keys, const std::string& path) {
  auto text = read_file(path, 4096);
  if (!text) return false;
  text->resize(std::min(text->find('\n'), text->size()));
  return keys.find_active(*text).has_value();
}

// The model to try first: the first Model of the documents, for Providers may cost money.
std::string model_to_try(const spec::Documents& documents, const DocumentSource& source) {
  std::string model = documents.routes.empty() ? "NAME" : documents.routes.begin()->first;
  std::tuple<std::size_t, int> first{SIZE_MAX, 0};
  for (const auto& [name, m] : documents.models) {
    const std::tuple<std::size_t, int> place{source.rank(m.at.file), m.at.line};
    if (documents.routes.contains(name) && place < first) {
      first = place;
      model = name;
    }
  }
  return model;
}

// What a person needs next, in this order and nothing else: key, curl, Python.
void greet(Terminal& terminal, const nlohmann::ordered_json& up) {
  const std::string listen = text_at(up, "/listen"), model = text_at(up, "/model"), key = text_at(up, "/key");
  const std::string key_file = text_at(up, "/keyFile");
  std::string shown = key;
  if (shown.empty()) shown = key_file.empty() ? "$TIDEGATE_KEY" : fmt::format("$(cat {})", key_file);
  if (!key.empty())
    terminal.out(fmt::format("key     {}\n        (also in {} until you delete that file)\n", key, key_file));
  terminal.out(
      fmt::format("curl    curl http://{}/v1/chat/completions -H \"Authorization: Bearer {}\" \\\n"
                  "          -H 'Content-Type: application/json' -d "
                  "'{{\"model\":\"{}\",\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'\n",
                  listen, shown, model));
  const std::string quoted = !key.empty()       ? "\"" + key + "\""
                             : key_file.empty() ? std::string("os.environ[\"TIDEGATE_KEY\"]")
                                                : fmt::format("open(\"{}\").read().strip()", key_file);
  terminal.out(fmt::format(
      "python  from openai import OpenAI\n"
      "        client = OpenAI(base_url=\"http://{}/v1\", api_key={})\n"
      "        print(client.chat.completions.create(model=\"{}\", messages=[{{\"role\": \"user\", "
      "\"content\": \"Hello\"}}]).choices[0].message.content)\n",
      listen, quoted, model));
}

// The same as an object; a key is in it only on the start that made it.
Result<> announce(Terminal& terminal, const UpOptions& options, const nlohmann::ordered_json& up) {
  const View view{
      [&] { return Result<std::string>(up.dump()); },
      [](Terminal& t, const nlohmann::ordered_json& j, bool) { greet(t, j); },
      [](const nlohmann::ordered_json& j) { return std::vector<std::string>{text_at(j, "/listen")}; }};
  if (auto r = show(terminal, options.format, view); !r) return r;
  terminal.flush();  // who closed stdout does not want to know; the program serves all the same
  return {};
}

}  // namespace

Result<int> run_up(Terminal& terminal, const UpOptions& options) {
  ::umask(077);
  ::signal(SIGPIPE, SIG_IGN);
  const rlim_t files = raise_file_limit();
  // Blocked before any thread exists, so that every thread inherits it and signalfd gets them all.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int s : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, s);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  Logger log(options.log);
  auto dir = DataDir::open(options.data, DataDir::Make::yes);
  if (!dir) return std::unexpected(dir.error());

  // Everything is checked before anything starts or is fetched.
  DocumentSource source(options, dir->path());
  auto loaded = source.load();
  if (!loaded.ok()) {
    const std::vector<std::string> errors = loaded.texts(spec::Severity::error);
    for (const std::string& text : errors) terminal.err(printable(text) + "\n");
    return fail("documents_invalid",
                fmt::format("{} in the documents; nothing was started",
                            errors.size() == 1 ? "1 error" : fmt::format("{} errors", errors.size())),
                "tidegate check FILE prints them again");
  }
  for (const std::string& text : loaded.texts(spec::Severity::warning))
    log.warn("served with a warning", {field("finding", text)});
  const std::size_t workers =
      options.workers > 0 ? static_cast<std::size_t>(options.workers) : usable_cores();
  auto gateway = bind_all(options.listen, workers, "--listen");
  if (!gateway) return std::unexpected(gateway.error());
  auto console = bind_all(options.console, 1, "--console");
  if (!console) return std::unexpected(console.error());
  auto control_socket = net::listen_unix(socket_path(dir->path()));
  if (!control_socket) return std::unexpected(control_socket.error());

  Metrics metrics(workers + 2);  // workers, control thread, ledger thread
  auto keys = ledger::KeyStore::open(dir->path());
  if (!keys) return std::unexpected(keys.error());
  const auto key = first_key(**keys, dir->path(), log);
  if (!key) return std::unexpected(key.error());
  auto ledger = ledger::LedgerWriter::start(
      {.dir = dir->path(), .workers = workers, .metric_shard = workers + 1}, metrics, log);
  if (!ledger) return std::unexpected(ledger.error());

  net::Resolver resolver;
  net::Loop loop;
  {
    Control control({loop, resolver, metrics, log, **keys, **ledger, dir->path()}, options, std::move(source),
                    loaded.documents, workers);
    const Signals signal_handler(loop, signals, control);
    http::ServerOptions server;
    // A stream needs two descriptors, its client's and its upstream's; 200 stay for files, engines and the
    // admin API.
    const std::size_t streams = files > 400 ? (static_cast<std::size_t>(files) - 200) / 2 : 100;
    server.max_connections =
        std::max<std::size_t>(1, static_cast<std::size_t>(files > 200 ? files - 200 : files) / workers);
    const std::string listen = gateway->address;
    const std::string console_address = console->address;
    control.serve_admin(std::move(*control_socket), std::move(console->listeners.front()), console_address);
    control.serve(std::move(gateway->listeners), listen, server, std::max<std::size_t>(1, streams / workers));
    if (::geteuid() == 0) log.info("running as root: allowed, nothing here needs it");
    const std::string run_file = dir->path() + "/run/up.json";
    if (auto written =
            replace_file(run_file, fmt::format("{{\"pid\":{},\"listen\":\"{}\",\"console\":\"{}\"}}\n",
                                               ::getpid(), listen, console_address));
        !written) {
      return std::unexpected(written.error());
    }
    log.info("serving", {field("listen", listen), field("console", console_address),
                         field("workers", workers), field("data", dir->path())});
    nlohmann::ordered_json up{{"pid", ::getpid()},
                              {"listen", listen},
                              {"console", console_address},
                              {"data", dir->path()},
                              {"model", model_to_try(loaded.documents, control.source())}};
    const std::string key_file = dir->path() + "/key";
    if (holds_active_key(**keys, key_file)) up["keyFile"] = key_file;
    if (!key->empty()) up["key"] = *key;
    if (auto said = announce(terminal, options, up); !said) return std::unexpected(said.error());
    loop.run();
    ::unlink(run_file.c_str());
    ::unlink(socket_path(dir->path()).c_str());
  }
  (*ledger)->stop();
  log.info("stopped");
  return 0;
}

}  // namespace tg::app
