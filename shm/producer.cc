// SPDX-License-Identifier: MIT
#include "shm/producer.h"

#include <string>
#include <utility>

#include "base/crc32c.h"
#include "shm/views.h"
#include "shm/wake.h"

namespace oj::shm {
namespace {

std::uint64_t padded(std::uint64_t entry_bytes) {
  return (entry_bytes + kReferenceUnit - 1) / kReferenceUnit * kReferenceUnit;
}

}  // namespace

std::uint32_t entry_crc(std::span<const std::byte> record) noexcept {
  return crc32c(record, crc32c_u64(record.size(), 0));
}

Producer::Producer(std::shared_ptr<Region> region, SlotRef owner)
    : region_(std::move(region)), slot_(owner) {
  OJ_CHECK(region_ != nullptr && region_->writable() &&
           owner.index < region_->sizes().worker_slots);
  const RegionView view(*region_);
  ring_ = view.ring();
  pool_ = view.pool();
  marks_ = &view.marks();
  state_ = &view.header().state;
  records_ = &view.slot(owner.index).records;
  owned_ = owner_word(ChunkState::kOwned, owner.index, owner.incarnation);
  record_bytes_max_ = region_->sizes().record_bytes_max();
}

Producer::Producer(Producer&& other) noexcept { *this = std::move(other); }

Producer& Producer::operator=(Producer&& other) noexcept {
  if (this == &other) return *this;
  seal();
  region_ = std::exchange(other.region_, nullptr);
  slot_ = other.slot_;
  ring_ = other.ring_;
  pool_ = other.pool_;
  marks_ = other.marks_;
  state_ = other.state_;
  records_ = other.records_;
  owned_ = other.owned_;
  record_bytes_max_ = other.record_bytes_max_;
  chunk_ = std::exchange(other.chunk_, kNoChunk);
  chunk_used_ = std::exchange(other.chunk_used_, 0);
  cursor_ = other.cursor_;
  return *this;
}

Producer::~Producer() { seal(); }

void Producer::seal() noexcept {
  if (chunk_ == kNoChunk || !region_ || region_->base() == nullptr) return;
  // An untouched chunk holds nothing that a ticket names, so it need not wait for the daemon.
  if (chunk_used_ == 0) {
    pool_.give_back(chunk_, owned_);
  } else {
    pool_.seal(chunk_, owned_);
  }
  chunk_ = kNoChunk;
  chunk_used_ = 0;
}

void Producer::abandon_after_fork() noexcept {
  chunk_ = kNoChunk;
  region_.reset();
}

Result<Producer::Attempt> Producer::try_append(std::span<const std::byte> record) noexcept {
  OJ_CHECK(region_ != nullptr && region_->base() != nullptr);
  if (record.empty() || record.size() > record_bytes_max_) {
    return Error{Code::kInvalid, "a record must have between 1 and " +
                                     std::to_string(record_bytes_max_) + " bytes, not " +
                                     std::to_string(record.size())};
  }
  if (state_->load(std::memory_order_acquire) !=  // pair: retired
      static_cast<std::uint32_t>(RegionState::kRunning)) {
    return Error{Code::kGone, "the region " + region_->path() + " is retired"};
  }
  End end = append(record);
  Attempt attempt;
  if (end == End::kRingFull || end == End::kPoolFull) [[unlikely]] {
    // Once more, knowing when: room that is made from here on counts as new to wait_for_room().
    attempt.room_made = marks_->room_made.load(std::memory_order_acquire);  // pair: room
    end = append(record);
  }
  switch (end) {
    case End::kPublished: attempt.seq = cursor_.local - 1; break;
    case End::kRingFull: attempt.full = Full::kRing; break;
    case End::kPoolFull: attempt.full = Full::kPool; break;
    case End::kCorrupt:
      return Error{Code::kCorrupt, "the order ring of " + region_->path() +
                                       " holds a word that cannot be there, near record " +
                                       std::to_string(cursor_.local)};
  }
  return attempt;
}

Producer::End Producer::append(std::span<const std::byte> record) noexcept {
  const bool fits = kEntryHeaderBytes + record.size() <= pool_.chunk_bytes();
  return fits ? append_to_chunk(record) : append_as_run(record);
}

Producer::End Producer::append_to_chunk(std::span<const std::byte> record) noexcept {
  const std::uint64_t entry = kEntryHeaderBytes + record.size();
  if (chunk_ == kNoChunk || chunk_used_ + entry > pool_.chunk_bytes()) {
    // Sealed before the next one is claimed: if there is none, the daemon must be able to free what
    // everybody holds.
    seal();
    const std::optional<std::uint64_t> chunk = pool_.claim(owned_);
    if (!chunk) return End::kPoolFull;
    chunk_ = *chunk;
    chunk_used_ = 0;
  }
  const std::uint64_t offset = chunk_ * pool_.chunk_bytes() + chunk_used_;
  pool_.store_entry(offset, entry_crc(record), record);
  const End end = publish(offset);
  if (end == End::kPublished) chunk_used_ += padded(entry);
  return end;
}

Producer::End Producer::append_as_run(std::span<const std::byte> record) noexcept {
  const std::uint64_t n = chunks_for(record.size(), pool_.chunk_bytes());
  std::optional<std::uint64_t> first = pool_.claim_run(owned_, n);
  if (!first && chunk_ != kNoChunk) {
    seal();  // in a small pool our own open chunk may be what is in the way
    first = pool_.claim_run(owned_, n);
  }
  if (!first) return End::kPoolFull;
  const std::uint64_t offset = *first * pool_.chunk_bytes();
  pool_.store_entry(offset, entry_crc(record), record);
  const End end = publish(offset);
  for (std::uint64_t i = 0; i < n; ++i) {
    if (end == End::kPublished) {
      pool_.seal(*first + i, owned_);
    } else {
      pool_.give_back(*first + i, owned_);
    }
  }
  return end;
}

Producer::End Producer::publish(std::uint64_t offset) noexcept {
  switch (ring_.publish(offset / kReferenceUnit, cursor_)) {
    case PublishEnd::kPublished:
      records_->fetch_add(1, std::memory_order_relaxed);  // stat
      wake_sleepers<Production>(marks_->published_wake);
      wake_sleepers<Production>(marks_->daemon_wake);
      return End::kPublished;
    case PublishEnd::kFull: return End::kRingFull;
    case PublishEnd::kCorrupt: break;
  }
  return End::kCorrupt;
}

}  // namespace oj::shm
