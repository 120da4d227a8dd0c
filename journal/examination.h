// Looks at a folder's segments without changing anything, and says where the journal ends and why:
// what recover() acts on, and all that find_end() needs.
//
// All segments' headers are checked, and that none is missing between them. Frames are read in the
// newest segment only: an older one was synced before the newer one was made, so damage in it is
// found, and refused, by whoever reads it (the cost of opening does not grow with the history).
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "journal/file_system.h"
#include "journal/folder.h"
#include "journal/recovery_table.h"
#include "journal/segment_files.h"

namespace oj::journal {

struct Examination {
  Fd segments_folder;
  SegmentListing listing;
  std::uint64_t generation_max = 0;

  // Of the newest segment, none if there are no segments:
  std::optional<OpenSegment> newest;
  const RecoveryRow* row = nullptr;  // what was found at the end: kEnd, kCut or kRefuse
  int read_failure = 0;              // errno, if it could not be read
  std::uint64_t end_seq = 0;         // whole records end here
  std::uint64_t end_offset = 0;      // and here in the file
  std::uint64_t data_end = 0;  // one past the last byte that is not zero, at or after end_offset
  std::uint64_t vouched = 0;   // records below are synced: by the frames, the header, or the caller
};

struct ExamineOptions {
  int open_flags = 0;              // O_RDONLY or O_RDWR, for the newest segment
  bool believe_disk_only = false;  // drop cached pages first: after a failed writeback they lie
  std::optional<std::uint64_t> trusted;  // records below are synced: the caller's own knowledge
};

// An error: the folder cannot be examined, or headers are damaged, or a segment is missing.
Result<Examination> examine(const Folder& folder, const ExamineOptions& options, FileSystem& fs);

// What kRefuse means, with file, offset and seq.
Error refusal(const Examination& examination);

}  // namespace oj::journal
