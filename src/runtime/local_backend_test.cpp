#include "runtime/local_backend.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <fstream>
#include <optional>
#include <vector>

#include "base/files.hpp"
#include "base/id.hpp"
#include "runtime/leftovers.hpp"
#include "runtime/raw_server.hpp"
#include "runtime/test_support.hpp"

namespace tg::runtime {
namespace {

using replica::Event;
using replica::Phase;
using testing::HasSubstr;

class LocalBackendTest : public testing::Test {
 protected:
  void SetUp() override { make(20 * kSecond); }
  void TearDown() override { drop(); }

  void make(Nanos start_timeout) {
    LocalOptions options;
    options.data_dir = dir_.path();
    options.grace = 300 * kMillisecond;
    options.watch_every = 20 * kMillisecond;
    options.start_timeout = start_timeout;
    thread_.call([&] {
      backend_ = std::make_unique<LocalBackend>(thread_.loop, resolver_, log_, options);
      backend_->set_sink([this](const Event& e) { events_.push_back(e); });
    });
  }
  void drop() {
    thread_.call([this] { backend_.reset(); });
  }
  replica::ReplicaId start(const spec::Model& model) {
    return thread_.call([&] { return backend_->start(model); });
  }
  void stop(replica::ReplicaId id) {
    thread_.call([&] { backend_->stop(id); });
  }

  std::optional<Event> find(replica::ReplicaId id, Phase phase) {
    return thread_.call([&] { return look(id, phase); });
  }
  std::optional<Event> look(replica::ReplicaId id, Phase phase) const {
    for (const Event& e : events_) {
      if (e.replica == id && e.phase == phase) return e;
    }
    return std::nullopt;
  }
  bool until(replica::ReplicaId id, Phase phase) {
    return thread_.until([&] { return look(id, phase).has_value(); });
  }
  bool until_gone() {
    return thread_.until([&] { return backend_->alive() == 0; });
  }
  // The engine's process as the run record names it.
  ProcessIdentity recorded(replica::ReplicaId id, const char* who) const {
    const auto text = read_file(run_record_path(dir_.path() + "/run", id));
    if (!text) return {};
    const std::size_t at = text->find("\"" + std::string(who) + "\"");
    if (at == std::string::npos) return {};
    const auto number = [&](const char* name) {
      const std::size_t from = text->find(name, at);
      return std::strtoull(text->c_str() + text->find(':', from) + 1, nullptr, 10);
    };
    return {static_cast<pid_t>(number("\"pid\"")), number("\"start\"")};
  }
  spec::Model script(const std::string& body) {
    spec::Model m = simulated_model("scripted");
    m.command = {"/bin/sh", "-c", body, "sh"};
    return m;
  }

  TemporaryDirectory dir_;
  net::Resolver resolver_;
  Logger log_{LogFormat::text, LogLevel::error};
  std::vector<Event> events_;
  std::unique_ptr<LocalBackend> backend_;
  LoopThread thread_;
};

TEST_F(LocalBackendTest, StartsServesAndStops) {
  const auto id = start(simulated_model());
  ASSERT_TRUE(until(id, Phase::ready));
  const auto ready = find(id, Phase::ready);
  EXPECT_EQ(ready->slots, 2);
  EXPECT_EQ(ready->endpoint->host, "127.0.0.1");
  EXPECT_EQ(ready->endpoint->label, "sim-0");
  EXPECT_THAT(ready->endpoint->authorization, testing::StartsWith("Bearer "));
  EXPECT_TRUE(find(id, Phase::loading));
  EXPECT_FALSE(find(id, Phase::fetching));
  const auto engine = recorded(id, "engine");
  EXPECT_TRUE(alive(engine));
  stop(id);
  ASSERT_TRUE(until(id, Phase::stopped));
  EXPECT_FALSE(alive(engine));
  EXPECT_TRUE(until_gone());
  EXPECT_FALSE(std::filesystem::exists(run_record_path(dir_.path() + "/run", id)));
}

TEST_F(LocalBackendTest, TwoReplicasHaveOwnPortsLabelsAndKeys) {
  const auto a = start(simulated_model());
  const auto b = start(simulated_model());
  ASSERT_TRUE(until(a, Phase::ready));
  ASSERT_TRUE(until(b, Phase::ready));
  EXPECT_NE(find(a, Phase::ready)->endpoint->port, find(b, Phase::ready)->endpoint->port);
  EXPECT_NE(find(a, Phase::ready)->endpoint->authorization, find(b, Phase::ready)->endpoint->authorization);
  EXPECT_EQ(find(b, Phase::ready)->endpoint->label, "sim-1");
}

TEST_F(LocalBackendTest, EngineKilledIsReportedWithItsSignal) {
  const auto id = start(simulated_model());
  ASSERT_TRUE(until(id, Phase::ready));
  ASSERT_TRUE(signal_process(recorded(id, "engine"), SIGKILL));
  ASSERT_TRUE(until(id, Phase::failed));
  EXPECT_EQ(find(id, Phase::failed)->reason.code, "engine_exited");
  EXPECT_THAT(find(id, Phase::failed)->reason.text, HasSubstr("signal 9"));
  EXPECT_TRUE(find(id, Phase::failed)->will_retry);
  EXPECT_TRUE(until_gone());
  EXPECT_FALSE(find(id, Phase::stopped));
}

TEST_F(LocalBackendTest, SupervisorKilledTakesTheEngineWithIt) {
  const auto id = start(simulated_model());
  ASSERT_TRUE(until(id, Phase::ready));
  const auto engine = recorded(id, "engine");
  ASSERT_TRUE(signal_process(recorded(id, "supervisor"), SIGKILL));
  ASSERT_TRUE(until(id, Phase::failed));
  EXPECT_TRUE(wait_until([&] { return !alive(engine); }));
  EXPECT_TRUE(until_gone());
}

TEST_F(LocalBackendTest, ExitWhileLoadingQuotesTheLastWords) {
  const auto id = start(script("echo first; echo 'no such model file' >&2; exit 3"));
  ASSERT_TRUE(until(id, Phase::failed));
  const auto reason = find(id, Phase::failed)->reason;
  EXPECT_EQ(reason.code, "engine_exited");
  EXPECT_THAT(reason.text, HasSubstr("status 3"));
  EXPECT_THAT(reason.text, HasSubstr("no such model file"));
}

TEST_F(LocalBackendTest, MissingProgramIsNamed) {
  spec::Model m = simulated_model();
  m.command = {"/nowhere/llama-server"};
  const auto id = start(m);
  ASSERT_TRUE(until(id, Phase::failed));
  EXPECT_EQ(find(id, Phase::failed)->reason.code, "engine_missing");
  EXPECT_THAT(find(id, Phase::failed)->reason.text, HasSubstr("/nowhere/llama-server"));
  EXPECT_EQ(backend_->obstacle(m)->code, "engine_missing");
  m.command = {"no-such-program-anywhere"};
  EXPECT_THAT(backend_->obstacle(m)->text, HasSubstr("no-such-program-anywhere: it is not on PATH"));
  m.command = {"sh"};
  EXPECT_FALSE(backend_->obstacle(m));
  m.command.clear();
  EXPECT_FALSE(backend_->obstacle(m));  // simulated: this program itself
}

TEST_F(LocalBackendTest, StopWhileLoadingStops) {
  spec::Model m = simulated_model();
  m.simulated.load = kHour;
  const auto id = start(m);
  ASSERT_TRUE(wait_until([&] { return recorded(id, "engine").pid != 0; }));
  stop(id);
  ASSERT_TRUE(until(id, Phase::stopped));
  EXPECT_FALSE(find(id, Phase::ready));
}

TEST_F(LocalBackendTest, DeafEngineIsKilledAfterTheGrace) {
  const auto id = start(script("trap '' TERM; echo deaf; while :; do sleep 1000; done"));
  ASSERT_TRUE(wait_until([&] {
    const auto log = read_file(dir_.path() + "/logs/scripted-0.log");
    return log && log->find("deaf") != std::string::npos;
  }));
  const auto engine = recorded(id, "engine");
  stop(id);
  ASSERT_TRUE(until(id, Phase::stopped));
  EXPECT_FALSE(alive(engine));
}

TEST_F(LocalBackendTest, StrangerOnThePortIsNotTakenForOurs) {
  // An engine that does not demand the key it was given is not ours.
  spec::Model m = simulated_model();
  m.command = {"/usr/bin/env", "-u", "TIDEGATE_SIMULATED_KEY",
               std::filesystem::read_symlink("/proc/self/exe").string(), "_simulate"};
  const auto id = start(m);
  ASSERT_TRUE(until(id, Phase::failed));
  EXPECT_EQ(find(id, Phase::failed)->reason.code, "port_taken");
}

TEST_F(LocalBackendTest, StartThatTakesTooLongFails) {
  make(100 * kMillisecond);
  spec::Model m = simulated_model();
  m.simulated.load = kHour;
  const auto id = start(m);
  ASSERT_TRUE(until(id, Phase::failed));
  EXPECT_EQ(find(id, Phase::failed)->reason.code, "start_timeout");
  EXPECT_TRUE(until_gone());
}

TEST_F(LocalBackendTest, BackendGoneMeansEnginesGone) {
  const auto id = start(simulated_model());
  ASSERT_TRUE(until(id, Phase::ready));
  const auto engine = recorded(id, "engine");
  const auto supervisor = recorded(id, "supervisor");
  drop();
  EXPECT_TRUE(wait_until([&] { return !alive(engine) && !alive(supervisor); }));
}

TEST_F(LocalBackendTest, ExternalEngineFailsAndComesBack) {
  const auto own = start(simulated_model("target"));
  ASSERT_TRUE(until(own, Phase::ready));
  // Nothing listens on a port that was just given back.
  spec::Model m;
  m.name = "ext";
  m.engine = spec::EngineKind::external;
  m.slots = 3;
  const std::uint16_t port = find(own, Phase::ready)->endpoint->port;
  m.external.url = "http://127.0.0.1:" + std::to_string(port) + "/v1";
  const auto id = start(m);
  // It demands a key, which an external engine cannot have.
  ASSERT_TRUE(until(id, Phase::failed));
  EXPECT_THAT(find(id, Phase::failed)->reason.text, HasSubstr("401"));
  stop(own);
  ASSERT_TRUE(until(own, Phase::stopped));
  // A server without a key on the same port: the watched one becomes ready under its old id.
  spec::Model server = simulated_model("server");
  server.command = {"/bin/sh", "-c",
                    "unset TIDEGATE_SIMULATED_KEY; exec " +
                        std::filesystem::read_symlink("/proc/self/exe").string() + " _simulate --port " +
                        std::to_string(port),
                    "sh"};
  start(server);
  ASSERT_TRUE(until(id, Phase::ready));
  EXPECT_EQ(find(id, Phase::ready)->endpoint->base_path, "/v1");
  EXPECT_EQ(find(id, Phase::ready)->slots, 3);
  stop(id);
  EXPECT_TRUE(until(id, Phase::stopped));
}

TEST_F(LocalBackendTest, StopOfAnUnknownReplicaAnswers) {
  stop(4711);
  EXPECT_TRUE(find(4711, Phase::stopped));
}

TEST_F(LocalBackendTest, EngineDoesNotSeeTheGatewaysSecrets) {
  ::setenv("OPENAI_API_KEY", "sk-do-not-show", 1);
  const auto id = start(script("env > " + dir_.path() + "/env; exit 0"));
  ASSERT_TRUE(until(id, Phase::failed));
  ::unsetenv("OPENAI_API_KEY");
  const auto env = read_file(dir_.path() + "/env");
  ASSERT_TRUE(env);
  EXPECT_THAT(*env, testing::Not(HasSubstr("sk-do-not-show")));
  EXPECT_THAT(*env, HasSubstr("PATH="));
}

TEST_F(LocalBackendTest, ScriptedFirstStartFailsSecondWorks) {
  spec::Model m = simulated_model();
  m.simulated.fail.push_back(
      {.request = 1, .at = spec::SimulatedFault::At::load, .what = spec::SimulatedFault::Do::exit});
  const auto first = start(m);
  ASSERT_TRUE(until(first, Phase::failed));
  const auto second = start(m);
  EXPECT_TRUE(until(second, Phase::ready));
}

std::string sha256_hex(const std::string& bytes) {
  Sha256 hash;
  return to_hex(hash.of(bytes));
}

TEST_F(LocalBackendTest, FetchesBeforeItLoads) {
  const std::string weights = "weights";
  RawServer server([&](const std::string& request) {
    const std::string head =
        "HTTP/1.1 200 OK\r\ncontent-length: " + std::to_string(weights.size()) + "\r\n\r\n";
    return request.starts_with("HEAD") ? head : head + weights;
  });
  spec::Model m = script("cat \"$2\" > " + dir_.path() + "/seen; exit 0");
  m.engine = spec::EngineKind::llamacpp;
  m.source = server.url("/m.gguf");
  m.sha256 = sha256_hex(weights);
  EXPECT_FALSE(thread_.call([&] { return backend_->weights_present(m); }));
  const auto id = start(m);
  ASSERT_TRUE(until(id, Phase::failed));  // the script is no server
  EXPECT_EQ(read_file(dir_.path() + "/seen").value_or(""), weights);
  std::vector<Phase> phases;
  thread_.call([&] {
    for (const Event& e : events_) {
      if (phases.empty() || phases.back() != e.phase) phases.push_back(e.phase);
    }
  });
  EXPECT_THAT(phases, testing::ElementsAre(Phase::fetching, Phase::loading, Phase::failed));
  EXPECT_TRUE(thread_.call([&] { return backend_->weights_present(m); }));
}

TEST_F(LocalBackendTest, WeightsThatCannotBeFetched) {
  RawServer server([](const std::string&) { return "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"; });
  spec::Model m = simulated_model();
  m.engine = spec::EngineKind::llamacpp;
  m.command = {"/bin/false"};  // else there is nothing to fetch for
  m.source = server.url("/m.gguf");
  m.sha256 = std::string(64, 'a');
  const auto id = start(m);
  ASSERT_TRUE(until(id, Phase::failed));
  EXPECT_EQ(find(id, Phase::failed)->reason.code, "weights_missing");
  EXPECT_FALSE(find(id, Phase::failed)->will_retry);
  EXPECT_FALSE(find(id, Phase::loading));
}

TEST_F(LocalBackendTest, StopWhileFetchingStops) {
  std::atomic<bool> block{true};
  RawServer server([&](const std::string&) {
    while (block) ::usleep(1000);
    return std::string();
  });
  spec::Model m = simulated_model();
  m.engine = spec::EngineKind::llamacpp;
  m.command = {"/bin/false"};  // else there is nothing to fetch for
  m.source = server.url("/m.gguf");
  m.sha256 = std::string(64, 'a');
  const auto id = start(m);
  ASSERT_TRUE(wait_until([&] { return !server.requests().empty(); }));
  stop(id);
  EXPECT_TRUE(find(id, Phase::stopped));
  block = false;
}

TEST_F(LocalBackendTest, RunningOllamaPullsLoadsAndIsReady) {
  bool pulled = false;
  RawServer server([&](const std::string& request) {
    const auto answer = [](const std::string& status, const std::string& body) {
      return "HTTP/1.1 " + status +
             "\r\nconnection: close\r\ncontent-length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    };
    if (request.starts_with("GET /api/version")) return answer("200 OK", R"({"version":"0"})");
    if (request.starts_with("POST /api/show"))
      return pulled ? answer("200 OK", "{}") : answer("404 Not Found", "{}");
    if (request.starts_with("POST /api/pull")) {
      pulled = true;
      return answer("200 OK", R"({"status":"success"})");
    }
    if (request.starts_with("POST /api/generate")) return answer("200 OK", R"({"done":true})");
    return answer("500 Oops", "");
  });
  spec::Model m;
  m.name = "tiny";
  m.engine = spec::EngineKind::ollama;
  m.ollama.url = server.url();
  m.source = "ollama://tiny:latest";
  m.slots = 1;
  const auto id = start(m);
  ASSERT_TRUE(until(id, Phase::ready));
  EXPECT_TRUE(pulled);
  EXPECT_EQ(find(id, Phase::ready)->endpoint->model, "tiny:latest");
  const auto again = start(m);
  ASSERT_TRUE(until(again, Phase::ready));
  std::vector<std::string> asked;
  for (const std::string& r : server.requests()) asked.push_back(r.substr(0, r.find(" HTTP")));
  EXPECT_EQ(std::ranges::count(asked, "POST /api/pull"), 1);
}

TEST_F(LocalBackendTest, RefusedSetupIsTheReason) {
  RawServer server([](const std::string& request) {
    if (request.starts_with("GET")) return std::string("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    return std::string("HTTP/1.1 500 Oops\r\ncontent-length: 13\r\n\r\nno such model");
  });
  spec::Model m;
  m.name = "tiny";
  m.engine = spec::EngineKind::ollama;
  m.ollama.url = server.url();
  m.source = "ollama://tiny";
  const auto id = start(m);
  ASSERT_TRUE(until(id, Phase::failed));
  EXPECT_EQ(find(id, Phase::failed)->reason.code, "engine_setup");
  EXPECT_THAT(find(id, Phase::failed)->reason.text, HasSubstr("pulling tiny"));
  EXPECT_THAT(find(id, Phase::failed)->reason.text, HasSubstr("no such model"));
}

TEST_F(LocalBackendTest, OwnOllamaImportsAFile) {
  spec::Model m;
  m.name = "mine";
  m.engine = spec::EngineKind::ollama;
  m.source = "file://" + dir_.path() + "/m.gguf";
  m.slots = 1;
  m.command = {std::filesystem::read_symlink("/proc/self/exe").string(), "_ollama", "serve"};
  std::ofstream(dir_.path() + "/m.gguf") << "x";
  const auto id = start(m);
  ASSERT_TRUE(until(id, Phase::ready)) << find(id, Phase::failed).value_or(Event{}).reason.text;
  std::vector<std::string> imported;  // by a name with the file's size and time in it
  for (const auto& entry : std::filesystem::directory_iterator(dir_.path() + "/cache/ollama")) {
    if (entry.path().filename().string().starts_with("mine:"))
      imported.push_back(read_file(entry.path().string()).value_or(""));
  }
  EXPECT_THAT(imported, testing::ElementsAre("FROM " + dir_.path() + "/m.gguf"));
  stop(id);
  EXPECT_TRUE(until(id, Phase::stopped));
}

TEST_F(LocalBackendTest, OwnOllamaThatCannotImportIsQuoted) {
  spec::Model m;
  m.name = "other";
  m.engine = spec::EngineKind::ollama;
  m.source = "file://" + dir_.path() + "/m.gguf";
  m.slots = 1;
  // The file goes away between look and import.
  m.command = {"/bin/sh", "-c",
               "rm -f " + dir_.path() + "/m.gguf; exec " +
                   std::filesystem::read_symlink("/proc/self/exe").string() + " _ollama \"$@\"",
               "sh", "serve"};
  std::ofstream(dir_.path() + "/m.gguf") << "x";
  const auto id = start(m);
  ASSERT_TRUE(until(id, Phase::failed));
  EXPECT_EQ(find(id, Phase::failed)->reason.code, "engine_setup");
  EXPECT_THAT(find(id, Phase::failed)->reason.text, HasSubstr("cannot import"));
  EXPECT_TRUE(until_gone());
}

// With a real llama-server: TIDEGATE_LLAMA_SERVER names the program, TIDEGATE_GGUF a model.
TEST_F(LocalBackendTest, RealLlamaServer) {
  const char* program = std::getenv("TIDEGATE_LLAMA_SERVER");
  const char* gguf = std::getenv("TIDEGATE_GGUF");
  if (program == nullptr || gguf == nullptr)
    GTEST_SKIP() << "TIDEGATE_LLAMA_SERVER and TIDEGATE_GGUF are not set";
  spec::Model m;
  m.name = "real";
  m.engine = spec::EngineKind::llamacpp;
  m.source = std::string("file://") + gguf;
  m.context = 512;
  m.slots = 2;
  m.command = {program};
  const std::uint64_t need = thread_.call([&] { return backend_->memory_need(m); });
  EXPECT_GT(need, std::filesystem::file_size(gguf));
  EXPECT_TRUE(thread_.call([&] { return backend_->weights_present(m); }));
  const auto id = start(m);
  ASSERT_TRUE(until(id, Phase::ready)) << find(id, Phase::failed).value_or(Event{}).reason.text;
  const auto engine = recorded(id, "engine");
  EXPECT_GT(peak_resident(engine.pid), 0u);
  EXPECT_GT(thread_.call([&] { return backend_->capacity(); }).in_use, 0u);
  stop(id);
  ASSERT_TRUE(until(id, Phase::stopped));
  EXPECT_FALSE(alive(engine));

  // Two mistakes a user makes.
  m.args = {"--no-such-argument"};
  const auto wrong = start(m);
  ASSERT_TRUE(until(wrong, Phase::failed));
  EXPECT_THAT(find(wrong, Phase::failed)->reason.text, HasSubstr("no-such-argument"));
  m.args.clear();
  const std::string rubbish = dir_.path() + "/rubbish.gguf";
  std::ofstream(rubbish) << "not weights";
  m.source = "file://" + rubbish;
  const auto broken = start(m);
  ASSERT_TRUE(until(broken, Phase::failed));
  EXPECT_EQ(find(broken, Phase::failed)->reason.code, "engine_exited");
}

}  // namespace
}  // namespace tg::runtime
