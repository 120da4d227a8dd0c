// Publish records: build in an own chunk, then one CAS on the order ring.
//
// The steps are in chunk_pool.h (where the bytes go) and order_ring.h (what makes them a record);
// this puts them in order and wakes who waits.
//
// Roles
//   producer   this: claims chunks, fills them, publishes, seals; wakes readers and the daemon
//   daemon     makes room, and counts it in `room_made`
//
// Invariants
//   P1  A ticket names only bytes that were written before its CAS and that nobody writes again in
//       this life of the chunk.
//   P2  A full chunk is sealed before the next is claimed, so that a pool in which everybody waits
//       can be freed.
//
// Pairs
//   room    room_made  acquire, before the last attempt  ->  daemon  seq_cst   see watermarks.h
//   sleep   publish seq_cst  ->  wake words seq_cst                            see wake.h
//
// Progress   try_append is lock-free and calls the kernel only to wake a sleeper.
// Crash      before the CAS: nothing is visible. After it: the record is, and the chunk is sealed
//            by the reaper.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "shm/chunk_pool.h"
#include "shm/order_ring.h"
#include "shm/region.h"
#include "shm/worker_slots.h"

namespace oj::shm {

enum class Full : std::uint8_t { kNo, kRing, kPool };

// The checksum of an entry: of the record's bytes, seeded with their length.
std::uint32_t entry_crc(std::span<const std::byte> record) noexcept;

// Role: producer. One thread at a time; owns at most one open chunk, taken at the first append.
class Producer {
 public:
  // REQUIRES: `owner` is the slot of a Seat that the caller holds, for longer than this lives.
  Producer(std::shared_ptr<Region> region, SlotRef owner);
  Producer(Producer&&) noexcept;
  Producer& operator=(Producer&&) noexcept;
  ~Producer();  // seals

  struct Attempt {
    Full full =
        Full::kNo;  // kNo: published at `seq`; else nothing was changed and wait_for_room() is next
    std::uint64_t seq = 0;
    std::uint64_t room_made = 0;  // for wait_for_room(): what counts as new room
  };
  // Publishes `record` (opaque bytes, at least one; 8-aligned length not needed). Never waits,
  // allocates nothing. kInvalid: empty, or longer than sizes().record_bytes_max(), names both.
  // kGone: the region is retired. kCorrupt: the ring holds a word that cannot be.
  Result<Attempt> try_append(std::span<const std::byte> record) noexcept;
  // Gives the open chunk up, for instance before a long pause: what it holds stays readable.
  void seal() noexcept;
  void abandon_after_fork() noexcept;

 private:
  enum class End : std::uint8_t { kPublished, kRingFull, kPoolFull, kCorrupt };
  End append(std::span<const std::byte> record) noexcept;
  End append_to_chunk(std::span<const std::byte> record) noexcept;
  End append_as_run(std::span<const std::byte> record) noexcept;
  End publish(std::uint64_t offset) noexcept;

  static constexpr std::uint64_t kNoChunk = ~std::uint64_t{0};
  std::shared_ptr<Region> region_;
  SlotRef slot_;
  OrderRing<Production> ring_;
  ChunkPool<Production> pool_;
  Watermarks<Production>* marks_ = nullptr;
  Production::Atomic<std::uint32_t>* state_ = nullptr;    // of the region
  Production::Atomic<std::uint64_t>* records_ = nullptr;  // of our slot
  std::uint64_t owned_ = 0;                               // the owner word of our chunks
  std::uint64_t record_bytes_max_ = 0;
  std::uint64_t chunk_ = kNoChunk;
  std::uint64_t chunk_used_ = 0;
  PublishCursor cursor_;
};

}  // namespace oj::shm
