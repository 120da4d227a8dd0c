// Goal: format 1 stays what it is. The page docs/journal-format.md says what the structures are,
// the golden folder tests/golden/journal-1 is what a released version wrote: it must be read, and
// the writer must still write it byte for byte. To make the golden folder of a new version:
// OJ_GOLDEN_WRITE=<folder>.
//
// SPDX-License-Identifier: MIT
#include "journal/format.h"

#include <cstring>
#include <map>
#include <sstream>

#include "journal/recovery_table.h"
#include "tests/unit/journal/journal_fixture.h"

namespace oj::journal::testing {
namespace {

fs::path repository() { return OJ_SOURCE_ROOT; }
fs::path golden() { return repository() / "tests/golden/journal-1"; }

std::vector<std::string> lines_of(const fs::path& path) {
  std::ifstream in(path);
  EXPECT_TRUE(in.good()) << path;
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

struct Field {
  std::size_t offset, size;
  bool operator==(const Field&) const = default;
};
using Fields = std::map<std::string, Field>;
void PrintTo(const Field& field, std::ostream* out) { *out << field.offset << "+" << field.size; }

// The rows "| offset | size | `name` | ..." under the heading.
Fields fields_under(const std::string& heading) {
  Fields fields;
  bool inside = false;
  for (const std::string& line : lines_of(repository() / "docs/journal-format.md")) {
    if (line.starts_with("#")) inside = line == heading;
    std::size_t offset = 0, size = 0;
    char name[64];
    if (inside &&
        std::sscanf(line.c_str(), "| %zu | %zu | `%63[a-z_]`", &offset, &size, name) == 3) {
      fields[name] = {offset, size};
    }
  }
  return fields;
}

#define OJ_FIELD(type, name)                            \
  {                                                     \
#name, { offsetof(type, name), sizeof(type::name) } \
  }

TEST(FormatPage, GivesTheOffsetsOfTheSegmentHeader) {
  const Fields code = {OJ_FIELD(SegmentHeader, magic),
                       OJ_FIELD(SegmentHeader, format_major),
                       OJ_FIELD(SegmentHeader, format_minor),
                       OJ_FIELD(SegmentHeader, compat),
                       OJ_FIELD(SegmentHeader, ro_compat),
                       OJ_FIELD(SegmentHeader, incompat),
                       OJ_FIELD(SegmentHeader, journal_id),
                       OJ_FIELD(SegmentHeader, number),
                       OJ_FIELD(SegmentHeader, first_seq),
                       OJ_FIELD(SegmentHeader, generation),
                       OJ_FIELD(SegmentHeader, segment_bytes),
                       OJ_FIELD(SegmentHeader, previous_number),
                       OJ_FIELD(SegmentHeader, boot_id),
                       OJ_FIELD(SegmentHeader, reserved),
                       OJ_FIELD(SegmentHeader, crc)};
  EXPECT_EQ(fields_under("### Segment header"), code);
}

TEST(FormatPage, GivesTheOffsetsOfTheFrameHeader) {
  const Fields code = {
      OJ_FIELD(FrameHeader, magic),         OJ_FIELD(FrameHeader, header_crc),
      OJ_FIELD(FrameHeader, first_seq),     OJ_FIELD(FrameHeader, synced_through),
      OJ_FIELD(FrameHeader, generation),    OJ_FIELD(FrameHeader, time_us),
      OJ_FIELD(FrameHeader, payload_bytes), OJ_FIELD(FrameHeader, record_count),
      OJ_FIELD(FrameHeader, payload_crc),   OJ_FIELD(FrameHeader, previous_payload_crc),
      OJ_FIELD(FrameHeader, reserved)};
  EXPECT_EQ(fields_under("### Frame header"), code);
}

TEST(FormatPage, GivesTheOffsetsOfARecord) {
  const Fields code = {OJ_FIELD(RecordHeader, length), OJ_FIELD(RecordHeader, crc)};
  EXPECT_EQ(fields_under("### Record"), code);
}

#undef OJ_FIELD

TEST(FormatPage, ListsTheRowsOfTheRecoveryTable) {
  static const std::map<Decision, std::string> kWords = {{Decision::kAccept, "accept"},
                                                         {Decision::kEnd, "end"},
                                                         {Decision::kCut, "cut"},
                                                         {Decision::kRefuse, "refuse"}};
  std::string page;
  for (const std::string& line : lines_of(repository() / "docs/journal-format.md"))
    page += line + "\n";
  for (const RecoveryRow& row : recovery_table()) {
    const std::string line = "| " + std::string(row.name) + " | " + kWords.at(row.decision) + " |";
    EXPECT_NE(page.find(line), std::string::npos) << line;
  }
}

// Lines like "00002000  4f 4a ..." on the page are bytes of the golden segment.
TEST(FormatPage, ShowsBytesOfTheGoldenSegment) {
  const Bytes bytes = read_file(golden() / "segments/00000000000000000000-0000000001.seg");
  std::size_t shown = 0;
  for (const std::string& line : lines_of(repository() / "docs/journal-format.md")) {
    if (line.size() < 10 || line.find_first_not_of("0123456789abcdef") != 8 ||
        line.compare(8, 2, "  ") != 0)
      continue;
    const std::size_t offset = std::stoul(line.substr(0, 8), nullptr, 16);
    std::istringstream values(line.substr(10, 16 * 3 - 1));
    std::string value;
    for (std::size_t i = offset; values >> value; ++i, ++shown) {
      ASSERT_LT(i, bytes.size());
      EXPECT_EQ(std::stoul(value, nullptr, 16), static_cast<unsigned long>(bytes[i])) << line;
    }
  }
  EXPECT_GE(shown, 192u);
}

// What the golden folder was made of.
const std::vector<std::vector<std::string>> kGoldenBatches = {{"hello", "", "journal!"},
                                                              {"one record of a batch of its own"},
                                                              {std::string(3800, 'x')},
                                                              {"last"}};

Result<void> write_golden(const Folder& folder) {
  WriterOptions options{.segment_bytes_min = 12288, .segment_bytes_max = 12288};
  for (std::size_t i = 0; i < options.boot_id.size(); ++i)
    options.boot_id[i] = static_cast<std::byte>(i + 1);
  auto writer = Writer::open(folder, 0, 3, options);
  if (!writer) return writer.error();
  std::int64_t time_us = 1'764'000'000'000'000;
  for (const auto& batch : kGoldenBatches) {
    std::vector<RecordBytes> records;
    for (const std::string& record : batch) records.push_back({std::as_bytes(std::span(record))});
    if (auto written = writer->write_batch(records, ++time_us); !written) return written;
    if (auto synced = writer->sync(); !synced) return synced;
  }
  return writer->write_idle_marker(++time_us);
}

std::map<std::string, Bytes> segments_in(const fs::path& folder) {
  std::map<std::string, Bytes> segments;
  for (const auto& entry : fs::directory_iterator(folder / "segments")) {
    segments[entry.path().filename()] = read_file(entry.path());
  }
  return segments;
}

TEST(Golden, FormatOneIsRead) {
  const auto folder = Folder::open(golden().string(), Folder::IfAbsent::kRefuse);
  ASSERT_TRUE(is_ok(folder));
  EXPECT_EQ(to_string(folder->journal_id()), "6f707469-6d69-4a6f-b572-6e616c303031");
  const auto end = find_end(*folder);
  ASSERT_TRUE(is_ok(end));
  std::vector<std::string> expected;
  for (const auto& batch : kGoldenBatches)
    expected.insert(expected.end(), batch.begin(), batch.end());
  ASSERT_EQ(*end, expected.size());
  const ReadBack back = read_back(*folder, 0, *end);
  ASSERT_EQ(back.records.size(), expected.size()) << (back.error ? back.error->message : "");
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(
        std::string(reinterpret_cast<const char*>(back.records[i].data()), back.records[i].size()),
        expected[i]);
  }
}

TEST(Golden, FormatOneIsWrittenByteForByte) {
  const TemporaryFolder temporary;
  fs::create_directories(temporary.path() / "j/segments");
  fs::copy_file(golden() / "FORMAT", temporary.path() / "j/FORMAT");
  const auto folder = Folder::open(temporary.at("j"), Folder::IfAbsent::kRefuse);
  ASSERT_TRUE(is_ok(folder));
  ASSERT_TRUE(is_ok(write_golden(*folder)));
  if (const char* to = std::getenv("OJ_GOLDEN_WRITE")) {
    fs::copy(folder->segments_path(), fs::path(to) / "segments",
             fs::copy_options::overwrite_existing | fs::copy_options::recursive);
  }
  EXPECT_EQ(segments_in(folder->path()), segments_in(golden()));
}

TEST(Uuids, AreParsedBackAndNothingElseIs) {
  const Uuid uuid = random_uuid();
  EXPECT_EQ(parse_uuid(to_string(uuid)), uuid);
  EXPECT_NE(uuid, random_uuid());
  for (const char* wrong :
       {"", "6f707469", "6f707469-6d69-4a6f-b572-6e616c30303",
        "6f707469-6d69-4a6f-b572-6e616c3030311", "6F707469-6d69-4a6f-b572-6e616c303031",
        "6f707469x6d69-4a6f-b572-6e616c303031"}) {
    EXPECT_FALSE(parse_uuid(wrong).has_value()) << wrong;
  }
}

}  // namespace
}  // namespace oj::journal::testing
