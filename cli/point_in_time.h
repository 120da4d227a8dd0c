// A point in time as people type it, for --since and --until.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace oj::cli {

// UTC microseconds of one of
//   2026-11-23T18:10:42.123   date and time ("T" or a space; seconds and fraction may be left out),
//   2026-11-23                midnight; both in the local zone, or with Z or +01:00 behind,
//   18:10, 18:10:42.5         that time today, in the local zone,
//   90s, 10m, 2h, 3d          so long before `now_us`.
// kInvalid: none of these, or no day of the calendar.
Result<std::int64_t> point_in_time(const std::string& text, std::int64_t now_us);

}  // namespace oj::cli
