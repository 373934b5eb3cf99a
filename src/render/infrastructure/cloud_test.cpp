#include "render/infrastructure/cloud.hpp"

#include <gtest/gtest.h>

namespace tg::render {
namespace {

TEST(Subnet, CountsFromTheStartOfTheNetwork) {
  EXPECT_EQ(subnet("10.0.0.0/16", 20, 0), "10.0.0.0/20");
  EXPECT_EQ(subnet("10.0.0.0/16", 20, 1), "10.0.16.0/20");
  EXPECT_EQ(subnet("10.60.0.0/16", 24, 255), "10.60.255.0/24");
  EXPECT_EQ(subnet("172.16.0.0/12", 16, 15), "172.31.0.0/16");
}

TEST(Subnet, NetworksOverlapWhenTheShorterHoldsTheLonger) {
  EXPECT_TRUE(overlap("10.0.0.0/16", "10.0.200.0/24"));
  EXPECT_TRUE(overlap("10.0.200.0/24", "10.0.0.0/16"));
  EXPECT_FALSE(overlap("10.0.0.0/20", "10.0.16.0/20"));
  EXPECT_TRUE(overlap("0.0.0.0/0", "192.168.0.0/24"));
}

TEST(Groups, WithoutSpotAPoolIsOneGroup) {
  const auto all = groups({.name = "general", .min = 5, .max = 12}, {{"m6i.2xlarge", "m5.2xlarge"}});
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].name, "general");
  EXPECT_EQ(all[0].min, 5);
  EXPECT_EQ(all[0].max, 12);
  EXPECT_FALSE(all[0].spot);
}

TEST(Groups, SharesAreOfTheMaximumAboveTheBase) {
  const auto all = groups({.name = "standard", .min = 2, .max = 20, .spot_share = 0.7, .on_demand_base = 2},
                          {{"m5.2xlarge"}});
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].name, "standard-on-demand");
  EXPECT_EQ(all[0].min, 2);  // the base
  EXPECT_EQ(all[0].max, 7);
  EXPECT_TRUE(all[1].spot);
  EXPECT_EQ(all[1].min, 0);
  EXPECT_EQ(all[1].max, 13);  // 70 % of 18
}

TEST(Groups, NeverMoreThanThePoolMayHave) {
  for (int most = 1; most <= 9; ++most) {
    for (const double share : {0.0, 0.3, 0.5, 1.0}) {
      for (int base = 0; base <= 3; ++base) {
        int max = 0, min = 0;
        const int least = most / 2;
        for (const Group& g :
             groups({.name = "p", .min = least, .max = most, .spot_share = share, .on_demand_base = base},
                    {{"p4d.24xlarge"}, {"p5.48xlarge"}})) {
          EXPECT_GE(g.max, 1);
          EXPECT_LE(g.min, g.max);
          max += g.max;
          min += g.min;
        }
        EXPECT_EQ(max, most) << share << " " << base;
        EXPECT_EQ(min, least) << share << " " << base;
      }
    }
  }
}

TEST(Groups, ShapesOfMachinesStandApart) {
  const auto all = groups({.name = "premium", .min = 0, .max = 4, .spot_share = 0.5, .on_demand_base = 1},
                          {{"p4d.24xlarge"}, {"p5.48xlarge"}});
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[0].name, "premium-p4d-24xlarge-on-demand");
  EXPECT_EQ(all[3].name, "premium-p5-48xlarge-spot");
  for (const Group& g : all) EXPECT_EQ(g.max, 1);
}

}  // namespace
}  // namespace tg::render
