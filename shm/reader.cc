// SPDX-License-Identifier: MIT
#include "shm/reader.h"

#include <utility>

#include "shm/producer.h"
#include "shm/views.h"

namespace oj::shm {

Reader::Reader(std::shared_ptr<Region> region, SlotRef slot, std::uint32_t hazard_index)
    : Reader(std::move(region)) {
  OJ_CHECK(region_->writable() && slot.index < region_->sizes().worker_slots &&
           hazard_index < kHazardsPerSlot);
  slot_ = slot;
  hazard_index_ = hazard_index;
}

Reader::Reader(std::shared_ptr<Region> region) : region_(std::move(region)) {
  OJ_CHECK(region_ != nullptr && region_->base() != nullptr);
  const RegionView view(*region_);
  ring_ = view.ring();
  pool_ = view.pool();
  hazards_ = view.hazards();
  pool_bytes_ = view.pool_bytes();
  record_bytes_max_ = region_->sizes().record_bytes_max();
}

Reader::Reader(Reader&& other) noexcept { *this = std::move(other); }

Reader& Reader::operator=(Reader&& other) noexcept {
  if (this == &other) return *this;
  unpin();
  region_ = std::exchange(other.region_, nullptr);
  slot_ = other.slot_;
  hazard_index_ = other.hazard_index_;
  ring_ = other.ring_;
  pool_ = other.pool_;
  hazards_ = other.hazards_;
  pool_bytes_ = other.pool_bytes_;
  record_bytes_max_ = other.record_bytes_max_;
  pinned_first_ = std::exchange(other.pinned_first_, 0);
  pinned_count_ = std::exchange(other.pinned_count_, 0);
  copy_ = std::move(other.copy_);
  return *this;
}

Reader::~Reader() { unpin(); }

void Reader::unpin() noexcept {
  if (pinned_count_ == 0) return;
  pinned_count_ = 0;
  if (region_ && region_->base() != nullptr) hazards_.unpin(slot_->index, hazard_index_);
}

void Reader::abandon_after_fork() noexcept {
  pinned_count_ = 0;
  region_.reset();
}

Reader::Answer Reader::read(std::uint64_t seq) noexcept {
  OJ_CHECK(region_ != nullptr && region_->base() != nullptr);
  // First: it is what tells a reader that fell very far behind, for whom lap tags have come round.
  if (hazards_.retained() > seq) return {Found::kOnDisk, {}, ""};
  const std::uint64_t ticket = ring_.load(seq);
  switch (ring_.lap(ticket, seq)) {
    case Lap::kPrevious:
    case Lap::kOlder: return {Found::kNotPublished, {}, ""};
    case Lap::kNewer: return {Found::kOnDisk, {}, ""};
    case Lap::kThis: break;
  }
  const EntryPlace place = entry_place(pool_, ticket);
  if (place.bad != nullptr) return {Found::kBad, {}, place.bad};
  return slot_ ? read_pinned(seq, place) : read_copied(seq, place);
}

bool Reader::pin(std::uint64_t first, std::uint64_t n, std::uint64_t seq) noexcept {
  pinned_first_ = first;
  pinned_count_ = n;
  return hazards_.pin(slot_->index, hazard_index_, first, n, seq);
}

Reader::Answer Reader::read_pinned(std::uint64_t seq, const EntryPlace& place) noexcept {
  const bool held = place.chunk >= pinned_first_ && place.chunk - pinned_first_ < pinned_count_;
  if (!held && !pin(place.chunk, 1, seq)) {
    unpin();
    return {Found::kOnDisk, {}, ""};
  }
  const std::uint64_t header =
      pool_.load_word(place.offset);  // once: what is checked is what is used
  const std::uint64_t length = header & 0xffffffff;
  const std::uint64_t n = entry_chunks(pool_, place, length, record_bytes_max_);
  if (n == 0) return {Found::kBad, {}, "its length does not fit where it lies"};
  if (n > 1 && (pinned_first_ != place.chunk || pinned_count_ < n) && !pin(place.chunk, n, seq)) {
    unpin();
    return {Found::kOnDisk, {}, ""};
  }
  const std::span<const std::byte> bytes(pool_bytes_ + place.offset + kEntryHeaderBytes, length);
  if (entry_crc(bytes) != header >> 32)
    return {Found::kBad, {}, "its checksum does not fit its bytes"};
  return {Found::kRecord, bytes, ""};
}

Reader::Answer Reader::read_copied(std::uint64_t seq, const EntryPlace& place) noexcept {
  const auto answer = [&](Found found, std::span<const std::byte> bytes,
                          const char* why) -> Answer {
    // The copy is of this record only if its chunk had no new life before the copy ended.
    if (hazards_.retained() > seq) return {Found::kOnDisk, {}, ""};
    return {found, bytes, why};
  };
  const std::uint64_t header = pool_.load_word(place.offset);
  const std::uint64_t length = header & 0xffffffff;
  if (entry_chunks(pool_, place, length, record_bytes_max_) == 0) {
    return answer(Found::kBad, {}, "its length does not fit where it lies");
  }
  const std::size_t whole_words =
      (length + sizeof(std::uint64_t) - 1) / sizeof(std::uint64_t) * sizeof(std::uint64_t);
  if (copy_.size() < whole_words) copy_.resize(whole_words);
  pool_.copy_words(place.offset + kEntryHeaderBytes, length, copy_.data());
  const std::span<const std::byte> bytes(copy_.data(), length);
  if (entry_crc(bytes) != header >> 32)
    return answer(Found::kBad, {}, "its checksum does not fit its bytes");
  return answer(Found::kRecord, bytes, "");
}

}  // namespace oj::shm
