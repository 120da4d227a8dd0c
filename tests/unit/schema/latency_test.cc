// SPDX-License-Identifier: MIT
#include "schema/latency.h"

#include <array>

#include <gtest/gtest.h>

namespace oj::schema {
namespace {

TEST(Latency, BoundsGrowByTheSquareRootOfTwoAndTheLastIsOpen) {
  EXPECT_EQ(latency_bound_ns(0), 16'384u);
  EXPECT_EQ(latency_bound_ns(2), 32'768u);
  for (std::size_t i = 1; i + 1 < kLatencyBuckets; ++i) {
    const double factor =
        static_cast<double>(latency_bound_ns(i)) / static_cast<double>(latency_bound_ns(i - 1));
    EXPECT_NEAR(factor, 1.4142, 0.001) << i;
  }
  EXPECT_EQ(latency_bound_ns(kLatencyBuckets - 2), std::uint64_t{1} << 37);
  EXPECT_EQ(latency_bound_ns(kLatencyBuckets - 1), UINT64_MAX);
}

TEST(Latency, ABucketHoldsItsBound) {
  EXPECT_EQ(latency_bucket(0), 0u);
  for (std::size_t i = 0; i + 1 < kLatencyBuckets; ++i) {
    EXPECT_EQ(latency_bucket(latency_bound_ns(i)), i);
    EXPECT_EQ(latency_bucket(latency_bound_ns(i) + 1), i + 1);
  }
  EXPECT_EQ(latency_bucket(UINT64_MAX), kLatencyBuckets - 1);
}

TEST(Latency, PercentilesAreBoundsBelowWhichTheShareLies) {
  std::array<std::uint64_t, kLatencyBuckets> counts{};
  EXPECT_EQ(latency_percentile_ns(counts, 0.5), 0u);
  counts[3] = 98;
  counts[10] = 2;
  EXPECT_EQ(latency_percentile_ns(counts, 0.5), latency_bound_ns(3));
  EXPECT_EQ(latency_percentile_ns(counts, 0.98), latency_bound_ns(3));
  EXPECT_EQ(latency_percentile_ns(counts, 0.99), latency_bound_ns(10));
  EXPECT_EQ(latency_percentile_ns({}, 0.99), 0u);
}

}  // namespace
}  // namespace oj::schema
