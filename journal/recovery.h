// Makes a folder fit to be written again after whatever happened to its last writer.
//
// The decisions are a table kept as data (recovery.cc, docs/journal-format.md#recovery): a torn end
// is cut and reported; damage below what was synced is refused and nothing is changed.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "journal/file_system.h"
#include "journal/folder.h"

namespace oj::journal {

struct Recovered {
  std::uint64_t next_seq = 0;  // records 0 .. next_seq-1 are on disk, whole and synced
  std::uint64_t synced_through =
      0;                         // the highest that the frames themselves vouch for; <= next_seq
  std::uint64_t generation = 0;  // the highest seen; 0 in a new folder
  std::uint64_t torn_bytes = 0;  // what was cut off the end
  std::string torn_report;       // "" or where and why, for the log
};

// REQUIRES: the caller holds DIR/LOCK.
// `trusted_synced`: with a live region of the same boot, its `synced` watermark: the truth. Whole
// frames on disk at or after it are cut, valid looking or not (after a failed writeback the page
// cache lies), unless the frames themselves vouch that they are synced (the last daemon may have
// died between a sync and raising the watermark, and a region may be damaged): then next_seq is
// higher than trusted_synced, and the caller raises its watermark. Fewer whole records on disk than
// trusted_synced is kCorrupt. Without: everything whole is kept, read from the disk and not from
// the cache. A later call changes nothing more. On an error nothing at all was changed, but for kIo
// while cutting.
Result<Recovered> recover(const Folder& folder, std::optional<std::uint64_t> trusted_synced,
                          FileSystem& file_system = real_file_system());

}  // namespace oj::journal
