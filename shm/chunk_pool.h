// Where payloads live: chunks with one owner at a time, who alone writes them.
//
//   EMPTY -> OWNED {slot, incarnation}   producer, by CAS: from then on the chunk is attributable
//   OWNED -> SEALED                      its owner when it moves on, or the reaper once the owner
//                                        is proven dead
//   OWNED -> EMPTY                       its owner, if nothing in it was published
//   SEALED -> EMPTY                      daemon (chunk_keeper.cc), once nobody can read it in place
//                                        any more
//
// A record longer than a chunk takes a run of neighbouring chunks, claimed one by one and sealed as
// soon as it is published. Single chunks are taken from the low zone, in turn, so that they are
// filled, sealed and freed in about the same order; runs from the high end of the pool. Each spills
// into the other's zone when its own is full.
//
// Roles
//   producer   claims, fills, seals and gives back its own chunks
//   reader     loads payload words (a monitor, racing with a new owner) or reads plainly (pinned,
//              see hazards.h)
//   daemon     seals what the dead own, frees
//
// Invariants
//   C1  Only the owner writes a chunk's bytes, and only bytes that no published ticket names.
//   C2  A chunk becomes EMPTY only when `retained` is past all its records and no hazard names it.
//
// Pairs
//   chunk     free, give back  release  ->  claim  acquire
//             what readers read is read before it is overwritten
//   sealed    seal  release  ->  look  acquire
//             everything published in the chunk is visible first
//   payload   store words  release  ->  monitor's copy  acquire
//             whoever sees a byte of a new life sees the `retained` that ended the old one
//
// Progress   claims are lock-free: a CAS fails only because another producer took the chunk; a
//            search looks at each chunk at most once (runs: twice).
// Crash      claim.before_cas: nothing happened. Later: the chunk is OWNED by the dead, and sealed
//            by the reaper.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "shm/layout.h"

namespace oj::shm {

constexpr ChunkState chunk_state(std::uint64_t owner_word) {
  return static_cast<ChunkState>(owner_word >> kOwnerStateShift);
}
constexpr std::uint64_t owner_word(ChunkState state, std::uint32_t slot,
                                   std::uint64_t incarnation) {
  return std::uint64_t{static_cast<std::uint8_t>(state)} << kOwnerStateShift |
         std::uint64_t{slot & 0xffff} << kOwnerSlotShift | (incarnation & kOwnerIncarnationMask);
}
constexpr std::uint32_t owner_slot(std::uint64_t owner_word) {
  return static_cast<std::uint32_t>(owner_word >> kOwnerSlotShift) & 0xffff;
}

// Chunks that a record of this many bytes takes, when it starts a chunk.
constexpr std::uint64_t chunks_for(std::uint64_t record_bytes, std::uint64_t chunk_bytes) {
  return (kEntryHeaderBytes + record_bytes + chunk_bytes - 1) / chunk_bytes;
}

template <class Env>
class ChunkPool {
 public:
  using Word = typename Env::template Atomic<std::uint64_t>;

  ChunkPool() = default;
  ChunkPool(Watermarks<Env>* marks, Word* owners, Word* pool, std::uint64_t count,
            std::uint64_t chunk_bytes)
      : marks_(marks), owners_(owners), pool_(pool), count_(count), chunk_bytes_(chunk_bytes) {}

  std::uint64_t count() const { return count_; }
  std::uint64_t chunk_bytes() const { return chunk_bytes_; }
  std::uint64_t bytes() const { return count_ * chunk_bytes_; }
  // Chunks [0, low_zone()) are for single chunks first, the rest for runs first.
  std::uint64_t low_zone() const { return count_ - count_ / 4; }

  std::uint64_t owner(std::uint64_t chunk) const noexcept {
    return owners_[chunk].load(std::memory_order_acquire);  // pair: sealed
  }

  // One chunk for `owned` (an owner_word of state kOwned), or nothing: the pool is full.
  std::optional<std::uint64_t> claim(std::uint64_t owned) noexcept {
    const std::uint64_t low = low_zone();
    const std::uint64_t next = marks_->next_chunk.load(std::memory_order_relaxed);  // hint
    const std::uint64_t start = next % low;
    for (std::uint64_t i = 0; i < count_; ++i) {
      const std::uint64_t chunk = i >= low ? i : start + i < low ? start + i : start + i - low;
      if (!claim_one(chunk, owned)) continue;
      if (i < low) marks_->next_chunk.store(chunk + 1, std::memory_order_relaxed);  // hint
      return chunk;
    }
    return std::nullopt;
  }

  // `n` neighbours, highest first; the first of them, or nothing.
  std::optional<std::uint64_t> claim_run(std::uint64_t owned, std::uint64_t n) noexcept {
    std::uint64_t found = 0;  // EMPTY chunks seen just above `chunk`
    for (std::uint64_t chunk = count_; chunk-- > 0;) {
      const std::uint64_t word =
          owners_[chunk].load(std::memory_order_relaxed);  // hint: claim_one's CAS decides
      found = chunk_state(word) == ChunkState::kEmpty ? found + 1 : 0;
      if (found < n) continue;
      std::uint64_t claimed = 0;
      while (claimed < n && claim_one(chunk + claimed, owned)) ++claimed;
      if (claimed == n) return chunk;
      for (std::uint64_t i = 0; i < claimed; ++i) give_back(chunk + i, owned);
      found = claimed;  // the chunk at chunk + claimed is taken; those below it may still do
    }
    return std::nullopt;
  }

  // OWNED -> SEALED. False: it is not `owned` any more (a reaper was here). The owner, or the
  // reaper for it.
  bool seal(std::uint64_t chunk, std::uint64_t owned) noexcept {
    const std::uint64_t sealed = owner_word(ChunkState::kSealed, owner_slot(owned), owned);
    return owners_[chunk].compare_exchange_strong(
        owned, sealed, std::memory_order_release,  // pair: sealed
        std::memory_order_relaxed);                // hint: the answer is no either way
  }
  // OWNED -> EMPTY. REQUIRES: nothing in it was published.
  bool give_back(std::uint64_t chunk, std::uint64_t owned) noexcept {
    return owners_[chunk].compare_exchange_strong(
        owned, 0, std::memory_order_release,  // pair: chunk
        std::memory_order_relaxed);           // hint: the answer is no either way
  }
  // Daemon: SEALED -> EMPTY. REQUIRES: C2.
  bool free(std::uint64_t chunk, std::uint64_t sealed) noexcept {
    return owners_[chunk].compare_exchange_strong(
        sealed, 0, std::memory_order_acq_rel,  // pair: chunk
        std::memory_order_relaxed);            // hint: the answer is no either way
  }

  // Writes an entry at byte `offset` of the pool. Word by word and atomically, because a monitor
  // may be copying what it still takes for the old record. REQUIRES: the chunks there are the
  // caller's, offset a multiple of kReferenceUnit.
  void store_entry(std::uint64_t offset, std::uint32_t crc,
                   std::span<const std::byte> record) noexcept {
    Word* to = pool_ + offset / sizeof(std::uint64_t);
    const std::uint64_t header =
        std::uint64_t{crc} << 32 | static_cast<std::uint32_t>(record.size());
    (to++)->store(header, std::memory_order_release);  // pair: payload
    const std::byte* from = record.data();
    std::size_t left = record.size();
    for (; left >= sizeof(std::uint64_t);
         left -= sizeof(std::uint64_t), from += sizeof(std::uint64_t)) {
      std::uint64_t word;
      std::memcpy(&word, from, sizeof word);
      (to++)->store(word, std::memory_order_release);  // pair: payload
    }
    if (left > 0) {
      std::uint64_t word = 0;
      std::memcpy(&word, from, left);
      to->store(word, std::memory_order_release);  // pair: payload
    }
  }

  std::uint64_t load_word(std::uint64_t offset) const noexcept {
    return pool_[offset / sizeof(std::uint64_t)].load(std::memory_order_acquire);  // pair: payload
  }
  // Copies `bytes` bytes from `offset`, racing with whoever owns the chunk now; `to` has room for
  // whole words.
  void copy_words(std::uint64_t offset, std::uint64_t bytes, std::byte* to) const noexcept {
    for (std::uint64_t at = 0; at < bytes; at += sizeof(std::uint64_t)) {
      const std::uint64_t word = load_word(offset + at);
      std::memcpy(to + at, &word, sizeof word);
    }
  }

 private:
  bool claim_one(std::uint64_t chunk, std::uint64_t owned) noexcept {
    std::uint64_t empty = owners_[chunk].load(std::memory_order_relaxed);  // hint: the CAS decides
    if (empty != 0) return false;
    Env::at("claim.before_cas");
    return owners_[chunk].compare_exchange_strong(
        empty, owned, std::memory_order_acq_rel,  // pair: chunk
        std::memory_order_relaxed);               // hint: somebody else has it
  }

  Watermarks<Env>* marks_ = nullptr;
  Word* owners_ = nullptr;
  Word* pool_ = nullptr;
  std::uint64_t count_ = 0;
  std::uint64_t chunk_bytes_ = 0;
};

// What a ticket names, after every check that the pool's shape allows. Offsets are bytes from the
// start of the pool.
struct EntryPlace {
  std::uint64_t offset = 0;  // of the entry's header word
  std::uint64_t chunk = 0;   // the (first) chunk
  const char* bad = nullptr;
};

template <class Env>
EntryPlace entry_place(const ChunkPool<Env>& pool, std::uint64_t ticket) noexcept {
  EntryPlace place;
  place.offset = (ticket & kReferenceMask) * kReferenceUnit;
  if (place.offset > pool.bytes() - kReferenceUnit) {
    place.bad = "its reference lies outside the chunk pool";
    return place;
  }
  place.chunk = place.offset / pool.chunk_bytes();
  return place;
}

// How many chunks an entry of this header takes; 0: its length cannot be, at that place.
template <class Env>
std::uint64_t entry_chunks(const ChunkPool<Env>& pool, const EntryPlace& place,
                           std::uint64_t record_bytes, std::uint64_t record_bytes_max) noexcept {
  if (record_bytes == 0 || record_bytes > record_bytes_max) return 0;
  const std::uint64_t within = place.offset % pool.chunk_bytes();
  if (within + kEntryHeaderBytes + record_bytes <= pool.chunk_bytes()) return 1;
  if (within != 0) return 0;
  const std::uint64_t n = chunks_for(record_bytes, pool.chunk_bytes());
  return place.chunk + n <= pool.count() ? n : 0;
}

}  // namespace oj::shm
