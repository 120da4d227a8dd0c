// Numbers, times, durations and amounts as people and as programs want them.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

namespace oj::cli {

std::string short_number(double value);  // six significant digits: 0.98651, 1e-05, nan, inf
std::string exact_number(
    double value);  // the shortest text that reads back the same, told from an int: 1.0, 1e-05, nan
std::string json_number(
    double
        value);  // exact; NaN and infinities, which JSON lacks, as "NaN", "Infinity", "-Infinity"

// `time_us` since 1970-01-01 UTC. Times that no calendar holds are shown as "<n> us".
std::string local_time(std::int64_t time_us);    // 2026-11-23 18:10:42.123, in the local zone
std::string iso_time_utc(std::int64_t time_us);  // 2026-11-23T18:10:42.123456Z

std::string duration(std::int64_t us);  // 850 us, 12.5 ms, 3.21 s, 4 min 05 s, 2 h 03 min, 3 d 04 h
std::string short_duration(std::int64_t us);   // in six columns at most: 850ms, 12.5s, 4m05s, 3d04h
std::string byte_amount(std::uint64_t bytes);  // 512 B, 16.0 KiB, 128 MiB
std::string grouped(std::uint64_t count);      // 1,234,567

}  // namespace oj::cli
