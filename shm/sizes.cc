// How large a region is to be.
//
// SPDX-License-Identifier: MIT
#include <algorithm>
#include <bit>
#include <string>

#include "shm/chunk_pool.h"
#include "shm/layout.h"
#include "shm/region.h"

namespace oj::shm {
namespace {

// A region for `pool_bytes` of payload: ring and slots in proportion, so that neither runs out long
// before the pool.
Sizes around_pool(std::uint64_t pool_bytes) {
  Sizes sizes;
  const Sizes defaults;
  sizes.chunk_count = std::clamp(pool_bytes / sizes.chunk_bytes, kChunkCountMin, kChunkCountMax);
  // One slot for 128 bytes of pool: about the smallest record.
  sizes.ring_slots =
      std::clamp(std::bit_floor(pool_bytes / 128), std::uint64_t{1024}, defaults.ring_slots);
  // Every worker can keep one chunk open in half of the pool.
  sizes.worker_slots = static_cast<std::uint32_t>(std::clamp(std::bit_floor(sizes.chunk_count / 2),
                                                             std::uint64_t{kWorkerSlotsMin},
                                                             std::uint64_t{defaults.worker_slots}));
  return sizes;
}

Error does_not_fit(std::uint64_t needed, std::uint64_t available) {
  return {Code::kBusy, "not enough memory for the region: " + std::to_string(needed) +
                           " bytes needed, " + std::to_string(available) + " available"};
}

Result<void> check_one(const char* name, std::uint64_t value, std::uint64_t min, std::uint64_t max,
                       bool power_of_two) {
  if (value >= min && value <= max && (!power_of_two || std::has_single_bit(value))) return {};
  return Error{Code::kInvalid, std::string(name) + " must be " +
                                   (power_of_two ? "a power of two " : "") + "between " +
                                   std::to_string(min) + " and " + std::to_string(max) + ", not " +
                                   std::to_string(value)};
}

}  // namespace

std::uint64_t Sizes::region_bytes() const {
  return geometry_of(ring_slots, chunk_bytes, chunk_count, worker_slots).end;
}

std::uint64_t Sizes::record_bytes_max() const {
  const std::uint64_t eighth =
      std::max(chunk_bytes, chunk_bytes * chunk_count / 8 / chunk_bytes * chunk_bytes);
  return std::min(eighth, kRecordBytesCeiling) - kEntryHeaderBytes;
}

Result<void> check_sizes(const Sizes& sizes) {
  if (auto r = check_one("ring_slots", sizes.ring_slots, kRingSlotsMin, kRingSlotsMax, true); !r)
    return r;
  if (auto r = check_one("chunk_bytes", sizes.chunk_bytes, kChunkBytesMin, kChunkBytesMax, true);
      !r)
    return r;
  if (auto r = check_one("chunk_count", sizes.chunk_count, kChunkCountMin, kChunkCountMax, false);
      !r)
    return r;
  if (auto r =
          check_one("worker_slots", sizes.worker_slots, kWorkerSlotsMin, kWorkerSlotsMax, false);
      !r)
    return r;
  // Records that are still in their chunks may be many laps old, but not so many that lap tags come
  // round.
  const std::uint64_t laps =
      sizes.chunk_bytes * sizes.chunk_count / kReferenceUnit / sizes.ring_slots;
  if (laps <= kTagMask / 4) return {};
  return Error{
      Code::kInvalid,
      "ring_slots must be at least " +
          std::to_string(sizes.chunk_bytes * sizes.chunk_count / kReferenceUnit / (kTagMask / 4)) +
          " for a pool of " + std::to_string(sizes.chunk_bytes * sizes.chunk_count) +
          " bytes, not " + std::to_string(sizes.ring_slots)};
}

Result<Sizes> sizes_for(std::uint64_t available_bytes) {
  const std::uint64_t budget = available_bytes / 3;
  const Sizes defaults;
  if (defaults.region_bytes() <= budget) return defaults;
  if (budget < kRegionBytesMin) return does_not_fit(3 * kRegionBytesMin, available_bytes);
  // Ring and slots take less than an eighth of what the pool takes; come down from the budget until
  // it fits.
  std::uint64_t pool = budget;
  Sizes sizes = around_pool(pool);
  while (sizes.region_bytes() > budget) {
    pool -= pool / 64;
    sizes = around_pool(pool);
  }
  return sizes;
}

Result<Sizes> sizes_for_pool(std::uint64_t pool_bytes, std::uint64_t available_bytes) {
  const Sizes smallest;
  const std::uint64_t min = kChunkCountMin * smallest.chunk_bytes;
  const std::uint64_t max = kChunkCountMax * smallest.chunk_bytes;
  if (pool_bytes < min || pool_bytes > max) {
    return Error{Code::kInvalid, "the chunk pool must have between " + std::to_string(min) +
                                     " and " + std::to_string(max) + " bytes, not " +
                                     std::to_string(pool_bytes)};
  }
  const Sizes sizes = around_pool(pool_bytes);
  if (sizes.region_bytes() > available_bytes)
    return does_not_fit(sizes.region_bytes(), available_bytes);
  return sizes;
}

}  // namespace oj::shm
