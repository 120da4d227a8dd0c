// The daemon's end of the ring: take records out in order, give room back.
//
// Roles
//   flusher   one thread of the daemon: FlushSource and ChunkKeeper are its own
//
// Invariants
//   F1  What is checked is a private copy: whoever can write a chunk may do so at any time.
//   F2  A chunk is freed only if it is sealed, everything published before it was seen sealed is synced, `retained` was
//       raised past its last record, and no hazard seen after that names it.
//   F3  A chunk's last record is what the flusher saw in it; the words of producers are not needed. Records synced
//       before this daemon began lie below `synced` as it was then.
//
// Pairs
//   ticket   slot  acquire  ->  publish  seq_cst
//   sealed   owner word  acquire  ->  seal  release   all that its owner published in it is seen as published
//   pin      `retained` seq_cst, then hazards seq_cst  ->  reader's pin
//   chunk    free  ->  claim
//
// Progress   wait-free; a sweep looks at every chunk and every hazard once a round, at most kRoundsMax rounds.
// Crash      reclaim.after_retained: readers go to disk a little early; the next sweep frees. Nothing else is shared.
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
  Gathered take(std::uint64_t seq, std::uint64_t ticket, std::size_t bytes_left, bool must, bool& fits);

  std::shared_ptr<Region> region_;
  std::vector<Gathered> items_;
  std::vector<std::byte> buffer_;
  std::size_t used_ = 0;                 // of buffer_
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
  static constexpr int kRoundsMax = 8;

  struct Candidate {
    std::uint64_t end = 0;  // one past its last record
    std::uint64_t chunk = 0;
    std::uint64_t word = 0;  // the owner word seen
  };
  // One look at the whole table: counts what is free in each zone, collects what could be freed.
  struct Sweep {
    std::uint64_t free_low = 0, free_high = 0;
  };
  Sweep sweep() noexcept;
  std::uint64_t free_below(std::uint64_t seq) noexcept;

  std::shared_ptr<Region> region_;
  FlushSource& source_;
  std::uint64_t synced_at_start_ = 0;
  std::vector<std::uint64_t> sealed_end_;  // by chunk: published end when first seen sealed, plus one; 0 not yet
  std::vector<Candidate> candidates_;      // oldest first
  std::vector<std::uint8_t> pinned_;       // by chunk, of one round
};

}  // namespace oj::shm
