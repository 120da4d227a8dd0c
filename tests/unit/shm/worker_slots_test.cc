// Goal: a slot has one holder a life; only the dead are reaped; a new life starts clean.
//
// SPDX-License-Identifier: MIT
#include "shm/worker_slots.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "shm/views.h"
#include "tests/unit/shm/region_fixture.h"

namespace oj::shm {
namespace {

struct Slots : ::testing::Test {
  TempFolder folder;
  std::shared_ptr<Region> region = new_region(folder, small_sizes());
  SlotTable table{region};

  // As another process would: with an open file description of its own.
  std::shared_ptr<Region> attach() {
    auto attached = Region::attach(region->path(), Region::Access::kReadWrite, &region->identity());
    EXPECT_TRUE(attached.ok());
    return *attached;
  }
  SlotState state(std::uint32_t index) { return table.snapshot(index).state; }
};

TEST_F(Slots, AreAssignedTakenClosedAndAssignedAgainInANewLife) {
  SlotIdentity identity{(std::uint64_t{5} << 32) + 1, 71, 1000, 123456, "python train.py"};
  const auto slot = table.assign(identity);
  ASSERT_TRUE(slot.has_value());
  EXPECT_EQ(slot->index, 0u);
  EXPECT_EQ(slot->incarnation, 1u);
  EXPECT_EQ(state(0), SlotState::kAssigned);
  {
    auto seat = Seat::take(attach(), *slot);
    ASSERT_TRUE(seat.ok()) << seat.error().message;
    EXPECT_TRUE(seat->held());
    const auto seen = table.snapshot(0);
    EXPECT_EQ(seen.state, SlotState::kLive);
    EXPECT_EQ(seen.identity.session, identity.session);
    EXPECT_EQ(seen.identity.pid, 71u);
    EXPECT_EQ(seen.identity.uid, 1000u);
    EXPECT_EQ(seen.identity.started_us, 123456);
    EXPECT_EQ(seen.identity.command, "python train.py");
    EXPECT_FALSE(*table.lock_is_free(0));
    EXPECT_TRUE(*table.lock_is_free(1));
    Seat moved = std::move(*seat);
    EXPECT_TRUE(moved.held());
    EXPECT_FALSE(seat->held());
  }
  EXPECT_EQ(state(0), SlotState::kClosed);
  EXPECT_TRUE(*table.lock_is_free(0));
  EXPECT_FALSE(table.begin_reaping(*slot));  // ended cleanly
  table.finish(*slot);
  table.finish(*slot);
  EXPECT_EQ(state(0), SlotState::kFree);
  const auto again = table.assign({});
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->index, 0u);
  EXPECT_EQ(again->incarnation, 2u);
  EXPECT_EQ(Seat::take(attach(), *slot).error().code, Code::kGone);  // the life before
  EXPECT_EQ(state(0), SlotState::kAssigned);
}

TEST_F(Slots, KeepAtMost63BytesOfACommand) {
  table.assign({1, 2, 3, 4, std::string(200, 'c')});
  EXPECT_EQ(table.snapshot(0).identity.command, std::string(63, 'c'));
}

TEST_F(Slots, AreAllHandedOutAndThenNone) {
  for (std::uint32_t i = 0; i < table.size(); ++i) EXPECT_EQ(table.assign({})->index, i);
  EXPECT_FALSE(table.assign({}).has_value());
  EXPECT_EQ(Seat::take(attach(), {table.size(), 1}).error().code, Code::kInvalid);
}

TEST_F(Slots, HaveOneHolderHoweverManyTry) {
  for (int round = 0; round < 20; ++round) {
    const SlotRef slot = *table.assign({});
    const auto shared = attach();  // two through one description, two through their own
    std::atomic<int> taken{0};
    std::vector<std::thread> threads;
    std::vector<Result<Seat>> seats;
    std::mutex mutex;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&, mine = i < 2 ? shared : attach()] {
        auto seat = Seat::take(mine, slot);
        taken.fetch_add(seat.ok(), std::memory_order_relaxed);  // stat
        const std::lock_guard lock(mutex);
        seats.push_back(std::move(seat));
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(taken.load(), 1);
    EXPECT_EQ(state(slot.index), SlotState::kLive);
    EXPECT_FALSE(*table.lock_is_free(slot.index));
    seats.clear();
    EXPECT_EQ(state(slot.index), SlotState::kClosed);
    table.finish(slot);
  }
}

TEST_F(Slots, AreReapedWithTheirChunksAndHazards) {
  const SlotRef slot = *table.assign({});
  auto seat = Seat::take(region, slot);
  ASSERT_TRUE(seat.ok());
  MemoryFlusher flusher(region);
  auto* producer = new Producer(region, slot);  // never destroyed: its process "died"
  auto* reader = new Reader(region, slot, 7);
  ASSERT_EQ(producer->try_append(bytes_of("last words"))->full, Full::kNo);
  ASSERT_EQ(reader->read(0).found, Reader::Found::kRecord);

  EXPECT_TRUE(table.begin_reaping(slot));
  EXPECT_TRUE(table.begin_reaping(slot));  // a killed daemon repeats it
  EXPECT_FALSE(seat->held());
  flusher.keeper().seal_chunks_of(slot);
  flusher.flush(16);
  flusher.flush(16);
  EXPECT_EQ(flusher.record(0), "last words");
  EXPECT_EQ(flusher.keeper().chunks_in_use(), 1u);  // pinned by the dead
  table.finish(slot);
  EXPECT_EQ(state(slot.index), SlotState::kFree);
  flusher.flush(16);
  EXPECT_EQ(flusher.keeper().chunks_in_use(), 0u);
  EXPECT_FALSE(table.begin_reaping(slot));
  producer->abandon_after_fork();
  reader->abandon_after_fork();
  delete producer;
  delete reader;
}

TEST_F(Slots, ThatAreAssignedButNeverTakenCanBeReaped) {
  const SlotRef slot = *table.assign({});
  EXPECT_TRUE(table.begin_reaping(slot));
  EXPECT_EQ(Seat::take(attach(), slot).error().code, Code::kGone);
  EXPECT_TRUE(*table.lock_is_free(slot.index));
  table.finish(slot);
  EXPECT_EQ(state(slot.index), SlotState::kFree);
}

// A worker that is stopped on its way in has the lock byte and not yet the slot. A new daemon
// withdraws the slot; the byte stays with the worker until it goes on.
TEST_F(Slots, AreNotAssignedWhileSomebodyHoldsTheirLockByte) {
  const auto slot = table.assign({});
  ASSERT_TRUE(slot.has_value());
  const std::shared_ptr<Region> stopped = attach();
  struct flock byte {};
  byte.l_type = F_WRLCK;
  byte.l_whence = SEEK_SET;
  byte.l_start = slot->index;
  byte.l_len = 1;
  ASSERT_EQ(fcntl(stopped->fd(), F_OFD_SETLK, &byte), 0);
  ASSERT_TRUE(table.withdraw(*slot));
  table.finish(*slot);
  ASSERT_EQ(state(slot->index), SlotState::kFree);

  const auto other = table.assign({});
  ASSERT_TRUE(other.has_value());
  EXPECT_NE(other->index, slot->index);
  EXPECT_TRUE(Seat::take(region, *other).ok());

  byte.l_type = F_UNLCK;
  ASSERT_EQ(fcntl(stopped->fd(), F_OFD_SETLK, &byte), 0);
  const auto again = table.assign({});
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->index, slot->index);
}

// A worker that comes late, when the slot's next holder has just died, does not look like him.
TEST_F(Slots, AreNotHeldByALateWorkerInPlaceOfTheirDeadHolder) {
  const auto late = table.assign({});
  ASSERT_TRUE(late.has_value());
  ASSERT_TRUE(table.withdraw(*late));
  table.finish(*late);
  const auto slot = table.assign({});
  ASSERT_TRUE(slot.has_value());
  ASSERT_EQ(slot->index, late->index);
  if (const pid_t holder = fork(); holder == 0) {
    const auto seat = Seat::take(attach(), *slot);
    if (seat.ok()) raise(SIGKILL);
    _exit(1);
  } else {
    int status = 0;
    ASSERT_EQ(waitpid(holder, &status, 0), holder);
    ASSERT_TRUE(WIFSIGNALED(status));
  }
  ASSERT_EQ(state(slot->index), SlotState::kLive);

  const std::shared_ptr<Region> of_late = attach();
  EXPECT_EQ(Seat::take(of_late, *late).error().code, Code::kGone);
  EXPECT_TRUE(*table.lock_is_free(slot->index));
  EXPECT_TRUE(table.begin_reaping(*slot));
}

TEST_F(Slots, ShowAKilledHolderByItsLockByte) {
  const SlotRef slot = *table.assign({});
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    auto mine = Region::attach(folder.file("region"), Region::Access::kReadWrite, nullptr);
    auto seat = Seat::take(*mine, slot);
    const char yes = seat.ok() ? 'y' : 'n';
    if (write(ready[1], &yes, 1) != 1) _exit(1);
    for (;;) pause();
  }
  char answer = 0;
  ASSERT_EQ(read(ready[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  EXPECT_FALSE(*table.lock_is_free(slot.index));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(*table.lock_is_free(slot.index));
  EXPECT_EQ(state(slot.index), SlotState::kLive);
  EXPECT_TRUE(table.begin_reaping(slot));
  close(ready[0]);
  close(ready[1]);
}

// A fork child that forgets what it inherited neither closes the seat nor keeps the lock byte
// alive.
TEST_F(Slots, StayWithTheParentAfterAFork) {
  auto mine = attach();
  const SlotRef slot = *table.assign({});
  auto seat = Seat::take(mine, slot);
  ASSERT_TRUE(seat.ok());
  int go[2];
  ASSERT_EQ(pipe(go), 0);
  const pid_t child = fork();
  if (child == 0) {
    seat->abandon_after_fork();
    mine->abandon_after_fork();
    char c;
    close(go[1]);
    _exit(read(go[0], &c, 1) == 0 ? 0 : 1);  // lives until the parent lets go
  }
  EXPECT_TRUE(seat->held());
  EXPECT_FALSE(*table.lock_is_free(slot.index));
  // The child closes its copy of the descriptor at its own pace; ours is the last one after that.
  seat->close();
  EXPECT_TRUE(*table.lock_is_free(slot.index));
  EXPECT_EQ(state(slot.index), SlotState::kClosed);
  close(go[0]);
  close(go[1]);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST_F(Slots, CountTheRecordsOfTheirWorkers) {
  const SlotRef slot = *table.assign({});
  Producer a(region, slot), b(region, slot);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(a.try_append(bytes_of("a")).ok());
  ASSERT_TRUE(b.try_append(bytes_of("b")).ok());
  EXPECT_EQ(table.snapshot(slot.index).records, 4u);
}

TEST_F(Slots, ThatHoldGarbageAreShownAndNeverActedOn) {
  auto& word = RegionView(*region).slot(2).state;
  for (const std::uint64_t garbage :
       {~std::uint64_t{0}, std::uint64_t{0x77}, std::uint64_t{5} << 8 | 200}) {
    word.store(garbage, std::memory_order_seq_cst);  // life
    table.snapshot(2);
    EXPECT_FALSE(table.begin_reaping({2, 1}));
    table.finish({2, 1});
    EXPECT_EQ(word.load(std::memory_order_seq_cst), garbage);  // life
    EXPECT_EQ(Seat::take(attach(), {2, 1}).error().code, Code::kGone);
  }
  EXPECT_EQ(table.assign({})->index, 0u);
  EXPECT_EQ(table.assign({})->index, 1u);
  EXPECT_EQ(table.assign({})->index, 3u);
}

}  // namespace
}  // namespace oj::shm
