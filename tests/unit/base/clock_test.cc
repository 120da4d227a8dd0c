// SPDX-License-Identifier: MIT
#include "base/clock.h"

#include <gtest/gtest.h>

#include <limits>

namespace oj {
namespace {

constexpr std::int64_t kForever = std::numeric_limits<std::int64_t>::max();

TEST(Deadline, NeverDoesNotPass) {
  EXPECT_TRUE(Deadline().is_never());
  EXPECT_TRUE(Deadline::never().is_never());
  EXPECT_FALSE(Deadline::never().passed());
  EXPECT_EQ(Deadline::never().left_ns(), kForever);
}

TEST(Deadline, AtOnceHasPassedAlready) {
  EXPECT_TRUE(Deadline::at_once().passed());
  EXPECT_FALSE(Deadline::at_once().is_never());
  EXPECT_EQ(Deadline::at_once().left_ns(), 0);
}

TEST(Deadline, PassesWhenItsTimeHasCome) {
  const Deadline past{monotonic_ns() - 1};
  EXPECT_TRUE(past.passed());
  EXPECT_EQ(past.left_ns(), 0);
  const Deadline future = Deadline::in_ms(3'600'000);
  EXPECT_FALSE(future.passed());
  EXPECT_GT(future.left_ns(), 0);
  EXPECT_LE(future.left_ns(), 3'600 * kNsPerS);
}

TEST(Deadline, OfNoTimeAtAllHasPassed) {
  EXPECT_TRUE(Deadline::in_ns(0).passed());
  EXPECT_TRUE(Deadline::in_ms(0).passed());
  EXPECT_TRUE(Deadline::in_ns(-1).passed());
}

TEST(Deadline, BeyondTheEndOfTimeIsNever) {
  EXPECT_TRUE(Deadline::in_ns(kForever).is_never());
  EXPECT_TRUE(Deadline::in_ms(kForever).is_never());
  EXPECT_TRUE(Deadline::in_ms(kForever / kNsPerMs + 1).is_never());
  // A hundred years are not.
  EXPECT_FALSE(Deadline::in_ms(100LL * 365 * 86'400 * 1'000).is_never());
}

TEST(MonotonicNs, DoesNotGoBack) {
  std::int64_t last = monotonic_ns();
  for (int i = 0; i < 1'000; ++i) {
    const std::int64_t now = monotonic_ns();
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(UtcUs, CountsMicrosecondsSince1970) {
  // Between 2020 and 2100: the unit is right and the sign, too. No clock in use is older than this
  // code.
  EXPECT_GT(utc_us(), 1'577'836'800'000'000);
  EXPECT_LT(utc_us(), 4'102'444'800'000'000);
}

}  // namespace
}  // namespace oj
