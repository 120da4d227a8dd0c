// SPDX-License-Identifier: MIT
#include "daemon/append_times.h"

#include <algorithm>
#include <limits>

#include "schema/codec.h"

namespace oj::daemon {
namespace {

constexpr std::int64_t kNoTime = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kTombstone = std::numeric_limits<std::int64_t>::min();
constexpr std::uint64_t kNsPerUs = 1000;

}  // namespace

void AppendTimes::written(std::span<const std::byte> record) {
  if (record.empty()) {
    times_us_.push_back(kTombstone);
  } else if (record.size() < schema::kRecordHeaderBytes) {
    times_us_.push_back(kNoTime);
  } else {
    times_us_.push_back(schema::header_of(record).time_us);
  }
}

void AppendTimes::written_in_vain(std::uint64_t count) {
  times_us_.resize(times_us_.size() - std::min<std::size_t>(count, times_us_.size()));
}

void AppendTimes::synced(std::int64_t now_us) {
  std::array<std::uint64_t, schema::kLatencyBuckets> counts{};
  std::uint64_t total_us = 0, untimed = 0;
  for (const std::int64_t time_us : times_us_) {
    if (time_us == kTombstone) continue;
    if (time_us > now_us || time_us < now_us - kAgeUsMax) {
      ++untimed;
      continue;
    }
    const auto age_us = static_cast<std::uint64_t>(now_us - time_us);
    total_us += age_us;
    ++counts[schema::latency_bucket(age_us * kNsPerUs)];
  }
  times_us_.clear();
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] != 0) buckets_[i].fetch_add(counts[i], std::memory_order_relaxed);  // stat
  }
  total_ns_.fetch_add(total_us * kNsPerUs, std::memory_order_relaxed);  // stat
  untimed_.fetch_add(untimed, std::memory_order_relaxed);               // stat
}

}  // namespace oj::daemon
