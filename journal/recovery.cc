// SPDX-License-Identifier: MIT
#include "journal/recovery.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/check.h"
#include "journal/examination.h"
#include "journal/frame_stream.h"
#include "journal/reader.h"

namespace oj::journal {
namespace {

constexpr std::uint64_t kZeroBytes = 64u << 10;

struct Cut {
  std::uint64_t seq = 0;     // the journal ends here
  std::uint64_t offset = 0;  // and what the newest segment has from here on goes
};

// Where to cut when records at or after `seq` do not count though they look whole. A frame across
// `seq` stays: the next segment begins at `seq` and supersedes its rest.
Result<Cut> place_of(std::uint64_t seq, const Examination& found, FileSystem& fs) {
  const OpenSegment& segment = *found.newest;
  FrameStream stream(fs, segment.fd.get(), segment.header);
  FrameHeader header;
  while (stream.offset() < found.end_offset) {
    if (stream.peek(header) != FrameStream::Status::kOk) {
      return io_error(
          segment.path + ": cannot read again at offset " + std::to_string(stream.offset()),
          stream.read_failure() != 0 ? stream.read_failure() : EIO);
    }
    if (header.first_seq >= seq && header.record_count != 0) break;
    stream.skip(header);
  }
  return Cut{seq, stream.offset()};
}

// Zeros the bytes, never the size: readers may have the file mapped, and a later one must not find
// old frames.
Result<void> zero(const OpenSegment& segment, std::uint64_t from, std::uint64_t to,
                  FileSystem& fs) {
  const std::vector<std::byte> zeros(kZeroBytes);
  while (from < to) {
    const std::uint64_t size = std::min<std::uint64_t>(kZeroBytes, to - from);
    const int failure = write_fully(fs, segment.fd.get(), zeros.data(), size, from);
    if (failure != 0) {
      return io_error(segment.path + ": cannot cut the torn end at offset " + std::to_string(from),
                      failure);
    }
    from += size;
  }
  return {};
}

std::string report(const Examination& found, const Cut& cut, std::uint64_t torn_bytes) {
  const bool torn = found.row->decision == Decision::kCut && cut.offset == found.end_offset;
  return found.newest->path + ": offset " + std::to_string(cut.offset) + ", record " +
         std::to_string(cut.seq) + ": cut " + std::to_string(torn_bytes) +
         " bytes: " + (torn ? found.row->name : "written but never synced");
}

Result<void> finish(const Examination& found, const Cut& cut, FileSystem& fs) {
  const OpenSegment& segment = *found.newest;
  if (const auto zeroed = zero(segment, cut.offset, found.data_end, fs); !zeroed)
    return zeroed.error();
  // Also when nothing was cut: what is kept may be in the page cache only, and is called synced
  // from now on.
  if (fs.fdatasync(segment.fd.get()) != 0) return io_error(segment.path + ": cannot sync", errno);
  // Nobody writes here again. Best effort: give back what was preallocated.
  const std::uint64_t rest =
      (cut.offset + kSegmentBytesAlignment - 1) / kSegmentBytesAlignment * kSegmentBytesAlignment;
  if (rest < segment.header.segment_bytes) {
    (void)fs.punch(segment.fd.get(), rest, segment.header.segment_bytes - rest);
  }
  return {};
}

}  // namespace

Result<Recovered> recover(const Folder& folder, std::optional<std::uint64_t> trusted_synced,
                          FileSystem& fs) {
  const ExamineOptions options{O_RDWR, !trusted_synced.has_value(), trusted_synced};
  const auto found = examine(folder, options, fs);
  if (!found) return found.error();
  Recovered recovered;
  recovered.generation = found->generation_max;
  if (!found->newest && found->vouched > 0) {
    return Error{Code::kCorrupt, folder.segments_path() + ": no segments, though records below " +
                                     std::to_string(found->vouched) + " were synced"};
  }
  if (found->newest) {
    if ((found->newest->header.ro_compat & ~kKnownRoCompat) != 0) {
      return Error{Code::kIncompatible, found->newest->path +
                                            ": written by a newer optjournal, with features that " +
                                            "this one can read but not write: upgrade"};
    }
    if (found->row->decision == Decision::kRefuse) return refusal(*found);
    Cut cut{found->end_seq, found->end_offset};
    if (trusted_synced && found->vouched < found->end_seq) {
      auto place = place_of(found->vouched, *found, fs);
      if (!place) return place.error();
      cut = *place;
    }
    recovered.next_seq = cut.seq;
    recovered.synced_through = std::min(found->vouched, cut.seq);
    recovered.torn_bytes = found->data_end > cut.offset ? found->data_end - cut.offset : 0;
    if (cut.offset < found->end_offset && recovered.torn_bytes == 0)
      recovered.torn_bytes = found->end_offset - cut.offset;
    if (recovered.torn_bytes > 0) recovered.torn_report = report(*found, cut, recovered.torn_bytes);
    if (const auto finished = finish(*found, cut, fs); !finished) return finished.error();
  }
  for (const std::string& name : found->listing.temporaries) {
    if (fs.unlink_at(found->segments_folder.get(), name.c_str()) != 0 && errno != ENOENT) {
      return io_error(
          folder.segments_path() + "/" + name + ": cannot remove what was left half made", errno);
    }
  }
  return recovered;
}

Result<std::uint64_t> find_end(const Folder& folder) {
  const auto found =
      examine(folder, ExamineOptions{O_RDONLY, false, std::nullopt}, real_file_system());
  if (!found) return found.error();
  if (found->newest && found->row->decision == Decision::kRefuse) return refusal(*found);
  return found->end_seq;
}

}  // namespace oj::journal
