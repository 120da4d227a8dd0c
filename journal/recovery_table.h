// What to do with what is found where record s should begin, as data: every combination of
// observations fits exactly one row (docs/journal-format.md#recovery; a test tries all of them).
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>

namespace oj::journal {

// Bits of an observation at the place where the frame of record s should begin.
enum Observed : std::uint32_t {
  kReadable = 1u << 0,   // the bytes could be read
  kWholeFile = 1u << 1,  // the file is as long as its header says
  kZeros = 1u << 2,      // only zeros from here to the end of the file
  kHeaderOk = 1u << 3,   // magic, header CRC and sizes fit
  kSeqEqual = 1u << 4,   // ... and its first_seq is s
  kSeqBelow = 1u << 5,   // ... or below s
  kPayloadOk = 1u << 6,  // ... and the payload CRC fits
  kChainOk = 1u << 7,    // ... and it follows the frame before: previous_payload_crc and generation
  // something says that s is synced: a valid frame anywhere in the segment, or the caller
  kVouched = 1u << 8,
};
constexpr std::uint32_t kObservedBits = 9;

enum class Decision {
  kAccept,  // the frame is what it should be: go on after it
  kEnd,     // the journal ends here, cleanly
  kCut,     // the journal ends here, torn: zero the rest and report
  kRefuse,  // damage below what was synced, or unreadable: change nothing
};

struct RecoveryRow {
  const char* name;    // also in docs/journal-format.md
  std::uint32_t mask;  // the bits that matter
  std::uint32_t value;
  Decision decision;
};

std::span<const RecoveryRow> recovery_table();

// The row that fits: always exactly one.
const RecoveryRow& row_for(std::uint32_t observed);

}  // namespace oj::journal
