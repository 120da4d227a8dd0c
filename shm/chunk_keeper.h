// Gives chunks a new life: the daemon's other end of the chunk pool.
//
// Roles
//   daemon   the flusher's thread: the only one to free; seals what the dead own
//   reader   pins
//
// Invariants
//   F2  A chunk is freed only if it is sealed, everything published before it was seen sealed is
//       synced, `retained` was raised past its last record, and no hazard seen after that names it.
//   F4  An owner word names a life of a slot that there was, and if OWNED the present one: a slot
//       gets its next life only after its chunks were sealed, by the same thread.
//   F3  A chunk's last record is what the flusher saw in it; the words of producers are not needed.
//       Records synced before this daemon began lie below `synced` as it was then.
//
// Pairs
//   sealed   owner word  acquire  ->  seal  release   all that its owner published in it is seen as
//            published
//   pin      `retained` seq_cst, then hazards seq_cst  ->  reader's pin
//   chunk    free  acq_rel  ->  claim  acquire
//   room     room_made  seq_cst  ->  try_append  acquire, wait_for_room  seq_cst
//   sleep    room_made, room_wanted  seq_cst   see watermarks.h
//
// Progress   wait-free; a sweep looks at every chunk and every hazard once a round, at most
//            kRoundsMax rounds.
// Crash      reclaim.after_retained: readers go to disk a little early; the next sweep frees.
//            Nothing else is shared.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "shm/flush_source.h"
#include "shm/region.h"
#include "shm/worker_slots.h"

namespace oj::shm {

// Role: daemon, the same thread. Frees chunks: sealed, all synced, `retained` raised past them, no
// hazard names them.
class ChunkKeeper {
 public:
  // After a restart: sealed chunks of unknown content count as ending at synced.
  ChunkKeeper(std::shared_ptr<Region> region, FlushSource& source);
  // A dead worker's (or a closed one's) chunks: sealed for it. REQUIRES: the death was proven
  // before the call; records that it published until then are found by the flusher as any others.
  void seal_chunks_of(SlotRef slot) noexcept;
  // Frees the oldest chunks until `free_target` chunks are free or nothing more can be freed.
  // Workers that wait for room are woken if anything was freed. Returns the chunks free now.
  std::uint64_t reclaim(std::uint64_t free_target) noexcept;
  std::uint64_t chunks_in_use() const noexcept;
  std::uint64_t chunks_held_by(std::uint32_t slot_index) const noexcept;
  // A chunk whose owner word, or a hazard on it, cannot be, as reclaim() found; none: all can.
  std::optional<std::uint64_t> damaged_chunk() const { return damaged_chunk_; }
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
  std::optional<std::uint64_t> damaged_chunk_;
  // By chunk: the published end when it was first seen sealed, plus one; 0: not yet.
  std::vector<std::uint64_t> sealed_end_;
  std::vector<Candidate> candidates_;  // oldest first
  std::vector<std::uint8_t> pinned_;   // by chunk, of one round
};

}  // namespace oj::shm
