// SPDX-License-Identifier: MIT
#include "libclient/region_change.h"

#include <algorithm>
#include <span>

#include "libclient/record_reader.h"
#include "schema/codec.h"
#include "shm/watermarks.h"

namespace oj::client {
namespace {

// A record's name: its first 16 bytes, session and op_no. None for one whose bytes are bad.
using Name = std::optional<std::vector<std::byte>>;
Name name_of(std::span<const std::byte> record) {
  constexpr std::size_t kNameBytes = 16;
  if (record.size() < schema::kRecordHeaderBytes) return std::nullopt;
  return std::vector<std::byte>(record.begin(), record.begin() + kNameBytes);
}

Error lost_error(std::uint64_t lost, std::uint64_t from, bool was_cut) {
  if (was_cut) {
    return Error{Code::kGone,
                 "the journal's shared memory was cut, and what was published and not yet on disk "
                 "is lost with it, from record " +
                     std::to_string(from) + " on"};
  }
  return Error{Code::kGone, "the journal's shared memory vanished and " + std::to_string(lost) +
                                " published records that were not yet on disk were lost with it, "
                                "from record " +
                                std::to_string(from) + " on"};
}

}  // namespace

Result<RegionChange> compare_regions(const std::shared_ptr<Attachment>& before,
                                     const std::shared_ptr<Attachment>& after,
                                     const journal::Folder& folder) {
  RegionChange change;
  change.old_session = before->session;
  if (before->region->identity().generation == after->region->identity().generation) {
    change.shared_end = UINT64_MAX;  // the same region, another slot
    return change;
  }
  if (before->region->lost()) {
    // Cut: nothing in it can be believed. What the next region began with came from the disk, and
    // is what both have; of what lay behind, nobody can say how much there was.
    const bool next =
        after->region->identity().generation == before->region->identity().generation + 1;
    change.shared_end = next ? after->region->first_seq() : 0;
    change.lost = 1;
    change.was_cut = true;
    return change;
  }
  const std::uint64_t published = shm::published_end(*before->region);
  const std::uint64_t synced = std::min(shm::synced(*before->region), published);
  const std::uint64_t present = shm::published_end(*after->region);
  if (present < synced) {  // somebody cut the journal itself
    change.shared_end = present;
    change.lost = published - present;
    return change;
  }
  RecordReader reader(folder, kComparingHazard);
  std::vector<Name> names;
  // An error only ends what there is to compare with: what cannot be read there can be read by
  // nobody.
  (void)reader.read(
      before, 0, synced,
      [&names](std::uint64_t, std::span<const std::byte> record) {
        names.push_back(name_of(record));
        return true;
      },
      published - synced);
  std::uint64_t same = 0;
  auto compared = reader.read(
      after, 0, synced,
      [&](std::uint64_t, std::span<const std::byte> record) {
        const Name name = name_of(record);
        if (name && names[same] && *name != *names[same]) return false;
        ++same;
        return true;
      },
      names.size());
  if (!compared) return compared.error();
  change.shared_end = synced + same;
  change.lost = published - change.shared_end;
  return change;
}

void RegionChanges::add(const RegionChange& change) {
  const std::lock_guard lock(mutex_);
  changes_.push_back(change);
  if (change.lost == 0) return;
  const bool already = must_rewind_.load(std::memory_order_relaxed);  // own: under the mutex
  rewind_to_ = already ? std::min(rewind_to_, change.shared_end) : change.shared_end;
  lost_ += change.lost;
  was_cut_ = was_cut_ || change.was_cut;
  must_rewind_.store(true, std::memory_order_release);  // pairs with check_position()
}

Result<void> RegionChanges::check_position(std::uint64_t from) {
  if (!must_rewind_.load(std::memory_order_acquire)) return {};  // pairs with add()
  const std::lock_guard lock(mutex_);
  if (must_rewind_.load(std::memory_order_relaxed) && from > rewind_to_) {  // own: under the mutex
    return lost_error(lost_, rewind_to_, was_cut_);
  }
  must_rewind_.store(false, std::memory_order_relaxed);  // own: under the mutex
  lost_ = 0;
  was_cut_ = false;
  return {};
}

Result<void> RegionChanges::check_kept(schema::SessionId session, std::uint64_t seq_end) const {
  const std::lock_guard lock(mutex_);
  bool since = false;
  for (const RegionChange& change : changes_) {
    since = since || change.old_session == session;
    if (since && change.lost > 0 && seq_end > change.shared_end) {
      return lost_error(change.lost, change.shared_end, change.was_cut);
    }
  }
  return {};
}

}  // namespace oj::client
