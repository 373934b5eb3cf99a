#include "replica/learned_store.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "base/files.hpp"
#include "replica/fake_fleet.hpp"

namespace tg::replica {
namespace {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = testing::TempDir() + "learned-XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryDirectory() {
    for (const auto* f : {"a", "a%2Fb", "x"}) ::unlink((path_ + "/" + f + ".json").c_str());
    ::rmdir(path_.c_str());
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Memory taught() {
  Memory m;
  m.learner.cold.seen(90 * kSecond, true, 3 * kSecond, 4);
  m.learner.cold.seen(0, false, 5 * kSecond, 2);
  scale::Seen s;
  s.arrivals = s.finished = 3;
  s.output_tokens = 900;
  s.prompt_tokens = s.reported_prompt_tokens = 300;
  s.prompt_code_points = 1000;
  s.ready = 1;
  s.in_flight = 2;
  s.decode_tokens = 800;
  s.decode_ns = 40 * kSecond;
  s.first_tokens = 3;
  s.first_token_ns = kSecond;
  m.learner.observe(s);
  m.settled = 3;
  return m;
}

TEST(LearnedStore, ReadsWhatItWrote) {
  const auto m = taught();
  const auto back = parse_memory(memory_json(m, "r1"), "r1");
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(memory_json(*back, "r1"), memory_json(m, "r1"));
  EXPECT_EQ(back->settled, 3);
  EXPECT_EQ(back->learner.cold.expected(0.9, true), 95 * kSecond);
  EXPECT_DOUBLE_EQ(back->learner.output_mean, m.learner.output_mean);
  EXPECT_DOUBLE_EQ(back->learner.engine().alpha, m.learner.engine().alpha);
}

TEST(LearnedStore, AnotherRevisionKeepsTheLengthsOnly) {
  const auto m = taught();
  const auto back = parse_memory(memory_json(m, "r1"), "r2");
  ASSERT_TRUE(back);
  EXPECT_EQ(back->settled, 0);
  EXPECT_EQ(back->learner.cold.load.count(), 0U);
  EXPECT_DOUBLE_EQ(back->learner.output_mean, m.learner.output_mean);
  EXPECT_EQ(back->learner.w, 0);
}

TEST(LearnedStore, DamagedFilesAreRefusedWhole) {
  const auto good = memory_json(taught(), "r");
  for (std::size_t cut = 0; cut < good.size() - 2; ++cut) {
    EXPECT_FALSE(parse_memory(good.substr(0, cut), "r")) << cut;
  }
  const auto with = [&good](const std::string& name, const std::string& value) {
    auto text = good;
    const auto at = text.find("\"" + name + "\":");
    const auto from = text.find(':', at) + 1;
    const auto to = text.find_first_of(",\n", from);
    return text.replace(from, to - from, value);
  };
  EXPECT_TRUE(parse_memory(with("outputMean", "17"), "r"));
  for (const auto* value : {"-1", "1e300", "null", "\"x\"", "[1]", "true"}) {
    const auto back = parse_memory(with("outputMean", value), "r");
    EXPECT_FALSE(back) << value;
    if (!back) {
      EXPECT_NE(back.error().message.find("outputMean"), std::string::npos);
    }
  }
  EXPECT_FALSE(parse_memory(with("version", "2"), "r"));
  EXPECT_FALSE(parse_memory("[]", "r"));
}

TEST(LearnedStore, FileNamesAreSafe) {
  EXPECT_EQ(memory_path("/d", "qwen3-4b"), "/d/qwen3-4b.json");
  EXPECT_EQ(memory_path("/d", "a/b"), "/d/a%2Fb.json");
  EXPECT_EQ(memory_path("/d", "../x"), "/d/%2E.%2Fx.json");
}

TEST(LearnedStore, RevisionFollowsWhatTheEngineIs) {
  auto a = Fleet::model("a");
  auto b = a;
  EXPECT_EQ(revision_digest(a), revision_digest(b));
  b.name = "b";
  b.hold.requests = 1;
  b.replicas_max = 9;
  EXPECT_EQ(revision_digest(a), revision_digest(b));
  b.slots = 9;
  EXPECT_NE(revision_digest(a), revision_digest(b));
  a.args = {"x", "y"};
  b = a;
  b.args = {"xy"};
  EXPECT_NE(revision_digest(a), revision_digest(b));
  b = a;
  b.command = {"x"};
  b.args = {"y"};
  EXPECT_NE(revision_digest(a), revision_digest(b));
}

TEST(LearnedStore, TheControllerLearnsAndRemembersOverARestart) {
  TemporaryDirectory dir;
  Controller::Options options;
  options.state_dir = dir.path();
  auto m = Fleet::model("a");
  m.idle = kSecond;
  {
    Fleet f(options);
    f.backend.plans["a"].load = 7 * kSecond;
    f.apply({m});
    f.send("a");
    f.run_for(kMinute);
    f.ticking = false;
    while (!f.controller->shut_down(f.time.now())) f.run_for(100 * kMillisecond);
  }
  ASSERT_TRUE(read_file(dir.path() + "/a.json"));
  Fleet f(options);
  f.backend.plans["a"].load = 7 * kSecond;
  f.apply({m});
  EXPECT_EQ(f.controller->table("a")->expected_ready_in.load(), 7 * kSecond);
  const auto id = f.send("a");
  f.run_for(2 * kSecond);
  EXPECT_NEAR(static_cast<double>(f.controller->table("a")->expected_ready_in.load()) / 1e9, 5, 0.5);
  f.run_for(kMinute);
  EXPECT_EQ(f.requests[id].state, Request::State::complete);
}

TEST(LearnedStore, AnUnreadableFileDoesNotStopTheModel) {
  TemporaryDirectory dir;
  ASSERT_TRUE(replace_file(dir.path() + "/a.json", "{\"version\":1,"));
  Controller::Options options;
  options.state_dir = dir.path();
  Fleet f(options);
  f.apply({Fleet::model("a")});
  f.send("a");
  f.run_for(10 * kSecond);
  EXPECT_EQ(f.count(Request::State::complete), 1);
}

}  // namespace
}  // namespace tg::replica
