// Small regions in a folder of their own, and a flusher that keeps the journal in memory.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shm/chunk_keeper.h"
#include "shm/flush_source.h"
#include "shm/producer.h"
#include "shm/reader.h"
#include "shm/region.h"
#include "shm/watermarks.h"
#include "shm/worker_slots.h"

namespace oj::shm {

class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "oj-shm-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

inline Sizes small_sizes(std::uint64_t ring_slots = 8, std::uint64_t chunk_count = 16) {
  return {ring_slots, 4096, chunk_count, 8};
}

inline CreateOptions options_of(const Sizes& sizes, std::uint64_t first_seq = 0) {
  CreateOptions options;
  options.sizes = sizes;
  options.first_seq = first_seq;
  options.identity.boot_id.fill(std::byte{0xb0});
  options.identity.journal_id.fill(std::byte{0x10});
  options.identity.generation = 5;
  return options;
}

inline std::shared_ptr<Region> new_region(const TempFolder& folder, const Sizes& sizes,
                                          std::uint64_t first_seq = 0) {
  auto region = Region::create(folder.file("region"), options_of(sizes, first_seq));
  if (!region) throw std::runtime_error(region.error().message);
  return *region;
}

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Assigns a slot, as the daemon does.
inline SlotRef assigned(const std::shared_ptr<Region>& region, std::uint64_t session = 1) {
  SlotTable slots(region);
  SlotIdentity identity;
  identity.session = session;
  identity.pid = 71;
  identity.command = "worker";
  const auto slot = slots.assign(identity);
  if (!slot) throw std::runtime_error("no free slot");
  return *slot;
}

// What the daemon does with the ring, without a disk: the journal is a vector.
class MemoryFlusher {
 public:
  explicit MemoryFlusher(std::shared_ptr<Region> region)
      : region_(std::move(region)),
        source_(region_),
        keeper_(region_, source_),
        first_(synced(*region_)),
        next_(first_) {}

  // One batch: gather, "write", "sync", reclaim. Returns how many records it took.
  std::size_t flush(std::uint64_t free_target = 4, std::size_t records_max = 1000,
                    std::size_t bytes_max = 1 << 20) {
    auto batch = source_.gather(next_, records_max, bytes_max);
    if (!batch) throw std::runtime_error(batch.error().message);
    for (const Gathered& item : *batch) {
      if (item.seq != next_) throw std::runtime_error("gathered out of order");
      journal_.push_back(item.bad != nullptr ? std::string("BAD ") + item.bad
                                             : text_of(item.record));
      ++next_;
    }
    set_written(*region_, next_);
    if (!batch->empty()) set_synced(*region_, next_);
    free_ = keeper_.reclaim(free_target);
    return batch->size();
  }

  const std::string& record(std::uint64_t seq) const { return journal_.at(seq - first_); }
  const std::vector<std::string>& journal() const { return journal_; }
  std::uint64_t next() const { return next_; }
  std::uint64_t free_chunks() const { return free_; }
  ChunkKeeper& keeper() { return keeper_; }
  FlushSource& source() { return source_; }

 private:
  std::shared_ptr<Region> region_;
  FlushSource source_;
  ChunkKeeper keeper_;
  std::uint64_t first_, next_, free_ = 0;
  std::vector<std::string> journal_;
};

// The seed of a random test: OJ_SEED, or a new one; printed either way.
inline std::uint64_t test_seed() {
  const char* given = std::getenv("OJ_SEED");
  const std::uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << "OJ_SEED=" << seed << "\n";
  return seed;
}

}  // namespace oj::shm
