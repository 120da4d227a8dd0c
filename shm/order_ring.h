// The order of the journal: publish one record by one CAS, and see what is published.
//
// The payload lies complete in a chunk that nobody looks at. Storing its ticket in slot `seq % M`
// publishes it as record `seq`: there is no claimed state, so a process that is killed or stopped
// holds nothing that another one waits for.
//
// Roles
//   producer   any worker; CASes slots, moves `hint`
//   reader     any process; loads
//   daemon     advances `synced`; writes no slot
//
// Invariants
//   I1  Filled slots are a contiguous prefix: slot s is tried only after every slot below s was
//       seen filled.
//   I2  A slot is refilled only after the record it named is synced: the CAS at b expects the word
//       of record b - M, and b < synced + M was seen before it.
//   I3  A failed CAS has changed nothing; what to do next is decided from the value that it
//       returned, never from a second load.
//   `hint` may be anything: it is used only if the slot just below it is filled in its lap, which
//   by I1 says that all below are.
//   I4  A record's distance from `synced`, or of a readable one from the end, is far below 2^24
//       laps (check_sizes, and start() begins at `synced` as of now), so comparing lap tags modulo
//       2^24 is comparing laps. What is left: a producer stopped between loading a slot and its CAS
//       for exactly 2^24 laps (2^44 records at the default ring: 203 days at 10^6 a second) that
//       finds the very same reference there.
//
// Pairs
//   ticket   publish  seq_cst  ->  read, walk  acquire   payload and all earlier tickets are
//            written before the ticket
//   synced   set_synced seq_cst  ->  publish  acquire    the old record is on disk before its slot
//            is reused
//   sleep    publish  seq_cst  ->  look at the wake words  seq_cst   see wake.h
//
// Progress   publish is lock-free (a CAS fails only because another producer published); look-ups
//            are wait-free, walks take at most M steps.
// Crash      publish.before_cas: nothing is visible, the chunk is reaped with its owner.
//            publish.after_cas: the record is published; hint and wake-up are late, and the next
//            append or the daemon makes up for them.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "shm/layout.h"

namespace oj::shm {

enum class Lap : std::uint8_t { kThis, kPrevious, kOlder, kNewer };

enum class PublishEnd : std::uint8_t { kPublished, kFull, kCorrupt };

// What one producer remembers between appends.
struct PublishCursor {
  std::uint64_t local = 0;   // one past its last record
  std::uint64_t synced = 0;  // as last seen
  std::uint32_t since_hint = 0;
};

template <class Env>
class OrderRing {
 public:
  using Word = typename Env::template Atomic<std::uint64_t>;

  // A producer stores `hint` at the latest after this many records, or when it had to walk this
  // far.
  static constexpr std::uint32_t kHintInterval = 32;

  OrderRing() = default;
  // REQUIRES: count is a power of two.
  OrderRing(Watermarks<Env>* marks, Word* slots, std::uint64_t count)
      : marks_(marks),
        slots_(slots),
        count_(count),
        shift_(static_cast<unsigned>(std::countr_zero(count))) {}

  std::uint64_t count() const { return count_; }
  std::uint64_t tag_of(std::uint64_t seq) const { return ((seq >> shift_) + 1) & kTagMask; }

  // The word's lap, as seen from record `seq`, whose slot it was loaded from.
  Lap lap(std::uint64_t word, std::uint64_t seq) const {
    const std::uint64_t ahead = ((word >> kReferenceBits) - tag_of(seq)) & kTagMask;
    if (ahead == 0) return Lap::kThis;
    if (ahead == kTagMask) return Lap::kPrevious;
    return ahead <= kTagMask / 2 ? Lap::kNewer : Lap::kOlder;
  }

  std::uint64_t load(std::uint64_t seq) const noexcept {
    return slot(seq).load(std::memory_order_acquire);  // pair: ticket
  }
  std::uint64_t load_before_sleep(std::uint64_t seq) const noexcept {
    return slot(seq).load(std::memory_order_seq_cst);  // pair: sleep, ticket
  }

  // Makes `reference` the next record; its seq is then cursor.local - 1. kFull, kCorrupt: nothing
  // was changed.
  PublishEnd publish(std::uint64_t reference, PublishCursor& cursor) noexcept {
    std::uint64_t b = start(cursor);
    const std::uint64_t from = b;
    std::uint64_t seen = load(b);
    for (std::uint64_t step = 0; step < steps_max(); ++step) {
      if (b >= cursor.synced + count_) {
        cursor.synced = load_synced();
        if (b >= cursor.synced + count_) return PublishEnd::kFull;  // I2
      }
      switch (lap(seen, b)) {
        case Lap::kThis:  // filled: walk on
          seen = load(++b);
          continue;
        case Lap::kNewer:  // we were lapped: record b is long synced
          cursor.synced = load_synced();
          if (cursor.synced <= b) return PublishEnd::kCorrupt;
          b = cursor.synced;
          seen = load(b);
          continue;
        case Lap::kOlder: return PublishEnd::kCorrupt;
        case Lap::kPrevious: break;
      }
      Env::at("publish.before_cas");
      const std::uint64_t ticket = tag_of(b) << kReferenceBits | (reference & kReferenceMask);
      if (slot(b).compare_exchange_strong(seen, ticket,
                                          std::memory_order_seq_cst,     // pair: ticket, sleep
                                          std::memory_order_acquire)) {  // pair: ticket
        Env::at("publish.after_cas");
        cursor.local = b + 1;
        if (++cursor.since_hint >= kHintInterval || b - from >= kHintInterval) {
          marks_->hint.store(b + 1, std::memory_order_relaxed);  // hint: checked before use
          cursor.since_hint = 0;
        }
        return PublishEnd::kPublished;
      }
    }
    return PublishEnd::kFull;  // lost very many races: as good as full, the caller comes again
  }

  // One past the last published record: everything published before the call is below.
  std::uint64_t published_end() const noexcept {
    PublishCursor cursor;
    std::uint64_t b = start(cursor);
    for (std::uint64_t step = 0; step < steps_max(); ++step) {
      const Lap found = lap(load(b), b);
      if (found == Lap::kThis) {
        ++b;
      } else if (found == Lap::kNewer) {
        const std::uint64_t synced = load_synced();
        if (synced <= b) return b;  // damaged: nobody can say
        b = synced;
      } else {
        return b;
      }
    }
    return b;
  }

  std::uint64_t load_synced() const noexcept {
    return marks_->synced.load(std::memory_order_acquire);  // pair: synced
  }

 private:
  Word& slot(std::uint64_t seq) const { return slots_[seq & (count_ - 1)]; }
  std::uint64_t steps_max() const { return std::max<std::uint64_t>(4 * count_, 1u << 16); }

  // A position at or before the end of the prefix, all below filled, and not below `synced` as of
  // now: a cursor may be so old that lap tags have come round since.
  std::uint64_t start(PublishCursor& cursor) const noexcept {
    cursor.synced = load_synced();
    const std::uint64_t b = std::max(cursor.local, cursor.synced);
    const std::uint64_t hint = marks_->hint.load(std::memory_order_relaxed);  // hint: checked here
    if (hint <= b || hint > cursor.synced + count_) return b;
    return lap(load(hint - 1), hint - 1) == Lap::kThis ? hint : b;
  }

  Watermarks<Env>* marks_ = nullptr;
  Word* slots_ = nullptr;
  std::uint64_t count_ = 0;
  unsigned shift_ = 0;
};

}  // namespace oj::shm
