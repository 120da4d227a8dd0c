// SPDX-License-Identifier: MIT
#include "cli/argument_words.h"

#include <cstdlib>
#include <ctime>

#include <gtest/gtest.h>

namespace oj::cli {
namespace {

constexpr std::int64_t kUs = 1'000'000;
constexpr std::int64_t kNow = 1'795'521'600 * kUs;  // 2026-11-24 12:00:00 UTC

class Moment : public ::testing::Test {
 protected:
  void SetUp() override {
    setenv("TZ", "CET-1", 1);  // an hour east, no summer time
    tzset();
  }
  void TearDown() override {
    unsetenv("TZ");
    tzset();
  }
  static std::int64_t seconds_to_now(std::string_view text) {
    const auto moment = parse_moment(text, kNow);
    EXPECT_TRUE(moment) << text;
    return moment ? (*moment - kNow) / kUs : INT64_MIN;
  }
};

TEST_F(Moment, IsSoLongAgo) {
  EXPECT_EQ(seconds_to_now("90s"), -90);
  EXPECT_EQ(seconds_to_now("10m"), -600);
  EXPECT_EQ(seconds_to_now("2h"), -7'200);
  EXPECT_EQ(seconds_to_now("3d"), -3 * 86'400);
  EXPECT_EQ(seconds_to_now("0s"), 0);
}

TEST_F(Moment, IsATimeOfTodayInLocalTime) {
  EXPECT_EQ(seconds_to_now("13:00"), 0);
  EXPECT_EQ(seconds_to_now("12:59:30"), -30);
  EXPECT_EQ(*parse_moment("13:00:00.25", kNow), kNow + kUs / 4);
}

TEST_F(Moment, IsADate) {
  EXPECT_EQ(seconds_to_now("2026-11-24"), -13 * 3'600);
  EXPECT_EQ(seconds_to_now("2026-11-24 13:00"), 0);
  EXPECT_EQ(seconds_to_now("2026-11-24T13:00:01"), 1);
  EXPECT_EQ(seconds_to_now("2026-11-24T12:00:00Z"), 0);
  EXPECT_EQ(seconds_to_now("2026-11-24T07:30-04:30"), 0);
  EXPECT_EQ(seconds_to_now("2026-11-24T17:30+0530"), 0);
  EXPECT_EQ(*parse_moment("2026-11-24T12:00:00.000001Z", kNow), kNow + 1);
}

TEST_F(Moment, IsRefusedByName) {
  for (const char* wrong :
       {"", "10", "m", "-5m", "10x", "24:00", "1:00", "12:60", "2026-13-01", "2026-11-31",
        "2026-11-24T", "2026-11-24T12:00:00Q", "12:00.", "9999999999d", "yesterday"}) {
    const auto moment = parse_moment(wrong, kNow);
    ASSERT_FALSE(moment) << wrong;
    EXPECT_EQ(moment.error().code, Code::kInvalid);
    EXPECT_NE(moment.error().message.find(std::string("\"") + wrong + "\" is no moment"),
              std::string::npos)
        << moment.error().message;
  }
}

TEST(ArgumentWords, OperationsAreFoundWhateverTheirCase) {
  EXPECT_EQ(*parse_operations("createtrial,SESSIONENDED"),
            (std::vector<std::string>{"createTrial", "sessionEnded"}));
  const auto wrong = parse_operations("createTrail");
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message.find("did you mean createTrial"), std::string::npos)
      << wrong.error().message;
  EXPECT_NE(parse_operations("frobnicate").error().message.find("setTrialParam"),
            std::string::npos);
}

TEST(ArgumentWords, StatesAndNumbers) {
  EXPECT_EQ(parse_states("complete,PRUNED")->size(), 2u);
  EXPECT_FALSE(parse_states("complete,"));
  EXPECT_EQ(*parse_trial_numbers("3,0,12"), (std::vector<std::uint64_t>{3, 0, 12}));
  EXPECT_FALSE(parse_trial_numbers("3,-1"));
  EXPECT_FALSE(parse_trial_numbers("1234567890123456789"));
}

}  // namespace
}  // namespace oj::cli
