// The life of a chunk: sealed, pinned, freed, claimed, written again.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <array>

#include "tests/verify/relacy/region.h"

namespace oj::weak {

// Whoever sees a chunk sealed sees all that its owner published in it.
struct SealedAfterItsRecords : rl::test_suite<SealedAfterItsRecords, 2> {
  Region region;

  void before() { RL_ASSERT(region.pool().claim(kOwned[0]) == 0u); }
  void thread(unsigned index) {
    if (index == 0) {
      shm::PublishCursor cursor;
      region.ring().publish(0, cursor);
      RL_ASSERT(region.pool().seal(0, kOwned[0]));
    } else if (region.pool().owner(0) == kSealed) {
      RL_ASSERT(region.ring().published_end() == 1);
    }
  }
};

// Chunk 0 is sealed and holds record 0, which is synced.
struct SealedChunk {
  Region region;
  Payload payload;

  void fill() {
    payload($) = 10;
    shm::PublishCursor cursor;
    Pool pool = region.pool();
    pool.claim(kOwned[0]);
    const std::uint64_t entry[] = {10};
    pool.store_entry(0, 7, std::as_bytes(std::span(entry)));
    region.ring().publish(0, cursor);
    pool.seal(0, kOwned[0]);
    shm::raise_mark<Environment>(region.marks.synced, 1);
  }
  // As shm::Reader does: pin, look at `retained`, read in place.
  void read_in_place() {
    auto hazards = region.hazards();
    if (hazards.retained() > 0) return;
    RL_ASSERT(region.ring().lap(region.ring().load(0), 0) == shm::Lap::kThis);
    if (hazards.pin(0, 0, 0, 1, 0)) RL_ASSERT(payload($) == 10);
    hazards.unpin(0, 0);
  }
  // As shm::Reader does without a slot: copy, then look at `retained`.
  void read_a_copy() {
    const auto hazards = region.hazards();
    if (hazards.retained() > 0) return;
    RL_ASSERT(region.ring().lap(region.ring().load(0), 0) == shm::Lap::kThis);
    const std::uint64_t word = region.pool().load_word(shm::kEntryHeaderBytes);
    if (hazards.retained() == 0) RL_ASSERT(word == 10);
  }
  // As shm::ChunkKeeper does: raise, look, free.
  void reclaim() {
    auto hazards = region.hazards();
    hazards.raise_retained(1);
    bool pinned = false;
    hazards.each([&](std::uint64_t first, std::uint64_t) { pinned = pinned || first == 0; });
    if (!pinned) RL_ASSERT(region.pool().free(0, kSealed));
  }
  void fill_again() {
    Pool pool = region.pool();
    if (!pool.claim(kOwned[1])) return;
    payload($) = 20;
    const std::uint64_t entry[] = {20};
    pool.store_entry(0, 7, std::as_bytes(std::span(entry)));
  }
};

// A reader in place, and a daemon that frees the chunk and writes it again.
struct ReadAndReclaim : rl::test_suite<ReadAndReclaim, 2>, SealedChunk {
  void before() { fill(); }
  void thread(unsigned index) {
    if (index == 0) return read_in_place();
    reclaim();
    fill_again();
  }
};

// The same, with another producer who writes it again.
struct ReadReclaimAndClaim : rl::test_suite<ReadReclaimAndClaim, 3>, SealedChunk {
  void before() { fill(); }
  void thread(unsigned index) {
    if (index == 0) return read_in_place();
    if (index == 1) return reclaim();
    fill_again();
  }
};

// A monitor, that nobody waits for, copies.
struct CopyAndReclaim : rl::test_suite<CopyAndReclaim, 2>, SealedChunk {
  void before() { fill(); }
  void thread(unsigned index) {
    if (index == 0) return read_a_copy();
    reclaim();
    fill_again();
  }
};

struct CopyReclaimAndClaim : rl::test_suite<CopyReclaimAndClaim, 3>, SealedChunk {
  void before() { fill(); }
  void thread(unsigned index) {
    if (index == 0) return read_a_copy();
    if (index == 1) return reclaim();
    fill_again();
  }
};

// Two producers for one chunk that a third gives back: one gets it, and writes alone.
struct GiveBackAndClaim : rl::test_suite<GiveBackAndClaim, 3> {
  Region region;
  Payload payload;
  int owners = 0;

  void before() {
    owners = 0;
    region.pool().claim(kOwned[0]);
    payload($) = 10;
  }
  void thread(unsigned index) {
    Pool pool = region.pool();
    if (index == 0) {
      payload($) = 11;
      RL_ASSERT(pool.give_back(0, kOwned[0]));
    } else if (pool.claim(kOwned[1])) {
      ++owners;
      payload($) = 20;
    }
  }
  void after() { RL_ASSERT(owners <= 1); }
};

}  // namespace oj::weak
