// The files of DIR/segments/: their names, which one holds a record, and their checked headers.
//
//   <first seq, 20 digits>-<number, 10 digits>.seg        a segment
//   <the same>.seg.tmp                                    one that is being made; nobody reads it
//
// Segments are numbered in the order in which they were made. They may overlap: after an error the
// writer goes on in a new segment from what was last synced, and what the old one has at or after
// that seq no longer counts. So:
//
//   record s is in the segment with the highest number among those with first_seq <= s.
//
// (docs/journal-format.md#which-segment, docs/decisions/0010)
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "journal/file_system.h"
#include "journal/format.h"

namespace oj::journal {

struct SegmentName {
  std::uint64_t first_seq = 0;
  std::uint64_t number = 0;
};

std::string file_name(const SegmentName& name);
std::string temporary_file_name(const SegmentName& name);

struct SegmentListing {
  std::vector<SegmentName> segments;  // by number, ascending
  std::vector<std::string>
      temporaries;  // names of files left by a writer that died while making a segment

  // The segment that holds record `seq`, if it is anywhere: an index into segments.
  std::optional<std::size_t> holder_of(std::uint64_t seq) const;
  // One past the last record that segments[index] may hold: where a later segment takes over; else
  // the maximum.
  std::uint64_t end_of(std::size_t index) const;
};

// Opens FOLDER/segments for listing and for the calls below. kCorrupt if it is not there.
Result<Fd> open_segments_folder(int folder, const std::string& folder_path);

// Other names than the two above are ignored. `path`: of the segments folder, for messages.
Result<SegmentListing> list_segments(int segments_folder, const std::string& path);

struct OpenSegment {
  Fd fd;
  SegmentHeader header{};
  std::string path;              // for messages
  std::uint64_t file_bytes = 0;  // its size when opened: less than header.segment_bytes is damage
};

// Opens a segment for reading and checks its header against its name and the journal. One good copy
// of the two is enough. kIncompatible: newer; kCorrupt: no good copy, or the header of another
// place; kIo with ENOENT: it is no longer there (a writer removes segments that hold nothing any
// more): list again.
Result<OpenSegment> open_segment(FileSystem& fs, int segments_folder, const std::string& path,
                                 const SegmentName& name, const Uuid& journal_id, int flags);

}  // namespace oj::journal
