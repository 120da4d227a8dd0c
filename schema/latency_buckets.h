// How long something took, counted in buckets of fixed bounds: what optjournald counts its syncs in
// and what clients make percentiles of. Two bounds an octave, 2^n and 1.5 * 2^n ns, so that a
// percentile is at most half too long, from 16 us (a sync that the kernel answered from memory)
// to 34 s; the last bucket has no bound. Counts only grow: two statuses, subtracted, tell of the
// time between them.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace oj::schema {

constexpr std::size_t kLatencyBuckets = 44;
using LatencyCounts = std::array<std::uint64_t, kLatencyBuckets>;

// The longest time that belongs to bucket `index`. REQUIRES: not the last one.
constexpr std::uint64_t latency_bucket_end_ns(std::size_t index) {
  return (2 + std::uint64_t{index % 2}) << (13 + index / 2);
}

constexpr std::size_t latency_bucket_of(std::uint64_t ns) {
  std::size_t index = 0;
  while (index < kLatencyBuckets - 1 && ns > latency_bucket_end_ns(index)) ++index;
  return index;
}

// The bound of the bucket in which the `quantile` (0.5: the median) of all counted lies: no shorter
// than what was measured. 0: nothing was counted. UINT64_MAX: in the last bucket.
constexpr std::uint64_t latency_quantile_ns(const LatencyCounts& counts, double quantile) {
  std::uint64_t all = 0;
  for (const std::uint64_t count : counts) all += count;
  if (all == 0) return 0;
  const double wanted = quantile * static_cast<double>(all);
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < kLatencyBuckets - 1; ++i) {
    below += counts[i];
    if (below > 0 && static_cast<double>(below) >= wanted) return latency_bucket_end_ns(i);
  }
  return UINT64_MAX;
}

}  // namespace oj::schema
