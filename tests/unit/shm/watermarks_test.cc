// Goal: who waits is woken by what it waits for, and told why when it is not. Method: a thread
// waits with no deadline, or with one that the test could not pass by luck; the waker acts once the
// waiter is seen asleep (its wake word is armed).
//
// SPDX-License-Identifier: MIT
#include <string>
#include <thread>

#include "shm/views.h"
#include "shm/wake.h"
#include "tests/unit/shm/region_fixture.h"

namespace oj::shm {
namespace {

void until_armed(const Production::Atomic<std::uint32_t>& word) {
  while ((word.load(std::memory_order_seq_cst) & kArmed) == 0) std::this_thread::yield();  // sleep
}

struct Fixture : ::testing::Test {
  TempFolder folder;
  std::shared_ptr<Region> region = new_region(folder, small_sizes());
  SlotRef slot = assigned(region);
  Producer producer{region, slot};
  ProductionWatermarks& marks = RegionView(*region).marks();

  std::uint64_t append() {
    auto attempt = producer.try_append(bytes_of("record"));
    EXPECT_TRUE(attempt.ok() && attempt->full == Full::kNo);
    return attempt->seq;
  }
};
using Waits = Fixture;

TEST_F(Waits, ForARecordEndWhenItIsPublished) {
  for (int round = 0; round < 5; ++round) {
    Waited waited = Waited::kDeadline;
    const std::uint64_t seq = published_end(*region);
    std::thread sleeper([&] {
      while ((waited = wait_published(region, &slot, seq, Deadline::never())) == Waited::kLook) {}
    });
    until_armed(marks.published_wake);
    EXPECT_EQ(append(), seq);
    sleeper.join();
    EXPECT_EQ(waited, Waited::kReached);
    EXPECT_EQ(marks.published_wake.load(std::memory_order_seq_cst) & kArmed,
              0u);  // sleep: cleaned up by the waker
  }
}

TEST_F(Waits, ForARecordEndAtTheDeadline) {
  EXPECT_EQ(wait_published(region, &slot, 0, Deadline::at_once()), Waited::kDeadline);
  const std::int64_t before = monotonic_ns();
  EXPECT_EQ(wait_published(region, &slot, 0, Deadline::in_ms(20)), Waited::kDeadline);
  EXPECT_GE(monotonic_ns() - before, 20 * kNsPerMs);
}

TEST_F(Waits, EndWhenTheRegionIsRetired) {
  Waited waited = Waited::kReached, synced_waited = Waited::kReached, room = Waited::kReached;
  const std::uint64_t now = marks.room_made.load(std::memory_order_seq_cst);  // room
  std::thread a([&] { waited = wait_published(region, &slot, 0, Deadline::never()); });
  std::thread b([&] { synced_waited = wait_synced(region, 1, Deadline::never()); });
  std::thread c([&] { room = wait_for_room(region, now, Deadline::never()); });
  until_armed(marks.published_wake);
  until_armed(marks.progress_wake);
  region->retire();
  a.join();
  b.join();
  c.join();
  EXPECT_EQ(waited, Waited::kLook);
  EXPECT_EQ(synced_waited, Waited::kLook);
  EXPECT_EQ(room, Waited::kLook);
}

TEST_F(Waits, ForASyncAskTheDaemonAndEndWithIt) {
  const std::uint64_t seq = append();
  Waited waited = Waited::kDeadline;
  std::thread sleeper([&] { waited = wait_synced(region, seq + 1, Deadline::never()); });
  EXPECT_EQ(daemon_wait_asked(region, 60 * kNsPerS), Waited::kReached);
  set_synced(*region, seq + 1);
  sleeper.join();
  EXPECT_EQ(waited, Waited::kReached);
}

// M3: the same request ends the window once, again after progress, and no more when it is served.
TEST_F(Waits, ForARequestDoNotSpinWhileTheDiskFails) {
  append();
  append();
  EXPECT_EQ(wait_synced(region, 2, Deadline::in_ms(1)), Waited::kDeadline);
  EXPECT_EQ(daemon_wait_asked(region, 0), Waited::kReached);
  EXPECT_EQ(daemon_wait_asked(region, kNsPerMs), Waited::kDeadline);
  set_synced(*region, 1);
  EXPECT_EQ(daemon_wait_asked(region, 0), Waited::kReached);
  set_synced(*region, 2);
  EXPECT_EQ(daemon_wait_asked(region, kNsPerMs), Waited::kDeadline);
  EXPECT_EQ(wait_synced(region, 2, Deadline::at_once()), Waited::kReached);
  set_synced(*region, 1);  // never goes back
  EXPECT_EQ(synced(*region), 2u);
}

TEST_F(Waits, ForASyncReturnAtOnceWhenTheDaemonIsDegraded) {
  append();
  Waited waited = Waited::kReached;
  std::thread sleeper([&] { waited = wait_synced(region, 1, Deadline::never()); });
  until_armed(marks.progress_wake);
  set_degraded(*region, 28);
  sleeper.join();
  EXPECT_EQ(waited, Waited::kLook);
  EXPECT_EQ(degraded(*region), 28);
  set_degraded(*region, 0);
  EXPECT_EQ(degraded(*region), 0);
}

TEST_F(Waits, ForRoomEndWhenRoomWasMadeAfterTheAttemptBegan) {
  for (int i = 0; i < 8; ++i) append();
  auto attempt = producer.try_append(bytes_of("x"));
  ASSERT_TRUE(attempt.ok() && attempt->full == Full::kRing);
  set_synced(*region, 1);  // before the wait: counts all the same
  EXPECT_EQ(wait_for_room(region, attempt->room_made, Deadline::never()), Waited::kReached);
  append();
  attempt = producer.try_append(bytes_of("x"));
  ASSERT_TRUE(attempt.ok() && attempt->full == Full::kRing);
  Waited waited = Waited::kDeadline;
  std::thread sleeper(
      [&] { waited = wait_for_room(region, attempt->room_made, Deadline::never()); });
  EXPECT_EQ(daemon_wait_asked(region, 60 * kNsPerS), Waited::kReached);
  set_synced(*region, 9);
  sleeper.join();
  EXPECT_EQ(waited, Waited::kReached);
  EXPECT_EQ(wait_for_room(region, marks.room_made.load(std::memory_order_seq_cst),
                          Deadline::in_ms(1)),  // room
            Waited::kDeadline);
}

TEST_F(Waits, OfTheDaemonEndForARecordForARequestForRoomAndForAWake) {
  EXPECT_EQ(daemon_wait_published(region, 0, kNsPerMs), Waited::kDeadline);
  const std::uint64_t seq = append();
  EXPECT_EQ(daemon_wait_published(region, seq, 60 * kNsPerS), Waited::kReached);
  EXPECT_EQ(daemon_wait_published(region, seq + 1, kNsPerMs), Waited::kDeadline);
  wake_daemon(*region);
  EXPECT_EQ(daemon_wait_published(region, seq + 1, 60 * kNsPerS), Waited::kReached);
  EXPECT_EQ(daemon_wait_asked(region, 60 * kNsPerS),
            Waited::kReached);  // each sleep ends once for it
  EXPECT_EQ(daemon_wait_published(region, seq + 1, kNsPerMs), Waited::kDeadline);
  EXPECT_EQ(daemon_wait_asked(region, kNsPerMs), Waited::kDeadline);

  Waited waited = Waited::kDeadline;
  std::thread sleeper([&] { waited = daemon_wait_published(region, seq + 1, 600 * kNsPerS); });
  until_armed(marks.daemon_wake);
  append();
  sleeper.join();
  EXPECT_EQ(waited, Waited::kReached);
}

// A producer that dies between its CAS and its wake: the next append wakes, and so does
// repeat_wake().
TEST_F(Waits, AreEndedByTheDaemonWhenAWakeIsMissing) {
  OrderRing<Production> ring = RegionView(*region).ring();
  PublishCursor cursor;
  Waited waited = Waited::kDeadline;
  std::thread sleeper([&] { waited = wait_published(region, &slot, 0, Deadline::never()); });
  until_armed(marks.published_wake);
  ASSERT_EQ(ring.publish(0, cursor), PublishEnd::kPublished);  // and no wake
  repeat_wake(*region);
  sleeper.join();
  EXPECT_EQ(waited, Waited::kReached);

  std::thread flusher([&] {
    waited = daemon_wait_published(region, 1, 600 * kNsPerS);
  });  // its wake is left out, too
  until_armed(marks.daemon_wake);
  ASSERT_EQ(ring.publish(0, cursor), PublishEnd::kPublished);
  repeat_wake(*region);
  flusher.join();
  EXPECT_EQ(waited, Waited::kReached);

  const std::uint32_t armed = arm<Production>(marks.published_wake);
  repeat_wake(*region);  // nothing new was published: nobody is disturbed
  EXPECT_EQ(marks.published_wake.load(std::memory_order_seq_cst), armed);  // sleep
}

TEST_F(Waits, KeepWakeWordsArmedForWhoeverArmedSinceTheWake) {
  Production::Atomic<std::uint32_t> word{0};
  const std::uint32_t first = arm<Production>(word);
  const std::uint32_t second = arm<Production>(word);
  EXPECT_NE(first, second);
  wake_sleepers<Production>(word);
  const std::uint32_t after = word.load(std::memory_order_seq_cst);  // sleep
  EXPECT_EQ(after & kArmed, 0u);
  EXPECT_NE(after & ~kArmed, second & ~kArmed);
  wake_sleepers<Production>(word);
  EXPECT_EQ(word.load(std::memory_order_seq_cst), after);  // sleep: one load when nobody sleeps
  word.store(0xfffffffe, std::memory_order_seq_cst);       // sleep: the epoch wraps
  arm<Production>(word);
  wake_sleepers<Production>(word);
  EXPECT_EQ(word.load(std::memory_order_seq_cst), 2u);  // sleep
}

TEST_F(Waits, NumberSessionsByGeneration) {
  EXPECT_EQ(next_session(*region), (std::uint64_t{5} << 32) + 1);
  EXPECT_EQ(next_session(*region), (std::uint64_t{5} << 32) + 2);
}

// Two threads hand a turn to each other through the ring, asleep every time: a lost wake-up would
// take kSleepMsMax, and a hundred of them the watchdog of the test runner.
TEST_F(Waits, LoseNoWakeUpInAPingPong) {
  constexpr int kTurns = 2000;
  MemoryFlusher flusher(region);
  const SlotRef other = assigned(region);
  std::uint64_t looks = 0;
  const auto play = [&](Producer& mine, const SlotRef& me, int parity, bool flush) {
    for (int turn = 0; turn < kTurns; ++turn) {
      if (turn % 2 == parity) {
        for (;;) {
          auto attempt = mine.try_append(bytes_of("turn"));
          ASSERT_TRUE(attempt.ok());
          if (attempt->full == Full::kNo) break;
          ASSERT_NE(wait_for_room(region, attempt->room_made, Deadline::never()),
                    Waited::kDeadline);
        }
      } else {
        Waited waited;
        while ((waited = wait_published(region, &me, static_cast<std::uint64_t>(turn),
                                        Deadline::never())) == Waited::kLook) {
          ++looks;
        }
        ASSERT_EQ(waited, Waited::kReached);
        if (flush) flusher.flush();
      }
    }
  };
  Producer second(region, other);
  std::thread a([&] { play(producer, slot, 0, true); });
  std::thread b([&] { play(second, other, 1, false); });
  a.join();
  b.join();
  EXPECT_EQ(looks, 0u);
}

}  // namespace
}  // namespace oj::shm
