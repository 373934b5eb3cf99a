#include "render/infrastructure/window.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tg::render {
namespace {

using testing::ElementsAre;

TEST(Window, OneDay) {
  const Window w = window("Sun 03:00-05:00", "Europe/Brussels");
  EXPECT_THAT(w.days, ElementsAre("sun"));
  EXPECT_EQ(w.from, "03:00");
  EXPECT_EQ(w.to, "05:00");
  EXPECT_EQ(w.text(), "Sun 03:00-05:00 Europe/Brussels");
}

TEST(Window, RangesAndListsAndOverTheEndOfTheWeek) {
  EXPECT_THAT(window("Mon-Wed,Sun 01:00-02:00", "UTC").days, ElementsAre("mon", "tue", "wed", "sun"));
  EXPECT_EQ(window("Mon-Wed,Sun 01:00-02:00", "UTC").text(), "Mon,Tue,Wed,Sun 01:00-02:00 UTC");
  EXPECT_THAT(window("Sat-Mon 01:00-02:00", "UTC").days, ElementsAre("mon", "sat", "sun"));
}

TEST(Window, DailyAndNever) {
  EXPECT_EQ(window("daily 02:00-04:00", "UTC").days.size(), 7U);
  EXPECT_EQ(window("daily 02:00-04:00", "UTC").text(), "daily 02:00-04:00 UTC");
  EXPECT_TRUE(window("never", "UTC").days.empty());
  EXPECT_EQ(window("never", "UTC").text(), "never");
}

TEST(Window, ByUtcTheDayMayBeAnother) {
  const UtcWindow brussels = in_utc(window("Sun 03:00-05:00", "Europe/Brussels"), 60);
  EXPECT_THAT(brussels.days, ElementsAre(6));
  EXPECT_EQ(brussels.from, 120);
  EXPECT_EQ(brussels.length, 120);
  const UtcWindow earlier = in_utc(window("Mon,Fri 00:30-02:00", "Europe/Brussels"), 60);
  EXPECT_THAT(earlier.days, ElementsAre(3, 6));
  EXPECT_EQ(earlier.from, 23 * 60 + 30);
  const UtcWindow later = in_utc(window("Sun 22:00-01:00", "America/New_York"), -300);
  EXPECT_THAT(later.days, ElementsAre(0));
  EXPECT_EQ(later.from, 180);
  EXPECT_EQ(later.length, 180);
  EXPECT_EQ(day_name(0), "Monday");
}

}  // namespace
}  // namespace tg::render
