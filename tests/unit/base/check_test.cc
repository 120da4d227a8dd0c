// SPDX-License-Identifier: MIT
#include "base/check.h"

#include <gtest/gtest.h>

namespace oj {
namespace {

TEST(CheckDeathTest, AbortsAndSaysWhatAndWhere) {
  const int answer = 41;
  EXPECT_EXIT(OJ_CHECK(answer == 42), testing::KilledBySignal(SIGABRT),
              "optjournal: check failed: answer == 42 at .*check_test\\.cc:[0-9]+\n");
}

TEST(CheckDeathTest, WritesLineNumbersOfAnyLength) {
  EXPECT_DEATH(check_failed("x", "f", 0), "at f:0\n");
  EXPECT_DEATH(check_failed("x", "f", 9), "at f:9\n");
  EXPECT_DEATH(check_failed("x", "f", 10), "at f:10\n");
  EXPECT_DEATH(check_failed("x", "f", 2147483647), "at f:2147483647\n");
}

TEST(Check, EvaluatesItsConditionOnceAndGoesOn) {
  int evaluations = 0;
  OJ_CHECK(++evaluations == 1);
  EXPECT_EQ(evaluations, 1);
}

// As an expression statement OJ_CHECK takes no branch of a surrounding if.
TEST(Check, BindsLikeAFunctionCall) {
  bool other = false;
  if (1 + 1 == 3)
    OJ_CHECK(false);
  else
    other = true;
  EXPECT_TRUE(other);
}

TEST(CheckDeathTest, DebugChecksAreOnOnlyInDebugBuilds) {
#ifdef NDEBUG
  OJ_DCHECK(false);
#else
  EXPECT_DEATH(OJ_DCHECK(false), "check failed: false");
#endif
}

}  // namespace
}  // namespace oj
