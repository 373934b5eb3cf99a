#include "app/data_dir.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "base/files.hpp"

namespace tg::app {
namespace {

Environment environment(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const char* name) -> std::optional<std::string> {
    const auto it = values.find(name);
    if (it == values.end()) return std::nullopt;
    return it->second;
  };
}

TEST(DataDirPath, FollowsFlagThenXdgThenHome) {
  EXPECT_EQ(*data_dir_path("/x/", environment({{"XDG_DATA_HOME", "/xdg"}})), "/x");
  EXPECT_EQ(*data_dir_path("", environment({{"XDG_DATA_HOME", "/xdg"}, {"HOME", "/home/a"}})),
            "/xdg/tidegate");
  EXPECT_EQ(*data_dir_path("", environment({{"XDG_DATA_HOME", "relative"}, {"HOME", "/home/a"}})),
            "/home/a/.local/share/tidegate");
  EXPECT_EQ(*data_dir_path("", environment({{"HOME", "/home/a"}})), "/home/a/.local/share/tidegate");
  EXPECT_EQ(*data_dir_path("", environment({})), "/var/lib/tidegate");
  const auto relative = data_dir_path("here", environment({}));
  ASSERT_TRUE(relative);
  EXPECT_EQ(*relative, std::filesystem::current_path().string() + "/here");
}

class DataDirTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/tidegate-data-XXXXXX";
    root_ = ::mkdtemp(pattern);
    dir_ = root_ + "/a/b";
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  std::string root_, dir_;
};

TEST_F(DataDirTest, IsMadePrivateAndLocked) {
  auto first = DataDir::open(dir_, DataDir::Make::yes);
  ASSERT_TRUE(first) << first.error().message;
  struct stat info{};
  ASSERT_EQ(::stat(dir_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700U);
  for (const char* name :
       {"journal", "spool", "state", "run", "logs", "cache/sha256", "documents", "VERSION", "lock"}) {
    EXPECT_EQ(::access((dir_ + "/" + name).c_str(), F_OK), 0) << name;
  }
  // flock() belongs to the open file, so a second one in this process is refused as one of another process
  // is.
  const auto second = DataDir::open(dir_, DataDir::Make::no);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, "data_dir_in_use");
  EXPECT_NE(second.error().message.find(std::to_string(::getpid())), std::string::npos)
      << second.error().message;
  first = fail("x", "y");
  EXPECT_TRUE(DataDir::open(dir_, DataDir::Make::no));
}

TEST_F(DataDirTest, IsNotMadeByReaders) {
  const auto missing = DataDir::open(dir_, DataDir::Make::no);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, "no_data_dir");
  EXPECT_NE(::access(dir_.c_str(), F_OK), 0);
}

TEST_F(DataDirTest, RefusesWhatANewerProgramWrote) {
  ASSERT_TRUE(DataDir::open(dir_, DataDir::Make::yes));
  ASSERT_TRUE(replace_file(dir_ + "/VERSION", "2\n"));
  const auto newer = DataDir::open(dir_, DataDir::Make::yes);
  ASSERT_FALSE(newer);
  EXPECT_EQ(newer.error().code, "data_dir_newer");
  ASSERT_TRUE(replace_file(dir_ + "/VERSION", "garbage"));
  EXPECT_EQ(DataDir::open(dir_, DataDir::Make::yes).error().code, "data_dir_newer");
}

TEST_F(DataDirTest, TakesRightsFromOthers) {
  ASSERT_TRUE(make_directories(dir_));
  ASSERT_EQ(::chmod(dir_.c_str(), 0755), 0);
  ASSERT_TRUE(DataDir::open(dir_, DataDir::Make::yes));
  struct stat info{};
  ASSERT_EQ(::stat(dir_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700U);
}

TEST_F(DataDirTest, AFileIsNoDirectory) {
  ASSERT_TRUE(replace_file(root_ + "/file", "x"));
  EXPECT_EQ(DataDir::open(root_ + "/file", DataDir::Make::yes).error().code, "not_a_directory");
}

}  // namespace
}  // namespace tg::app
