// Makes a folder fit to be written again after whatever happened to its last writer.
//
// The decisions are a table kept as data (recovery.cc, docs/journal-format.md#recovery): a torn end is cut and
// reported; damage below what was synced is refused and nothing is changed.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "journal/folder.h"

namespace oj::journal {

struct Recovered {
  std::uint64_t next_seq = 0;        // records 0 .. next_seq-1 are on disk and whole
  std::uint64_t synced_through = 0;  // the highest that the frames themselves vouch for; <= next_seq
  std::uint64_t generation = 0;      // the highest seen; 0 in a new folder
  std::uint64_t torn_bytes = 0;      // what was cut off the end
  std::string torn_report;           // "" or where and why, for the log
};

// REQUIRES: the caller holds DIR/LOCK.
// `trusted_synced`: with a live region of the same boot, its `synced` watermark: the truth. Everything on disk at or
// after it is cut, valid looking or not (after a failed writeback the page cache lies); fewer records on disk than
// that is kCorrupt. Without: everything whole is kept.
Result<Recovered> recover(const Folder& folder, std::optional<std::uint64_t> trusted_synced);

}  // namespace oj::journal
