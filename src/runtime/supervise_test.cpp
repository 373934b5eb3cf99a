// Nothing outlives its gateway: the gateway, the supervisor or both are killed, and every process must be
// gone.
#include "runtime/supervise.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdio>
#include <fstream>

#include "base/files.hpp"
#include "runtime/leftovers.hpp"
#include "runtime/log_file.hpp"
#include "runtime/test_support.hpp"

namespace tg::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// The engine: a shell with a child, a grandchild that was left by its parent, and a child in a session of its
// own.
constexpr const char* kFamily =
    "sleep 1000 & (sleep 1001 &) ; setsid sleep 1002 & "
    "echo family $$; exec sleep 1003";

class SuperviseTest : public testing::Test {
 protected:
  // Starts a gateway process with one engine and waits until the whole family is there.
  void start(const std::string& script, int grace_ms, std::size_t family) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    log_ = dir_.path() + "/engine.log";
    const std::string grace = std::to_string(grace_ms);
    gateway_ = ::fork();
    if (gateway_ == 0) {
      ::dup2(ends[1], 1);
      ::execl("/proc/self/exe", "runtime_test", "_gateway", grace.c_str(), log_.c_str(), script.c_str(),
              nullptr);
      ::_exit(127);
    }
    ::close(ends[1]);
    char text[32] = {};
    ASSERT_GT(::read(ends[0], text, sizeof text - 1), 0);
    ::close(ends[0]);
    supervisor_ = read_proc_stat(std::atoi(text))->id;
    ASSERT_TRUE(wait_until([&] {
      family_ = descendants(all_processes(), supervisor_.pid);
      const auto log = read_file(log_);
      return family_.size() == family && log && log->find("family") != std::string::npos;
    })) << "the family has "
        << family_.size() << " members";
  }
  void TearDown() override {
    if (gateway_ > 0) {
      ::kill(gateway_, SIGKILL);
      ::waitpid(gateway_, nullptr, 0);
    }
  }
  void kill_gateway() {
    ::kill(gateway_, SIGKILL);
    ::waitpid(gateway_, nullptr, 0);
    gateway_ = -1;
  }
  ::testing::AssertionResult all_gone() {
    family_.push_back(supervisor_);
    if (wait_until([&] { return std::ranges::none_of(family_, [](const auto& p) { return alive(p); }); },
                   15 * kSecond)) {
      return ::testing::AssertionSuccess();
    }
    return ::testing::AssertionFailure() << "processes are left";
  }

  TemporaryDirectory dir_;
  std::string log_;
  pid_t gateway_ = -1;
  ProcessIdentity supervisor_;
  std::vector<ProcessIdentity> family_;
};

// Four sleepers and the guard.
constexpr std::size_t kFamilySize = 5;

TEST_F(SuperviseTest, GatewayKilled) {
  start(kFamily, 500, kFamilySize);
  kill_gateway();
  EXPECT_TRUE(all_gone());
}

TEST_F(SuperviseTest, SupervisorKilled) {
  start(kFamily, 500, kFamilySize);
  ASSERT_TRUE(signal_process(supervisor_, SIGKILL));
  EXPECT_TRUE(all_gone());
}

TEST_F(SuperviseTest, BothKilled) {
  start(kFamily, 500, kFamilySize);
  ASSERT_TRUE(signal_process(supervisor_, SIGKILL));
  kill_gateway();
  EXPECT_TRUE(all_gone());
}

TEST_F(SuperviseTest, DeafFamilyIsKilledAfterTheGrace) {
  start("trap '' TERM; (while :; do sleep 1; done) & echo family; while :; do sleep 1; done", 200, 5);
  kill_gateway();
  // The sleeps come and go; what counts are the two shells.
  EXPECT_TRUE(
      wait_until([&] { return session_members(all_processes(), supervisor_.pid).empty(); }, 15 * kSecond));
}

TEST_F(SuperviseTest, EngineHasTheGraceToFinish) {
  start("trap 'sleep 0.1; echo finished; exit 0' TERM; echo family; while :; do sleep 0.01; done", 10'000, 3);
  kill_gateway();
  EXPECT_TRUE(wait_until([&] { return !alive(supervisor_); }));
  EXPECT_THAT(read_file(log_).value_or(""), HasSubstr("finished"));
}

TEST_F(SuperviseTest, LeftoversAreEndedByPidAndStartTimeOnly) {
  start("sleep 1000 & echo family; exec sleep 1003", 10'000, 3);
  const std::string run = dir_.path();
  auto stranger = supervisor_;
  stranger.start += 1;
  write_run_record(run_record_path(run, 1), {"m", stranger, {}, {}});
  EXPECT_EQ(end_leftovers(run, kSecond), 0u);
  EXPECT_TRUE(alive(supervisor_));
  EXPECT_FALSE(std::filesystem::exists(run_record_path(run, 1)));
  write_run_record(run_record_path(run, 2), {"m", supervisor_, family_.front(), {}});
  EXPECT_GE(end_leftovers(run, 5 * kSecond), 2u);
  EXPECT_TRUE(all_gone());
}

TEST_F(SuperviseTest, LeftoversInASessionOfTheirOwnAreEndedByTheirMark) {
  // The guard is killed first, so nobody follows the supervisor up but the next start.
  start(kFamily, 500, kFamilySize);
  // A sleeper has told its number before its exec, in the midst of which a process shows no environment.
  std::vector<ProcessIdentity> marked;
  EXPECT_TRUE(wait_until([&] {
    marked = marked_processes(all_processes(), family_mark(supervisor_));
    return marked.size() == 4U;
  })) << marked.size()
      << " of 4: the sleepers, and neither guard nor supervisor";
  for (const ProcessIdentity& p : family_) {
    if (std::ranges::find(marked, p) == marked.end()) {
      ASSERT_TRUE(signal_process(p, SIGKILL)) << "the guard";
    }
  }
  ASSERT_TRUE(signal_process(supervisor_, SIGKILL));
  kill_gateway();
  ASSERT_TRUE(wait_until([&] { return !alive(supervisor_); }));
  EXPECT_TRUE(std::ranges::any_of(marked, [](const auto& p) { return alive(p); }))
      << "the one in a session of its own lives on";
  write_run_record(run_record_path(dir_.path(), 3), {"m", supervisor_, {}, {}});
  EXPECT_GE(end_leftovers(dir_.path(), 5 * kSecond), 1U);
  EXPECT_TRUE(all_gone());
}

TEST_F(SuperviseTest, RecordOfAnotherBootIsIgnored) {
  start("echo family; exec sleep 1003", 10'000, 2);
  const std::string path = run_record_path(dir_.path(), 1);
  write_run_record(path, {"m", supervisor_, {}, {}});
  std::string text = read_file(path).value();
  text.replace(text.find(boot_id()), boot_id().size(), std::string(boot_id().size(), '0'));
  std::ofstream(path) << text;
  EXPECT_EQ(end_leftovers(dir_.path(), kSecond), 0u);
  EXPECT_TRUE(alive(supervisor_));
}

TEST(Leftovers, RubbishInTheRunDirectoryIsNoOrder) {
  TemporaryDirectory dir;
  const std::string boot = boot_id();
  for (const std::string& text :
       {std::string("{"), std::string("[]"), R"({"boot":")" + boot + R"(","engine":{"pid":-1,"start":1}})",
        R"({"boot":")" + boot + R"(","engine":{"pid":1,"start":1},"supervisor":7})"}) {
    std::ofstream(dir.path() + "/replica-9.json") << text;
    EXPECT_EQ(end_leftovers(dir.path(), kSecond), 0u) << text;
  }
}

TEST(SuperviseMain, WrongArgumentsAreRefused) {
  char word[] = "_supervise", x[] = "x";
  char* argv[] = {word, x, nullptr};
  EXPECT_EQ(supervise_main(2, argv), 2);
}

TEST(Report, Lines) {
  EXPECT_EQ(parse_report("started 12 345").process, (ProcessIdentity{12, 345}));
  EXPECT_EQ(parse_report("guard 13 346").what, Report::What::guard);
  EXPECT_EQ(parse_report("exited 3").value, 3);
  EXPECT_EQ(parse_report("signaled 9").what, Report::What::signaled);
  EXPECT_EQ(parse_report("cannot_exec 2").what, Report::What::cannot_exec);
  EXPECT_EQ(parse_report("gone").what, Report::What::gone);
  EXPECT_EQ(parse_report("exited").what, Report::What::unknown);
  EXPECT_EQ(parse_report("").what, Report::What::unknown);
}

TEST(EngineEnvironment, OnlyWhatEnginesNeed) {
  char path[] = "PATH=/bin", key[] = "OPENAI_API_KEY=sk", cuda[] = "CUDA_VISIBLE_DEVICES=0",
       llama[] = "LLAMA_API_KEY=old";
  char* environment[] = {path, key, cuda, llama, nullptr};
  EXPECT_THAT(engine_environment(environment, {{"LLAMA_API_KEY", "new"}}),
              ElementsAre("PATH=/bin", "CUDA_VISIBLE_DEVICES=0", "LLAMA_API_KEY=new"));
}

TEST(ProcStatLine, CommandMayHoldAnything) {
  const auto stat =
      parse_proc_stat("42 (a) b) (c\n) S 7 42 41 0 -1 4194304 1 0 0 0 1 2 0 0 20 0 1 0 98765 1 2 3\n");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->id, (ProcessIdentity{42, 98765}));
  EXPECT_EQ(stat->parent, 7);
  EXPECT_EQ(stat->session, 41);
  EXPECT_EQ(stat->state, 'S');
  for (const char* bad :
       {"", "42", "42 (x)", "42 (x) S 7", "x (x) S 7 42 41 0 -1 4194304 1 0 0 0 1 2 0 0 20 0 1 0 98765"}) {
    EXPECT_FALSE(parse_proc_stat(bad)) << bad;
  }
}

TEST(LogFile, TwoFilesOfBoundedSize) {
  TemporaryDirectory dir;
  const std::string path = dir.path() + "/e.log";
  {
    LogFile log(path, 100);
    for (int i = 0; i < 30; ++i) log.write(fmt::format("line {:04}\n", i));
  }
  EXPECT_EQ(std::filesystem::file_size(path), 100u);
  EXPECT_EQ(std::filesystem::file_size(path + ".1"), 100u);
  EXPECT_THAT(last_lines(path, 2), ElementsAre("line 0028", "line 0029"));
  LogFile again(path, 100);
  again.write("after\n");
  EXPECT_THAT(last_lines(path, 5), ElementsAre("after"));
  EXPECT_THAT(last_lines(path + ".1", 1), ElementsAre("line 0029"));
}

TEST(LogFile, LastLinesAreCleanAndShort) {
  TemporaryDirectory dir;
  const std::string path = dir.path() + "/e.log";
  std::ofstream(path) << "one\n\n\x1b[31mred\n" << std::string(1000, 'x');
  const auto lines = last_lines(path, 3);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[1], "?[31mred");
  EXPECT_EQ(lines[2].size(), 300u);
  EXPECT_TRUE(last_lines(dir.path() + "/none", 3).empty());
}

TEST(LogFile, LastWordsNameTheCause) {
  TemporaryDirectory dir;
  const std::string path = dir.path() + "/e.log";
  std::ofstream(path) << "I loading model '/m.gguf'\nE failed to open '/m.gguf' (No such file or directory)\n"
                         "E failed to load model\nI cleaning up\nE exiting due to model loading Error\n";
  EXPECT_THAT(last_words(path),
              ElementsAre("E failed to open '/m.gguf' (No such file or directory)", "E failed to load model",
                          "E exiting due to model loading Error"));
  std::ofstream(path) << "one\ntwo\nthree\nfour\n";
  EXPECT_THAT(last_words(path), ElementsAre("two", "three", "four"));
  std::ofstream(path) << "Error\n";
  EXPECT_THAT(last_words(path), ElementsAre("Error"));
  EXPECT_TRUE(last_words(dir.path() + "/none").empty());
}

}  // namespace
}  // namespace tg::runtime
