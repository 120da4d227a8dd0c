// Carries records to disk: batches into frames, frames into segments (docs/journal-format.md).
//
// One writer a folder: whoever holds DIR/LOCK. Not thread-safe.
//
// The order of duties: write_batch() puts one frame into the page cache, sync() makes everything
// written so far survive power loss. A segment's name is durable (renamed, directory synced) before
// the first frame in it can be reported synced. After any error here the current file is suspect:
// fdatasync is never retried on it; call restart(), which goes on in a new segment, and write again
// all that was not yet synced.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "journal/file_system.h"
#include "journal/folder.h"

namespace oj::journal {

struct WriterOptions {
  std::uint64_t segment_bytes_min = 1u << 20;  // the first segment is this large ...
  std::uint64_t segment_bytes_max =
      64u << 20;   // ... later ones as large as the journal so far, up to this; a frame
                   // that does not fit into one gets a segment that is as large as it
  Uuid boot_id{};  // written into segments, for diagnosis; zeros: unknown
  FileSystem* file_system = nullptr;  // not owned; nullptr: real_file_system()
};

struct RecordBytes {
  std::span<const std::byte> bytes;  // 8-aligned start is not needed
};

class Writer {
 public:
  // Starts writing at `first_seq` in a new segment. REQUIRES: recover() ran on this folder and
  // returned first_seq. `generation`: the region's; every later writer of the folder uses a higher
  // or equal one.
  static Result<Writer> open(const Folder& folder, std::uint64_t first_seq,
                             std::uint64_t generation, const WriterOptions& options);
  Writer(Writer&&) noexcept;
  Writer& operator=(Writer&&) noexcept;
  ~Writer();

  // Appends records next_seq(), next_seq()+1, ... as one frame, in one pwrite. Not durable yet; but
  // where a new segment is needed, the old one is synced first, and synced_through() rises.
  // kIo with ENOSPC names bytes needed and available. kInvalid, with nothing written and nothing
  // suspect: the records are more than a frame can hold (kPayloadBytesMax, 1 GiB).
  Result<void> write_batch(std::span<const RecordBytes> records, std::int64_t time_us);
  // fdatasync; on return all records below next_seq() are on stable storage and synced_through() ==
  // next_seq().
  Result<void> sync();
  // After quiet: an empty frame that carries synced_through, so that a torn end can be told from
  // damage. Then sync().
  Result<void> write_idle_marker(std::int64_t time_us);
  // After an error: a new segment whose first record is synced_through(). next_seq() goes back to
  // it. May be called again until it succeeds; until then every other call returns the first error
  // again.
  Result<void> restart();

  // Was the last failure one of syncing what was written? That may also be write_batch()'s, in
  // front of a new segment.
  bool failed_in_sync() const;

  std::uint64_t next_seq() const;
  std::uint64_t synced_through() const;
  std::uint64_t segment_count() const;
  std::uint64_t disk_bytes() const;  // allocated, all segments

 private:
  Writer();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace oj::journal
