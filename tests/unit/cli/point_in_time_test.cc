// SPDX-License-Identifier: MIT
#include "cli/point_in_time.h"

#include <cstdlib>
#include <ctime>

#include <gtest/gtest.h>

namespace oj::cli {
namespace {

constexpr std::int64_t kUsPerS = 1'000'000;
constexpr std::int64_t kNow = 1'795'493'442 * kUsPerS + 5;  // 2026-11-24T04:10:42Z

class PointInTime : public ::testing::Test {
 protected:
  void SetUp() override {  // five hours west of UTC
    setenv("TZ", "XST5", 1);
    tzset();
  }
  void TearDown() override {
    unsetenv("TZ");
    tzset();
  }
  static std::int64_t at(const std::string& text) {
    const auto found = point_in_time(text, kNow);
    EXPECT_TRUE(found) << found.error().message;
    return found ? *found : -1;
  }
};

TEST_F(PointInTime, IsADateWithOrWithoutTimeAndZone) {
  EXPECT_EQ(at("1970-01-02T00:00Z"), 86'400 * kUsPerS);
  EXPECT_EQ(at("1970-01-02T00:00:01.5Z"), 86'401 * kUsPerS + 500'000);
  EXPECT_EQ(at("1970-01-02 00:00:00.1234567Z"), 86'400 * kUsPerS + 123'456);
  EXPECT_EQ(at("1970-01-02T01:00+01:00"), 86'400 * kUsPerS);
  EXPECT_EQ(at("1970-01-02T00:00-01:30"), (86'400 + 5'400) * kUsPerS);
  EXPECT_EQ(at("1970-01-02T00:00"), (86'400 + 5 * 3'600) * kUsPerS);
  EXPECT_EQ(at("1970-01-02"), (86'400 + 5 * 3'600) * kUsPerS);
  EXPECT_EQ(at("2024-02-29T00:00Z"), 1'709'164'800 * kUsPerS);
}

TEST_F(PointInTime, IsATimeOfTodayInTheLocalZone) {
  // Here it is the evening of the 23rd.
  EXPECT_EQ(at("18:10"), at("2026-11-23T18:10"));
  EXPECT_EQ(at("23:59:59.25"), at("2026-11-23T23:59:59.25"));
}

TEST_F(PointInTime, IsSoLongAgo) {
  EXPECT_EQ(at("0s"), kNow);
  EXPECT_EQ(at("90s"), kNow - 90 * kUsPerS);
  EXPECT_EQ(at("10m"), kNow - 600 * kUsPerS);
  EXPECT_EQ(at("2h"), kNow - 7'200 * kUsPerS);
  EXPECT_EQ(at("3d"), kNow - 3 * 86'400 * kUsPerS);
}

TEST_F(PointInTime, IsNothingElse) {
  for (const char* text : {"",
                           "now",
                           "10",
                           "10 m",
                           "m",
                           "-1m",
                           "10min",
                           "1234567890m",
                           "24:00",
                           "12:60",
                           "1:30",
                           "2026-02-29",
                           "2026-13-01",
                           "2026-00-01",
                           "1969-12-31",
                           "2026-11-23T",
                           "2026-11-23T18",
                           "2026-11-23T18:10:",
                           "2026-11-23T18:10.5",
                           "2026-11-23T18:10ZZ",
                           "2026-11-23T18:10+1",
                           "2026-11-23T18:10+0100",
                           "2026-11-23T18:10+15:00",
                           "26-11-23",
                           "18:10Z"}) {
    const auto found = point_in_time(text, kNow);
    ASSERT_FALSE(found) << text;
    EXPECT_EQ(found.error().code, Code::kInvalid);
    EXPECT_NE(found.error().message.find(std::string("\"") + text + "\""), std::string::npos);
  }
}

}  // namespace
}  // namespace oj::cli
