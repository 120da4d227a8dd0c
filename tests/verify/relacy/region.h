// The words that the tests share, as small as they can be, and which of them is which.
//
// SPDX-License-Identifier: MIT
#pragma once

#include "tests/verify/relacy/environment.h"

#include "shm/chunk_pool.h"
#include "shm/hazards.h"
#include "shm/order_ring.h"
#include "shm/wake.h"

namespace oj::weak {

using Word = Atomic<std::uint64_t>;
using Ring = shm::OrderRing<Environment>;
using Pool = shm::ChunkPool<Environment>;

constexpr std::uint64_t kChunkBytes = 32;  // an entry of up to three words
constexpr std::uint64_t kChunkReferences = kChunkBytes / shm::kReferenceUnit;
constexpr std::uint64_t kOwned[] = {shm::owner_word(shm::ChunkState::kOwned, 0, 1),
                                    shm::owner_word(shm::ChunkState::kOwned, 1, 1)};
constexpr std::uint64_t kSealed = shm::owner_word(shm::ChunkState::kSealed, 0, 1);

struct Region {
  Region() { the_region = this; }

  Ring ring(std::uint64_t slots_count = 2) { return {&marks, slots, slots_count}; }
  Pool pool() { return {&marks, owners, words, 1, kChunkBytes}; }
  shm::Hazards<Environment> hazards() { return {&marks, workers, 1}; }

  shm::Watermarks<Environment> marks;
  Word slots[4], owners[1], words[kChunkBytes / sizeof(std::uint64_t)];
  shm::WorkerSlot<Environment> workers[1];

  static inline Region* the_region = nullptr;
};

inline Part part_of(const void* word) {
  const Region& region = *Region::the_region;
  const auto within = [word](const auto& part) {
    const auto* const begin = reinterpret_cast<const std::byte*>(&part);
    const auto* const at = static_cast<const std::byte*>(word);
    return at >= begin && at < begin + sizeof part;
  };
  if (within(region.slots)) return Part::kRing;
  if (within(region.owners)) return Part::kOwners;
  if (within(region.words)) return Part::kPool;
  if (within(region.workers[0].hazards)) return Part::kHazards;
  if (within(region.marks.hint)) return Part::kHint;
  if (within(region.marks.synced)) return Part::kSynced;
  if (within(region.marks.retained)) return Part::kRetained;
  if (within(region.marks.published_wake)) return Part::kWake;
  return Part::kNone;
}

// A record's bytes, for which the model checker reports every access that is not ordered.
using Payload = rl::var<int>;

}  // namespace oj::weak
