// Read records in order, in place.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "shm/region.h"
#include "shm/worker_slots.h"

namespace oj::shm {

// Role: reader. One thread at a time. With a slot: pins chunks through hazard word `hazard_index` (0..7) of that slot and
// reads in place. Without (a monitor; the region may be mapped read-only): copies, then checks that the copy was in time.
class Reader {
 public:
  Reader(std::shared_ptr<Region> region, SlotRef slot, std::uint32_t hazard_index);
  explicit Reader(std::shared_ptr<Region> region);
  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;
  ~Reader();  // unpins

  enum class Found : std::uint8_t {
    kRecord,        // `bytes` is the record, CRC checked; valid until the next call
    kNotPublished,  // yet
    kOnDisk,        // no longer in the region: read the segments (it is synced)
    kBad,           // published, but its bytes fail their checks: the tombstone that it will be on disk
  };
  struct Answer {
    Found found = Found::kNotPublished;
    std::span<const std::byte> bytes;
    const char* why = "";  // of kBad
  };
  // Wait-free. Every word from the region is checked before use; nothing that others write can make this crash.
  Answer read(std::uint64_t seq) noexcept;
  void unpin() noexcept;  // gives the pinned chunk back at once
  void abandon_after_fork() noexcept;

 private:
  std::shared_ptr<Region> region_;
  std::optional<SlotRef> slot_;
  std::uint32_t hazard_index_ = 0;
  std::uint64_t pinned_first_ = kNone, pinned_count_ = 0;
  std::vector<std::byte> copy_;  // of a monitor
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};
};

}  // namespace oj::shm
