// Which word of the region an operation is about: by its offset in the file.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

#include "shm/layout.h"
#include "shm/region.h"

namespace oj::schedules {

enum class Part : std::uint8_t { kHeader, kMark, kSlot, kOwner, kRing, kPool };

struct Word {
  Part part = Part::kHeader;
  std::uint64_t index = 0;   // of the worker slot, chunk, ring slot, or word of the pool
  std::uint64_t offset = 0;  // of the field, from the start of the watermarks or of the slot

  bool is(Part other, std::uint64_t field) const { return part == other && offset == field; }
};

// Fields that the checks and the planted faults speak of.
constexpr std::uint64_t kHint = offsetof(shm::ProductionWatermarks, hint);
constexpr std::uint64_t kSynced = offsetof(shm::ProductionWatermarks, synced);
constexpr std::uint64_t kWritten = offsetof(shm::ProductionWatermarks, written);
constexpr std::uint64_t kRetained = offsetof(shm::ProductionWatermarks, retained);
constexpr std::uint64_t kPublishedWake = offsetof(shm::ProductionWatermarks, published_wake);
constexpr std::uint64_t kDaemonWake = offsetof(shm::ProductionWatermarks, daemon_wake);
constexpr std::uint64_t kProgressWake = offsetof(shm::ProductionWatermarks, progress_wake);
constexpr std::uint64_t kAskedWake = offsetof(shm::ProductionWatermarks, asked_wake);
constexpr std::uint64_t kSlotState = offsetof(shm::ProductionSlot, state);
constexpr std::uint64_t kSlotHazards = offsetof(shm::ProductionSlot, hazards);

class Words {
 public:
  explicit Words(const shm::Sizes& sizes)
      : parts_(shm::geometry_of(sizes.ring_slots, sizes.chunk_bytes, sizes.chunk_count,
                                sizes.worker_slots)) {}

  Word at(std::uint64_t offset) const;
  // "ring[3]", "slot[1].hazards+8", "watermarks.synced"
  static std::string name(const Word& word);
  static bool is_hazard(const Word& word) {
    return word.part == Part::kSlot && word.offset >= kSlotHazards;
  }
  static bool is_wake_word(const Word& word) {
    return word.part == Part::kMark &&
           (word.offset == kPublishedWake || word.offset == kDaemonWake ||
            word.offset == kProgressWake || word.offset == kAskedWake);
  }

 private:
  shm::Geometry parts_;
};

}  // namespace oj::schedules
