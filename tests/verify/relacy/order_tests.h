// The order ring: publish, walk, hint, and the reuse of a slot.
//
// SPDX-License-Identifier: MIT
#pragma once

#include "tests/verify/relacy/region.h"

namespace oj::weak {

// Two producers; a reader reads everything up to published_end() in place. Reference n names
// payload n. Whoever sees a record sees its bytes and all records before it.
struct PublishAndRead : rl::test_suite<PublishAndRead, 3> {
  Region region;
  Payload payloads[2];

  void thread(unsigned index) {
    if (index < 2) {
      payloads[index]($) = static_cast<int>(10 + index);
      shm::PublishCursor cursor;
      RL_ASSERT(region.ring().publish(index, cursor) == shm::PublishEnd::kPublished);
      return;
    }
    const Ring ring = region.ring();
    const std::uint64_t end = ring.published_end();
    for (std::uint64_t seq = end; seq-- > 0;) {
      const std::uint64_t word = ring.load(seq);
      RL_ASSERT(ring.lap(word, seq) == shm::Lap::kThis);
      const std::uint64_t reference = word & shm::kReferenceMask;
      RL_ASSERT(payloads[reference]($) == static_cast<int>(10 + reference));
    }
  }
  void after() {
    const Ring ring = region.ring();
    RL_ASSERT(ring.published_end() == 2);
    RL_ASSERT((ring.load(0) & shm::kReferenceMask) != (ring.load(1) & shm::kReferenceMask));
  }
};

// One producer publishes two records and stores the hint; another starts from it. A reader that
// sees the third record sees the first two.
struct StartFromTheHint : rl::test_suite<StartFromTheHint, 3> {
  Region region;
  Payload payloads[3];

  void thread(unsigned index) {
    Ring ring = region.ring(4);
    if (index == 0) {
      shm::PublishCursor cursor;
      cursor.since_hint = Ring::kHintInterval - 2;
      for (unsigned i = 0; i < 2; ++i) {
        payloads[i]($) = static_cast<int>(10 + i);
        ring.publish(i, cursor);
      }
    } else if (index == 1) {
      payloads[2]($) = 12;
      shm::PublishCursor cursor;
      RL_ASSERT(ring.publish(2, cursor) == shm::PublishEnd::kPublished);
    } else {
      for (std::uint64_t seq = 3, seen = 0; seq-- > 0;) {
        const std::uint64_t word = ring.load(seq);
        if (ring.lap(word, seq) != shm::Lap::kThis) {
          RL_ASSERT(seen == 0);
          continue;
        }
        ++seen;
        const std::uint64_t reference = word & shm::kReferenceMask;
        RL_ASSERT(payloads[reference]($) == static_cast<int>(10 + reference));
      }
    }
  }
};

// A full ring of two. The daemon takes record 0 out, writes it to disk and raises `synced`; a
// producer refills its slot. It finds the record on disk, and the daemon found it in the slot.
struct RefillASyncedSlot : rl::test_suite<RefillASyncedSlot, 2> {
  Region region;
  rl::var<int> disk;

  void before() {
    disk($) = 0;
    shm::PublishCursor cursor;
    Ring ring = region.ring();
    ring.publish(0, cursor);
    ring.publish(1, cursor);
  }
  void thread(unsigned index) {
    Ring ring = region.ring();
    if (index == 0) {
      RL_ASSERT(ring.lap(ring.load(0), 0) == shm::Lap::kThis);
      disk($) = 1;
      shm::raise_mark<Environment>(region.marks.synced, 1);
      return;
    }
    shm::PublishCursor cursor;
    if (ring.publish(2, cursor) == shm::PublishEnd::kFull) return;
    RL_ASSERT(cursor.local == 3 && disk($) == 1);
  }
};

// The same with two producers for the one slot: one of them gets it.
struct RefillInCompetition : rl::test_suite<RefillInCompetition, 3> {
  Region region;
  rl::var<int> disk;
  int published = 0;

  void before() {
    published = 0;
    disk($) = 0;
    shm::PublishCursor cursor;
    Ring ring = region.ring();
    ring.publish(0, cursor);
    ring.publish(1, cursor);
  }
  void thread(unsigned index) {
    Ring ring = region.ring();
    if (index == 0) {
      RL_ASSERT(ring.lap(ring.load(0), 0) == shm::Lap::kThis);
      disk($) = 1;
      shm::raise_mark<Environment>(region.marks.synced, 1);
      return;
    }
    shm::PublishCursor cursor;
    if (ring.publish(1 + index, cursor) == shm::PublishEnd::kFull) return;
    RL_ASSERT(cursor.local == 3 && disk($) == 1);
    ++published;
  }
  void after() { RL_ASSERT(published <= 1); }
};

}  // namespace oj::weak
