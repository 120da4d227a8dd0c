// Records of one journal in order, wherever they are: in place from the ring while it has them,
// else from the segments.
//
// A slow reader falls off the ring and goes on from disk; when it has caught up with the ring it
// reads there again. Not thread-safe.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/result.h"
#include "journal/folder.h"
#include "journal/reader.h"
#include "libclient/attachment.h"
#include "libclient/session.h"
#include "shm/reader.h"

namespace oj::client {

class RecordReader {
 public:
  // `hazard_index`: the one of the slot's hazard words that is this reader's alone.
  RecordReader(const journal::Folder& folder, std::uint32_t hazard_index)
      : folder_(folder), hazard_index_(hazard_index) {}

  // As Session::read, of `attachment`'s region and the segments; of the segments alone below
  // `disk_end` if it is null.
  Result<Session::ReadResult> read(const std::shared_ptr<Attachment>& attachment,
                                   std::uint64_t disk_end, std::uint64_t from,
                                   const Session::Take& take, std::uint64_t records_max);
  // Forgets the attachment, if it is not `current`.
  void forget_other_than(const Attachment* current);

 private:
  struct Progress {
    std::uint64_t seq, left;
    bool stopped = false;  // by take or records_max
  };
  void use(const std::shared_ptr<Attachment>& attachment);
  // Both hand out records until there are no more at this place; the ring's answer is what it said
  // last.
  Result<Session::ReadResult> read_through(std::uint64_t disk_end, std::uint64_t from,
                                           const Session::Take& take, std::uint64_t records_max);
  shm::Reader::Found read_ring(Progress& progress, const Session::Take& take);
  Result<void> read_disk(Progress& progress, std::uint64_t end, const Session::Take& take);

  const journal::Folder& folder_;
  const std::uint32_t hazard_index_;
  std::shared_ptr<Attachment> attachment_;
  std::optional<shm::Reader> ring_;
  std::optional<journal::Reader> disk_;
};

}  // namespace oj::client
