#include "render/infrastructure/kubelet.hpp"

#include <gtest/gtest.h>

namespace tg::render {
namespace {

constexpr double kGi = 1024.0 * 1024 * 1024;

TEST(KubeletShare, GrowsSlowerThanTheMachine) {
  EXPECT_EQ(kubelet_share(1, kGi).millicores, 60);
  EXPECT_EQ(kubelet_share(4, kGi).millicores, 80);
  EXPECT_EQ(kubelet_share(32, kGi).millicores, 150);
  EXPECT_EQ(kubelet_share(1, 4 * kGi).mebibytes, 1024);
  EXPECT_EQ(kubelet_share(1, 8 * kGi).mebibytes, 1843);
  EXPECT_EQ(kubelet_share(1, 128 * kGi).mebibytes, 9544);
}

TEST(KubeletShare, AnUnknownMachineIsSmall) {
  EXPECT_EQ(kubelet_share(0, 0).millicores, 70);
  EXPECT_EQ(kubelet_share(0, 0).mebibytes, 1024);
}

}  // namespace
}  // namespace tg::render
