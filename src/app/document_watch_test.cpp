#include "app/document_watch.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace tg::app {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;

class NamesOnTheWay : public testing::Test {
 protected:
  NamesOnTheWay() : root_(fs::path(testing::TempDir()) / ("way-" + std::to_string(::getpid()))) {
    fs::create_directories(root_ / "a" / "b");
    std::ofstream(root_ / "a" / "b" / "f.yaml") << "x";
  }
  ~NamesOnTheWay() override { fs::remove_all(root_); }

  WatchedNames names(const fs::path& path) const {
    WatchedNames all;
    add_names_on_the_way(path.string(), all);
    return all;
  }
  std::string at(const char* below) const { return (root_ / below).string(); }

  fs::path root_;
};

TEST_F(NamesOnTheWay, OfAFileAndOfAFolder) {
  const WatchedNames file = names(root_ / "a/./b//f.yaml");
  EXPECT_THAT(file.at(root_.string()), ElementsAre("a"));
  EXPECT_THAT(file.at(at("a")), ElementsAre("b"));
  EXPECT_THAT(file.at(at("a/b")), ElementsAre("f.yaml"));
  EXPECT_FALSE(file.contains(at("a/b/f.yaml")));
  EXPECT_THAT(names(root_ / "a/b").at(at("a/b")), IsEmpty()) << "all names in it";
}

TEST_F(NamesOnTheWay, LinksAreFollowedNameByName) {
  fs::create_directory_symlink("a", root_ / "link");
  fs::create_symlink(root_ / "link/b/f.yaml", root_ / "entry");
  const WatchedNames all = names(root_ / "entry");
  EXPECT_THAT(all.at(root_.string()), ElementsAre("a", "entry", "link"));
  EXPECT_THAT(all.at(at("a/b")), ElementsAre("f.yaml"));
}

TEST_F(NamesOnTheWay, WhatIsMissingIsWaitedForWhereItWouldBe) {
  const WatchedNames all = names(root_ / "a/none/f.yaml");
  EXPECT_THAT(all.at(at("a")), ElementsAre("none"));
  EXPECT_FALSE(all.contains(at("a/none")));
}

TEST_F(NamesOnTheWay, ALoopOfLinksEnds) {
  fs::create_symlink("two", root_ / "one");
  fs::create_symlink("one", root_ / "two");
  EXPECT_THAT(names(root_ / "one").at(root_.string()), ElementsAre("one", "two"));
}

TEST_F(NamesOnTheWay, AFolderNamedTwiceIsWatchedWhole) {
  WatchedNames all;
  add_names_on_the_way(at("a/b"), all);
  add_names_on_the_way(at("a/b/f.yaml"), all);
  EXPECT_THAT(all.at(at("a/b")), IsEmpty());
}

}  // namespace
}  // namespace tg::app
