// SPDX-License-Identifier: MIT
#include "shm/flush_source.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "shm/producer.h"
#include "shm/views.h"

namespace oj::shm {
namespace {

constexpr std::size_t kAlign = 8;  // of each copy, as the record had in its chunk

std::size_t aligned(std::uint64_t bytes) {
  return static_cast<std::size_t>((bytes + kAlign - 1) / kAlign * kAlign);
}

}  // namespace

FlushSource::FlushSource(std::shared_ptr<Region> region)
    : region_(std::move(region)), last_seq_(region_->sizes().chunk_count, 0) {
  const RegionView view(*region_);
  ring_ = view.ring();
  pool_ = view.pool();
  pool_bytes_ = view.pool_bytes();
  record_bytes_max_ = region_->sizes().record_bytes_max();
}

// Copies the record that `ticket` names into the buffer. `fits` false: it would exceed bytes_left,
// nothing was done; with `must` the buffer grows instead (only the first record of a batch: earlier
// spans would dangle).
Gathered FlushSource::take(std::uint64_t seq, std::uint64_t ticket, std::size_t bytes_left,
                           bool must, bool& fits) {
  fits = true;
  const EntryPlace place = entry_place(pool_, ticket);
  if (place.bad != nullptr) return {seq, {}, place.bad};
  const auto saw = [&](std::uint64_t n) {
    for (std::uint64_t i = 0; i < n; ++i)
      last_seq_[place.chunk + i] = std::max(last_seq_[place.chunk + i], seq + 1);
  };
  saw(1);
  const std::uint64_t header =
      pool_.load_word(place.offset);  // once: what is checked is what is used
  const std::uint64_t length = header & 0xffffffff;
  const std::uint64_t n = entry_chunks(pool_, place, length, record_bytes_max_);
  if (n == 0) return {seq, {}, "its length does not fit where it lies"};
  saw(n);
  if (aligned(length) > bytes_left) {
    if (!must) {
      fits = false;
      return {};
    }
    if (buffer_.size() < aligned(length)) buffer_.resize(aligned(length));
  }
  std::byte* const copy = buffer_.data() + used_;
  std::memcpy(copy, pool_bytes_ + place.offset + kEntryHeaderBytes, length);
  const std::span<const std::byte> bytes(copy, length);
  if (entry_crc(bytes) != header >> 32) return {seq, {}, "its checksum does not fit its bytes"};
  used_ += aligned(length);
  return {seq, bytes, nullptr};
}

Result<std::span<const Gathered>> FlushSource::gather(std::uint64_t from, std::size_t records_max,
                                                      std::size_t bytes_max) {
  OJ_CHECK(records_max >= 1);
  items_.clear();
  used_ = 0;
  if (buffer_.size() < bytes_max) buffer_.resize(aligned(bytes_max));
  for (std::uint64_t seq = from; items_.size() < records_max; ++seq) {
    const std::uint64_t ticket = ring_.load(seq);
    const Lap lap = ring_.lap(ticket, seq);
    if (lap == Lap::kPrevious) break;
    if (lap != Lap::kThis) {
      if (!items_.empty()) break;  // hand out what is good first
      return Error{Code::kCorrupt, "the order ring of " + region_->path() + " holds lap tag " +
                                       std::to_string(ticket >> kReferenceBits) + " where record " +
                                       std::to_string(seq) + " belongs, expected " +
                                       std::to_string(ring_.tag_of(seq))};
    }
    bool fits = true;
    const std::size_t left = bytes_max > used_ ? bytes_max - used_ : 0;
    const Gathered item = take(seq, ticket, left, items_.empty(), fits);
    if (!fits) break;
    items_.push_back(item);
  }
  return std::span<const Gathered>(items_);
}

}  // namespace oj::shm
