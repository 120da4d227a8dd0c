// Goal: what was written and synced is read back, byte for byte, in order, whatever the batches,
// segment sizes, restarts and recoveries in between.
// Method: a naive model (a vector of records) beside a writer that is driven at random; a seed in
// OJ_SEED repeats.
//
// SPDX-License-Identifier: MIT
#include "tests/unit/journal/journal_fixture.h"

#include <atomic>
#include <thread>

namespace oj::journal::testing {
namespace {

TEST(Journal, GivesBackWhatWasWritten) {
  const TemporaryFolder temporary;
  const Folder folder = must_open(temporary.at("j"));
  Writer writer = must_write(folder);
  ASSERT_TRUE(is_ok(write_some(writer, 3, 10)));
  ASSERT_TRUE(is_ok(writer.sync()));
  EXPECT_EQ(writer.synced_through(), 3u);
  const ReadBack back = read_back(folder, 0, 3);
  ASSERT_EQ(back.records.size(), 3u) << (back.error ? back.error->message : "");
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(back.records[i], record_of(i, 10));
}

TEST(Journal, KeepsEmptyRecordsAndOnesLargerThanASegment) {
  const TemporaryFolder temporary;
  const Folder folder = must_open(temporary.at("j"));
  Writer writer = must_write(folder, 0, {.segment_bytes_min = 4096, .segment_bytes_max = 16384});
  const std::vector<std::size_t> sizes = {0, 1, 7, 8, 9, 3u << 20, 0, 5};
  for (std::size_t i = 0; i < sizes.size(); ++i)
    ASSERT_TRUE(is_ok(write_records(writer, {record_of(i, sizes[i])})));
  ASSERT_TRUE(is_ok(writer.sync()));
  const ReadBack back = read_back(folder, 0, sizes.size());
  ASSERT_EQ(back.records.size(), sizes.size()) << (back.error ? back.error->message : "");
  for (std::size_t i = 0; i < sizes.size(); ++i) EXPECT_EQ(back.records[i], record_of(i, sizes[i]));
}

TEST(Journal, RefusesABatchThatNoFrameCanHoldAndGoesOn) {
  const TemporaryFolder temporary;
  const Folder folder = must_open(temporary.at("j"));
  Writer writer = must_write(folder);
  const Bytes quarter(256u << 20);
  const std::vector<RecordBytes> batch(4, RecordBytes{quarter});
  EXPECT_TRUE(fails_with(writer.write_batch(batch, 0), Code::kInvalid, "1073741824"));
  EXPECT_TRUE(is_ok(write_some(writer, 1, 1)));
  EXPECT_TRUE(is_ok(writer.sync()));
  EXPECT_EQ(read_back(folder, 0, 1).records.size(), 1u);
}

TEST(Journal, SegmentsGrowWithTheJournalUpToTheLimit) {
  const TemporaryFolder temporary;
  const Folder folder = must_open(temporary.at("j"));
  Writer writer =
      must_write(folder, 0, {.segment_bytes_min = 64 << 10, .segment_bytes_max = 256 << 10});
  while (writer.segment_count() < 6) ASSERT_TRUE(is_ok(write_some(writer, 1, 10000)));
  std::vector<std::uintmax_t> sizes;
  for (const fs::path& path : segment_paths(folder)) sizes.push_back(fs::file_size(path) >> 10);
  EXPECT_EQ(sizes, (std::vector<std::uintmax_t>{64, 64, 128, 256, 256, 256}));
}

class RandomJournal {
 public:
  explicit RandomJournal(std::uint64_t seed)
      : random_(seed), folder_(must_open(temporary_.at("j"))) {
    reopen();
  }

  void step() {
    switch (random_() % 20) {
      case 0: recover_and_reopen(std::nullopt); break;
      case 1: recover_and_reopen(writer_->synced_through()); break;
      case 2:
        ASSERT_TRUE(is_ok(writer_->restart()));
        model_.resize(writer_->synced_through());
        break;
      case 3: ASSERT_TRUE(is_ok(writer_->write_idle_marker(7))); break;
      case 4:
      case 5:
      case 6: ASSERT_TRUE(is_ok(writer_->sync())); break;
      case 7: check(random_() % (writer_->synced_through() + 1)); break;
      default: write(); break;
    }
    ASSERT_EQ(writer_->next_seq(), model_.size());
  }

  void check(std::uint64_t from) {
    const std::uint64_t limit = writer_->synced_through();
    const ReadBack back = read_back(folder_, from, limit);
    ASSERT_EQ(back.records.size(), limit - from) << (back.error ? back.error->message : "");
    for (std::uint64_t seq = from; seq < limit; ++seq)
      ASSERT_EQ(back.records[seq - from], model_[seq]);
    follow(limit);
  }

  void finish() {
    ASSERT_TRUE(is_ok(writer_->sync()));
    check(0);
    writer_.reset();
    const auto end = find_end(folder_);
    ASSERT_TRUE(is_ok(end));
    EXPECT_EQ(*end, model_.size());
  }

 private:
  std::size_t random_size() {
    const std::uint64_t kind = random_() % 100;
    if (kind < 80) return random_() % 200;
    return kind < 99 ? random_() % 5000 : random_() % 100000;
  }

  void write() {
    std::vector<Bytes> records;
    for (std::uint64_t count = random_() % 12 + 1; count > 0; --count) {
      records.push_back(record_of(model_.size() + records.size(), random_size()));
    }
    ASSERT_TRUE(is_ok(write_records(*writer_, records)));
    model_.insert(model_.end(), records.begin(), records.end());
  }

  // One reader that lives on beside the writer, for as long as what it reads is there.
  void follow(std::uint64_t limit) {
    if (!follower_) follower_.emplace(folder_, 0);
    while (follower_->next_seq() < limit) {
      const std::uint64_t seq = follower_->next_seq();
      const auto record = follower_->next(limit);
      ASSERT_TRUE(is_ok(record));
      ASSERT_TRUE(
          std::equal(record->begin(), record->end(), model_[seq].begin(), model_[seq].end()));
    }
  }

  void reopen() {
    const std::uint64_t smallest = 16384 << random_() % 4;
    const WriterOptions options{.segment_bytes_min = smallest, .segment_bytes_max = smallest * 8};
    writer_.emplace(must_write(folder_, model_.size(), options, ++generation_));
  }

  void recover_and_reopen(std::optional<std::uint64_t> trusted) {
    const std::uint64_t synced = writer_->synced_through();
    writer_.reset();
    const auto recovered = recover(folder_, trusted);
    ASSERT_TRUE(is_ok(recovered));
    ASSERT_EQ(recovered->generation, generation_);
    if (trusted) {
      ASSERT_EQ(recovered->next_seq, synced);
    } else {
      ASSERT_EQ(recovered->next_seq, model_.size());  // no power was lost: all is in the page cache
      ASSERT_EQ(recovered->torn_bytes, 0u);
    }
    model_.resize(recovered->next_seq);
    reopen();
  }

  std::mt19937_64 random_;
  TemporaryFolder temporary_;
  Folder folder_;
  std::vector<Bytes> model_;
  std::uint64_t generation_ = 0;
  std::optional<Writer> writer_;
  std::optional<Reader> follower_;
};

TEST(Journal, AgreesWithANaiveModel) {
  const std::uint64_t seed = test_seed();
  for (std::uint64_t round = 0; round < 12; ++round) {
    SCOPED_TRACE("OJ_SEED=" + std::to_string(seed) + " round " + std::to_string(round));
    RandomJournal journal(seed + round);
    for (int i = 0; i < 300 && !HasFatalFailure(); ++i) journal.step();
    if (!HasFatalFailure()) journal.finish();
    if (HasFatalFailure()) return;
  }
}

TEST(Journal, IsReadWhileItIsWritten) {
  const TemporaryFolder temporary;
  const Folder folder = must_open(temporary.at("j"));
  constexpr std::uint64_t kRecords = 20000;
  std::atomic<std::uint64_t> synced{0};
  std::thread thread([&] {
    Writer writer =
        must_write(folder, 0, {.segment_bytes_min = 32 << 10, .segment_bytes_max = 256 << 10});
    for (std::uint64_t batch = 0; writer.next_seq() < kRecords; ++batch) {
      EXPECT_TRUE(is_ok(write_some(writer, batch % 50 + 1, batch % 300)));
      if (batch % 3 == 0) continue;
      if (batch % 97 == 96) {  // as after an error: what was not synced is written again elsewhere
        EXPECT_TRUE(is_ok(writer.restart()));
        continue;
      }
      EXPECT_TRUE(is_ok(writer.sync()));
      synced.store(writer.synced_through(), std::memory_order_release);  // pair: the reader's load
    }
    EXPECT_TRUE(is_ok(writer.sync()));
    synced.store(kRecords, std::memory_order_release);  // pair: the reader's load
  });
  Reader reader(folder, 0);
  std::uint64_t read = 0;
  while (read < kRecords) {
    const std::uint64_t limit =
        synced.load(std::memory_order_acquire);  // pair: the writer's stores
    for (; read < limit; ++read) {
      const auto record = reader.next(limit);
      if (!record) {
        ADD_FAILURE() << record.error().message;
        thread.join();
        return;
      }
      const Bytes expected = record_of(read, record->size());
      ASSERT_TRUE(std::equal(record->begin(), record->end(), expected.begin(), expected.end()))
          << read;
    }
  }
  thread.join();
}

TEST(Reader, RefusesToReadAtOrPastTheLimit) {
  const TemporaryFolder temporary;
  const Folder folder = must_open(temporary.at("j"));
  Writer writer = must_write(folder);
  ASSERT_TRUE(is_ok(write_some(writer, 3, 10)));
  Reader reader(folder, 2);
  EXPECT_TRUE(fails_with(reader.next(2), Code::kInvalid, "below 2"));
  EXPECT_TRUE(is_ok(reader.next(3)));
  EXPECT_TRUE(fails_with(reader.next(3), Code::kInvalid));
}

TEST(Reader, SaysThatARecordIsMissing) {
  const TemporaryFolder temporary;
  const Folder folder = must_open(temporary.at("j"));
  EXPECT_TRUE(fails_with(Reader(folder, 0).next(1), Code::kCorrupt, "no segment holds record 0"));
  Writer writer = must_write(folder);
  ASSERT_TRUE(is_ok(write_some(writer, 3, 10)));
  EXPECT_TRUE(fails_with(Reader(folder, 3).next(4), Code::kCorrupt, "record 3"));
}

}  // namespace
}  // namespace oj::journal::testing
