// Read records in order, in place.
//
// The steps are in order_ring.h (is it published, and where does it lie) and hazards.h (may I look
// there).
//
// Roles
//   reader    a worker, with a hazard word of its own: reads in place
//   monitor   has no slot, perhaps a read-only mapping: copies, then checks that the copy was in
//             time
//
// Invariants
//   R1  Nothing of a chunk is looked at before a pin on it is confirmed (a monitor: nothing of the
//       copy is believed before `retained` was loaded after it).
//   R2  Length and checksum are checked on every read; every index and offset is checked before it
//       is used.
//
// Pairs
//   ticket    slot  acquire   ->  publish  seq_cst
//   pin       hazard seq_cst, `retained` seq_cst  ->  reclaim
//   payload   a monitor's copy  acquire  ->  store_entry  release
//
// Progress   wait-free.
// Crash      a killed reader's hazard holds back one chunk or run until the reader is reaped.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "shm/chunk_pool.h"
#include "shm/hazards.h"
#include "shm/order_ring.h"
#include "shm/region.h"
#include "shm/worker_slots.h"

namespace oj::shm {

// Role: reader. One thread at a time. With a slot: pins chunks through hazard word `hazard_index`
// (0..7) of that slot and reads in place. Without (a monitor; the region may be mapped read-only):
// copies, then checks that the copy was in time.
class Reader {
 public:
  Reader(std::shared_ptr<Region> region, SlotRef slot, std::uint32_t hazard_index);
  explicit Reader(std::shared_ptr<Region> region);
  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;
  ~Reader();  // unpins

  enum class Found : std::uint8_t {
    kRecord,        // `bytes` is the record, CRC checked; valid until the next call
    kNotPublished,  // yet
    kOnDisk,        // no longer in the region: read the segments (it is synced)
    kBad,  // published, but its bytes fail their checks: the tombstone that it will be on disk
  };
  struct Answer {
    Found found = Found::kNotPublished;
    std::span<const std::byte> bytes;
    const char* why = "";  // of kBad
  };
  // Wait-free. Every word from the region is checked before use; nothing that others write can make
  // this crash.
  Answer read(std::uint64_t seq) noexcept;
  void unpin() noexcept;  // gives the pinned chunk back at once
  void abandon_after_fork() noexcept;

 private:
  bool pin(std::uint64_t first, std::uint64_t n, std::uint64_t seq) noexcept;
  Answer read_pinned(std::uint64_t seq, const EntryPlace& place) noexcept;
  Answer read_copied(std::uint64_t seq, const EntryPlace& place) noexcept;

  std::shared_ptr<Region> region_;
  std::optional<SlotRef> slot_;
  std::uint32_t hazard_index_ = 0;
  OrderRing<Production> ring_;
  ChunkPool<Production> pool_;
  Hazards<Production> hazards_;
  const std::byte* pool_bytes_ = nullptr;
  std::uint64_t record_bytes_max_ = 0;
  std::uint64_t pinned_first_ = 0, pinned_count_ = 0;  // count 0: nothing
  std::vector<std::byte> copy_;                        // of a monitor
};

}  // namespace oj::shm
