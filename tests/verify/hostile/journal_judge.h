// What lies on disk after a round.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <set>
#include <string>

namespace oj::verify {

struct Judged {
  std::string wrong;  // "" or what may not be: bytes that no client appended, no reason, unreadable
  std::uint64_t records = 0, tombstones = 0, twice = 0;
  std::set<std::uint64_t> numbers;  // all that are there
};
// REQUIRES: nobody serves the folder.
Judged judge_journal(const std::string& folder);

}  // namespace oj::verify
