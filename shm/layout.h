// What lies where in the region: plain structs, no behaviour. docs/region-format.md is the page to
// it.
//
//   0        Header           one page
//   4096     Watermarks       one page
//   8192     WorkerSlot[]     256 bytes each
//   ...      owner words      8 bytes a chunk
//   ...      order ring       8 bytes a slot
//   ...      chunk pool       chunk_bytes a chunk
//
// Each part starts on a page of 4 KiB. A word has one kind of writer; words with different writers,
// and words that are polled, are a pair of cache lines (128 bytes: x86 fetches lines in pairs)
// apart.
//
// A change here is a change of format: raise kFormat, docs/region-format.md and the golden test
// with it. The fingerprint kLayoutHash changes by itself, so that two builds that disagree refuse
// each other instead of misreading.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "shm/environment.h"

namespace oj::shm {

constexpr std::uint64_t kMagic = 0x6e6f'6967'6572'6a6f;  // a file starts with "ojregion"
constexpr std::uint32_t kFormat = 1;
constexpr std::uint64_t kPageBytes = 4096;
constexpr std::uint64_t kLinePairBytes = 128;
constexpr std::uint32_t kHazardsPerSlot = 8;
constexpr std::size_t kCommandWords = 8;  // 63 bytes and a NUL

// Order ring word: {lap tag : 24 | reference : 40}, a reference counts kReferenceUnit bytes from
// the start of the pool.
constexpr unsigned kReferenceBits = 40;
constexpr std::uint64_t kReferenceMask = (std::uint64_t{1} << kReferenceBits) - 1;
constexpr std::uint64_t kTagMask = (std::uint64_t{1} << (64 - kReferenceBits)) - 1;
constexpr std::uint64_t kReferenceUnit = 16;

// Owner word of a chunk: {state : 8 | worker slot : 16 | incarnation, low bits : 40}.
constexpr unsigned kOwnerSlotShift = 40;
constexpr unsigned kOwnerStateShift = 56;
constexpr std::uint64_t kOwnerIncarnationMask = (std::uint64_t{1} << kOwnerSlotShift) - 1;
enum class ChunkState : std::uint8_t { kEmpty = 0, kOwned = 1, kSealed = 2 };

// Hazard word: {chunks : 32 | first chunk + 1 : 32}; 0 pins nothing.
constexpr unsigned kHazardCountShift = 32;

// Worker slot word: {incarnation : 56 | SlotState : 8}.
constexpr unsigned kSlotIncarnationShift = 8;

// Entry in a chunk: one word {crc32c : 32 | length : 32}, then the record's bytes; entries start at
// multiples of kReferenceUnit, so a record's bytes are 8-aligned. The CRC is seeded with the
// length.
constexpr std::uint64_t kEntryHeaderBytes = 8;

// kLost: retired, and part of it is gone: nothing in it is to be believed.
enum class RegionState : std::uint32_t { kRunning = 1, kRetired = 2, kLost = 3 };

// Written once, before the file has its name. Read with pread, checked, and never read again.
struct HeaderFields {
  std::uint64_t magic;
  std::uint32_t format;
  std::uint32_t reserved_0;
  std::uint64_t layout_hash;
  std::uint8_t boot_id[16];
  std::uint8_t journal_id[16];
  std::uint64_t generation;
  std::uint64_t ring_slots;
  std::uint64_t chunk_bytes;
  std::uint64_t chunk_count;
  std::uint32_t worker_slots;
  std::uint32_t reserved_1;
  std::uint64_t region_bytes;
  std::uint64_t first_seq;
  std::uint64_t reserved_2[2];
};

template <class Env>
struct Header {
  HeaderFields fields;
  // Daemon. A RegionState.
  alignas(kLinePairBytes) typename Env::template Atomic<std::uint32_t> state;
};

template <class Env>
struct Watermarks {
  template <class T>
  using Atomic = typename Env::template Atomic<T>;

  // Producers: near the end of what is published; may go back.
  alignas(kLinePairBytes) Atomic<std::uint64_t> hint;

  // Daemon: first seq not on stable storage, and, for messages, CLOCK_MONOTONIC when it last moved
  // or the region was made.
  alignas(kLinePairBytes) Atomic<std::uint64_t> synced;
  Atomic<std::int64_t> synced_at_ns;

  // Daemon: first seq not handed to the file system.
  alignas(kLinePairBytes) Atomic<std::uint64_t> written;

  // Daemon: first seq that may be read in place.
  alignas(kLinePairBytes) Atomic<std::uint64_t> retained;

  // Wake words (wake.h) that every append looks at: workers and the daemon, waiting for a record.
  alignas(kLinePairBytes) Atomic<std::uint32_t> published_wake;
  Atomic<std::uint32_t> daemon_wake;

  // Wake word: workers that wait for `synced` or for room. Daemon: how often it made room.
  alignas(kLinePairBytes) Atomic<std::uint32_t> progress_wake;
  Atomic<std::uint64_t> room_made;

  // Requests of workers to the daemon: the highest seq end that somebody waits to be synced; how
  // often somebody wanted its attention; 1 if chunks are wanted (the daemon clears it). And the
  // wake word of the daemon in its group commit window.
  alignas(kLinePairBytes) Atomic<std::uint64_t> sync_wanted;
  Atomic<std::uint64_t> daemon_asks;
  Atomic<std::uint32_t> room_wanted;
  Atomic<std::uint32_t> asked_wake;

  // Daemon, for itself: daemon_asks when it last ended an idle sleep, and a window; sync_wanted and
  // `synced` when it last ended a window; the published end when it last repeated a wake.
  alignas(kLinePairBytes) Atomic<std::uint64_t> asks_seen_idle;
  Atomic<std::uint64_t> asks_seen_window;
  Atomic<std::uint64_t> sync_wanted_seen;
  Atomic<std::uint64_t> synced_seen;
  Atomic<std::uint64_t> wake_repeated;

  // Producers: where to look for a free chunk.
  alignas(kLinePairBytes) Atomic<std::uint64_t> next_chunk;

  // Daemon: errno of a disk that fails, or 0; sessions numbered so far.
  alignas(kLinePairBytes) Atomic<std::uint32_t> degraded;
  Atomic<std::uint64_t> sessions;
};

template <class Env>
struct WorkerSlot {
  template <class T>
  using Atomic = typename Env::template Atomic<T>;

  // Daemon and worker: {incarnation : 56 | SlotState : 8}, see worker_slots.h. The rest: daemon.
  alignas(kLinePairBytes) Atomic<std::uint64_t> state;
  Atomic<std::uint64_t> session;
  Atomic<std::uint32_t> pid;
  Atomic<std::uint32_t> uid;
  Atomic<std::int64_t> started_us;
  std::array<Atomic<std::uint64_t>, kCommandWords> command;

  // Worker: records published, a statistic.
  alignas(kLinePairBytes) Atomic<std::uint64_t> records;

  // Worker: what its readers look at (hazards.h).
  alignas(kLinePairBytes / 2) std::array<Atomic<std::uint64_t>, kHazardsPerSlot> hazards;
};

// Where the parts start, all in bytes from the start of the file.
struct Geometry {
  std::uint64_t slots = 0, owners = 0, ring = 0, pool = 0, end = 0;
};

constexpr std::uint64_t kHeaderOffset = 0;
constexpr std::uint64_t kWatermarksOffset = kPageBytes;
constexpr std::uint64_t kSlotsOffset = 2 * kPageBytes;

constexpr std::uint64_t page_up(std::uint64_t bytes) {
  return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}

// REQUIRES: sizes within their limits (region.h), so that nothing overflows.
constexpr Geometry geometry_of(std::uint64_t ring_slots, std::uint64_t chunk_bytes,
                               std::uint64_t chunk_count, std::uint32_t worker_slots) {
  Geometry g;
  g.slots = kSlotsOffset;
  g.owners = g.slots + page_up(std::uint64_t{worker_slots} * sizeof(WorkerSlot<Production>));
  g.ring = g.owners + page_up(chunk_count * sizeof(std::uint64_t));
  g.pool = g.ring + page_up(ring_slots * sizeof(std::uint64_t));
  g.end = g.pool + chunk_count * chunk_bytes;
  return g;
}

// Everything that two builds must agree on. docs/region-format.md has the same numbers, and a test
// compares them.
struct LayoutField {
  const char* name;
  std::uint64_t offset;
  std::uint64_t bytes;
};
#define OJ_FIELD(part, type, field, base) \
  LayoutField { part "." #field, (base) + offsetof(type, field), sizeof(type::field) }
using ProductionHeader = Header<Production>;
using ProductionWatermarks = Watermarks<Production>;
using ProductionSlot = WorkerSlot<Production>;
inline constexpr std::array kLayoutFields{
    OJ_FIELD("header", HeaderFields, magic, kHeaderOffset),
    OJ_FIELD("header", HeaderFields, format, kHeaderOffset),
    OJ_FIELD("header", HeaderFields, layout_hash, kHeaderOffset),
    OJ_FIELD("header", HeaderFields, boot_id, kHeaderOffset),
    OJ_FIELD("header", HeaderFields, journal_id, kHeaderOffset),
    OJ_FIELD("header", HeaderFields, generation, kHeaderOffset),
    OJ_FIELD("header", HeaderFields, ring_slots, kHeaderOffset),
    OJ_FIELD("header", HeaderFields, chunk_bytes, kHeaderOffset),
    OJ_FIELD("header", HeaderFields, chunk_count, kHeaderOffset),
    OJ_FIELD("header", HeaderFields, worker_slots, kHeaderOffset),
    OJ_FIELD("header", HeaderFields, region_bytes, kHeaderOffset),
    OJ_FIELD("header", HeaderFields, first_seq, kHeaderOffset),
    OJ_FIELD("header", ProductionHeader, state, kHeaderOffset),
    OJ_FIELD("watermarks", ProductionWatermarks, hint, kWatermarksOffset),
    OJ_FIELD("watermarks", ProductionWatermarks, synced, kWatermarksOffset),
    OJ_FIELD("watermarks", ProductionWatermarks, synced_at_ns, kWatermarksOffset),
    OJ_FIELD("watermarks", ProductionWatermarks, written, kWatermarksOffset),
    OJ_FIELD("watermarks", ProductionWatermarks, retained, kWatermarksOffset),
    OJ_FIELD("watermarks", ProductionWatermarks, published_wake, kWatermarksOffset),
    OJ_FIELD("watermarks", ProductionWatermarks, daemon_wake, kWatermarksOffset),
    OJ_FIELD("watermarks", ProductionWatermarks, progress_wake, kWatermarksOffset),
    OJ_FIELD("watermarks", ProductionWatermarks, room_made, kWatermarksOffset),
    OJ_FIELD("watermarks", ProductionWatermarks, sync_wanted, kWatermarksOffset),
    OJ_FIELD("watermarks", ProductionWatermarks, daemon_asks, kWatermarksOffset),
    OJ_FIELD("watermarks", ProductionWatermarks, room_wanted, kWatermarksOffset),
    OJ_FIELD("watermarks", ProductionWatermarks, asked_wake, kWatermarksOffset),
    OJ_FIELD("watermarks", ProductionWatermarks, asks_seen_idle, kWatermarksOffset),
    OJ_FIELD("watermarks", ProductionWatermarks, asks_seen_window, kWatermarksOffset),
    OJ_FIELD("watermarks", ProductionWatermarks, sync_wanted_seen, kWatermarksOffset),
    OJ_FIELD("watermarks", ProductionWatermarks, synced_seen, kWatermarksOffset),
    OJ_FIELD("watermarks", ProductionWatermarks, wake_repeated, kWatermarksOffset),
    OJ_FIELD("watermarks", ProductionWatermarks, next_chunk, kWatermarksOffset),
    OJ_FIELD("watermarks", ProductionWatermarks, degraded, kWatermarksOffset),
    OJ_FIELD("watermarks", ProductionWatermarks, sessions, kWatermarksOffset),
    OJ_FIELD("slot", ProductionSlot, state, 0),
    OJ_FIELD("slot", ProductionSlot, session, 0),
    OJ_FIELD("slot", ProductionSlot, pid, 0),
    OJ_FIELD("slot", ProductionSlot, uid, 0),
    OJ_FIELD("slot", ProductionSlot, started_us, 0),
    OJ_FIELD("slot", ProductionSlot, command, 0),
    OJ_FIELD("slot", ProductionSlot, records, 0),
    OJ_FIELD("slot", ProductionSlot, hazards, 0),
};
#undef OJ_FIELD

// FNV-1a over names, offsets and sizes of all fields and over the constants above.
constexpr std::uint64_t layout_hash() {
  std::uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&hash](std::uint64_t value) {
    for (int i = 0; i < 8; ++i) hash = (hash ^ ((value >> (8 * i)) & 0xff)) * 0x100000001b3;
  };
  for (const LayoutField& field : kLayoutFields) {
    for (const char* c = field.name; *c != 0; ++c) add(static_cast<unsigned char>(*c));
    add(field.offset);
    add(field.bytes);
  }
  for (std::uint64_t value :
       {std::uint64_t{kFormat}, kPageBytes, kSlotsOffset, sizeof(ProductionSlot),
        std::uint64_t{kHazardsPerSlot}, std::uint64_t{kReferenceBits}, kReferenceUnit,
        std::uint64_t{kOwnerSlotShift}, std::uint64_t{kOwnerStateShift},
        std::uint64_t{kHazardCountShift}, std::uint64_t{kSlotIncarnationShift},
        kEntryHeaderBytes}) {
    add(value);
  }
  return hash;
}
inline constexpr std::uint64_t kLayoutHash = layout_hash();

static_assert(sizeof(HeaderFields) == 128 && std::is_trivially_copyable_v<HeaderFields>);
static_assert(sizeof(ProductionHeader) == 256 && offsetof(ProductionHeader, state) == 128);
static_assert(offsetof(ProductionWatermarks, synced) == 128 &&
              offsetof(ProductionWatermarks, written) == 256);
static_assert(offsetof(ProductionWatermarks, retained) == 384 &&
              offsetof(ProductionWatermarks, published_wake) == 512);
static_assert(offsetof(ProductionWatermarks, progress_wake) == 640 &&
              offsetof(ProductionWatermarks, sync_wanted) == 768);
static_assert(offsetof(ProductionWatermarks, asks_seen_idle) == 896 &&
              offsetof(ProductionWatermarks, next_chunk) == 1024);
static_assert(offsetof(ProductionWatermarks, degraded) == 1152 &&
              sizeof(ProductionWatermarks) == 1280);
static_assert(offsetof(ProductionSlot, records) == 128 && offsetof(ProductionSlot, hazards) == 192);
static_assert(sizeof(ProductionSlot) == 256 && sizeof(ProductionWatermarks) <= kPageBytes);
static_assert(std::is_standard_layout_v<ProductionWatermarks> &&
              std::is_standard_layout_v<ProductionSlot>);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free &&
              sizeof(std::atomic<std::uint64_t>) == 8);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free &&
              sizeof(std::atomic<std::uint32_t>) == 4);

}  // namespace oj::shm
