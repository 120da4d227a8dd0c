// What words of the command line mean. Every error is kInvalid, names the word, and says what may
// be given instead.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "schema/operation.h"

namespace oj::cli {

bool is_count(std::string_view text);                         // at most 18 digits
std::vector<std::string> split_words(std::string_view text);  // at commas; may be empty texts

Result<std::vector<schema::TrialState>> parse_states(std::string_view text);    // "complete,fail"
Result<std::vector<std::string>> parse_operations(std::string_view text);       // "createTrial,..."
Result<std::vector<std::uint64_t>> parse_trial_numbers(std::string_view text);  // "3,12"

// A moment as people write it: "10m" or "90s" or "2h" or "3d" (so long before `now_us`), "14:30"
// or "14:30:05" (of the day of `now_us`, local time), "2026-11-24" (its begin), and "2026-11-24
// 14:30[:05[.123456]]" with ' ' or 'T' between and "Z" or "+01:00" behind, else local time.
// kInvalid: it is none of them.
Result<std::int64_t> parse_moment(std::string_view text, std::int64_t now_us);

}  // namespace oj::cli
