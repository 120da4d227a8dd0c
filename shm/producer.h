// Publish records: build in an own chunk, then one CAS on the order ring.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "shm/region.h"
#include "shm/worker_slots.h"

namespace oj::shm {

enum class Full : std::uint8_t { kNo, kRing, kPool };

// Role: producer. One thread at a time; owns at most one open chunk, taken at the first append.
class Producer {
 public:
  Producer(std::shared_ptr<Region> region, SlotRef owner);
  Producer(Producer&&) noexcept;
  Producer& operator=(Producer&&) noexcept;
  ~Producer();  // seals

  struct Attempt {
    Full full = Full::kNo;   // kNo: published at `seq`; else nothing was changed and wait_for_room() is next
    std::uint64_t seq = 0;
  };
  // Publishes `record` (opaque bytes, 8-aligned length not needed). Never waits, allocates nothing.
  // kInvalid: longer than sizes().record_bytes_max(), names both. kGone: the region is retired. kCorrupt: the ring holds
  // a word that cannot be.
  Result<Attempt> try_append(std::span<const std::byte> record) noexcept;
  // Gives the open chunk up, for instance before a long pause: what it holds stays readable.
  void seal() noexcept;
  void abandon_after_fork() noexcept;

 private:
  std::shared_ptr<Region> region_;
  SlotRef owner_;
  std::uint64_t chunk_ = kNoChunk;
  std::uint64_t chunk_used_ = 0;
  std::uint64_t local_seq_ = 0;      // one past the last own record
  std::uint64_t search_from_ = 0;    // where the last free chunk was found
  std::uint32_t since_hint_ = 0;
  static constexpr std::uint64_t kNoChunk = ~std::uint64_t{0};
};

}  // namespace oj::shm
