// Goal: the steps of the protocol, each by itself, in another environment than production's.
// Method: an environment whose every atomic operation and named place may yield the processor, so
// that threads meet in the middle of steps; and single steps against hand-made words.
//
// SPDX-License-Identifier: MIT
#include <atomic>
#include <memory>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "shm/chunk_pool.h"
#include "shm/hazards.h"
#include "shm/order_ring.h"
#include "shm/wake.h"
#include "tests/unit/shm/region_fixture.h"

namespace oj::shm {
namespace {

// Yields at about every eighth operation, differently in each thread.
void maybe_yield() {
  thread_local std::minstd_rand random(
      static_cast<unsigned>(std::hash<std::thread::id>{}(std::this_thread::get_id())));
  if (random() % 8 == 0) std::this_thread::yield();
}

template <class T>
class YieldingAtomic {
 public:
  YieldingAtomic() = default;
  T load(std::memory_order order) const {
    maybe_yield();
    return value_.load(order);
  }
  void store(T value, std::memory_order order) {
    maybe_yield();
    value_.store(value, order);
  }
  T fetch_add(T value, std::memory_order order) {
    maybe_yield();
    return value_.fetch_add(value, order);
  }
  bool compare_exchange_strong(T& seen, T value, std::memory_order yes, std::memory_order no) {
    maybe_yield();
    return value_.compare_exchange_strong(seen, value, yes, no);
  }
  bool compare_exchange_weak(T& seen, T value, std::memory_order yes, std::memory_order no) {
    return compare_exchange_strong(seen, value, yes, no);
  }

 private:
  std::atomic<T> value_{};
};

struct Yielding {
  template <class T>
  using Atomic = YieldingAtomic<T>;
  static void at(const char*) { maybe_yield(); }
  static void futex_wait(const Atomic<std::uint32_t>& word, std::uint32_t expected, std::int64_t) {
    while (word.load(std::memory_order_seq_cst) == expected) std::this_thread::yield();  // sleep
  }
  static void futex_wake_all(const Atomic<std::uint32_t>&) {}
};

template <class Env>
struct Heap {
  Heap(std::uint64_t slots, std::uint64_t chunks, std::uint64_t chunk_bytes)
      : words(slots),
        owners(chunks),
        pool(chunks * chunk_bytes / 8),
        ring(&marks, words.data(), slots),
        chunk_pool(&marks, owners.data(), pool.data(), chunks, chunk_bytes) {}
  using Word = typename Env::template Atomic<std::uint64_t>;
  Watermarks<Env> marks{};
  std::vector<Word> words, owners, pool;
  OrderRing<Env> ring;
  ChunkPool<Env> chunk_pool;
};

TEST(OrderRing, FillsInOrderAndStopsAtSyncedPlusItsSize) {
  for (const std::uint64_t slots : {2, 4, 8}) {
    Heap<Production> heap(slots, 4, 4096);
    PublishCursor a, b;
    std::uint64_t published = 0;
    for (std::uint64_t synced = 0; synced < 40; ++synced) {
      heap.marks.synced.store(synced, std::memory_order_release);  // synced
      for (int i = 0; heap.ring.publish(published, i % 2 == 0 ? a : b) == PublishEnd::kPublished;
           ++i) {
        EXPECT_EQ(heap.ring.load(published) & kReferenceMask, published);
        ++published;
        EXPECT_EQ((i % 2 == 0 ? a : b).local, published);
      }
      EXPECT_EQ(published, synced + slots);
      EXPECT_EQ(heap.ring.published_end(), published);
    }
  }
}

TEST(OrderRing, SurvivesTheLapTagComingRound) {
  // A ring of 2 that is two records before its tag returns to zero.
  const std::uint64_t start = (kTagMask + 1) * 2 - 4;
  Heap<Production> heap(2, 4, 4096);
  for (std::uint64_t seq = start; seq < start + 2; ++seq) {
    heap.words[seq & 1].store(((heap.ring.tag_of(seq) - 1) & kTagMask) << kReferenceBits,
                              std::memory_order_release);  // ticket
  }
  PublishCursor cursor;
  for (std::uint64_t seq = start; seq < start + 12; ++seq) {
    heap.marks.synced.store(seq, std::memory_order_release);  // synced
    ASSERT_EQ(heap.ring.publish(7, cursor), PublishEnd::kPublished);
    ASSERT_EQ(cursor.local, seq + 1);
    ASSERT_EQ(heap.ring.lap(heap.ring.load(seq), seq), Lap::kThis);
    ASSERT_EQ(heap.ring.lap(heap.ring.load(seq), seq + 2), Lap::kPrevious);
    ASSERT_EQ(heap.ring.lap(heap.ring.load(seq), seq - 2), Lap::kNewer);
    ASSERT_EQ(heap.ring.lap(heap.ring.load(seq), seq + 4), Lap::kOlder);
  }
}

TEST(OrderRing, UsesAHintOnlyIfTheRingBearsItOut) {
  for (const std::uint64_t hint :
       {std::uint64_t{0}, std::uint64_t{3}, std::uint64_t{5}, std::uint64_t{6}, std::uint64_t{8},
        std::uint64_t{9}, std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
    Heap<Production> heap(8, 4, 4096);
    PublishCursor filler;
    for (int i = 0; i < 5; ++i) ASSERT_EQ(heap.ring.publish(1, filler), PublishEnd::kPublished);
    heap.marks.hint.store(hint, std::memory_order_relaxed);  // hint
    EXPECT_EQ(heap.ring.published_end(), 5u) << hint;
    PublishCursor fresh;
    ASSERT_EQ(heap.ring.publish(2, fresh), PublishEnd::kPublished) << hint;
    EXPECT_EQ(fresh.local, 6u) << hint;
  }
}

TEST(OrderRing, ReportsWordsThatCannotBe) {
  Heap<Production> heap(8, 4, 4096);
  PublishCursor cursor;
  heap.words[0].store(std::uint64_t{5} << kReferenceBits,
                      std::memory_order_release);                 // ticket: lapped, says the word
  EXPECT_EQ(heap.ring.publish(1, cursor), PublishEnd::kCorrupt);  // but not `synced`
  heap.words[0].store(((std::uint64_t{0} - 4) & kTagMask) << kReferenceBits,
                      std::memory_order_release);  // ticket
  EXPECT_EQ(heap.ring.publish(1, cursor), PublishEnd::kCorrupt);
  EXPECT_EQ(heap.ring.published_end(), 0u);
}

// A producer that was stopped for several laps between two appends.
TEST(OrderRing, LetsALappedProducerCatchUp) {
  Heap<Production> heap(4, 4, 4096);
  PublishCursor stopped, busy;
  ASSERT_EQ(heap.ring.publish(1, stopped), PublishEnd::kPublished);
  for (int i = 0; i < 101; ++i) {
    heap.marks.synced.store(static_cast<std::uint64_t>(i) + 1,
                            std::memory_order_release);  // synced
    ASSERT_EQ(heap.ring.publish(2, busy), PublishEnd::kPublished);
  }
  heap.marks.hint.store(0, std::memory_order_relaxed);  // hint
  ASSERT_EQ(heap.ring.publish(3, stopped), PublishEnd::kPublished);
  EXPECT_EQ(stopped.local, 103u);
}

// A new producer in an old region: its cursor is at 0, from where tags that came round look like
// the lap before.
TEST(OrderRing, IsEnteredByANewProducerWhenLapTagsHaveComeRound) {
  const std::uint64_t start = (kTagMask + 1) * 2;
  Heap<Production> heap(2, 4, 4096);
  heap.marks.synced.store(start - 1, std::memory_order_release);  // synced
  for (std::uint64_t seq = start - 2; seq < start; ++seq) {
    heap.words[seq & 1].store(heap.ring.tag_of(seq) << kReferenceBits,
                              std::memory_order_release);  // ticket
  }
  PublishCursor cursor;
  ASSERT_EQ(heap.ring.publish(7, cursor), PublishEnd::kPublished);
  EXPECT_EQ(cursor.local, start + 1);
  EXPECT_EQ(heap.ring.published_end(), start + 1);
}

// Any words at all: no crash, no endless walk.
TEST(OrderRing, TakesAnyWordsWithoutHarm) {
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 2000; ++round) {
    Heap<Production> heap(8, 4, 4096);
    for (auto& word : heap.words)
      word.store(random() >> (random() % 64), std::memory_order_release);             // ticket
    heap.marks.synced.store(random() >> (random() % 64), std::memory_order_release);  // synced
    heap.marks.hint.store(random() >> (random() % 64), std::memory_order_relaxed);    // hint
    PublishCursor cursor;
    cursor.local = random() >> (random() % 64);
    heap.ring.published_end();
    heap.ring.publish(1, cursor);
  }
}

TEST(ChunkPool, HandsOutEveryChunkOnceLowZoneFirst) {
  Heap<Production> heap(8, 16, 4096);
  const std::uint64_t owned = owner_word(ChunkState::kOwned, 3, 9);
  EXPECT_EQ(heap.chunk_pool.low_zone(), 12u);
  for (std::uint64_t i = 0; i < 16; ++i) EXPECT_EQ(heap.chunk_pool.claim(owned), i);
  EXPECT_FALSE(heap.chunk_pool.claim(owned).has_value());
  EXPECT_TRUE(heap.chunk_pool.seal(5, owned));
  EXPECT_FALSE(heap.chunk_pool.seal(5, owned));
  EXPECT_FALSE(heap.chunk_pool.give_back(5, owned));
  EXPECT_EQ(chunk_state(heap.chunk_pool.owner(5)), ChunkState::kSealed);
  EXPECT_EQ(owner_slot(heap.chunk_pool.owner(5)), 3u);
  EXPECT_FALSE(heap.chunk_pool.seal(6, owner_word(ChunkState::kOwned, 3, 10)));  // another life
  EXPECT_TRUE(heap.chunk_pool.free(5, heap.chunk_pool.owner(5)));
  EXPECT_EQ(heap.chunk_pool.claim(owned), 5u);
}

TEST(ChunkPool, TakesRunsFromTheHighEndAndLeavesNothingBehindWhenThereIsNone) {
  Heap<Production> heap(8, 16, 4096);
  const std::uint64_t owned = owner_word(ChunkState::kOwned, 1, 1);
  EXPECT_EQ(heap.chunk_pool.claim_run(owned, 3), 13u);
  EXPECT_EQ(heap.chunk_pool.claim(owned), 0u);
  EXPECT_EQ(heap.chunk_pool.claim_run(owned, 4), 9u);
  EXPECT_FALSE(heap.chunk_pool.claim_run(owned, 9).has_value());
  EXPECT_EQ(heap.chunk_pool.claim_run(owned, 8), 1u);
  EXPECT_FALSE(heap.chunk_pool.claim(owned).has_value());
  EXPECT_TRUE(heap.chunk_pool.give_back(4, owned));
  EXPECT_TRUE(heap.chunk_pool.give_back(6, owned));
  EXPECT_FALSE(heap.chunk_pool.claim_run(owned, 2).has_value());
  EXPECT_EQ(heap.chunk_pool.owner(4), 0u);
}

TEST(ChunkPool, GivesNoChunkToTwoThreads) {
  Heap<Yielding> heap(8, 64, 4096);
  for (int round = 0; round < 30; ++round) {
    std::vector<std::vector<std::uint64_t>> got(4);
    std::vector<std::thread> threads;
    for (std::uint32_t id = 0; id < 4; ++id) {
      threads.emplace_back([&, id] {
        const std::uint64_t owned = owner_word(ChunkState::kOwned, id, 1);
        for (int i = 0; i < 12; ++i) {
          const std::uint64_t n = i % 3 == 0 ? 1 + id : 1;
          const auto chunk =
              n == 1 ? heap.chunk_pool.claim(owned) : heap.chunk_pool.claim_run(owned, n);
          for (std::uint64_t k = 0; chunk && k < n; ++k) got[id].push_back(*chunk + k);
        }
      });
    }
    for (auto& thread : threads) thread.join();
    std::set<std::uint64_t> all;
    std::size_t count = 0;
    for (std::uint32_t id = 0; id < 4; ++id) {
      count += got[id].size();
      for (const std::uint64_t chunk : got[id]) {
        all.insert(chunk);
        ASSERT_TRUE(heap.chunk_pool.give_back(chunk, owner_word(ChunkState::kOwned, id, 1)));
      }
    }
    ASSERT_EQ(all.size(), count);
    for (std::uint64_t chunk = 0; chunk < 64; ++chunk) ASSERT_EQ(heap.chunk_pool.owner(chunk), 0u);
  }
}

TEST(OrderRing, GivesEverySeqToOneOfManyThreads) {
  for (const std::uint64_t slots : {2, 4, 64}) {
    Heap<Yielding> heap(slots, 4, 4096);
    constexpr std::uint64_t kEach = 2000;
    std::vector<std::vector<std::uint64_t>> seqs(3);
    std::vector<std::thread> threads;
    for (std::uint64_t id = 0; id < 3; ++id) {
      threads.emplace_back([&, id] {
        PublishCursor cursor;
        for (std::uint64_t i = 0; i < kEach;) {
          if (heap.ring.publish(id << 32 | i, cursor) != PublishEnd::kPublished) {
            std::this_thread::yield();
            continue;
          }
          seqs[id].push_back(cursor.local - 1);
          ++i;
        }
      });
    }
    std::vector<std::uint64_t> journal;
    while (journal.size() < 3 * kEach) {
      const std::uint64_t ticket = heap.ring.load(journal.size());
      if (heap.ring.lap(ticket, journal.size()) != Lap::kThis) {
        std::this_thread::yield();
        continue;
      }
      journal.push_back(ticket & kReferenceMask);
      heap.marks.synced.store(journal.size(), std::memory_order_release);  // synced
    }
    for (auto& thread : threads) thread.join();
    for (std::uint64_t id = 0; id < 3; ++id) {
      for (std::uint64_t i = 0; i < kEach; ++i) ASSERT_EQ(journal[seqs[id][i]], id << 32 | i);
    }
  }
}

TEST(Hazards, AreSeenByWhoeverRaisedRetainedFirst) {
  Heap<Production> heap(8, 16, 4096);
  std::vector<WorkerSlot<Production>> slots(3);
  Hazards<Production> hazards(&heap.marks, slots.data(), 3);
  EXPECT_TRUE(hazards.pin(2, 7, 5, 1, 0));
  hazards.raise_retained(3);
  EXPECT_FALSE(hazards.pin(1, 0, 6, 4, 2));
  EXPECT_TRUE(hazards.pin(1, 0, 6, 4, 3));
  std::vector<std::pair<std::uint64_t, std::uint64_t>> seen;
  hazards.each([&](std::uint64_t first, std::uint64_t count) { seen.emplace_back(first, count); });
  EXPECT_EQ(seen, (std::vector<std::pair<std::uint64_t, std::uint64_t>>{{6, 4}, {5, 1}}));
  hazards.unpin(2, 7);
  hazards.unpin(1, 0);
  hazards.each([](std::uint64_t, std::uint64_t) { FAIL(); });
}

// Sleepers and wakers in an environment that yields everywhere: the count must arrive.
TEST(Wake, LosesNobody) {
  Yielding::Atomic<std::uint32_t> word;
  Yielding::Atomic<std::uint64_t> count;
  constexpr std::uint64_t kGoal = 3000;
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      for (std::uint64_t seen = 0; seen < kGoal;) {
        const std::uint32_t armed = arm<Yielding>(word);
        const std::uint64_t now = count.load(std::memory_order_seq_cst);  // sleep
        if (now == seen) Yielding::futex_wait(word, armed, 0);
        seen = now;
      }
    });
  }
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      for (std::uint64_t n = 0; n < kGoal / 2; ++n) {
        count.fetch_add(1, std::memory_order_seq_cst);  // sleep
        wake_sleepers<Yielding>(word);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(count.load(std::memory_order_seq_cst), kGoal);  // sleep
}

}  // namespace
}  // namespace oj::shm
