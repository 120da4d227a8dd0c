// How long something takes, counted in buckets: what the daemon counts, and whoever asks it reads
// percentiles from.
//
// Bounds grow by a factor of the square root of 2, from 16 us to 2 minutes: a percentile is told as
// its bucket's upper bound, at most 42 % too high. A bucket is a number that only grows, so what
// happened between two looks is the difference of two answers.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace oj::schema {

// The last one has no upper bound.
constexpr std::size_t kLatencyBuckets = 48;

// Inclusive upper bound of a bucket, ns; UINT64_MAX for the last.
constexpr std::uint64_t latency_bound_ns(std::size_t bucket) {
  if (bucket + 1 >= kLatencyBuckets) return UINT64_MAX;
  const std::uint64_t power = std::uint64_t{1} << (14 + bucket / 2);
  return bucket % 2 == 0 ? power : power / 128 * 181;  // 181/128: the square root of 2
}

constexpr std::size_t latency_bucket(std::uint64_t ns) {
  if (ns <= latency_bound_ns(0)) return 0;
  // ns lies above the bound of an even bucket, a power of two, and not above the next one's.
  const auto even = std::min((static_cast<std::size_t>(std::bit_width(ns - 1)) - 1 - 14) * 2,
                             kLatencyBuckets - 2);
  return ns <= latency_bound_ns(even + 1) ? even + 1 : even + 2;
}

// The bound below which `share` (0 to 1) of what was counted lies; 0 if nothing was.
constexpr std::uint64_t latency_percentile_ns(std::span<const std::uint64_t> counts, double share) {
  std::uint64_t all = 0, below = 0;
  for (const std::uint64_t count : counts) all += count;
  for (std::size_t bucket = 0; bucket < counts.size() && all > 0; ++bucket) {
    below += counts[bucket];
    if (static_cast<double>(below) >= share * static_cast<double>(all))
      return latency_bound_ns(bucket);
  }
  return 0;
}

}  // namespace oj::schema
