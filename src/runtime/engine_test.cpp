#include "runtime/engine.hpp"

#include <gmock/gmock.h>

#include <fstream>

#include "runtime/simulated_engine.hpp"
#include "runtime/test_support.hpp"

namespace tg::runtime {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::Not;
using testing::Pair;

spec::Model model(spec::EngineKind kind) {
  spec::Model m;
  m.name = "qwen";
  m.engine = kind;
  m.context = 4096;
  m.slots = 3;
  return m;
}

PlanInput input(const spec::Model& m) {
  return {.model = m,
          .label = "qwen-0",
          .self = "/bin/tidegate",
          .weights = "/w/m.gguf",
          .port = 9000,
          .key = "secret",
          .workers = 2,
          .engine_data = "/d"};
}

std::string after(const std::vector<std::string>& words, const std::string& name) {
  const auto at = std::ranges::find(words, name);
  return at == words.end() || at + 1 == words.end() ? "" : *(at + 1);
}

TEST(LlamacppPlan, Arguments) {
  auto m = model(spec::EngineKind::llamacpp);
  m.args = {"--flash-attn", "on"};
  const auto plan = plan_engine(input(m));
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->argv.front(), "llama-server");
  EXPECT_EQ(after(plan->argv, "-m"), "/w/m.gguf");
  EXPECT_EQ(after(plan->argv, "--host"), "127.0.0.1");
  EXPECT_EQ(after(plan->argv, "--port"), "9000");
  EXPECT_EQ(after(plan->argv, "-c"), "12288");
  EXPECT_EQ(after(plan->argv, "-np"), "3");
  EXPECT_EQ(after(plan->argv, "--threads-http"), "9");
  EXPECT_EQ(after(plan->argv, "--flash-attn"), "on");
  EXPECT_EQ(plan->slots, 3);
  EXPECT_EQ(plan->endpoint.authorization, "Bearer secret");
  EXPECT_EQ(plan->endpoint.base_path, "/v1");
  EXPECT_TRUE(plan->probe_demands_key);
}

TEST(LlamacppPlan, KeyIsNotAmongTheArguments) {
  const auto m = model(spec::EngineKind::llamacpp);
  const auto plan = plan_engine(input(m));
  EXPECT_THAT(plan->argv, Not(Contains(HasSubstr("secret"))));
  EXPECT_THAT(plan->env, Contains(Pair("LLAMA_API_KEY", "secret")));
}

TEST(LlamacppPlan, CommandReplacesTheProgram) {
  auto m = model(spec::EngineKind::llamacpp);
  m.command = {"env", "X=1", "/opt/llama-server"};
  const auto plan = plan_engine(input(m));
  EXPECT_EQ(plan->argv[2], "/opt/llama-server");
  EXPECT_EQ(plan->argv[3], "-m");
}

TEST(LlamacppPlan, NeedsWeights) {
  const auto m = model(spec::EngineKind::llamacpp);
  auto in = input(m);
  in.weights.clear();
  const auto plan = plan_engine(in);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, "weights_missing");
}

TEST(SimulatedPlan, WordsComeBackAsSettings) {
  using Fault = spec::SimulatedFault;
  auto m = model(spec::EngineKind::simulated);
  m.simulated = {.load = 2 * kSecond, .prefill = 2000, .decode = 40.5, .context = 8192, .fail = {}};
  m.simulated.fail = {{7, Fault::At::first_byte, 0, Fault::Do::exit, 500},
                      {8, Fault::At::event, 5, Fault::Do::stall, 500},
                      {1, Fault::At::load, 0, Fault::Do::exit, 500},
                      {9, Fault::At::end, 0, Fault::Do::error, 503}};
  const auto plan = plan_engine(input(m));
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->argv[0], "/bin/tidegate");
  EXPECT_EQ(plan->argv[1], "_simulate");
  EXPECT_THAT(plan->argv, Not(Contains(HasSubstr("secret"))));
  const auto back = parse_simulated_words({plan->argv.begin() + 2, plan->argv.end()});
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->port, 9000);
  EXPECT_EQ(back->model, "qwen");
  EXPECT_EQ(back->slots, 3);
  EXPECT_EQ(back->engine.load, 2 * kSecond);
  EXPECT_EQ(back->engine.prefill, 2000);
  EXPECT_EQ(back->engine.decode, 40.5);
  EXPECT_EQ(back->engine.context, 8192);
  ASSERT_EQ(back->engine.fail.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    const Fault &a = m.simulated.fail[i], &b = back->engine.fail[i];
    EXPECT_EQ(a.request, b.request);
    EXPECT_EQ(a.at, b.at);
    EXPECT_EQ(a.event, b.event);
    EXPECT_EQ(a.what, b.what);
    EXPECT_EQ(a.status, b.status);
  }
}

TEST(SimulatedPlan, WrongWordsAreNamed) {
  struct Case {
    std::vector<std::string> words;
    std::string named;
  };
  const std::vector<Case> wrong{{{"--port"}, "--port"},
                                {{"--port", "x"}, "'x'"},
                                {{"--port", "70000"}, "70000"},
                                {{"--slots", "0"}, "--slots"},
                                {{"--decode", "-1"}, "-1"},
                                {{"--what", "1"}, "--what"},
                                {{"--fail", "1:event:exit"}, "1:event:exit"},
                                {{"--fail", "1:load"}, "1:load"},
                                {{"--fail", "1:load:exit:1"}, "1:load:exit:1"}};
  for (const auto& [words, named] : wrong) {
    const auto settings = parse_simulated_words(words);
    ASSERT_FALSE(settings) << named;
    EXPECT_EQ(settings.error().code, "usage");
    EXPECT_THAT(settings.error().message, HasSubstr(named));
  }
}

TEST(OllamaPlan, OwnServerPulls) {
  auto m = model(spec::EngineKind::ollama);
  m.source = "ollama://qwen3:4b";
  auto in = input(m);
  in.weights.clear();
  const auto plan = plan_engine(in);
  ASSERT_TRUE(plan);
  EXPECT_THAT(plan->argv, testing::ElementsAre("ollama", "serve"));
  EXPECT_THAT(plan->env, IsSupersetOf({std::pair<std::string, std::string>("OLLAMA_HOST", "127.0.0.1:9000"),
                                       {"OLLAMA_MODELS", "/d"},
                                       {"OLLAMA_NUM_PARALLEL", "3"}}));
  EXPECT_EQ(plan->endpoint.model, "qwen3:4b");
  ASSERT_EQ(plan->setup.size(), 2u);
  EXPECT_EQ(plan->setup[0].call.path, "/api/pull");
  EXPECT_EQ(plan->setup[0].unless.path, "/api/show");
  EXPECT_THAT(plan->setup[0].call.body, HasSubstr("qwen3:4b"));
  EXPECT_TRUE(plan->setup[0].downloads);
  EXPECT_THAT(plan->setup[1].call.body, HasSubstr("num_ctx"));
}

TEST(OllamaPlan, CommandIsTheProgram) {
  auto m = model(spec::EngineKind::ollama);
  m.source = "ollama://qwen3:4b";
  m.args = {"--more"};
  for (const auto& command : {std::vector<std::string>{"/opt/ollama"}, {"/opt/ollama", "serve"}}) {
    m.command = command;
    const auto plan = plan_engine(input(m));
    ASSERT_TRUE(plan);
    EXPECT_THAT(plan->argv, testing::ElementsAre("/opt/ollama", "serve", "--more"));
  }
}

TEST(OllamaPlan, TheUsersOwnModels) {
  auto m = model(spec::EngineKind::ollama);
  m.source = "ollama://qwen3:4b";
  auto in = input(m);
  in.ollama_models = "/home/u/models";
  const auto plan = plan_engine(in);
  ASSERT_TRUE(plan);
  EXPECT_THAT(plan->env,
              testing::Contains(std::pair<std::string, std::string>("OLLAMA_MODELS", "/home/u/models")));
}

TEST(OllamaPlan, OwnServerImportsAFile) {
  auto m = model(spec::EngineKind::ollama);
  m.source = "file:///w/m.gguf";
  m.command = {"/opt/ollama", "serve"};
  const auto plan = plan_engine(input(m));
  ASSERT_TRUE(plan);
  EXPECT_THAT(plan->setup[0].command,
              testing::ElementsAre("/opt/ollama", "create", "qwen:absent", "-f", "/d/qwen-0.Modelfile"));
  ASSERT_EQ(plan->files.size(), 1u);
  EXPECT_EQ(plan->files[0].second, "FROM /w/m.gguf\n");
}

TEST(OllamaPlan, AReplacedFileIsAnotherModel) {
  const TemporaryDirectory dir;
  const std::string path = dir.path() + "/m.gguf";
  auto m = model(spec::EngineKind::ollama);
  m.source = "file://" + path;
  const auto name = [&] {
    auto in = input(m);
    in.weights = path;
    return plan_engine(in)->endpoint.model;
  };
  std::ofstream(path) << "one";
  const std::string first = name();
  EXPECT_EQ(name(), first);
  std::ofstream(path) << "other";
  EXPECT_NE(name(), first);
}

TEST(OllamaPlan, RunningServer) {
  auto m = model(spec::EngineKind::ollama);
  m.source = "ollama://tiny";
  m.ollama.url = "http://host:11434/x/";
  const auto plan = plan_engine(input(m));
  ASSERT_TRUE(plan);
  EXPECT_TRUE(plan->argv.empty());
  EXPECT_EQ(plan->endpoint.base_path, "/x/v1");
  EXPECT_EQ(plan->probe.path, "/x/api/version");
  EXPECT_EQ(plan->endpoint.port, 11434);
  // What it holds in memory, and with which context, is its owner's decision.
  EXPECT_THAT(plan->setup[1].call.body, testing::Not(HasSubstr("keep_alive")));
  EXPECT_THAT(plan->setup[1].call.body, testing::Not(HasSubstr("num_ctx")));
}

TEST(ExternalPlan, Url) {
  auto m = model(spec::EngineKind::external);
  m.external.url = "https://gpu.example/v1";
  const auto plan = plan_engine(input(m));
  ASSERT_TRUE(plan);
  EXPECT_TRUE(plan->argv.empty());
  EXPECT_TRUE(plan->endpoint.tls);
  EXPECT_EQ(plan->endpoint.port, 443);
  EXPECT_EQ(plan->probe.path, "/v1/models");
  EXPECT_EQ(plan->slots, 3);
}

TEST(EngineUrl, Forms) {
  EXPECT_EQ(parse_engine_url("http://[::1]:8000")->host, "::1");
  EXPECT_EQ(parse_engine_url("http://[::1]:8000")->port, 8000);
  EXPECT_EQ(parse_engine_url("http://h")->path, "");
  EXPECT_EQ(parse_engine_url("http://h/a/b/")->path, "/a/b");
  for (const char* bad :
       {"", "h:80", "ftp://h", "http://", "http://:80", "http://h:", "http://h:0", "http://h:65536",
        "http://h:8x", "http://u@h", "http://h/?q", "http://[::1", "http://[::1]8", "http://h /"}) {
    const auto url = parse_engine_url(bad);
    ASSERT_FALSE(url) << bad;
    EXPECT_EQ(url.error().code, "engine_url");
  }
}

}  // namespace
}  // namespace tg::runtime
