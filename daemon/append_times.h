// How long it took from append to synced, of each record: what metrics tell as a histogram.
//
// The begin is the time in the record's header, which the appending process stamps in front of the
// attempt that publishes it; waits for room come before. The end is when the sync that covers the
// record returned. Both are the machine's UTC clock. It is the writer's word: what lies in the
// future, or more than a day back (the clock was set, or somebody writes nonsense), is counted as
// untimed instead.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "schema/latency.h"

namespace oj::daemon {

class AppendTimes {
 public:
  static constexpr std::int64_t kAgeUsMax = std::int64_t{24} * 3600 * 1'000'000;

  // Flusher thread. The next record was written; `record` as it was published, or empty for a
  // tombstone, of which nothing is counted.
  void written(std::span<const std::byte> record);
  // The last `count` of them are going to be written again.
  void written_in_vain(std::uint64_t count);
  // Everything that was written is synced, at `now_us` UTC.
  void synced(std::int64_t now_us);

  // Any thread; statistics.
  const std::array<std::atomic<std::uint64_t>, schema::kLatencyBuckets>& buckets() const {
    return buckets_;
  }
  std::uint64_t total_ns() const { return total_ns_.load(std::memory_order_relaxed); }  // stat
  std::uint64_t untimed() const { return untimed_.load(std::memory_order_relaxed); }    // stat

 private:
  std::vector<std::int64_t> times_us_;  // of what is written and not synced
  std::array<std::atomic<std::uint64_t>, schema::kLatencyBuckets> buckets_{};
  std::atomic<std::uint64_t> total_ns_{0}, untimed_{0};
};

}  // namespace oj::daemon
