// Goal: what is appended is read, in order, by everybody, until the memory is needed again; and
// nothing else is. Method: first single steps, then random steps against a vector, on rings and
// pools so small that they wrap all the time. Threads and processes: threads_test.cc, kill_test.cc.
//
// SPDX-License-Identifier: MIT
#include <algorithm>
#include <string>
#include <vector>

#include "shm/views.h"
#include "tests/unit/shm/region_fixture.h"

namespace oj::shm {
namespace {

using Found = Reader::Found;

struct Worker {
  explicit Worker(const std::shared_ptr<Region>& region)
      : slot(assigned(region)), producer(region, slot), reader(region, slot, 0) {}
  SlotRef slot;
  Producer producer;
  Reader reader;

  Full append(std::string_view record, std::uint64_t* seq = nullptr) {
    auto attempt = producer.try_append(bytes_of(record));
    if (!attempt) throw std::runtime_error(attempt.error().message);
    if (seq != nullptr) *seq = attempt->seq;
    return attempt->full;
  }
};

std::string random_record(std::mt19937_64& random, std::uint64_t bytes_max) {
  const std::uint64_t bytes = random() % 20 == 0 ? 1 + random() % bytes_max : 1 + random() % 200;
  std::string record(std::min(bytes, bytes_max), '\0');
  for (char& c : record) c = static_cast<char>(random());
  return record;
}

TEST(Append, GivesTheFirstRecordTheFirstSeq) {
  TempFolder folder;
  for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{5}, std::uint64_t{1} << 30}) {
    const auto region = new_region(folder, small_sizes(), first);
    Worker worker(region);
    std::uint64_t seq = 0;
    EXPECT_EQ(worker.reader.read(first).found, Found::kNotPublished);
    ASSERT_EQ(worker.append("one", &seq), Full::kNo);
    EXPECT_EQ(seq, first);
    ASSERT_EQ(worker.append("two", &seq), Full::kNo);
    EXPECT_EQ(seq, first + 1);
    EXPECT_EQ(published_end(*region), first + 2);
    EXPECT_EQ(text_of(worker.reader.read(first).bytes), "one");
    EXPECT_EQ(text_of(worker.reader.read(first + 1).bytes), "two");
    EXPECT_EQ(worker.reader.read(first + 2).found, Found::kNotPublished);
    if (first > 0) {
      EXPECT_EQ(worker.reader.read(first - 1).found, Found::kOnDisk);
    }
  }
}

TEST(Append, RefusesARecordThatIsEmptyOrTooLong) {
  TempFolder folder;
  const auto region = new_region(folder, small_sizes(8, 64));
  Worker worker(region);
  const std::uint64_t most = region->sizes().record_bytes_max();
  EXPECT_EQ(most, 8 * 4096u - 8);
  for (const std::uint64_t bytes : {std::uint64_t{0}, most + 1}) {
    auto attempt = worker.producer.try_append(bytes_of(std::string(bytes, 'x')));
    ASSERT_FALSE(attempt.ok());
    EXPECT_EQ(attempt.error().code, Code::kInvalid);
    EXPECT_NE(attempt.error().message.find(std::to_string(most)), std::string::npos)
        << attempt.error().message;
    EXPECT_NE(attempt.error().message.find("not " + std::to_string(bytes)), std::string::npos);
  }
  EXPECT_EQ(published_end(*region), 0u);
  for (const std::uint64_t bytes : {std::uint64_t{1}, std::uint64_t{4087}, std::uint64_t{4088},
                                    std::uint64_t{4089}, most - 1, most}) {
    std::uint64_t seq = 0;
    const std::string record(bytes, static_cast<char>('a' + bytes % 26));
    ASSERT_EQ(worker.append(record, &seq), Full::kNo) << bytes;
    const Reader::Answer answer = worker.reader.read(seq);
    ASSERT_EQ(answer.found, Found::kRecord) << bytes << answer.why;
    EXPECT_EQ(text_of(answer.bytes), record);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(answer.bytes.data()) % 8, 0u);
  }
}

TEST(Append, SaysThatTheRingIsFullAndGoesOnAfterASync) {
  TempFolder folder;
  for (const std::uint64_t slots : {2U, 4U, 8U}) {
    const auto region = new_region(folder, small_sizes(slots));
    Worker worker(region);
    MemoryFlusher flusher(region);
    for (std::uint64_t round = 0; round < 5; ++round) {
      for (std::uint64_t i = 0; i < slots; ++i)
        ASSERT_EQ(worker.append("r" + std::to_string(round * slots + i)), Full::kNo);
      EXPECT_EQ(worker.append("too much"), Full::kRing);
      EXPECT_EQ(worker.append(std::string(5000, 'x')), Full::kRing);  // a run gives its chunks back
      EXPECT_NE(describe_full(*region).find("the order ring is full: " + std::to_string(slots) +
                                            " of " + std::to_string(slots) + " records"),
                std::string::npos)
          << describe_full(*region);
      EXPECT_EQ(flusher.flush(), slots);
    }
    for (std::uint64_t seq = 0; seq < flusher.next(); ++seq)
      EXPECT_EQ(flusher.record(seq), "r" + std::to_string(seq));
    EXPECT_LE(flusher.keeper().chunks_in_use(), 2u);
  }
}

TEST(Append, SaysThatThePoolIsFullAndWhoHoldsIt) {
  TempFolder folder;
  const auto region = new_region(folder, small_sizes(1024, 4));
  Worker first(region), second(region);
  MemoryFlusher flusher(region);
  const std::string half(2000, 'x');
  int appended = 0;
  while (first.append(half) == Full::kNo) ++appended;
  EXPECT_EQ(appended, 8);
  EXPECT_EQ(second.append("x"), Full::kPool);
  EXPECT_NE(describe_full(*region).find(
                "the chunk pool is full: of 4 chunks of 4096 bytes 0 are free, 4 wait"),
            std::string::npos)
      << describe_full(*region);
  EXPECT_NE(describe_full(*region).find("; synced stands at 0 for 0."), std::string::npos)
      << describe_full(*region);
  EXPECT_NE(describe_full(*region).find("filled 4 that wait, writes 0 and reads 0"),
            std::string::npos)
      << describe_full(*region);
  EXPECT_EQ(second.reader.read(0).found, Found::kRecord);  // and keeps its chunk
  EXPECT_NE(describe_full(*region).find("; session 1 (pid 71, uid 0, worker) filled 0 that wait, "
                                        "writes 0 and reads 1"),
            std::string::npos)
      << describe_full(*region);
  second.reader.unpin();
  flusher.flush(4);
  EXPECT_EQ(flusher.free_chunks(), 4u);
  EXPECT_EQ(second.append("x"), Full::kNo);
  EXPECT_NE(describe_full(*region).find(
                "(pid 71, uid 0, worker) filled 0 that wait, writes 1 and reads 0"),
            std::string::npos)
      << describe_full(*region);
}

// Everybody holds a chunk that is nearly full, and nobody can take another: sealing before claiming
// lets them all go on.
TEST(Append, DoesNotLockUpWhenEverybodyHoldsTheLastChunks) {
  TempFolder folder;
  const auto region = new_region(folder, small_sizes(64, 4));
  std::vector<std::unique_ptr<Worker>> workers;
  for (int i = 0; i < 4; ++i) workers.push_back(std::make_unique<Worker>(region));
  MemoryFlusher flusher(region);
  const std::string most(3000, 'x');
  for (auto& worker : workers) ASSERT_EQ(worker->append(most), Full::kNo);
  for (auto& worker : workers) EXPECT_EQ(worker->append(most), Full::kPool);
  flusher.flush(4);
  for (auto& worker : workers) EXPECT_EQ(worker->append(most), Full::kNo);
}

TEST(Append, IsRefusedOnARetiredRegion) {
  TempFolder folder;
  const auto region = new_region(folder, small_sizes());
  Worker worker(region);
  ASSERT_EQ(worker.append("x"), Full::kNo);
  region->retire();
  auto attempt = worker.producer.try_append(bytes_of("y"));
  ASSERT_FALSE(attempt.ok());
  EXPECT_EQ(attempt.error().code, Code::kGone);
  EXPECT_EQ(text_of(worker.reader.read(0).bytes), "x");
}

TEST(Producer, GivesAnUntouchedChunkBackAndSealsAUsedOne) {
  TempFolder folder;
  const auto region = new_region(folder, small_sizes(2));
  MemoryFlusher flusher(region);
  {
    Worker worker(region);
    ASSERT_EQ(worker.append("a"), Full::kNo);
    ASSERT_EQ(worker.append("b"), Full::kNo);
    Worker late(region);
    EXPECT_EQ(late.append("c"), Full::kRing);  // claimed a chunk, published nothing
    EXPECT_EQ(flusher.keeper().chunks_in_use(), 2u);
    EXPECT_EQ(flusher.keeper().chunks_held_by(worker.slot.index), 1u);
    late.producer.seal();
    EXPECT_EQ(flusher.keeper().chunks_in_use(), 1u);
    Producer moved = std::move(worker.producer);
    moved.seal();
    moved.seal();
    EXPECT_EQ(flusher.keeper().chunks_held_by(worker.slot.index), 0u);
    EXPECT_EQ(flusher.keeper().chunks_in_use(), 1u);
  }
  flusher.flush(16);
  EXPECT_EQ(flusher.keeper().chunks_in_use(), 0u);
}

TEST(Reader, IsSentToTheDiskWhenTheRecordWasFreedOrTheRingLapped) {
  TempFolder folder;
  const auto region = new_region(folder, small_sizes(4, 8));
  Worker worker(region);
  MemoryFlusher flusher(region);
  for (int i = 0; i < 4; ++i) ASSERT_EQ(worker.append("old"), Full::kNo);
  flusher.flush(0);
  EXPECT_EQ(worker.reader.read(0).found, Found::kRecord);  // synced, and still here
  ASSERT_EQ(worker.append("new"), Full::kNo);
  EXPECT_EQ(worker.reader.read(0).found, Found::kOnDisk);  // lapped
  EXPECT_EQ(worker.reader.read(1).found, Found::kRecord);
  worker.producer.seal();
  flusher.flush(0);
  worker.reader.unpin();
  flusher.flush(8);  // all of it freed
  EXPECT_EQ(flusher.free_chunks(), 8u);
  EXPECT_EQ(retained(*region), 5u);
  for (std::uint64_t seq = 0; seq < 5; ++seq)
    EXPECT_EQ(worker.reader.read(seq).found, Found::kOnDisk);
  EXPECT_EQ(worker.reader.read(5).found, Found::kNotPublished);
  EXPECT_EQ(worker.reader.read(1'000'000).found, Found::kNotPublished);
}

TEST(Reader, KeepsAPinnedChunkAndAPinnedRun) {
  TempFolder folder;
  const auto region = new_region(folder, small_sizes(64, 32));
  Worker worker(region);
  MemoryFlusher flusher(region);
  const std::string run(3 * 4096, 'r');
  ASSERT_EQ(worker.append("small"), Full::kNo);
  ASSERT_EQ(worker.append(run), Full::kNo);
  Reader other(region, worker.slot, 1);
  const Reader::Answer small = worker.reader.read(0);
  const Reader::Answer large = other.read(1);
  ASSERT_EQ(small.found, Found::kRecord);
  ASSERT_EQ(large.found, Found::kRecord);
  worker.producer.seal();
  flusher.flush(32);
  flusher.flush(32);
  EXPECT_EQ(flusher.keeper().chunks_in_use(), 1u + 4u);
  // Whoever appends now must not touch what is pinned.
  for (int i = 0; i < 40; ++i) {
    if (worker.append(std::string(4000, 'z')) != Full::kNo) break;
  }
  EXPECT_EQ(text_of(small.bytes), "small");
  EXPECT_EQ(text_of(large.bytes), run);
  EXPECT_EQ(worker.reader.read(0).found,
            Found::kOnDisk);  // retained has passed it: no new pin counts
  worker.reader.unpin();
  other.unpin();
  worker.producer.seal();
  flusher.flush(32);
  flusher.flush(32);
  EXPECT_EQ(flusher.keeper().chunks_in_use(), 0u);
}

TEST(Reader, ReportsBadBytesLengthsAndReferencesAsBad) {
  TempFolder folder;
  const auto region = new_region(folder, small_sizes(64, 16));
  Worker worker(region);
  Reader monitor(region);
  const RegionView view(*region);
  ASSERT_EQ(worker.append("good bytes"), Full::kNo);
  ASSERT_EQ(worker.append("more bytes"), Full::kNo);
  const auto pool = view.pool();
  auto* words = reinterpret_cast<ProductionWord*>(view.pool_bytes());
  const std::uint64_t offset = (view.ring().load(1) & kReferenceMask) * kReferenceUnit;
  const std::uint64_t header = pool.load_word(offset);
  const auto expect_bad = [&](const char* why) {
    EXPECT_EQ(worker.reader.read(1).found, Found::kBad);
    EXPECT_NE(std::string(worker.reader.read(1).why).find(why), std::string::npos)
        << worker.reader.read(1).why;
    EXPECT_EQ(monitor.read(1).found, Found::kBad);
    FlushSource source(region);
    auto batch = source.gather(0, 10, 1000);
    ASSERT_TRUE(batch.ok());
    ASSERT_EQ(batch->size(), 2u);
    EXPECT_EQ((*batch)[0].bad, nullptr);
    EXPECT_EQ(text_of((*batch)[0].record), "good bytes");
    ASSERT_NE((*batch)[1].bad, nullptr);
    EXPECT_NE(std::string((*batch)[1].bad).find(why), std::string::npos);
    EXPECT_TRUE((*batch)[1].record.empty());
    EXPECT_EQ(worker.reader.read(0).found, Found::kRecord);
  };
  words[offset / 8 + 1].fetch_xor(1, std::memory_order_relaxed);  // init
  expect_bad("checksum");
  words[offset / 8 + 1].fetch_xor(1, std::memory_order_relaxed);  // init
  for (const std::uint64_t length :
       {std::uint64_t{0}, std::uint64_t{4096}, std::uint64_t{0xffffffff}}) {
    words[offset / 8].store((header & ~0xffffffffull) | length, std::memory_order_relaxed);  // init
    expect_bad("length");
  }
  words[offset / 8].store(header ^ 1,
                          std::memory_order_relaxed);  // init: another length, the same CRC
  expect_bad("checksum");
  words[offset / 8].store(header, std::memory_order_relaxed);  // init
  EXPECT_EQ(worker.reader.read(1).found, Found::kRecord);
  auto* slots =
      reinterpret_cast<ProductionWord*>(region->base() + geometry_of(64, 4096, 16, 8).ring);
  for (const std::uint64_t reference : {pool.bytes() / kReferenceUnit, kReferenceMask}) {
    slots[1].store(view.ring().tag_of(1) << kReferenceBits | reference,
                   std::memory_order_relaxed);  // init
    expect_bad("reference");
  }
  // The last chunk's start, with a length that would run out of the pool.
  words[15 * 4096 / 8].store(5000, std::memory_order_relaxed);  // init
  slots[1].store(view.ring().tag_of(1) << kReferenceBits | 15 * 4096 / kReferenceUnit,
                 std::memory_order_relaxed);  // init
  expect_bad("length");
}

TEST(Monitor, ReadsThroughAReadOnlyMapping) {
  TempFolder folder;
  const auto region = new_region(folder, small_sizes(64, 64));
  Worker worker(region);
  auto attached = Region::attach(region->path(), Region::Access::kReadOnly, nullptr);
  ASSERT_TRUE(attached.ok()) << attached.error().message;
  Reader monitor(*attached);
  const std::string run(20'000, 'm');
  ASSERT_EQ(worker.append("seven b"), Full::kNo);
  ASSERT_EQ(worker.append(run), Full::kNo);
  EXPECT_EQ(text_of(monitor.read(0).bytes), "seven b");
  EXPECT_EQ(text_of(monitor.read(1).bytes), run);
  EXPECT_EQ(monitor.read(2).found, Found::kNotPublished);
  EXPECT_EQ(published_end(**attached), 2u);
  EXPECT_EQ(wait_published(*attached, nullptr, 1, Deadline::at_once()), Waited::kReached);
  EXPECT_EQ(wait_published(*attached, nullptr, 2, Deadline::in_ms(1)), Waited::kDeadline);
  EXPECT_FALSE(describe_full(**attached).empty());
}

// Random steps of three producers, two readers, a monitor and a flusher, against what each of them
// must see.
TEST(AppendRead, AgreesWithAVectorOnTinyRingsAndPools) {
  std::mt19937_64 random(test_seed());
  std::uint64_t full_ring = 0, full_pool = 0, on_disk = 0, in_place = 0;
  for (int configuration = 0; configuration < 24; ++configuration) {
    TempFolder folder;
    // At first a pool that is certainly full before the ring is.
    const bool smallest_pool = configuration == 0;
    const std::uint64_t ring = smallest_pool ? 64 : std::uint64_t{1} << (1 + random() % 4);
    const std::uint64_t chunks = smallest_pool ? 4 : 4 + random() % 29;
    const std::uint64_t first = random() % 3 == 0 ? 0 : random() % 100'000;
    const auto region = new_region(folder, small_sizes(ring, chunks), first);
    const std::uint64_t most = region->sizes().record_bytes_max();
    std::vector<std::unique_ptr<Worker>> workers;
    for (int i = 0; i < 3; ++i) workers.push_back(std::make_unique<Worker>(region));
    Reader monitor(region);
    MemoryFlusher flusher(region);
    std::vector<std::string> published;
    for (int step = 0; step < 1500; ++step) {
      Worker& worker = *workers[random() % 3];
      switch (random() % 8) {
        case 0:
        case 1:
        case 2: {
          std::string record = random_record(random, most);
          std::uint64_t seq = 0;
          const Full full = worker.append(record, &seq);
          if (full == Full::kNo) {
            ASSERT_EQ(seq, first + published.size());
            published.push_back(std::move(record));
          }
          full_ring += full == Full::kRing;
          full_pool += full == Full::kPool;
          if (full == Full::kRing) {
            ASSERT_EQ(first + published.size(), synced(*region) + ring);
          }
          break;
        }
        case 3:
        case 4:
        case 5: {
          const std::uint64_t back = random() % (2 * ring + 2);
          const std::uint64_t end = first + published.size();
          const std::uint64_t seq = end + 1 > back ? end + 1 - back : end;
          const bool by_monitor = random() % 3 == 0;
          const Reader::Answer answer = by_monitor ? monitor.read(seq) : worker.reader.read(seq);
          ASSERT_NE(answer.found, Found::kBad) << answer.why;
          if (seq >= end) {
            ASSERT_EQ(answer.found, Found::kNotPublished);
          } else if (answer.found == Found::kOnDisk) {
            ASSERT_LT(seq, synced(*region));
            ++on_disk;
          } else {
            ASSERT_EQ(answer.found, Found::kRecord) << "seq " << seq << " end " << end;
            ASSERT_EQ(text_of(answer.bytes), published[seq - first]);
            ++in_place;
          }
          break;
        }
        case 6:
          flusher.flush(random() % (chunks + 1), 1 + random() % (ring + 1), 1 + random() % 8192);
          break;
        default:
          if (random() % 8 == 0) worker.producer.seal();
          if (random() % 4 == 0) worker.reader.unpin();
          break;
      }
      ASSERT_EQ(published_end(*region), first + published.size());
    }
    for (auto& worker : workers) {
      worker->producer.seal();
      worker->reader.unpin();
    }
    while (flusher.flush(chunks) != 0) {}
    flusher.flush(chunks);
    ASSERT_EQ(flusher.journal(), published);
    ASSERT_EQ(flusher.keeper().chunks_in_use(), 0u);
    ASSERT_EQ(flusher.free_chunks(), chunks);
  }
  // The steps did meet what they are about.
  EXPECT_GT(full_ring, 0u);
  EXPECT_GT(full_pool, 0u);
  EXPECT_GT(on_disk, 0u);
  EXPECT_GT(in_place, 0u);
}

}  // namespace
}  // namespace oj::shm
