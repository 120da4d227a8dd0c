// Goal: many producers, readers and monitors at once see one order, and every record whole. Also
// what ThreadSanitizer looks at: all threads use one mapping, so that it sees the protocol order
// the plain bytes. Method: producers append records that name their producer and running number and
// are filled from both; readers check all of it, and take from the flusher's vector what is no
// longer in the region.
//
// SPDX-License-Identifier: MIT
#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/shm/region_fixture.h"

namespace oj::shm {
namespace {

using Found = Reader::Found;

struct Stamp {
  std::uint64_t producer, op_no;
};

std::string stamped_record(std::uint64_t producer, std::uint64_t op_no, std::uint64_t bytes_max) {
  std::mt19937_64 random(producer * 1'000'003 + op_no);
  std::uint64_t bytes = 24 + random() % 200;
  if (random() % 64 == 0) bytes = 24 + random() % (bytes_max - 24);
  std::string record(bytes, static_cast<char>(random()));
  const Stamp stamp{producer, op_no};
  std::memcpy(record.data(), &stamp, sizeof stamp);
  return record;
}

struct Shared {
  Shared(const Sizes& sizes, int producer_count, std::uint64_t records_each)
      : region(new_region(folder, sizes)), producers(producer_count), each(records_each) {}
  std::uint64_t total() const { return static_cast<std::uint64_t>(producers) * each; }

  TempFolder folder;
  std::shared_ptr<Region> region;
  int producers;
  std::uint64_t each;
  std::mutex mutex;
  std::vector<std::string> journal;  // under mutex
  std::atomic<bool> failed{false};
  std::atomic<std::uint64_t> in_place{0}, from_disk{0}, full{0};
};

void produce(Shared& shared, SlotRef slot, std::uint64_t id) {
  Producer producer(shared.region, slot);
  const std::uint64_t most = shared.region->sizes().record_bytes_max();
  for (std::uint64_t op_no = 1; op_no <= shared.each && !shared.failed; ++op_no) {
    const std::string record = stamped_record(id, op_no, most);
    for (;;) {
      auto attempt = producer.try_append(bytes_of(record));
      if (!attempt) {
        shared.failed = true;
        ADD_FAILURE() << attempt.error().message;
        return;
      }
      if (attempt->full == Full::kNo) break;
      ++shared.full;
      wait_for_room(shared.region, attempt->room_made, Deadline::never());
    }
  }
}

// One reader's view of what it has seen of each producer.
struct Checker {
  explicit Checker(const Shared& s)
      : last(static_cast<std::size_t>(s.producers), 0),
        most(s.region->sizes().record_bytes_max()) {}
  bool take(std::string_view record) {
    Stamp stamp;
    if (record.size() < sizeof stamp) return false;
    std::memcpy(&stamp, record.data(), sizeof stamp);
    if (stamp.producer >= last.size() || stamp.op_no != ++last[stamp.producer]) return false;
    return record == stamped_record(stamp.producer, stamp.op_no, most);
  }
  std::vector<std::uint64_t> last;
  std::uint64_t most;
};

void read_all(Shared& shared, Reader reader, const SlotRef* slot) {
  Checker checker(shared);
  for (std::uint64_t seq = 0; seq < shared.total() && !shared.failed;) {
    const Reader::Answer answer = reader.read(seq);
    switch (answer.found) {
      case Found::kRecord:
        ++shared.in_place;
        if (!checker.take(std::string_view(reinterpret_cast<const char*>(answer.bytes.data()),
                                           answer.bytes.size()))) {
          shared.failed = true;
          ADD_FAILURE() << "wrong record at " << seq;
        }
        ++seq;
        break;
      case Found::kOnDisk: {
        reader.unpin();
        const std::lock_guard lock(shared.mutex);
        if (seq >= shared.journal.size() || !checker.take(shared.journal[seq])) {
          shared.failed = true;
          ADD_FAILURE() << "wrong record on disk at " << seq;
        }
        ++shared.from_disk;
        ++seq;
        break;
      }
      case Found::kNotPublished:
        wait_published(shared.region, slot, seq, Deadline::in_ms(1000));
        break;
      case Found::kBad:
        shared.failed = true;
        ADD_FAILURE() << "bad record at " << seq << ": " << answer.why;
        break;
    }
  }
}

void flush_all(Shared& shared) {
  FlushSource source(shared.region);
  ChunkKeeper keeper(shared.region, source);
  const std::uint64_t chunks = shared.region->sizes().chunk_count;
  for (std::uint64_t next = 0; next < shared.total() && !shared.failed;) {
    auto batch = source.gather(next, 64, 1 << 16);
    if (!batch) {
      shared.failed = true;
      ADD_FAILURE() << batch.error().message;
      return;
    }
    {
      const std::lock_guard lock(shared.mutex);
      for (const Gathered& item : *batch) {
        if (item.bad != nullptr) {
          shared.failed = true;
          ADD_FAILURE() << "gathered a bad record " << item.seq << ": " << item.bad;
        }
        shared.journal.push_back(text_of(item.record));
      }
    }
    next += batch->size();
    set_written(*shared.region, next);
    if (!batch->empty()) set_synced(*shared.region, next);
    keeper.reclaim(keeper.room_wanted() ? chunks : chunks / 4);
    if (batch->empty()) daemon_wait_published(shared.region, next, 20 * kNsPerMs);
  }
}

void run(const Sizes& sizes, int producers, int readers, std::uint64_t each) {
  Shared shared(sizes, producers, each);
  std::vector<std::thread> threads;
  std::vector<SlotRef> slots;
  for (int i = 0; i < producers + readers; ++i) slots.push_back(assigned(shared.region));
  threads.emplace_back([&] { flush_all(shared); });
  for (int i = 0; i < readers; ++i) {
    const SlotRef slot = slots[static_cast<std::size_t>(producers) + static_cast<std::size_t>(i)];
    threads.emplace_back(
        [&shared, slot] { read_all(shared, Reader(shared.region, slot, 3), &slot); });
  }
  threads.emplace_back([&shared] { read_all(shared, Reader(shared.region), nullptr); });
  for (int i = 0; i < producers; ++i) {
    threads.emplace_back([&shared, i, slot = slots[static_cast<std::size_t>(i)]] {
      produce(shared, slot, static_cast<std::uint64_t>(i));
    });
  }
  for (std::thread& thread : threads) thread.join();
  Checker checker(shared);
  ASSERT_EQ(shared.journal.size(), shared.total());
  for (const std::string& record : shared.journal) ASSERT_TRUE(checker.take(record));
  std::cout << "in place " << shared.in_place << ", from disk " << shared.from_disk << ", full "
            << shared.full << "\n";
  EXPECT_GT(shared.in_place, 0u);
}

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr std::uint64_t kEach = 1500;
#else
constexpr std::uint64_t kEach = 10'000;
#endif

TEST(Threads, SeeOneOrderOnARingOfTwo) { run({2, 4096, 16, 8}, 3, 2, kEach / 5); }
TEST(Threads, SeeOneOrderOnATinyRingAndPool) { run({8, 4096, 8, 8}, 3, 2, kEach / 2); }
TEST(Threads, SeeOneOrderWithRunsInATightPool) { run({64, 4096, 48, 8}, 4, 2, kEach / 2); }
TEST(Threads, SeeOneOrderWithRoom) { run({4096, 16384, 256, 8}, 4, 2, kEach); }

}  // namespace
}  // namespace oj::shm
