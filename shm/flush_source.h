// The daemon's end of the ring: take records out, in order, each copied before it is checked.
//
// Invariants
//   F1  What is checked is a private copy: whoever can write a chunk may do so at any time.
//
// Progress   wait-free.
// Crash      nothing shared is written.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "shm/chunk_pool.h"
#include "shm/order_ring.h"
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
  // Records from, from+1, ... as far as published and within the limits (at least one, if
  // published). The copies are valid until the next call. Remembers which chunks they were in, for
  // ChunkKeeper. kCorrupt: a ring word that cannot be.
  Result<std::span<const Gathered>> gather(std::uint64_t from, std::size_t records_max,
                                           std::size_t bytes_max);

 private:
  friend class ChunkKeeper;
  Gathered take(std::uint64_t seq, std::uint64_t ticket, std::size_t bytes_left, bool must,
                bool& fits);

  std::shared_ptr<Region> region_;
  OrderRing<Production> ring_;
  ChunkPool<Production> pool_;
  const std::byte* pool_bytes_ = nullptr;
  std::uint64_t record_bytes_max_ = 0;
  std::vector<Gathered> items_;
  std::vector<std::byte> buffer_;
  std::size_t used_ = 0;  // of buffer_
  // By chunk: the highest gathered seq in it, plus one; 0: unknown.
  std::vector<std::uint64_t> last_seq_;
};

}  // namespace oj::shm
