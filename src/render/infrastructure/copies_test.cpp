#include "render/infrastructure/copies.hpp"

#include <gtest/gtest.h>

namespace tg::render {
namespace {

TEST(Calendar, SaysWhatTheCronSays) {
  EXPECT_EQ(calendar("30 */6 * * *"), "*-*-* 0/6:30:00");
  EXPECT_EQ(calendar("0 3 * * *"), "*-*-* 03:00:00");
  EXPECT_EQ(calendar("15 1 * * 0"), "Sun *-*-* 01:15:00");
  EXPECT_EQ(calendar("0 1,13 * * 1-5"), "Mon..Fri *-*-* 1,13:00:00");
  EXPECT_EQ(calendar("15 1 1 * *"), "*-*-01 01:15:00");
  EXPECT_EQ(calendar("0 0 */2 */3 *"), "*-1/3-1/2 00:00:00");
}

TEST(Calendar, DaysOfMonthAndWeekTogetherCannotBeSaid) { EXPECT_EQ(calendar("0 0 1 * 1"), ""); }

TEST(Calendar, Words) { EXPECT_EQ(calendar(cron_of("weekly")), "Sun *-*-* 01:15:00"); }

}  // namespace
}  // namespace tg::render
