#include "catalog/time_zones.hpp"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace tg::catalog
