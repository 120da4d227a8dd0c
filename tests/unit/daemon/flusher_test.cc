// Goal: what is published comes to disk once, in order, whole or as a tombstone, and slots and
// chunks come back. Method: a real region and a real folder, the flusher's own thread, this thread
// as worker and as control.
//
// SPDX-License-Identifier: MIT
#include "daemon/flusher.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "daemon/heartbeat.h"
#include "daemon/supervisor.h"
#include "journal/folder.h"
#include "journal/reader.h"
#include "journal/recovery.h"
#include "shm/producer.h"
#include "shm/watermarks.h"

// The system's, unless a test holds whoever calls it.
std::atomic<bool> hold_fdatasync{false}, held_in_fdatasync{false};
std::atomic<int> failures_of_fdatasync{0}, errno_of_fdatasync{EIO};
extern "C" int fdatasync(int fd) {
  held_in_fdatasync = hold_fdatasync.load();
  while (hold_fdatasync) usleep(200);
  if (failures_of_fdatasync > 0) {
    --failures_of_fdatasync;
    errno = errno_of_fdatasync;
    return -1;
  }
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}

namespace oj::daemon {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

class FlusherOfARegion : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(mkdtemp(disk_.data()), nullptr);
    ASSERT_NE(mkdtemp(memory_.data()), nullptr);
    auto folder = journal::Folder::open(disk_ + "/journal", journal::Folder::IfAbsent::kCreate);
    ASSERT_TRUE(folder) << folder.error().message;
    folder_.emplace(std::move(*folder));
    auto recovered = journal::recover(*folder_, std::nullopt);
    ASSERT_TRUE(recovered) << recovered.error().message;
    auto writer = journal::Writer::open(*folder_, 0, 1, {64 << 10, 64 << 10});
    ASSERT_TRUE(writer) << writer.error().message;
    shm::CreateOptions how;
    how.sizes.ring_slots = 1024;
    how.sizes.chunk_bytes = 4096;
    how.sizes.chunk_count = 64;
    how.sizes.worker_slots = 8;
    how.identity.generation = 1;
    auto region = shm::Region::create(memory_ + "/region-1", how);
    ASSERT_TRUE(region) << region.error().message;
    region_ = std::move(*region);
    flusher_.emplace(region_, std::move(*writer), 1'000'000, event_.get(), troubles_);
    worker_ = take_slot();
  }
  void TearDown() override {
    flusher_.reset();
    std::filesystem::remove_all(disk_);
    std::filesystem::remove_all(memory_);
  }
  shm::SlotRef take_slot() {
    const auto slot = shm::SlotTable(region_).assign({77, 1, 1, 1, "test"});
    EXPECT_TRUE(slot);
    auto seat = shm::Seat::take(region_, *slot);
    EXPECT_TRUE(seat);
    seats_.push_back(std::move(*seat));
    return *slot;
  }
  void publish(shm::Producer& producer, const std::string& text) {
    for (;;) {
      auto attempt = producer.try_append(bytes_of(text));
      ASSERT_TRUE(attempt) << attempt.error().message;
      if (attempt->full == shm::Full::kNo) return;
      ASSERT_NE(shm::wait_for_room(region_, attempt->room_made, Deadline::in_ms(60'000)),
                shm::Waited::kDeadline);
    }
  }
  Flusher::End drain() {
    flusher_->orders().post_drain();
    flusher_->join();
    return flusher_->end();
  }
  std::vector<std::string> on_disk() {
    std::vector<std::string> records;
    const std::uint64_t end = *journal::find_end(*folder_);
    journal::Reader reader(*folder_, 0);
    while (reader.next_seq() < end) {
      auto record = reader.next(end);
      if (!record) {
        ADD_FAILURE() << record.error().message;
        break;
      }
      records.emplace_back(reinterpret_cast<const char*>(record->data()), record->size());
    }
    return records;
  }

  std::string disk_ = "/tmp/oj-unit-XXXXXX", memory_ = "/dev/shm/oj-unit-XXXXXX";
  Fd event_{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  Troubles troubles_;
  std::optional<journal::Folder> folder_;
  std::shared_ptr<shm::Region> region_;
  std::optional<Flusher> flusher_;
  std::vector<shm::Seat> seats_;
  shm::SlotRef worker_;
};

TEST_F(FlusherOfARegion, DrainsWhatWasPublishedBeforeItStarted) {
  shm::Producer producer(region_, worker_);
  std::vector<std::string> all;
  for (int i = 0; i < 500; ++i) {
    all.push_back("record " + std::to_string(i));
    publish(producer, all.back());
  }
  flusher_->start();
  EXPECT_EQ(drain(), Flusher::End::kDrained);
  EXPECT_EQ(shm::synced(*region_), 500u);
  EXPECT_EQ(on_disk(), all);
}

// Many times through ring and pool, so that nothing goes on without reclaiming.
TEST_F(FlusherOfARegion, MakesRoomForEver) {
  flusher_->start();
  flusher_->orders().post_attached(true);
  shm::Producer producer(region_, worker_);
  std::vector<std::string> all;
  for (int i = 0; i < 20'000; ++i) {
    all.push_back(std::to_string(i) + std::string(static_cast<std::size_t>(i % 90), '.'));
    publish(producer, all.back());
    if (HasFailure()) break;
  }
  EXPECT_EQ(drain(), Flusher::End::kDrained);
  EXPECT_EQ(on_disk(), all);
  const FlushStatistics& said = flusher_->statistics();
  std::uint64_t counted = 0;
  for (const auto& count : said.sync_ns_buckets) counted += count.load(std::memory_order_relaxed);
  EXPECT_GT(counted, 0u);
  EXPECT_EQ(counted, said.syncs.load(std::memory_order_relaxed));
  EXPECT_GE(said.sync_ns_total.load(std::memory_order_relaxed),
            said.sync_ns_max.load(std::memory_order_relaxed));
}

TEST_F(FlusherOfARegion, WritesADamagedRecordAsATombstone) {
  shm::Producer producer(region_, worker_);
  publish(producer, "before");
  publish(producer, "to be scribbled over");
  publish(producer, "after");
  // The pool is the last part of the region; find the record's bytes there and change one.
  const std::uint64_t size = region_->sizes().region_bytes();
  void* found = memmem(region_->base(), size, "to be scribbled over", 20);
  ASSERT_NE(found, nullptr);
  static_cast<char*>(found)[3] ^= 1;
  flusher_->start();
  EXPECT_EQ(drain(), Flusher::End::kDrained);
  EXPECT_EQ(flusher_->statistics().tombstones.load(std::memory_order_relaxed), 1u);
  EXPECT_EQ(troubles_.of(Trouble::kDamagedRecord), 1u);
  const std::vector<std::string> records = on_disk();
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[0], "before");
  EXPECT_EQ(records[2], "after");
  schema::Decoder decoder;
  const std::vector<std::byte> copy(bytes_of(records[1]).begin(), bytes_of(records[1]).end());
  auto decoded = decoder.decode(copy);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded->header.session, 0u);
  EXPECT_TRUE(std::holds_alternative<schema::Tombstone>(decoded->operations[0]));
}

// A record that was appended `age_us` before now.
std::string appended_ago(std::int64_t age_us) {
  schema::Encoder encoder;
  const auto record = encoder.encode(schema::Operation{schema::Tombstone{"no matter"}});
  schema::stamp(record, {1, 1, utc_us() - age_us});
  return {reinterpret_cast<const char*>(record.data()), record.size()};
}

TEST_F(FlusherOfARegion, CountsEachRecordFromItsAppendToItsSync) {
  constexpr std::int64_t kHourUs = 3'600'000'000;
  shm::Producer producer(region_, worker_);
  for (int i = 0; i < 9; ++i) publish(producer, appended_ago(20'000'000));
  publish(producer, appended_ago(-kHourUs));  // the future
  publish(producer, appended_ago(25 * kHourUs));
  publish(producer, "without a header");
  failures_of_fdatasync = 1;  // what is written again is counted once
  flusher_->start();
  EXPECT_EQ(drain(), Flusher::End::kDrained);
  EXPECT_EQ(on_disk().size(), 12u);
  const AppendTimes& times = flusher_->append_times();
  std::uint64_t counted = 0;
  for (std::size_t i = 0; i < times.buckets().size(); ++i) {
    const std::uint64_t here = times.buckets()[i].load(std::memory_order_relaxed);
    counted += here;
    if (i < schema::latency_bucket(20 * kNsPerS)) {
      EXPECT_EQ(here, 0u) << i;
    }
  }
  EXPECT_EQ(counted, 9u);
  EXPECT_GE(times.total_ns(), 9u * 20 * kNsPerS);
  EXPECT_EQ(times.untimed(), 3u);
  EXPECT_EQ(troubles_.of(Trouble::kSync), 1u);
}

TEST_F(FlusherOfARegion, CountsFailuresByWhatFailed) {
  shm::Producer producer(region_, worker_);
  publish(producer, "record");
  errno_of_fdatasync = ENOSPC;
  failures_of_fdatasync = 1;
  flusher_->start();
  EXPECT_EQ(drain(), Flusher::End::kDrained);
  errno_of_fdatasync = EIO;
  EXPECT_EQ(troubles_.of(Trouble::kDiskFull), 1u);
  EXPECT_EQ(troubles_.of(Trouble::kSync), 0u);
  EXPECT_EQ(troubles_.of(Trouble::kWrite), 0u);
}

TEST_F(FlusherOfARegion, FreesTheSlotsThatItIsTold) {
  flusher_->start();
  const shm::SlotRef slot = take_slot();
  {
    shm::Producer producer(region_, slot);
    publish(producer, "record");
    shm::SlotTable(region_).begin_reaping(slot);
    flusher_->orders().post_ended(slot);
    shm::SlotTable table(region_);
    eventfd_t count = 0;
    while (eventfd_read(event_.get(), &count) != 0) usleep(1000);  // says when it is done
    EXPECT_EQ(table.snapshot(slot.index).state, shm::SlotState::kFree);
    EXPECT_EQ(table.snapshot(slot.index).slot.incarnation, slot.incarnation + 1);
  }
  EXPECT_EQ(drain(), Flusher::End::kDrained);
  EXPECT_EQ(on_disk(), std::vector<std::string>{"record"});
}

TEST_F(FlusherOfARegion, WithoutRecordsDrainsAtOnce) {
  flusher_->start();
  EXPECT_EQ(drain(), Flusher::End::kDrained);
  EXPECT_TRUE(on_disk().empty());
}

// A supervisor, as far as the daemon can tell.
class Ear {
 public:
  Ear() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socklen_t size = sizeof(sa_family_t);  // the kernel chooses an abstract name
    EXPECT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    size = sizeof address;
    EXPECT_EQ(getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    std::string name(address.sun_path, size - offsetof(sockaddr_un, sun_path));
    name[0] = '@';
    setenv("NOTIFY_SOCKET", name.c_str(), 1);
    setenv("WATCHDOG_USEC", "3000", 1);
    supervisor_ = Supervisor::from_environment();
  }
  const Supervisor& supervisor() const { return supervisor_; }
  // What was told since this was last asked.
  std::vector<std::string> heard() {
    std::vector<std::string> all;
    std::array<char, 512> buffer;
    for (;;) {
      const ssize_t got = recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got < 0) return all;
      all.emplace_back(buffer.data(), static_cast<std::size_t>(got));
    }
  }

 private:
  Fd socket_{socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  Supervisor supervisor_;
};

bool eventually(const std::function<bool()>& is_so) {
  const Deadline watchdog = Deadline::in_ms(60'000);
  while (!is_so()) {
    if (watchdog.passed()) return false;
    usleep(200);
  }
  return true;
}

const std::vector<std::string> kAlive = {"WATCHDOG=1"};
constexpr std::int64_t kBeatNs = 1'000'000;

TEST_F(FlusherOfARegion, AnswersBeatsInItsSleep) {
  Ear ear;
  EXPECT_EQ(ear.supervisor().patience_ns(), 3 * kBeatNs);
  Heartbeat heartbeat(ear.supervisor(), *flusher_);
  flusher_->start();
  for (std::int64_t beat = 1; beat < 20; ++beat) {
    EXPECT_EQ(heartbeat.left_ms(beat * kBeatNs), 0);
    heartbeat.look(beat * kBeatNs, "well");
    EXPECT_EQ(heartbeat.left_ms(beat * kBeatNs), 1);
    heartbeat.look(beat * kBeatNs, "not due, not said");
    const auto heard = ear.heard();
    EXPECT_EQ(heard, beat == 1 ? std::vector<std::string>({"WATCHDOG=1", "STATUS=well"}) : kAlive);
    EXPECT_TRUE(eventually([&] { return flusher_->orders().beat_answered(); }));
  }
  EXPECT_EQ(drain(), Flusher::End::kDrained);
}

// It is never started, as one that goes round in a loop would look.
TEST_F(FlusherOfARegion, ThatAnswersNothingIsToldToNobody) {
  Ear ear;
  Heartbeat heartbeat(ear.supervisor(), *flusher_);
  heartbeat.look(1 * kBeatNs, "");
  EXPECT_EQ(ear.heard(), kAlive);  // nothing was asked before
  for (std::int64_t beat = 2; beat < 10; ++beat) heartbeat.look(beat * kBeatNs, "");
  EXPECT_EQ(ear.heard(), std::vector<std::string>{});
}

TEST_F(FlusherOfARegion, CountsAsAliveWhileTheDiskTakesItsTime) {
  Ear ear;
  Heartbeat heartbeat(ear.supervisor(), *flusher_);
  shm::Producer producer(region_, worker_);
  publish(producer, "record");
  hold_fdatasync = true;
  flusher_->start();
  ASSERT_TRUE(eventually([] { return held_in_fdatasync.load(); }));
  EXPECT_NE(flusher_->in_disk_call_since_ns(), 0);
  for (std::int64_t beat = 1; beat < 10; ++beat) {
    heartbeat.look(beat * kBeatNs, "");
    EXPECT_EQ(ear.heard(), kAlive);
  }
  EXPECT_FALSE(flusher_->orders().beat_answered());
  heartbeat.look_while_stopping(10 * kBeatNs);
  EXPECT_EQ(ear.heard(), (std::vector<std::string>{"WATCHDOG=1", "EXTEND_TIMEOUT_USEC=3000"}));
  hold_fdatasync = false;
  EXPECT_EQ(drain(), Flusher::End::kDrained);
  EXPECT_EQ(flusher_->in_disk_call_since_ns(), 0);
}

TEST(OpeningBeat, AsksForTimeUntilTheJournalIsOpen) {
  Ear ear;
  {
    const OpeningBeat beat(ear.supervisor());
    std::size_t beats = 0;
    EXPECT_TRUE(eventually([&] {
      for (const std::string& told : ear.heard()) {
        EXPECT_EQ(told, "WATCHDOG=1\nEXTEND_TIMEOUT_USEC=3000\nSTATUS=opening the journal");
        ++beats;
      }
      return beats >= 5;
    }));
  }
  (void)ear.heard();
  const Supervisor nobody;
  const OpeningBeat of_nobody(nobody);
}

TEST_F(FlusherOfARegion, RaisesSyncedOnlyWhenTheDiskHasIt) {
  shm::Producer producer(region_, worker_);
  publish(producer, "record");
  hold_fdatasync = true;
  flusher_->start();
  ASSERT_TRUE(eventually([] { return held_in_fdatasync.load(); }));
  EXPECT_EQ(shm::synced(*region_), 0u);
  failures_of_fdatasync = 1;
  hold_fdatasync = false;
  EXPECT_EQ(drain(), Flusher::End::kDrained);
  EXPECT_EQ(shm::synced(*region_), 1u);
  EXPECT_EQ(troubles_.of(Trouble::kSync), 1u);
}

TEST(Supervisor, IsNobodyWithoutAnAddress) {
  for (const char* address : {"", "relative",
                              "/far/too/long/for/an/address/of/a/socket/xxxxxxxxxxxxxxx"
                              "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}) {
    setenv("NOTIFY_SOCKET", address, 1);
    setenv("WATCHDOG_USEC", "3000", 1);
    const Supervisor supervisor = Supervisor::from_environment();
    EXPECT_FALSE(supervisor.listens()) << address;
    EXPECT_EQ(supervisor.patience_ns(), 0);
    supervisor.tell("READY=1");
    EXPECT_EQ(getenv("NOTIFY_SOCKET"), nullptr);
  }
}

TEST(Supervisor, HasNoPatienceForAnotherProcess) {
  const std::string other = std::to_string(getpid() + 1);
  setenv("NOTIFY_SOCKET", "@somebody", 1);
  setenv("WATCHDOG_USEC", "3000", 1);
  setenv("WATCHDOG_PID", other.c_str(), 1);
  EXPECT_EQ(Supervisor::from_environment().patience_ns(), 0);
}

}  // namespace
}  // namespace oj::daemon
