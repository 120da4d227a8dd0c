// SPDX-License-Identifier: MIT
#include "journal/examination.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <vector>

#include "base/check.h"
#include "journal/frame_stream.h"

namespace oj::journal {
namespace {

constexpr int kListAttempts = 16;
constexpr std::uint64_t kScanBytes = 256u << 10;

// What the rest of a segment, after its last whole frame, has to say.
struct Rest {
  std::uint64_t data_end = 0;  // one past the last byte that is not zero
  std::uint64_t vouched = 0;   // highest synced_through of any valid frame header in it
  int read_failure = 0;
};

void look_at_words(std::span<const std::byte> bytes, std::size_t words, std::uint64_t offset,
                   const SegmentSeed& seed, Rest& rest) {
  for (std::size_t i = 0; i < words; ++i) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i * 8, sizeof word);
    if (word == 0) continue;
    rest.data_end = offset + i * 8 + 8;
    if (static_cast<std::uint32_t>(word) != kFrameMagic ||
        bytes.size() - i * 8 < sizeof(FrameHeader))
      continue;
    FrameHeader header;
    std::memcpy(&header, bytes.data() + i * 8, sizeof header);
    if (header.header_crc == seed.header_crc(header, offset + i * 8)) {
      rest.vouched = std::max(rest.vouched, header.synced_through);
    }
  }
}

// Looks for valid frame headers at every multiple of 8 from `offset` on. Holes are skipped.
Rest look_at_rest(FileSystem& fs, const OpenSegment& segment, std::uint64_t offset) {
  const SegmentSeed seed(segment.header.journal_id, segment.header.number);
  const std::uint64_t end = std::min(segment.file_bytes, segment.header.segment_bytes);
  Rest rest;
  rest.data_end = offset;
  std::vector<std::byte> buffer(kScanBytes + sizeof(FrameHeader));
  while (offset < end) {
    const std::int64_t data = fs.next_data(segment.fd.get(), offset);
    if (data < 0 && errno == ENXIO) break;
    if (data >= 0) offset = std::max(offset, static_cast<std::uint64_t>(data) / 8 * 8);
    if (offset >= end) break;
    // A header's worth more than is stepped over, so that one across the border is seen whole.
    const std::uint64_t size = std::min<std::uint64_t>(buffer.size(), end - offset);
    std::fill(buffer.begin(), buffer.end(), std::byte{0});
    const std::int64_t got = read_fully(fs, segment.fd.get(), buffer.data(), size, offset);
    if (got < 0) {
      rest.read_failure = errno;
      break;
    }
    const std::uint64_t step = std::min<std::uint64_t>(kScanBytes, size);
    look_at_words(buffer, (step + 7) / 8, offset, seed, rest);
    offset += step;
  }
  rest.data_end = std::min(rest.data_end, std::max(end, offset));
  return rest;
}

// The observation at the stream's place, but for kZeros, kWholeFile and kVouched. Gives the header
// if there is one.
std::uint32_t look_at_frame(FrameStream& stream, const SegmentHeader& segment, std::uint64_t seq,
                            FrameHeader& header) {
  std::uint32_t observed = 0;
  const auto peeked = stream.peek(header);
  if (peeked == FrameStream::Status::kReadFailed) return observed;
  observed |= kReadable;
  if (peeked != FrameStream::Status::kOk) return observed;
  observed |= kHeaderOk;
  if (header.first_seq == seq) observed |= kSeqEqual;
  if (header.first_seq < seq) observed |= kSeqBelow;
  if (header.previous_payload_crc == stream.chain() && header.generation == segment.generation) {
    observed |= kChainOk;
  }
  std::span<const std::byte> payload;
  const auto read = stream.payload(header, payload);
  if (read == FrameStream::Status::kReadFailed) return 0;
  if (read == FrameStream::Status::kOk) observed |= kPayloadOk;
  return observed;
}

// Frames of the newest segment: fills the second part of the examination.
void examine_newest(Examination& found, const ExamineOptions& options, FileSystem& fs) {
  const OpenSegment& segment = *found.newest;
  FrameStream stream(fs, segment.fd.get(), segment.header);
  const bool whole_file = segment.file_bytes >= segment.header.segment_bytes;
  found.end_seq = segment.header.first_seq;
  // Records below first_seq are in older segments, which were synced before this one was made.
  found.vouched = std::max(segment.header.first_seq, options.trusted.value_or(0));
  FrameHeader header;
  std::uint32_t observed = 0;
  for (;;) {
    observed = look_at_frame(stream, segment.header, found.end_seq, header);
    if (whole_file) observed |= kWholeFile;
    if (row_for(observed).decision != Decision::kAccept) break;
    found.vouched = std::max(found.vouched, header.synced_through);
    found.end_seq += header.record_count;
    stream.skip(header);
  }
  found.end_offset = stream.offset();
  found.read_failure = stream.read_failure();
  const Rest rest = look_at_rest(fs, segment, found.end_offset);
  found.data_end = rest.data_end;
  if (rest.read_failure != 0) {
    found.read_failure = rest.read_failure;
    observed &= ~kReadable;
  }
  found.vouched = std::max(found.vouched, rest.vouched);
  if (rest.data_end == found.end_offset) observed |= kZeros;
  if (found.vouched > found.end_seq) observed |= kVouched;
  found.row = &row_for(observed);
  OJ_CHECK(found.row->decision != Decision::kAccept);
}

Error missing_segment(const std::string& path, std::uint64_t number, const std::string& follower) {
  return Error{Code::kCorrupt, path + ": segment number " + std::to_string(number) +
                                   " is missing: " + follower + " goes on where it ended"};
}

// Headers of all segments, oldest to newest, and that each that still holds records follows the one
// before.
Result<void> examine_headers(Examination& found, const Folder& folder,
                             const ExamineOptions& options, FileSystem& fs) {
  const std::string path = folder.segments_path();
  std::uint64_t holder_before = 0;
  for (std::size_t i = 0; i < found.listing.segments.size(); ++i) {
    const bool is_newest = i + 1 == found.listing.segments.size();
    const SegmentName& name = found.listing.segments[i];
    auto opened = open_segment(fs, found.segments_folder.get(), path, name, folder.journal_id(),
                               is_newest ? options.open_flags : O_RDONLY);
    if (!opened) return opened.error();
    found.generation_max = std::max(found.generation_max, opened->header.generation);
    if (found.listing.end_of(i) > name.first_seq) {  // else: superseded, it holds nothing
      if (opened->header.previous_number != holder_before) {
        return missing_segment(path, opened->header.previous_number, opened->path);
      }
      if (holder_before == 0 && name.first_seq != 0) {
        return Error{Code::kCorrupt, path + ": records 0 to " + std::to_string(name.first_seq) +
                                         " are missing: the oldest segment is " + file_name(name)};
      }
      holder_before = name.number;
    }
    if (is_newest) found.newest = std::move(*opened);
  }
  return {};
}

Result<Examination> examine_once(const Folder& folder, const ExamineOptions& options,
                                 FileSystem& fs) {
  Examination found;
  auto segments_folder = open_segments_folder(folder.fd(), folder.path());
  if (!segments_folder) return segments_folder.error();
  found.segments_folder = std::move(*segments_folder);
  auto listing = list_segments(found.segments_folder.get(), folder.segments_path());
  if (!listing) return listing.error();
  found.listing = std::move(*listing);
  if (const auto headers = examine_headers(found, folder, options, fs); !headers)
    return headers.error();
  if (!found.newest) {
    found.vouched = options.trusted.value_or(0);
    return found;
  }
  if (options.believe_disk_only) {
    // An error of this sync is one of an earlier writeback: the disk has what it has, and that is
    // read below.
    (void)fs.fdatasync(found.newest->fd.get());
    fs.forget_cached(found.newest->fd.get());
  }
  examine_newest(found, options, fs);
  return found;
}

}  // namespace

Result<Examination> examine(const Folder& folder, const ExamineOptions& options, FileSystem& fs) {
  for (int attempt = 0;; ++attempt) {
    auto found = examine_once(folder, options, fs);
    // A writer removes superseded segments: look again.
    if (found || found.error().os_error != ENOENT || attempt == kListAttempts) return found;
  }
}

Error refusal(const Examination& examination) {
  OJ_CHECK(examination.row != nullptr && examination.row->decision == Decision::kRefuse);
  std::string message = examination.newest->path + ": offset " +
                        std::to_string(examination.end_offset) + ", record " +
                        std::to_string(examination.end_seq) + ": " + examination.row->name;
  if (examination.read_failure != 0) return io_error(std::move(message), examination.read_failure);
  if (examination.newest->file_bytes < examination.newest->header.segment_bytes) {
    message += ": " + std::to_string(examination.newest->file_bytes) + " bytes of " +
               std::to_string(examination.newest->header.segment_bytes);
  }
  if (examination.vouched > examination.end_seq) {
    message += " (records below " + std::to_string(examination.vouched) + " were synced)";
  }
  return Error{Code::kCorrupt, message + "; nothing was changed"};
}

}  // namespace oj::journal
