// What the region costs over a bare ticket ring: ns a record, 1, 2 and 4 producers, one consumer
// that copies each record and checks its CRC.
//
// The bare ring is the least that can be: records in fixed cells of a private arena, one CAS each,
// no chunk pool, no hazards, no wake-up, no full checks. Both run in turns in one run, because
// figures of a shared machine compare only there; the ratio is that of the medians. Budget: at
// least 0.7.
//
//   bench_ring_probe [RECORDS]       (other arguments, as the benchmark runner gives, are ignored)
//
// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "shm/chunk_keeper.h"
#include "shm/flush_source.h"
#include "shm/producer.h"
#include "shm/region.h"
#include "shm/watermarks.h"
#include "shm/worker_slots.h"

namespace {

using oj::monotonic_ns;

constexpr std::uint64_t kPayload = 112;
constexpr std::uint64_t kSlots = 1 << 20;
constexpr std::uint64_t kReferenceMask = (std::uint64_t{1} << 40) - 1;

struct Cell {
  std::uint32_t length, crc;
  char payload[kPayload];
};
constexpr std::uint64_t kCellBytes = (sizeof(Cell) + 63) / 64 * 64;
constexpr std::uint64_t kArenaBytes = 64u << 20;
constexpr std::uint64_t kCells = kArenaBytes / kCellBytes;

struct BareMarks {
  alignas(128) std::atomic<std::uint64_t> hint;
  alignas(128) std::atomic<std::uint64_t> synced;
};

std::uint64_t lap_tag(std::uint64_t seq) { return (seq / kSlots + 1) & 0xffffff; }

std::uint32_t crc_of(const char* bytes) {
  return oj::crc32c({reinterpret_cast<const std::byte*>(bytes), kPayload});
}

// One producer of the bare ring.
void produce_bare(BareMarks& marks, std::atomic<std::uint64_t>* ring, char* pool, char* arena,
                  std::uint64_t each, int id) {
  const std::vector<char> data(kPayload, static_cast<char>(id));
  std::vector<std::uint64_t> used_by(kCells, 0);
  std::uint64_t local = 0, limit = kSlots;
  for (std::uint64_t i = 0; i < each; ++i) {
    char* at = arena + i % kCells * kCellBytes;
    while (i >= kCells && marks.synced.load(std::memory_order_acquire) <= used_by[i % kCells]) {
      std::this_thread::yield();
    }
    auto* cell = reinterpret_cast<Cell*>(at);
    std::memcpy(cell->payload, data.data(), kPayload);
    cell->length = kPayload;
    cell->crc = crc_of(data.data());
    const std::uint64_t reference = static_cast<std::uint64_t>(at - pool) / 64;
    std::uint64_t b = std::max(local, marks.hint.load(std::memory_order_relaxed));
    for (;;) {
      if (b >= limit) {
        limit = marks.synced.load(std::memory_order_acquire) + kSlots;
        if (b >= limit) {
          std::this_thread::yield();
          continue;
        }
      }
      std::uint64_t seen = ring[b % kSlots].load(std::memory_order_acquire);
      if (seen >> 40 == lap_tag(b)) {
        ++b;
        continue;
      }
      if (ring[b % kSlots].compare_exchange_strong(seen, lap_tag(b) << 40 | reference,
                                                   std::memory_order_acq_rel,
                                                   std::memory_order_acquire)) {
        break;
      }
      ++b;
    }
    used_by[i % kCells] = b;
    local = b + 1;
    if ((b & 15) == 0) marks.hint.store(b + 1, std::memory_order_relaxed);
  }
}

double bare(int producers, std::uint64_t records) {
  const std::uint64_t each = records / static_cast<std::uint64_t>(producers);
  const std::uint64_t total = each * static_cast<std::uint64_t>(producers);
  const std::size_t bytes = 4096 + kSlots * 8 + kArenaBytes * static_cast<std::size_t>(producers);
  void* map = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  OJ_CHECK(map != MAP_FAILED);
  auto* marks = new (map) BareMarks{};
  auto* ring = reinterpret_cast<std::atomic<std::uint64_t>*>(static_cast<char*>(map) + 4096);
  char* pool = static_cast<char*>(map) + 4096 + kSlots * 8;
  const std::int64_t began = monotonic_ns();
  std::vector<std::thread> threads;
  threads.reserve(static_cast<std::size_t>(producers));
  for (int id = 0; id < producers; ++id) {
    threads.emplace_back([=] {
      produce_bare(*marks, ring, pool, pool + kArenaBytes * static_cast<std::size_t>(id), each, id);
    });
  }
  std::vector<char> batch(1 << 20);
  std::size_t used = 0;
  std::uint64_t seq = 0, stored = 0, bad = 0;
  while (seq < total) {
    const std::uint64_t word = ring[seq % kSlots].load(std::memory_order_acquire);
    if (word >> 40 != lap_tag(seq)) {
      std::this_thread::yield();
      continue;
    }
    if (used + sizeof(Cell) > batch.size()) used = 0;
    std::memcpy(&batch[used], pool + (word & kReferenceMask) * 64, sizeof(Cell));
    std::uint32_t lead[2];
    std::memcpy(lead, &batch[used], sizeof lead);
    if (lead[0] != kPayload || lead[1] != crc_of(&batch[used] + 8)) ++bad;
    used += sizeof(Cell);
    ++seq;
    if (seq - stored > 4096) marks->synced.store(stored = seq, std::memory_order_release);
  }
  for (auto& thread : threads) thread.join();
  const double ns = static_cast<double>(monotonic_ns() - began) / static_cast<double>(total);
  munmap(map, bytes);
  OJ_CHECK(bad == 0);
  return ns;
}

double ours(const std::string& folder, int producers, std::uint64_t records) {
  namespace shm = oj::shm;
  const std::uint64_t each = records / static_cast<std::uint64_t>(producers);
  const std::uint64_t total = each * static_cast<std::uint64_t>(producers);
  shm::CreateOptions options;  // default sizes
  auto created = shm::Region::create(folder + "/region", options);
  if (!created) {
    std::fprintf(stderr, "%s\n", created.error().message.c_str());
    std::exit(1);
  }
  const std::shared_ptr<shm::Region> region = *created;
  // As MAP_POPULATE does for the bare ring: page faults are the kernel's speed, not the protocol's.
  madvise(region->base(), region->sizes().region_bytes(), MADV_POPULATE_WRITE);
  shm::SlotTable slots(region);
  shm::FlushSource source(region);
  shm::ChunkKeeper keeper(region, source);
  const std::int64_t began = monotonic_ns();
  std::vector<std::thread> threads;
  threads.reserve(static_cast<std::size_t>(producers));
  for (int id = 0; id < producers; ++id) {
    threads.emplace_back([&region, each, id, slot = *slots.assign({})] {
      const std::vector<std::byte> data(kPayload, static_cast<std::byte>(id));
      shm::Producer producer(region, slot);
      for (std::uint64_t i = 0; i < each;) {
        auto attempt = producer.try_append(data);
        OJ_CHECK(attempt.ok());
        if (attempt->full == shm::Full::kNo) {
          ++i;
        } else {
          std::this_thread::yield();
        }
      }
    });
  }
  const std::uint64_t chunks = region->sizes().chunk_count;
  std::uint64_t next = 0, stored = 0, reclaimed = 0;
  while (next < total) {
    auto batch = source.gather(next, 4096, 1 << 20);
    OJ_CHECK(batch.ok());
    for (const shm::Gathered& item : *batch) OJ_CHECK(item.bad == nullptr);
    next += batch->size();
    if (next - stored > 4096) {  // as the bare ring does
      shm::set_synced(*region, next);
      stored = next;
    }
    if (batch->empty()) {
      std::this_thread::yield();
      continue;
    }
    if (next - reclaimed > 64 * chunks / 16) {  // as the daemon: now and then
      keeper.reclaim(chunks / 2);
      reclaimed = next;
    }
  }
  for (auto& thread : threads) thread.join();
  return static_cast<double>(monotonic_ns() - began) / static_cast<double>(total);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t records = 2'000'000;
  if (argc > 1 && argv[1][0] != '-') records = std::strtoull(argv[1], nullptr, 10);
  if (records < 1000) {
    std::fprintf(stderr, "usage: bench_ring_probe [RECORDS >= 1000]\n");
    return 2;
  }
  const bool shm = access("/dev/shm", W_OK) == 0;
  std::string folder =
      (shm ? std::string("/dev/shm") : std::filesystem::temp_directory_path().string()) +
      "/oj-ring-probe-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) return std::perror("mkdtemp"), 1;
  std::printf("%llu records of %llu bytes; ns a record, medians of 5\n",
              static_cast<unsigned long long>(records), static_cast<unsigned long long>(kPayload));
  for (const int producers : {1, 2, 4}) {
    std::vector<double> bare_ns, our_ns;
    for (int round = 0; round < 5; ++round) {
      bare_ns.push_back(bare(producers, records));
      our_ns.push_back(ours(folder, producers, records));
    }
    std::printf(
        "%d producers: bare ring %6.1f, region %6.1f, throughput ratio %.2f (budget 0.70)\n",
        producers, median(bare_ns), median(our_ns), median(bare_ns) / median(our_ns));
    std::fflush(stdout);
  }
  std::filesystem::remove_all(folder);
  return 0;
}
