// SPDX-License-Identifier: MIT
#include "schema/latency_buckets.h"

#include <gtest/gtest.h>

namespace oj::schema {
namespace {

TEST(LatencyBuckets, EndTwiceAnOctaveFrom16UsTo34S) {
  EXPECT_EQ(latency_bucket_end_ns(0), std::uint64_t{1} << 14);
  EXPECT_EQ(latency_bucket_end_ns(1), 3 * (std::uint64_t{1} << 13));
  EXPECT_EQ(latency_bucket_end_ns(2), std::uint64_t{1} << 15);
  EXPECT_EQ(latency_bucket_end_ns(kLatencyBuckets - 2), std::uint64_t{1} << 35);
}

TEST(LatencyBuckets, HoldATimeUpToTheirEndAndNoLonger) {
  EXPECT_EQ(latency_bucket_of(0), 0u);
  for (std::size_t i = 0; i < kLatencyBuckets - 1; ++i) {
    const std::uint64_t end_ns = latency_bucket_end_ns(i);
    EXPECT_EQ(latency_bucket_of(end_ns - 1), i);
    EXPECT_EQ(latency_bucket_of(end_ns), i);
    EXPECT_EQ(latency_bucket_of(end_ns + 1), i + 1);
  }
  EXPECT_EQ(latency_bucket_of(UINT64_MAX), kLatencyBuckets - 1);
}

TEST(LatencyBuckets, GiveTheEndOfTheBucketThatAQuantileIsIn) {
  LatencyCounts counts{};
  EXPECT_EQ(latency_quantile_ns(counts, 0.5), 0u);
  counts[4] = 98;
  counts[10] = 1;
  counts[kLatencyBuckets - 1] = 1;
  EXPECT_EQ(latency_quantile_ns(counts, 0), latency_bucket_end_ns(4));
  EXPECT_EQ(latency_quantile_ns(counts, 0.5), latency_bucket_end_ns(4));
  EXPECT_EQ(latency_quantile_ns(counts, 0.98), latency_bucket_end_ns(4));
  EXPECT_EQ(latency_quantile_ns(counts, 0.99), latency_bucket_end_ns(10));
  EXPECT_EQ(latency_quantile_ns(counts, 1), UINT64_MAX);
}

}  // namespace
}  // namespace oj::schema
