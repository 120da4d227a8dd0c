// What became of the records when a region was replaced by another one.
//
// Normally nothing: a daemon that ends has synced everything, and one that is restarted goes on
// with the same region. Only when the region vanishes under living sessions (its file was deleted,
// then the daemon died) are records lost that were published and not yet on disk. A record's name
// (session, op_no) is unique, so what survived is found by comparing: the old region, still mapped
// here, against the new journal.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "journal/folder.h"
#include "libclient/attachment.h"
#include "schema/operation.h"

namespace oj::client {

struct RegionChange {
  schema::SessionId old_session = 0;  // ours, in the region that is no more
  std::uint64_t shared_end = 0;       // records below are the same in both
  std::uint64_t lost = 0;  // records from shared_end on that were published in the old region only
  bool was_cut = false;    // the old region: how many were lost cannot be told, `lost` is 1
};

// Compares from the old region's `synced` on. Uses hazard word kComparingHazard of both slots.
constexpr std::uint32_t kComparingHazard = 7;
Result<RegionChange> compare_regions(const std::shared_ptr<Attachment>& before,
                                     const std::shared_ptr<Attachment>& after,
                                     const journal::Folder& folder);

// All changes of a session so far, and whether its reader knows of them.
class RegionChanges {
 public:
  void add(const RegionChange& change);

  // A reader at `from`, which has seen every record below it. kGone, until it begins again at or
  // below the first record that was lost.
  Result<void> check_position(std::uint64_t from);
  // Records below `seq_end` as they stood when `session` was ours. kGone if some were lost since.
  Result<void> check_kept(schema::SessionId session, std::uint64_t seq_end) const;

 private:
  mutable std::mutex mutex_;
  std::vector<RegionChange> changes_;
  std::atomic<bool> must_rewind_{false};
  std::uint64_t rewind_to_ = 0;  // valid while must_rewind_
  std::uint64_t lost_ = 0;       // since the reader last rewound
  bool was_cut_ = false;         // likewise
};

}  // namespace oj::client
