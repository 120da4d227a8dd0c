// Kills, or stops, an operation after each of its instructions, and checks the world after each.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "tests/verify/instructions/operation.h"

namespace oj::verify {

enum class Mode : std::uint8_t { kKill, kStop };

// Which instructions: those n with n % stride == offset.
struct Choice {
  std::uint64_t stride = 1, offset = 0;
};

// Plain data: it is told from process to process.
struct Outcome {
  bool done = false;
  std::uint64_t instructions = 0;  // of the whole operation
  std::uint64_t checked = 0, published = 0;
  std::uint64_t violated_at = 0;  // instruction; meaningful if `violation` is not empty
  char violation[400] = {};
};

// Ends at the first violation.
void sweep(const Operation& operation, Mode mode, Choice choice, Outcome& outcome);

}  // namespace oj::verify
