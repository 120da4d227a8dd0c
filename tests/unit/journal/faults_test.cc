// Goal: whatever system call fails, and whenever the power goes, what was reported synced is there
// afterwards, and what is there is a prefix of what was written.
// Method: a writer on a simulated disk. A fixed script is run with every one of its mutating calls
// failing in turn (EIO, ENOSPC; once, or for good), then the power is cut; and random scripts with
// power cuts in between. The planted faults show that the checker can find something.
//
// SPDX-License-Identifier: MIT
#include "journal/format.h"
#include "tests/unit/journal/simulated_disk.h"

namespace oj::journal::testing {
namespace {

using Where = TemporaryFolder::Where;

constexpr WriterOptions kSmall{.segment_bytes_min = 16384, .segment_bytes_max = 32768};

// A writer, what it was given, and how a daemon treats its errors: restart, and write again what
// was not synced.
class Subject {
 public:
  explicit Subject(SimulatedDisk& disk) : disk_(disk), folder_(must_open(temporary_.at("j"))) {}

  bool open() {
    WriterOptions options = kSmall;
    options.file_system = &disk_;
    auto writer = Writer::open(folder_, 0, 1, options);
    if (writer) writer_.emplace(std::move(*writer));
    return writer_.has_value();
  }
  bool is_open() const { return writer_.has_value(); }
  void write(std::size_t count, std::size_t size) {
    for (std::size_t i = 0; i < count; ++i) model_.push_back(record_of(model_.size(), size));
  }
  // Writes and syncs all of the model, over errors if they end. False: they do not.
  bool flush(int attempts = 3) {
    for (; attempts > 0; --attempts) {
      if (try_flush()) return true;
      (void)writer_->restart();
    }
    return false;
  }
  bool try_flush() {
    while (writer_->next_seq() < model_.size()) {
      const std::size_t from = writer_->next_seq();
      const std::size_t to = std::min(model_.size(), from + 3);
      const auto written =
          write_records(*writer_, {model_.begin() + static_cast<std::ptrdiff_t>(from),
                                   model_.begin() + static_cast<std::ptrdiff_t>(to)});
      if (!written) return false;
    }
    return writer_->sync().ok();
  }

  // After a power cut now.
  void check_power_cut(std::mt19937_64& random) {
    const TemporaryFolder after(Where::kMemory);
    disk_.materialise(folder_, after.at("j"), random);
    const auto folder = Folder::open(after.at("j"), Folder::IfAbsent::kRefuse);
    ASSERT_TRUE(is_ok(folder));
    const auto recovered = recover(*folder, std::nullopt);
    ASSERT_TRUE(is_ok(recovered));
    const std::uint64_t synced = writer_ ? writer_->synced_through() : 0;
    ASSERT_GE(recovered->next_seq, synced) << "records that were reported synced are gone";
    ASSERT_LE(recovered->next_seq, model_.size());
    const ReadBack back = read_back(*folder, 0, recovered->next_seq);
    ASSERT_EQ(back.records.size(), recovered->next_seq) << (back.error ? back.error->message : "");
    for (std::size_t seq = 0; seq < back.records.size(); ++seq)
      ASSERT_EQ(back.records[seq], model_[seq]) << seq;
  }
  // What a reader beside it sees.
  void check_live() {
    const ReadBack back = read_back(folder_, 0, writer_->synced_through());
    ASSERT_EQ(back.records.size(), writer_->synced_through())
        << (back.error ? back.error->message : "");
    for (std::size_t seq = 0; seq < back.records.size(); ++seq)
      ASSERT_EQ(back.records[seq], model_[seq]) << seq;
  }
  // kill -9 and a start on the same boot: the watermark is known. Then the writer goes on.
  void check_killed() {
    const std::uint64_t synced = writer_->synced_through();
    writer_.reset();
    const auto recovered = recover(folder_, synced, disk_);
    ASSERT_TRUE(is_ok(recovered));
    ASSERT_EQ(recovered->next_seq, synced);
    WriterOptions options = kSmall;
    options.file_system = &disk_;
    writer_.emplace(must_write(folder_, synced, options, 2));
  }

  Writer& writer() { return *writer_; }
  const Folder& folder() const { return folder_; }

 private:
  SimulatedDisk& disk_;
  TemporaryFolder temporary_{Where::kMemory};
  Folder folder_;
  std::optional<Writer> writer_;
  std::vector<Bytes> model_;
};

// Creates, writes, syncs, rotates twice, marks, restarts: every duty of a writer once.
bool run_script(Subject& subject) {
  if (!subject.open()) return false;
  subject.write(4, 100);
  if (!subject.flush()) return false;
  subject.write(6, 3000);
  if (!subject.flush()) return false;
  if (!subject.writer().write_idle_marker(3) && !subject.writer().restart()) return false;
  subject.write(2, 10);
  if (!subject.flush()) return false;
  if (!subject.writer().restart() && !subject.writer().restart()) return false;
  subject.write(1, 10);
  return subject.flush();
}

TEST(Faults, NoCallThatFailsMakesAFalseSync) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("OJ_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  std::uint64_t injected = 0;
  for (const int error : {EIO, ENOSPC, EDQUOT}) {
    for (const bool from_then_on : {false, true}) {
      for (std::uint64_t nth = 1;; ++nth) {
        SCOPED_TRACE("call " + std::to_string(nth) + " errno " + std::to_string(error));
        SimulatedDisk disk;
        Subject subject(disk);
        disk.fail(nth, error, from_then_on);
        const bool done = run_script(subject);
        if (!disk.failed()) break;
        ++injected;
        subject.check_power_cut(random);
        ASSERT_TRUE(!from_then_on || !done);
        disk.heal();
        if (subject.is_open()) {
          ASSERT_TRUE(subject.flush());
        } else {  // the very first segment: nobody to try again but the caller of open()
          ASSERT_TRUE(is_ok(recover(subject.folder(), std::nullopt, disk)));
          ASSERT_TRUE(run_script(subject));
        }
        subject.check_live();
        subject.check_power_cut(random);
        if (HasFatalFailure()) return;
      }
    }
  }
  RecordProperty("faults_injected", std::to_string(injected));
  EXPECT_GT(injected, 100u);
}

TEST(Faults, ShortWritesAreCompleted) {
  std::mt19937_64 random(1);
  SimulatedDisk disk;
  disk.cut_writes_short(1);
  Subject subject(disk);
  ASSERT_TRUE(run_script(subject));
  subject.check_live();
  subject.check_power_cut(random);
}

TEST(Faults, PowerCutsLeaveAPrefixWithAllThatWasSynced) {
  const std::uint64_t seed = test_seed();
  std::uint64_t cuts = 0;
  for (std::uint64_t round = 0; round < 40; ++round) {
    SCOPED_TRACE("OJ_SEED=" + std::to_string(seed) + " round " + std::to_string(round));
    std::mt19937_64 random(seed + round);
    SimulatedDisk disk;
    Subject subject(disk);
    ASSERT_TRUE(subject.open());
    for (int step = 0; step < 30; ++step) {
      subject.write(random() % 5, random() % 2500);
      switch (random() % 8) {
        case 0: disk.fail(random() % 6 + 1, EIO); break;
        case 1: disk.fail(random() % 6 + 1, ENOSPC, true); break;
        case 2: disk.heal(); break;
        case 3: (void)subject.writer().write_idle_marker(step); break;
        case 4:
          disk.heal();
          subject.check_killed();
          break;
        default: (void)subject.flush(1); break;
      }
      for (int again = 0; again < 3; ++again, ++cuts) subject.check_power_cut(random);
      subject.check_live();
      if (HasFatalFailure()) return;
    }
  }
  RecordProperty("power_cuts", std::to_string(cuts));
}

// The checker itself: a disk whose fdatasync lies must be caught, and a folder sync that is
// skipped.
class LyingDisk final : public FileSystem {
 public:
  LyingDisk(SimulatedDisk& disk, bool about_data) : disk_(disk), about_data_(about_data) {}
  int open_at(int folder, const char* name, int flags, mode_t mode) override {
    return disk_.open_at(folder, name, flags, mode);
  }
  ssize_t pread(int fd, void* bytes, std::size_t size, std::uint64_t at) override {
    return disk_.pread(fd, bytes, size, at);
  }
  ssize_t pwrite(int fd, const void* bytes, std::size_t size, std::uint64_t at) override {
    return disk_.pwrite(fd, bytes, size, at);
  }
  int allocate(int fd, std::uint64_t size) override { return disk_.allocate(fd, size); }
  int truncate(int fd, std::uint64_t size) override { return disk_.truncate(fd, size); }
  int punch(int fd, std::uint64_t at, std::uint64_t size) override {
    return disk_.punch(fd, at, size);
  }
  int fdatasync(int fd) override { return about_data_ ? 0 : disk_.fdatasync(fd); }
  int fsync(int fd) override {
    struct stat status {};
    if (disk_.stat(fd, &status) == 0 && S_ISDIR(status.st_mode) && !about_data_) return 0;
    return disk_.fsync(fd);
  }
  int rename_at(int folder, const char* from, const char* to) override {
    return disk_.rename_at(folder, from, to);
  }
  int unlink_at(int folder, const char* name) override { return disk_.unlink_at(folder, name); }
  int stat(int fd, struct stat* out) override { return disk_.stat(fd, out); }
  std::int64_t next_data(int fd, std::uint64_t at) override { return disk_.next_data(fd, at); }
  void forget_cached(int fd) override { disk_.forget_cached(fd); }

 private:
  SimulatedDisk& disk_;
  bool about_data_;
};

bool lie_is_caught(bool about_data) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    std::mt19937_64 random(seed);
    SimulatedDisk disk;
    LyingDisk lying(disk, about_data);
    const TemporaryFolder temporary(Where::kMemory);
    const Folder folder = must_open(temporary.at("j"));
    WriterOptions options = kSmall;
    options.file_system = &lying;
    Writer writer = must_write(folder, 0, options);
    EXPECT_TRUE(is_ok(write_some(writer, 3, 100)));
    EXPECT_TRUE(is_ok(writer.sync()));
    disk.materialise(folder, temporary.at("after"), random);
    const auto after = Folder::open(temporary.at("after"), Folder::IfAbsent::kRefuse);
    const auto end = find_end(*after);
    if (!end || *end < 3) return true;
  }
  return false;
}

TEST(Faults, APlantedLieIsCaught) {
  EXPECT_TRUE(lie_is_caught(true)) << "a sync that does nothing";
  EXPECT_TRUE(lie_is_caught(false)) << "a folder that is not synced";
}

TEST(Faults, RecoveryThatIsInterruptedAtAnyCallIsRepeated) {
  for (std::uint64_t nth = 1;; ++nth) {
    SCOPED_TRACE("call " + std::to_string(nth));
    const TemporaryFolder temporary(Where::kMemory);
    const Folder folder = must_open(temporary.at("j"));
    {
      Writer writer = must_write(folder, 0, kSmall);
      ASSERT_TRUE(is_ok(write_some(writer, 3, 1000)));
      ASSERT_TRUE(is_ok(writer.sync()));
      ASSERT_TRUE(is_ok(write_some(writer, 3, 1000)));
    }
    write_file(folder.segments_path() + "/00000000000000000006-0000000002.seg.tmp", Bytes(10));
    const fs::path path = segment_paths(folder).at(0);
    Bytes bytes = read_file(path);
    bytes[12000] ^= std::byte{4};  // in the second frame
    write_file(path, bytes);
    SimulatedDisk disk;
    disk.fail(nth, EIO, true);
    (void)recover(folder, std::nullopt, disk).ok();
    if (!disk.failed()) {
      EXPECT_GT(nth, 4u);
      return;
    }
    for (int again = 0; again < 2; ++again) {
      const auto recovered = recover(folder, std::nullopt);
      ASSERT_TRUE(is_ok(recovered));
      ASSERT_EQ(recovered->next_seq, 3u);
      ASSERT_TRUE(again == 0 || recovered->torn_bytes == 0);
      ASSERT_EQ(segment_paths(folder).size(), 1u);
      ASSERT_EQ(read_back(folder, 0, 3).records.size(), 3u);
    }
  }
}

TEST(Faults, NoRoomSaysHowMuchIsNeededAndHowMuchThereIs) {
  const TemporaryFolder temporary;
  const Folder folder = must_open(temporary.at("j"));
  SimulatedDisk disk;
  WriterOptions options = kSmall;
  options.file_system = &disk;
  Writer writer = must_write(folder, 0, options);
  disk.fail(1, ENOSPC, true);
  const auto written = write_some(writer, 1, 100000);
  EXPECT_TRUE(fails_with(written, Code::kIo, "needs 110592 bytes, available are"));
  EXPECT_EQ(written.error().os_error, ENOSPC);
  EXPECT_TRUE(fails_with(writer.sync(), Code::kIo, "110592")) << "suspect until restart";
  EXPECT_TRUE(fails_with(writer.restart(), Code::kIo));
  disk.heal();
  EXPECT_TRUE(is_ok(writer.restart()));
  EXPECT_TRUE(is_ok(write_some(writer, 1, 100000)));
  EXPECT_TRUE(is_ok(writer.sync()));
  EXPECT_EQ(read_back(folder, 0, 1).records.size(), 1u);
}

// What an allocation took before it failed is given back: each segment is as long as its header
// says.
TEST(Faults, AnAllocationThatFailsHalfWayLeavesNothing) {
  const TemporaryFolder temporary;
  const Folder folder = must_open(temporary.at("j"));
  SimulatedDisk disk;
  disk.set_room(24576);
  WriterOptions options;
  options.segment_bytes_min = 12288;
  options.segment_bytes_max = 98304;
  options.file_system = &disk;
  Writer writer = must_write(folder, 0, options);
  for (int i = 0; i < 12; ++i) {
    ASSERT_TRUE(is_ok(write_some(writer, 1, 5000)));
    ASSERT_TRUE(is_ok(writer.sync()));
  }
  const auto paths = segment_paths(folder);
  ASSERT_GE(paths.size(), 4u);
  for (const fs::path& path : paths) {
    SegmentHeader header{};
    const Bytes bytes = read_file(path);
    ASSERT_GE(bytes.size(), sizeof header);
    std::memcpy(&header, bytes.data(), sizeof header);
    EXPECT_EQ(bytes.size(), header.segment_bytes) << path;
  }
  disk.set_room(4096);
  const auto written = write_some(writer, 1, 20000);
  EXPECT_TRUE(fails_with(written, Code::kIo, "bytes, available are"));
  EXPECT_EQ(segment_paths(folder).size(), paths.size());
}

// An EIO while reading is no damage and no end: it is told as what it is, and nothing is cut.
class UnreadableDisk final : public FileSystem {
 public:
  explicit UnreadableDisk(std::uint64_t from) : from_(from) {}
  int open_at(int folder, const char* name, int flags, mode_t mode) override {
    return real_.open_at(folder, name, flags, mode);
  }
  ssize_t pread(int fd, void* bytes, std::size_t size, std::uint64_t at) override {
    if (at + size <= from_) return real_.pread(fd, bytes, size, at);
    if (at < from_) return real_.pread(fd, bytes, from_ - at, at);
    errno = EIO;
    return -1;
  }
  ssize_t pwrite(int, const void*, std::size_t, std::uint64_t) override { return changed(); }
  int allocate(int, std::uint64_t) override { return changed(); }
  int truncate(int, std::uint64_t) override { return changed(); }
  int punch(int, std::uint64_t, std::uint64_t) override { return changed(); }
  int fdatasync(int) override { return 0; }
  int fsync(int) override { return 0; }
  int rename_at(int, const char*, const char*) override { return changed(); }
  int unlink_at(int, const char*) override { return changed(); }
  int stat(int fd, struct stat* out) override { return real_.stat(fd, out); }
  std::int64_t next_data(int fd, std::uint64_t at) override { return real_.next_data(fd, at); }
  void forget_cached(int) override {}

 private:
  static int changed() {
    ADD_FAILURE() << "a refused folder was changed";
    errno = EROFS;
    return -1;
  }
  FileSystem& real_ = real_file_system();
  std::uint64_t from_;
};

TEST(Faults, WhatCannotBeReadIsNotCut) {
  const TemporaryFolder temporary;
  const Folder folder = must_open(temporary.at("j"));
  {
    Writer writer = must_write(folder, 0, kSmall);
    ASSERT_TRUE(is_ok(write_some(writer, 3, 100)));
    ASSERT_TRUE(is_ok(write_some(writer, 3, 2000)));
  }
  for (const std::uint64_t from : {0u, 8192u, 8300u, 12288u}) {
    UnreadableDisk disk(from);
    const auto recovered = recover(folder, std::nullopt, disk);
    EXPECT_TRUE(fails_with(recovered, Code::kIo)) << from;
    const ReadBack back = read_back(folder, 0, 6, disk);
    ASSERT_TRUE(back.error.has_value()) << from;
    EXPECT_EQ(back.error->os_error, EIO) << from << " " << back.error->message;
  }
  EXPECT_EQ(read_back(folder, 0, 6).records.size(), 6u);
}

}  // namespace
}  // namespace oj::journal::testing
