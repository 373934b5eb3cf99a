#include "catalog/time_zones.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace tg::catalog {
namespace {

TEST(TimeZones, OffsetsAreOfStandardTime) {
  EXPECT_EQ(standard_offset("UTC"), 0);
  EXPECT_EQ(standard_offset("Europe/Brussels"), 60);
  EXPECT_EQ(standard_offset("Europe/Dublin"), 0);
  EXPECT_EQ(standard_offset("America/New_York"), -300);
  EXPECT_EQ(standard_offset("America/Argentina/Buenos_Aires"), -180);
  EXPECT_EQ(standard_offset("Asia/Kolkata"), 330);
  EXPECT_EQ(standard_offset("Pacific/Auckland"), 720);
}

TEST(TimeZones, OnlyWholeNames) {
  EXPECT_EQ(standard_offset("Europe/Brussel"), std::nullopt);
  EXPECT_EQ(standard_offset("Argentina/Buenos_Aires"), std::nullopt);
  EXPECT_EQ(standard_offset("Europe"), std::nullopt);
  EXPECT_EQ(standard_offset(""), std::nullopt);
}

TEST(TimeZones, AllNamesAreSortedAndHaveAnOffset) {
  const auto all = time_zones();
  EXPECT_TRUE(std::ranges::is_sorted(all));
  EXPECT_TRUE(std::ranges::adjacent_find(all) == all.end());
  EXPECT_TRUE(std::ranges::binary_search(all, "Europe/Brussels"));
  for (const std::string_view zone : all) EXPECT_TRUE(standard_offset(zone)) << zone;
}

}  // namespace
}  // namespace tg::catalog
