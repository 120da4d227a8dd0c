// What is done to the region's file while it is in use.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "tests/verify/hostile/processes.h"

namespace oj::verify {

struct Attack {
  std::string name;
  // Throws std::runtime_error, with what does not hold.
  std::function<void(Stage&, std::mt19937_64&, std::uint64_t rounds)> run;
  std::uint64_t rounds = 0, rounds_fast = 0;
  std::string said;            // what the daemon must have said; "": nothing in particular
  bool keeps_synced = true;    // what wait_synced() promised must be on disk, as a record
  bool keeps_single = true;    // and nothing is there twice
  bool keeps_records = false;  // and there are no tombstones
};
std::vector<Attack> attacks();

// What a flusher that skips the checksum would let through: a record with a right checksum whose
// content no client appended, published as any other.
void forge_record(Stage& stage, std::mt19937_64& random, std::uint64_t rounds);

}  // namespace oj::verify
