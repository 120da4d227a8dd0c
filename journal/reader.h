// Reads records back from a folder's segments, in order. Any number of readers, beside a running
// writer.
//
// A reader may be anywhere in the past while the writer goes on: nothing below `limit` ever changes
// on disk. What a segment holds at or after `limit` does not count yet (the writer may go on
// elsewhere after an error), so a new `limit` makes the reader look again which segment holds the
// next record.
//
// Every length and byte comes from a file that others may have damaged: header CRC first, then
// bounds, then the payload CRC, then the record's own CRC; an error names file, offset and seq.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "journal/file_system.h"
#include "journal/folder.h"

namespace oj::journal {

class Reader {
 public:
  // Reads from `first_seq` on. Opens nothing yet, and does not need `folder` after the constructor.
  Reader(const Folder& folder, std::uint64_t first_seq,
         FileSystem& file_system = real_file_system());
  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;
  ~Reader();

  std::uint64_t next_seq() const;
  // The record next_seq(), which must be below `limit` (the caller knows that records below it are
  // synced, or has the folder for itself after recover()). The bytes are valid until the next call,
  // start 8-aligned, and were checked. kCorrupt: the record should be there and is not whole.
  // kInvalid: not below limit.
  Result<std::span<const std::byte>> next(std::uint64_t limit);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// One past the last whole record on disk, without changing anything: for reading a folder that
// nobody serves. The part after it, if any, is a torn end. kCorrupt for damage below what was
// synced.
Result<std::uint64_t> find_end(const Folder& folder);

}  // namespace oj::journal
