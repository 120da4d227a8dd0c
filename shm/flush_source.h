// The daemon's end of the ring: take records out in order, give room back.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "shm/region.h"
#include "shm/worker_slots.h"

namespace oj::shm {

struct Gathered {
  std::uint64_t seq = 0;
  std::span<const std::byte> record;  // a private copy, CRC checked after copying; empty when bad
  const char* bad = nullptr;          // why it is to become a tombstone
};

// Role: daemon, flusher thread. Copies each record once, then checks the copy.
class FlushSource {
 public:
  explicit FlushSource(std::shared_ptr<Region> region);
  // Records from, from+1, ... as far as published and within the limits (at least one, if published). The copies are
  // valid until the next call. Remembers which chunks they were in, for ChunkKeeper.
  // kCorrupt: a ring word that cannot be.
  Result<std::span<const Gathered>> gather(std::uint64_t from, std::size_t records_max, std::size_t bytes_max);

 private:
  friend class ChunkKeeper;
  std::shared_ptr<Region> region_;
  std::vector<Gathered> items_;
  std::vector<std::byte> buffer_;
  std::vector<std::uint64_t> last_seq_;  // by chunk: the highest gathered seq in it, plus one; 0 unknown
};

// Role: daemon, the same thread. Frees chunks: sealed, all synced, `retained` raised past them, no hazard names them.
class ChunkKeeper {
 public:
  // After a restart: sealed chunks of unknown content count as ending at synced.
  ChunkKeeper(std::shared_ptr<Region> region, FlushSource& source);
  // A dead worker's (or a closed one's) chunks: sealed for it. REQUIRES: the death was proven before the call; records
  // that it published until then are found by the flusher as any others.
  void seal_chunks_of(SlotRef slot) noexcept;
  // Frees the oldest chunks until `free_target` chunks are free or nothing more can be freed. Workers that wait for
  // room are woken if anything was freed. Returns the chunks free now.
  std::uint64_t reclaim(std::uint64_t free_target) noexcept;
  std::uint64_t chunks_in_use() const noexcept;
  std::uint64_t chunks_held_by(std::uint32_t slot_index) const noexcept;
  // Did a worker ask for room since the last call?
  bool room_wanted() noexcept;

 private:
  std::shared_ptr<Region> region_;
  FlushSource& source_;
  std::vector<std::uint64_t> sealed_end_;  // by chunk: published_end when first seen sealed; 0 not yet
};

}  // namespace oj::shm
