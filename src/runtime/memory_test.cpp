#include "runtime/memory.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "base/files.hpp"
#include "runtime/test_support.hpp"

namespace tg::runtime {
namespace {

void put(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path) << text;
}

TEST(CgroupLimit, Version2TakesTheTightestOnTheWayUp) {
  TemporaryDirectory dir;
  put(dir.path() + "/a/b/memory.max", "max\n");
  put(dir.path() + "/a/memory.max", "2000\n");
  put(dir.path() + "/memory.max", "3000\n");
  EXPECT_EQ(cgroup_memory_limit("0::/a/b\n", dir.path()), 2000u);
  EXPECT_EQ(cgroup_memory_limit("0::/\n", dir.path()), 3000u);
  EXPECT_EQ(cgroup_memory_limit("0::/none\n", dir.path()), 3000u);
}

TEST(CgroupLimit, Version1) {
  TemporaryDirectory dir;
  put(dir.path() + "/memory/x/memory.limit_in_bytes", "4096\n");
  put(dir.path() + "/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(cgroup_memory_limit("5:cpu,cpuacct:/x\n4:memory:/x\n0::/\n", dir.path()), 4096u);
  EXPECT_EQ(cgroup_memory_limit("4:memory:/\n", dir.path()), std::nullopt);
}

TEST(CgroupLimit, Nothing) {
  TemporaryDirectory dir;
  EXPECT_EQ(cgroup_memory_limit("", dir.path()), std::nullopt);
  EXPECT_EQ(cgroup_memory_limit("rubbish\n:\n::\n", dir.path()), std::nullopt);
}

TEST(MemoryAvailable, FromMeminfo) {
  EXPECT_EQ(memory_available("MemTotal: 100 kB\nMemAvailable:   2048 kB\nX: 1 kB\n"), 2048u * 1024);
  EXPECT_EQ(memory_available("MemTotal: 100 kB\n"), 0u);
}

TEST(EstimateNeed, FileThatIsNoGguf) {
  TemporaryDirectory dir;
  put(dir.path() + "/w", std::string(1000, 'w'));
  EXPECT_EQ(estimate_need(dir.path() + "/w", 4096, 2), 1000u + 100 + 100 + (64u << 20));
  EXPECT_EQ(estimate_need(dir.path() + "/none", 4096, 2), 0u);
}

TEST(MemoryBook, WordOfTheDocumentThenMeasuredThenEstimate) {
  TemporaryDirectory dir;
  put(dir.path() + "/w", std::string(1000, 'w'));
  spec::Model m;
  m.name = "m";
  m.engine = spec::EngineKind::llamacpp;
  m.source = "file://" + dir.path() + "/w";
  m.context = 100;
  m.slots = 1;
  const std::string file = dir.path() + "/memory.json";
  MemoryBook book(file);
  EXPECT_EQ(book.need(m, std::nullopt), 0u);
  EXPECT_EQ(book.need(m, std::nullopt, 1000), 1100u);  // not here yet, as its host states it
  const std::uint64_t estimate = book.need(m, dir.path() + "/w");
  EXPECT_GT(estimate, 64u << 20);
  book.sample(m, 5000, false);
  EXPECT_EQ(book.need(m, dir.path() + "/w"), estimate);  // not settled: the larger of the two
  book.sample(m, 6000, true);
  EXPECT_EQ(book.need(m, dir.path() + "/w"), 6000u);
  book.sample(m, 100, false);
  EXPECT_EQ(book.measured(m), 6000u);
  book.save();
  EXPECT_EQ(MemoryBook(file).need(m, std::nullopt), 6000u);
  spec::Model larger = m;
  larger.context = 200;
  EXPECT_EQ(book.need(larger, std::nullopt), 0u);  // another revision learns anew
  m.memory = 7;
  EXPECT_EQ(book.need(m, std::nullopt), 7u);
}

TEST(MemoryBook, RubbishFileIsForgotten) {
  TemporaryDirectory dir;
  put(dir.path() + "/memory.json", "[1,");
  MemoryBook book(dir.path() + "/memory.json");
  EXPECT_EQ(book.measured(spec::Model{}), 0u);
}

}  // namespace
}  // namespace tg::runtime
