// Reads records back from a folder's segments, in order. Any number of readers, beside a running writer.
//
// Every length and byte comes from a file that others may have damaged: header CRC first, then bounds, then the
// payload CRC, then the record's own CRC; an error names file, offset and seq.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "journal/folder.h"

namespace oj::journal {

class Reader {
 public:
  // Reads from `first_seq` on. Opens nothing yet.
  Reader(const Folder& folder, std::uint64_t first_seq);
  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;
  ~Reader();

  std::uint64_t next_seq() const;
  // The record next_seq(), which must be below `limit` (the caller knows that records below it are synced, or has
  // the folder for itself after recover()). The bytes are valid until the next call, start 8-aligned, and were
  // checked. kCorrupt: the record should be there and is not whole. kInvalid: not below limit.
  Result<std::span<const std::byte>> next(std::uint64_t limit);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// One past the last whole record on disk, without changing anything: for reading a folder that nobody serves.
// The part after it, if any, is a torn end. kCorrupt for damage below what was synced.
Result<std::uint64_t> find_end(const Folder& folder);

}  // namespace oj::journal
