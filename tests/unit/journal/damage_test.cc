// Goal: damage is found and classified, never served: a torn end is cut, damage below what was
// synced is refused. Method: a small journal whose every byte is known; damage it in every place
// (cut short, torn, one bit), and compare what find_end() and Reader say with what follows from the
// frames' places and claims.
//
// SPDX-License-Identifier: MIT
#include "tests/unit/journal/journal_fixture.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <functional>

#include "journal/format.h"

namespace oj::journal::testing {
namespace {

struct Frame {
  std::uint64_t offset, end, first_seq, claim;
};

// ThreadSanitizer has nothing to see here and is 30 times slower: it gets one bit of each byte.
#ifdef __SANITIZE_THREAD__
constexpr bool kEveryBit = false;
#else
constexpr bool kEveryBit = true;
#endif

// One segment of 12 KiB: three synced frames, an idle marker, one frame that was never synced.
class Specimen {
 public:
  Specimen() : folder_(must_open(temporary_.at("j"))) {
    Writer writer =
        must_write(folder_, 0, {.segment_bytes_min = 12288, .segment_bytes_max = 12288});
    for (const std::size_t count : {3, 2, 4}) {
      EXPECT_TRUE(is_ok(write_some(writer, count, 37)));
      EXPECT_TRUE(is_ok(writer.sync()));
    }
    EXPECT_TRUE(is_ok(writer.write_idle_marker(5)));
    EXPECT_TRUE(is_ok(write_some(writer, 2, 37)));
    end_seq_ = writer.next_seq();
    path_ = segment_paths(folder_).at(0);
    bytes_ = read_file(path_);
    EXPECT_EQ(bytes_.size(), 12288u);
    for (std::uint64_t offset = kFramesOffset;;) {
      FrameHeader header;
      std::memcpy(&header, bytes_.data() + offset, sizeof header);
      if (header.magic != kFrameMagic) break;
      const std::uint64_t end = offset + sizeof header + header.payload_bytes;
      frames_.push_back({offset, end, header.first_seq, header.synced_through});
      offset = end;
    }
    EXPECT_EQ(frames_.size(), 5u);
  }

  const Folder& folder() const { return folder_; }
  const fs::path& path() const { return path_; }
  const Bytes& bytes() const { return bytes_; }
  const std::vector<Frame>& frames() const { return frames_; }
  std::uint64_t end_seq() const { return end_seq_; }
  // Of the frame that holds this byte; frames().size() for the headers and for the zeros at the
  // end.
  std::size_t frame_at(std::uint64_t offset) const {
    for (std::size_t i = 0; i < frames_.size(); ++i) {
      if (offset >= frames_[i].offset && offset < frames_[i].end) return i;
    }
    return frames_.size();
  }
  bool vouched_after(std::size_t frame) const {
    return std::any_of(frames_.begin() + static_cast<std::ptrdiff_t>(frame) + 1, frames_.end(),
                       [&](const Frame& later) { return later.claim > frames_[frame].first_seq; });
  }
  std::uint64_t seq_at(std::size_t frame) const {
    return frame < frames_.size() ? frames_[frame].first_seq : end_seq_;
  }
  void put(std::span<const std::byte> bytes) const { write_file(path_, bytes); }

  // Whatever a reader gives out is right, and it gives all records before `whole_until`, none at or
  // after it.
  void expect_reads_exactly(std::uint64_t whole_until) const {
    const ReadBack back = read_back(folder_, 0, end_seq_);
    ASSERT_EQ(back.records.size(), whole_until) << (back.error ? back.error->message : "no error");
    for (std::uint64_t seq = 0; seq < whole_until; ++seq)
      ASSERT_EQ(back.records[seq], record_of(seq, 37));
    if (whole_until < end_seq_) {
      ASSERT_TRUE(back.error.has_value());
      ASSERT_EQ(back.error->code, Code::kCorrupt) << back.error->message;
    }
  }

 private:
  TemporaryFolder temporary_{TemporaryFolder::Where::kMemory};
  Folder folder_;
  fs::path path_;
  Bytes bytes_;
  std::vector<Frame> frames_;
  std::uint64_t end_seq_ = 0;
};

TEST(Damage, EveryBitOfTheNewestSegmentIsFoundAndClassified) {
  const Specimen specimen;
  const int fd = ::open(specimen.path().c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  std::uint64_t harmless = 0, cut = 0, refused = 0;
  for (std::uint64_t offset = 0; offset < specimen.bytes().size(); ++offset) {
    const std::size_t frame = specimen.frame_at(offset);
    for (int bit = 0; bit < 8; ++bit) {
      if (!kEveryBit && bit != static_cast<int>(offset % 8)) continue;
      const std::byte flipped = specimen.bytes()[offset] ^ static_cast<std::byte>(1 << bit);
      ASSERT_EQ(::pwrite(fd, &flipped, 1, static_cast<off_t>(offset)), 1);
      const auto end = find_end(specimen.folder());
      if (frame < specimen.frames().size() && specimen.vouched_after(frame)) {
        ASSERT_TRUE(fails_with(end, Code::kCorrupt,
                               "offset " + std::to_string(specimen.frames()[frame].offset)))
            << "offset " << offset << " bit " << bit;
        ++refused;
      } else {
        ASSERT_TRUE(is_ok(end)) << "offset " << offset << " bit " << bit;
        ASSERT_EQ(*end, specimen.seq_at(frame)) << "offset " << offset << " bit " << bit;
        ++(frame < specimen.frames().size() ? cut : harmless);
      }
      if (bit == static_cast<int>(offset % 8))
        specimen.expect_reads_exactly(specimen.seq_at(frame));
      if (::testing::Test::HasFatalFailure()) return;
    }
    ASSERT_EQ(::pwrite(fd, &specimen.bytes()[offset], 1, static_cast<off_t>(offset)), 1);
  }
  ::close(fd);
  EXPECT_EQ(harmless + cut + refused, 12288u * (kEveryBit ? 8 : 1));
  RecordProperty("harmless", std::to_string(harmless));
  RecordProperty("cut", std::to_string(cut));
  RecordProperty("refused", std::to_string(refused));
}

TEST(Damage, AFileCutShortAtAnyByteIsRefusedAndReadUpToThere) {
  const Specimen specimen;
  for (std::uint64_t size = 0; size < specimen.bytes().size(); ++size) {
    specimen.put(std::span(specimen.bytes()).first(size));
    const auto end = find_end(specimen.folder());
    ASSERT_TRUE(fails_with(end, Code::kCorrupt)) << size;
    std::uint64_t whole_until = 0;
    if (size >= kSegmentHeaderBytes) {  // one copy of the header is enough
      whole_until = specimen.end_seq();
      for (const Frame& frame : specimen.frames()) {
        if (frame.end > size) whole_until = std::min(whole_until, frame.first_seq);
      }
    }
    specimen.expect_reads_exactly(whole_until);
    if (HasFatalFailure()) return;
  }
  // Nothing was changed by being refused.
  const std::uint64_t size = specimen.frames()[2].offset + 5;
  specimen.put(std::span(specimen.bytes()).first(size));
  EXPECT_TRUE(fails_with(recover(specimen.folder(), std::nullopt), Code::kCorrupt, "cut short"));
  EXPECT_EQ(read_file(specimen.path()).size(), size);
}

// What a crash leaves: preallocated bytes that never got their content. `fill` makes them.
void tear_everywhere(const Specimen& specimen, const std::function<std::byte()>& fill) {
  for (std::uint64_t from = kFramesOffset; from <= specimen.bytes().size(); ++from) {
    Bytes torn = specimen.bytes();
    std::uint64_t changed = torn.size();
    for (std::uint64_t i = torn.size(); i-- > from;) {
      torn[i] = fill();
      if (torn[i] != specimen.bytes()[i]) changed = i;
    }
    specimen.put(torn);
    const std::uint64_t expected = specimen.seq_at(specimen.frame_at(changed));
    const auto end = find_end(specimen.folder());
    ASSERT_TRUE(is_ok(end)) << from;
    ASSERT_EQ(*end, expected) << from;
    if (from % 16 != 0) continue;
    const auto recovered = recover(specimen.folder(), std::nullopt);
    ASSERT_TRUE(is_ok(recovered)) << from;
    ASSERT_EQ(recovered->next_seq, expected) << from;
    specimen.expect_reads_exactly(expected);
    const Bytes after = read_file(specimen.path());
    ASSERT_EQ(after.size(), torn.size()) << "recovery must not change the size";
    const auto again = recover(specimen.folder(), std::nullopt);
    ASSERT_TRUE(is_ok(again)) << from;
    ASSERT_EQ(again->next_seq, expected);
    ASSERT_EQ(again->torn_bytes, 0u) << from;
    ASSERT_EQ(read_file(specimen.path()), after) << "a second recovery must change nothing";
    if (::testing::Test::HasFatalFailure()) return;
  }
}

TEST(Damage, ATornEndOfZerosGivesThePrefix) {
  const Specimen specimen;
  tear_everywhere(specimen, [] { return std::byte{0}; });
}

TEST(Damage, ATornEndOfGarbageGivesThePrefix) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("OJ_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const Specimen specimen;
  tear_everywhere(specimen, [&] { return static_cast<std::byte>(random()); });
}

// A hole before frames that were written later: torn unless one of them says that the hole was
// synced.
TEST(Damage, AHoleIsTornOrRefusedByWhatLaterFramesSay) {
  const Specimen specimen;
  for (std::size_t frame = 0; frame < specimen.frames().size(); ++frame) {
    Bytes bytes = specimen.bytes();
    const Frame& gone = specimen.frames()[frame];
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(gone.offset),
              bytes.begin() + static_cast<std::ptrdiff_t>(gone.end), std::byte{0});
    specimen.put(bytes);
    const auto recovered = recover(specimen.folder(), std::nullopt);
    if (specimen.vouched_after(frame)) {
      EXPECT_TRUE(
          fails_with(recovered, Code::kCorrupt, "record " + std::to_string(gone.first_seq)));
      EXPECT_EQ(read_file(specimen.path()), bytes) << "refused, so nothing may change";
    } else {
      ASSERT_TRUE(is_ok(recovered));
      EXPECT_EQ(recovered->next_seq, gone.first_seq);
      EXPECT_EQ(recovered->torn_report.empty(), frame + 1 == specimen.frames().size())
          << "the last leaves only zeros";
    }
  }
}

TEST(Damage, FramesFromElsewhereAreNotBelieved) {
  const TemporaryFolder temporary;
  const WriterOptions options{.segment_bytes_min = 12288, .segment_bytes_max = 12288};
  // The same records at the same offsets: in another journal, in another segment, at another place.
  const Folder other_journal = must_open(temporary.at("other"));
  Writer foreign = must_write(other_journal, 0, options);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(is_ok(write_some(foreign, 3, 40)));
  const Bytes foreign_bytes = read_file(segment_paths(other_journal).at(0));

  const Folder folder = must_open(temporary.at("j"));
  Bytes stale_bytes;
  {
    Writer writer = must_write(folder, 0, options);
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(is_ok(write_some(writer, 3, 40)));
    stale_bytes = read_file(segment_paths(folder).at(0));
    ASSERT_TRUE(is_ok(writer.restart()));  // number 2 supersedes it from record 0
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(is_ok(write_some(writer, 3, 40)));
    ASSERT_TRUE(is_ok(writer.sync()));
  }
  const fs::path path = segment_paths(folder).at(0);
  const Bytes good = read_file(path);
  const std::size_t frame_bytes = sizeof(FrameHeader) + 3 * (sizeof(RecordHeader) + 40);
  for (const Bytes* source :
       std::initializer_list<const Bytes*>{&foreign_bytes, &stale_bytes, &good}) {
    for (std::size_t from = 0; from < 4; ++from) {
      for (std::size_t to = 0; to < 4; ++to) {
        if (source == &good && from == to) continue;
        Bytes bytes = good;
        std::copy_n(
            source->begin() + static_cast<std::ptrdiff_t>(kFramesOffset + from * frame_bytes),
            frame_bytes,
            bytes.begin() + static_cast<std::ptrdiff_t>(kFramesOffset + to * frame_bytes));
        write_file(path, bytes);
        const auto end = find_end(folder);
        ASSERT_TRUE(is_ok(end));
        EXPECT_EQ(*end, to * 3) << "frame " << from << " at the place of " << to;
        EXPECT_EQ(read_back(folder, 0, 12).records.size(), to * 3);
      }
    }
  }
}

TEST(Damage, AWholeSegmentFromElsewhereIsRefused) {
  const TemporaryFolder temporary;
  const Folder other = must_open(temporary.at("other"));
  const Folder folder = must_open(temporary.at("j"));
  (void)must_write(other);
  (void)must_write(folder);
  const fs::path path = segment_paths(folder).at(0);
  const Bytes good = read_file(path);
  write_file(path, read_file(segment_paths(other).at(0)));
  EXPECT_TRUE(fails_with(find_end(folder), Code::kCorrupt,
                         "belongs to journal " + to_string(other.journal_id())));
  EXPECT_TRUE(fails_with(recover(folder, std::nullopt), Code::kCorrupt, path.string()));
  write_file(path, good);
  fs::rename(path, path.parent_path() / "00000000000000000000-0000000009.seg");
  EXPECT_TRUE(fails_with(find_end(folder), Code::kCorrupt, "its header says"));
}

class ManySegments : public ::testing::Test {
 protected:
  void SetUp() override {
    Writer writer =
        must_write(folder_, 0, {.segment_bytes_min = 12288, .segment_bytes_max = 12288});
    while (writer.segment_count() < 5) ASSERT_TRUE(is_ok(write_some(writer, 2, 500)));
    ASSERT_TRUE(is_ok(writer.sync()));
    end_ = writer.next_seq();
    paths_ = segment_paths(folder_);
  }
  TemporaryFolder temporary_;
  Folder folder_ = must_open(temporary_.at("j"));
  std::vector<fs::path> paths_;
  std::uint64_t end_ = 0;
};

TEST_F(ManySegments, AMissingOneIsNamed) {
  for (const std::size_t gone : {0u, 1u, 3u}) {
    const Bytes bytes = read_file(paths_[gone]);
    fs::remove(paths_[gone]);
    EXPECT_TRUE(fails_with(find_end(folder_), Code::kCorrupt, "missing")) << gone;
    EXPECT_TRUE(fails_with(recover(folder_, std::nullopt), Code::kCorrupt, "missing")) << gone;
    write_file(paths_[gone], bytes);
  }
  fs::remove(paths_[4]);  // the newest: only who knows what was synced can tell
  EXPECT_TRUE(fails_with(recover(folder_, end_), Code::kCorrupt));
}

TEST_F(ManySegments, DamageInAnOldOneIsFoundByWhoReadsIt) {
  Bytes bytes = read_file(paths_[1]);
  bytes[kFramesOffset + 200] ^= std::byte{1};
  write_file(paths_[1], bytes);
  const auto end = find_end(folder_);
  ASSERT_TRUE(is_ok(end));
  EXPECT_EQ(*end, end_);
  const ReadBack back = read_back(folder_, 0, end_);
  ASSERT_TRUE(back.error.has_value());
  EXPECT_EQ(back.error->code, Code::kCorrupt);
  EXPECT_NE(back.error->message.find(paths_[1].filename().string() + ": offset 8192, record " +
                                     std::to_string(back.records.size())),
            std::string::npos)
      << back.error->message;
}

TEST_F(ManySegments, OneReadsFromAnySeq) {
  for (std::uint64_t seq = 0; seq < end_; ++seq) {
    const ReadBack back = read_back(folder_, seq, end_);
    ASSERT_EQ(back.records.size(), end_ - seq);
    ASSERT_EQ(back.records[0], record_of(seq, 500));
  }
}

TEST_F(ManySegments, LeftoversOfAHalfMadeSegmentAreRemoved) {
  const fs::path leftover = paths_[0].parent_path() / "00000000000000000099-0000000006.seg.tmp";
  const fs::path stranger = paths_[0].parent_path() / "notes.txt";
  write_file(leftover, Bytes(100));
  write_file(stranger, Bytes(100));
  ASSERT_TRUE(is_ok(find_end(folder_)));
  EXPECT_TRUE(fs::exists(leftover)) << "looking changes nothing";
  ASSERT_TRUE(is_ok(recover(folder_, std::nullopt)));
  EXPECT_FALSE(fs::exists(leftover));
  EXPECT_TRUE(fs::exists(stranger));
}

TEST(Recovery, OfANewFolderStartsAtZero) {
  const TemporaryFolder temporary;
  const Folder folder = must_open(temporary.at("j"));
  const auto recovered = recover(folder, std::nullopt);
  ASSERT_TRUE(is_ok(recovered));
  EXPECT_EQ(recovered->next_seq, 0u);
  EXPECT_EQ(recovered->generation, 0u);
  EXPECT_TRUE(fails_with(recover(folder, 1), Code::kCorrupt, "no segments"));
}

TEST(Recovery, CutsWhatWasWrittenButIsNotTrusted) {
  const Specimen specimen;
  const auto recovered =
      recover(specimen.folder(), 9);  // nine records were synced, two more written
  ASSERT_TRUE(is_ok(recovered));
  EXPECT_EQ(recovered->next_seq, 9u);
  EXPECT_NE(recovered->torn_report.find("never synced"), std::string::npos)
      << recovered->torn_report;
  const auto end = find_end(specimen.folder());
  ASSERT_TRUE(is_ok(end));
  EXPECT_EQ(*end, 9u);
}

TEST(Recovery, KeepsWhatTheFramesVouchForThoughLessIsTrusted) {
  const Specimen specimen;
  const auto recovered = recover(specimen.folder(), 0);  // as with a region that was zeroed
  ASSERT_TRUE(is_ok(recovered));
  EXPECT_EQ(recovered->next_seq, 9u);
  EXPECT_EQ(recovered->synced_through, 9u);
}

TEST(Recovery, RefusesWhenMoreIsTrustedThanThereIs) {
  const Specimen specimen;
  EXPECT_TRUE(fails_with(recover(specimen.folder(), 12), Code::kCorrupt, "record 11"));
  EXPECT_EQ(read_file(specimen.path()), specimen.bytes());
}

TEST(Recovery, TrustingTheMiddleOfAFrameSupersedesItsRest) {
  const TemporaryFolder temporary;
  const Folder folder = must_open(temporary.at("j"));
  {
    Writer writer = must_write(folder);
    ASSERT_TRUE(is_ok(write_some(writer, 10, 20)));
  }
  const auto recovered = recover(folder, 4);
  ASSERT_TRUE(is_ok(recovered));
  ASSERT_EQ(recovered->next_seq, 4u);
  Writer writer = must_write(folder, 4);
  ASSERT_TRUE(is_ok(write_some(writer, 3, 50)));
  ASSERT_TRUE(is_ok(writer.sync()));
  const ReadBack back = read_back(folder, 0, 7);
  ASSERT_EQ(back.records.size(), 7u) << (back.error ? back.error->message : "");
  for (std::uint64_t seq = 0; seq < 7; ++seq)
    EXPECT_EQ(back.records[seq], record_of(seq, seq < 4 ? 20 : 50));
}

// Versions: bits and numbers that this program does not know, with checksums that fit.
void patch_header(const fs::path& path, const std::function<void(SegmentHeader&)>& patch) {
  Bytes bytes = read_file(path);
  for (const std::uint64_t offset : {std::uint64_t{0}, kSegmentHeaderBytes}) {
    SegmentHeader header;
    std::memcpy(&header, bytes.data() + offset, sizeof header);
    patch(header);
    header.crc = segment_header_crc(header, offset);
    std::memcpy(bytes.data() + offset, &header, sizeof header);
  }
  write_file(path, bytes);
}

TEST(Versions, UnknownOnesAreRefusedReadOnlyOrIgnoredAsTheySay) {
  const TemporaryFolder temporary;
  const Folder folder = must_open(temporary.at("j"));
  (void)must_write(folder);
  const fs::path path = segment_paths(folder).at(0);
  const Bytes good = read_file(path);
  patch_header(path, [](SegmentHeader& header) { header.format_major = 2; });
  EXPECT_TRUE(fails_with(find_end(folder), Code::kIncompatible, "upgrade"));
  write_file(path, good);
  patch_header(path, [](SegmentHeader& header) { header.incompat = 8; });
  EXPECT_TRUE(fails_with(recover(folder, std::nullopt), Code::kIncompatible, "upgrade"));
  write_file(path, good);
  patch_header(path, [](SegmentHeader& header) { header.ro_compat = 1; });
  EXPECT_TRUE(is_ok(find_end(folder)));
  EXPECT_TRUE(fails_with(recover(folder, std::nullopt), Code::kIncompatible, "read but not write"));
  write_file(path, good);
  patch_header(path,
               [](SegmentHeader& header) { header.compat = 0xffff, header.format_minor = 9; });
  EXPECT_TRUE(is_ok(find_end(folder)));
}

}  // namespace
}  // namespace oj::journal::testing
