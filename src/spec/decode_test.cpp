#include "spec/decode.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/files.hpp"
#include "spec/load.hpp"

namespace tg::spec {
namespace {

namespace fs = std::filesystem;

const std::string kRoot = TIDEGATE_SOURCE_DIR;

std::vector<std::string> files_of(const std::string& directory) {
  std::vector<Finding> none;
  return list_files({kRoot + "/" + directory}, none);
}

std::string head(std::string_view kind, std::string_view name) {
  return fmt::format("---\napiVersion: tidegate.dev/v1alpha1\nkind: {}\nmetadata: {{name: {}}}\n", kind,
                     name);
}

// The `# expect: LINE:COLUMN CODE PATH` lines at the start of a file.
std::vector<std::string> expectations(const std::string& content) {
  std::vector<std::string> out;
  std::size_t at = 0;
  while (at < content.size() && content[at] == '#') {
    const std::size_t end = std::min(content.find('\n', at), content.size());
    const std::string line = content.substr(at, end - at);
    if (line.starts_with("# expect: ")) out.push_back(line.substr(10));
    at = end + 1;
  }
  return out;
}

class WrongDocument : public testing::TestWithParam<std::string> {};

// Each file states its findings in its own comments, so that a case is one file.
TEST_P(WrongDocument, HasTheExpectedFindings) {
  const auto content = read_file(GetParam());
  ASSERT_TRUE(content);
  const auto result = decode({{"x.yaml", *content}});
  std::vector<std::string> found;
  for (const Finding& f : result.findings) {
    found.push_back(
        fmt::format("{}:{} {}{}{}", f.at.line, f.at.column, f.code, f.path.empty() ? "" : " ", f.path));
    EXPECT_FALSE(f.message.empty());
    EXPECT_FALSE(f.hint.empty()) << f.str();
    EXPECT_EQ(f.message.find("abcdef"), std::string::npos) << "a secret is repeated: " << f.str();
    EXPECT_EQ(f.message.find("user:pass"), std::string::npos) << "a secret is repeated: " << f.str();
  }
  const auto expected = expectations(*content);
  EXPECT_FALSE(expected.empty()) << "the file states no findings";
  EXPECT_EQ(found, expected) << result.text();
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = fs::path(info.param).stem().string();
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Files, WrongDocument, testing::ValuesIn(files_of("test/fixtures/wrong-documents")),
                         test_name);

class GoodDocument : public testing::TestWithParam<std::string> {};

TEST_P(GoodDocument, HasNoFindings) {
  const auto content = read_file(GetParam());
  ASSERT_TRUE(content);
  const auto result = decode({{"x.yaml", *content}});
  EXPECT_TRUE(result.findings.empty()) << result.text();
}

INSTANTIATE_TEST_SUITE_P(Fixtures, GoodDocument, testing::ValuesIn(files_of("test/fixtures/good-documents")),
                         test_name);
// Examples with a Platform are decoded for rendering, in platform_test.cpp.
std::vector<std::string> served_examples() {
  std::vector<std::string> files = files_of("examples");
  std::erase_if(files, [](const std::string& file) {
    const auto content = read_file(file);
    return content && content->find("kind: Platform") != std::string::npos;
  });
  return files;
}

INSTANTIATE_TEST_SUITE_P(Examples, GoodDocument, testing::ValuesIn(served_examples()), test_name);

TEST(Decode, EnoughCases) { EXPECT_GE(files_of("test/fixtures/wrong-documents").size(), 60U); }

TEST(Decode, ExamplesGoTogether) {
  const auto result = load(served_examples());
  EXPECT_TRUE(result.ok()) << result.text();
}

TEST(Decode, SmallestModelGetsTheDefaults) {
  const auto result = decode({{"m.yaml", head("Model", "qwen") + "spec: {source: hf://o/r/f.gguf}\n"}});
  ASSERT_TRUE(result.ok()) << result.text();
  const Model& m = result.documents.models.at("qwen");
  EXPECT_EQ(m.engine, EngineKind::llamacpp);
  EXPECT_EQ(m.replicas_min, 0);
  EXPECT_EQ(m.replicas_max, 1);
  EXPECT_EQ(m.context, 4096);
  EXPECT_EQ(m.slots, 4);
  EXPECT_EQ(m.memory, 0U);
  EXPECT_EQ(m.idle, std::nullopt);
  EXPECT_EQ(m.first_token_target, 2 * kSecond);
  EXPECT_EQ(m.hold.requests, 200);
  EXPECT_EQ(m.hold.bytes, 64U << 20);
  EXPECT_EQ(m.hold.deadline, 2 * kMinute);
  EXPECT_EQ(m.hold.keep_alive_after, 15 * kSecond);
  EXPECT_EQ(m.at.str(), "m.yaml:2:1");
  const Route& r = result.documents.routes.at("qwen");
  EXPECT_TRUE(r.implied);
  ASSERT_EQ(r.to.size(), 1U);
  EXPECT_EQ(r.to[0].model, "qwen");
  EXPECT_EQ(r.retry.attempts, 2);
  EXPECT_DOUBLE_EQ(r.retry.budget, 0.2);
  EXPECT_EQ(r.timeouts.connect, 2 * kSecond);
  EXPECT_EQ(r.timeouts.tls, 5 * kSecond);
  EXPECT_EQ(r.timeouts.first_byte, 2 * kMinute);
  EXPECT_EQ(r.timeouts.between_events, kMinute);
  EXPECT_EQ(r.timeouts.total, 10 * kMinute);
  EXPECT_EQ(r.timeouts.client_stalled, 30 * kSecond);
  const Tenant& t = result.documents.tenants.at("default");
  EXPECT_TRUE(t.all_routes);
  EXPECT_EQ(t.limits.requests_per_minute, 0);
}

TEST(Decode, SimulatedDefaultsAndFaults) {
  const auto result =
      decode({{"m.yaml", head("Model", "s") + "spec: {engine: {simulated: {fail: [{request: 7, at: "
                                              "'event:5', do: 'error:503'}, {request: 0, at: load}]}}}\n"}});
  ASSERT_TRUE(result.ok()) << result.text();
  const SimulatedEngine& e = result.documents.models.at("s").simulated;
  EXPECT_EQ(e.load, 2 * kSecond);
  EXPECT_EQ(e.prefill, 2000);
  EXPECT_EQ(e.decode, 40);
  EXPECT_EQ(e.context, 8192);
  ASSERT_EQ(e.fail.size(), 2U);
  EXPECT_EQ(e.fail[0].request, 7);
  EXPECT_EQ(e.fail[0].at, SimulatedFault::At::event);
  EXPECT_EQ(e.fail[0].event, 5);
  EXPECT_EQ(e.fail[0].what, SimulatedFault::Do::error);
  EXPECT_EQ(e.fail[0].status, 503);
  EXPECT_EQ(e.fail[1].at, SimulatedFault::At::load);
  EXPECT_EQ(e.fail[1].what, SimulatedFault::Do::exit);
}

TEST(Decode, EngineFollowsTheSource) {
  const auto engine = [](const std::string& spec) {
    const auto result = decode({{"m.yaml", head("Model", "m") + "spec: {" + spec + "}\n"}});
    EXPECT_TRUE(result.ok()) << result.text();
    return result.documents.models.at("m").engine;
  };
  EXPECT_EQ(engine("source: file:///a.gguf"), EngineKind::llamacpp);
  EXPECT_EQ(engine("source: ollama://qwen3"), EngineKind::ollama);
  EXPECT_EQ(engine("source: file:///a.bin, engine: llamacpp"), EngineKind::llamacpp);
  EXPECT_EQ(engine("source: file:///a.gguf, engine: {ollama: {}}"), EngineKind::ollama);
  EXPECT_EQ(engine("engine: {simulated: }"), EngineKind::simulated);
  EXPECT_EQ(engine("engine: {external: {url: 'http://h:8000/v1/'}}"), EngineKind::external);
}

TEST(Decode, UrlsLoseTheirLastSlash) {
  const auto result = decode(
      {{"p.yaml", head("Provider", "p") + "spec: {url: 'https://h/v1//', models: [org/model:tag]}\n"}});
  ASSERT_TRUE(result.ok()) << result.text();
  EXPECT_EQ(result.documents.providers.at("p").url, "https://h/v1");
  EXPECT_EQ(result.documents.routes.at("org/model:tag").to[0].provider, "p");
}

TEST(Decode, ARouteSettlesANameOfferedTwice) {
  const std::string both = head("Model", "a") + "spec: {engine: simulated}\n" + head("Provider", "p") +
                           "spec: {url: 'https://h/v1', models: [a]}\n";
  EXPECT_FALSE(decode({{"x", both}}).ok());
  const auto settled = decode(
      {{"x", both + head("Route", "a") + "spec: {to: [{provider: p, model: a}], fallback: [{model: a}]}\n"}});
  ASSERT_TRUE(settled.ok()) << settled.text();
  EXPECT_FALSE(settled.documents.routes.at("a").implied);
}

TEST(Decode, FilesReferToEachOther) {
  const Source model{"b.yaml", head("Model", "m") + "spec: {engine: simulated}\n"};
  const Source route{"a.yaml", head("Route", "r") + "spec: {to: [{model: m}]}\n"};
  EXPECT_TRUE(decode({route, model}).ok());
  const auto alone = decode({route});
  ASSERT_EQ(alone.findings.size(), 1U);
  EXPECT_EQ(alone.findings[0].at.str(), "a.yaml:5:21");
}

TEST(Decode, FindingsComeInTheOrderOfTheFiles) {
  const std::string bad = head("Model", "m") + "spec: {engine: simulated, slots: 0}\n";
  const auto result = decode({{"z.yaml", bad}, {"a.yaml", bad}});
  ASSERT_EQ(result.findings.size(), 3U) << result.text();
  EXPECT_EQ(result.findings[0].at.file, "z.yaml");
  EXPECT_EQ(result.findings[1].code, "duplicate_document");
  EXPECT_NE(result.findings[1].message.find("z.yaml:2:1"), std::string::npos);
  EXPECT_EQ(result.findings[2].at.file, "a.yaml");
}

TEST(Decode, BrokenFilesDoNotMakeReferencesWrong) {
  const Source broken{"m.yaml", head("Model", "m") + "spec: {engine: simulated\n"};
  const Source route{"r.yaml", head("Route", "r") + "spec: {to: [{model: m}]}\n"};
  const auto result = decode({broken, route});
  ASSERT_EQ(result.findings.size(), 1U) << result.text();
  EXPECT_EQ(result.findings[0].code, "yaml_syntax");
}

// Proposals compare each wrong name with each name there is; without their bound this took more than a
// minute.
TEST(Decode, ManyWrongReferencesStayCheap) {
  std::string text;
  for (int i = 0; i < 1000; ++i) {
    text += head("Model", fmt::format("model-m{}", i)) + "spec: {engine: simulated}\n";
    text += head("Route", fmt::format("r{}", i)) + fmt::format("spec: {{to: [{{model: model-k{}}}]}}\n", i);
  }
  const auto result = decode({{"x", text}});
  ASSERT_EQ(result.findings.size(), 1000U);
  const auto proposed = std::count_if(result.findings.begin(), result.findings.end(),
                                      [](const Finding& f) { return f.hint.starts_with("did you mean"); });
  EXPECT_EQ(proposed, 50);
  EXPECT_EQ(result.findings.back().hint, "name a Model of these documents");
}

TEST(Decode, PlatformsAreNamed) {
  const auto result = decode({{"x", head("Platform", "stack") + "spec: {infrastructure: {k3s: {}}}\n"}});
  EXPECT_TRUE(result.ok()) << result.text();
  EXPECT_EQ(result.documents.platforms, std::vector<std::string>{"stack"});
}

TEST(Decode, WarningsLeaveItUsable) {
  const auto result = decode(
      {{"x", head("Provider", "p") + "spec: {url: 'http://h/v1', models: [a], credentials: {env: K}}\n"}});
  EXPECT_TRUE(result.ok());
  ASSERT_EQ(result.findings.size(), 1U);
  EXPECT_EQ(result.findings[0].str(),
            "x:5:13: warning[plain_http] the key is sent to http://h/v1 without TLS\n  hint: use https:// "
            "unless the network is trusted");
}

TEST(Decode, NothingIsGood) {
  const auto result = decode({});
  EXPECT_TRUE(result.ok());
  EXPECT_EQ(result.documents.tenants.size(), 1U);
}

TEST(Model, RevisionsFollowWhatProcessesAreStartedWith) {
  const auto model = [](const std::string& spec) {
    const auto result = decode({{"x", head("Model", "m") + "spec: {" + spec + "}\n"}});
    EXPECT_TRUE(result.ok()) << result.text();
    return result.documents.models.at("m");
  };
  const std::string source = "source: file:///a.gguf";
  const Model before = model(source);
  EXPECT_TRUE(before.same_revision(
      model(source + ", replicas: {max: 3}, idle: 3s, hold: {requests: 1}, memory: 1Gi")));
  for (const std::string change :
       {", slots: 2", ", context: 100", ", args: [a]", ", command: [a]", ", engine: ollama"}) {
    EXPECT_FALSE(before.same_revision(model(source + change))) << change;
  }
  EXPECT_FALSE(before.same_revision(model("source: file:///b.gguf")));
  EXPECT_FALSE(
      model("engine: simulated").same_revision(model("engine: {simulated: {fail: [{request: 1}]}}")));
  EXPECT_FALSE(model("engine: {simulated: {fail: [{request: 2}]}}")
                   .same_revision(model("engine: {simulated: {fail: [{request: 1}]}}")));
}

TEST(Load, ReadsFilesDirectoriesAndStandardInput) {
  const std::string dir = testing::TempDir() + "tidegate_load_test";
  fs::remove_all(dir);
  fs::create_directories(dir + "/below.yaml");
  const auto write = [&](const std::string& name, const std::string& text) {
    ASSERT_TRUE(replace_file(dir + "/" + name, text));
  };
  write("b.yml", head("Model", "b") + "spec: {engine: simulated}\n");
  write(
      "a.json",
      R"({"apiVersion": "tidegate.dev/v1alpha1", "kind": "Model", "metadata": {"name": "a"}, "spec": {"engine": "simulated"}})");
  write(".hidden.yaml", "wrong");
  write("note.txt", "wrong");
  std::vector<Finding> none;
  EXPECT_EQ(list_files({dir, dir + "/b.yml"}, none),
            (std::vector<std::string>{dir + "/a.json", dir + "/b.yml"}));
  const auto result = load({dir, "-"}, head("Model", "c") + "spec: {engine: simulated}\n");
  EXPECT_TRUE(result.ok()) << result.text();
  EXPECT_EQ(result.documents.models.size(), 3U);
  EXPECT_EQ(result.documents.models.at("c").at.str(), "-:2:1");
  fs::remove_all(dir);
}

TEST(Load, NamesWhatItCannotRead) {
  const auto result = load({"/nowhere/x.yaml"});
  ASSERT_EQ(result.findings.size(), 1U);
  EXPECT_EQ(result.findings[0].str(),
            "/nowhere/x.yaml: error[cannot_read] No such file or directory\n  hint: check the path and its "
            "permissions");
}

}  // namespace
}  // namespace tg::spec
