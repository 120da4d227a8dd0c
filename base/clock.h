// Time, as an argument: code that decides by time is handed a Deadline or a reading, never asks by
// itself unless it sleeps.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <ctime>
#include <limits>

namespace oj {

constexpr std::int64_t kNsPerMs = 1'000'000;
constexpr std::int64_t kNsPerS = 1'000'000'000;

// CLOCK_MONOTONIC, nanoseconds. For durations and deadlines; the same in all processes of one boot.
inline std::int64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kNsPerS + now.tv_nsec;
}

// Wall clock, microseconds since 1970-01-01 UTC. For people and for trials' dates; never for order.
inline std::int64_t utc_us() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1'000'000 + now.tv_nsec / 1'000;
}

// A point of CLOCK_MONOTONIC after which the caller no longer wants to wait.
struct Deadline {
  std::int64_t at_ns = std::numeric_limits<std::int64_t>::max();

  static Deadline never() { return {}; }
  static Deadline at_once() { return {0}; }  // do not wait at all
  static Deadline in_ns(std::int64_t ns) {
    const std::int64_t now = monotonic_ns();
    return {ns >= std::numeric_limits<std::int64_t>::max() - now
                ? std::numeric_limits<std::int64_t>::max()
                : now + ns};
  }
  static Deadline in_ms(std::int64_t ms) {
    return ms > std::numeric_limits<std::int64_t>::max() / kNsPerMs ? never()
                                                                    : in_ns(ms * kNsPerMs);
  }

  bool is_never() const { return at_ns == std::numeric_limits<std::int64_t>::max(); }
  bool passed() const { return at_ns == 0 || (!is_never() && monotonic_ns() >= at_ns); }
  // Nanoseconds left, 0 if passed, the maximum if never.
  std::int64_t left_ns() const {
    if (at_ns == 0) return 0;
    if (is_never()) return at_ns;
    const std::int64_t left = at_ns - monotonic_ns();
    return left > 0 ? left : 0;
  }
};

}  // namespace oj
