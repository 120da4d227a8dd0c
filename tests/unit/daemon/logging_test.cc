// SPDX-License-Identifier: MIT
#include "daemon/logging.h"

#include <gtest/gtest.h>

namespace oj::daemon {
namespace {

TEST(RepeatLimit, LetsOneThroughAnIntervalAndCountsTheRest) {
  RepeatLimit limit(100);
  EXPECT_TRUE(limit.allow(1));
  EXPECT_EQ(limit.left_out(), 0u);
  EXPECT_FALSE(limit.allow(2));
  EXPECT_FALSE(limit.allow(100));
  EXPECT_TRUE(limit.allow(101));
  EXPECT_EQ(limit.left_out(), 2u);
  EXPECT_FALSE(limit.allow(200));
  EXPECT_TRUE(limit.allow(500));
  EXPECT_EQ(limit.left_out(), 1u);
}

}  // namespace
}  // namespace oj::daemon
