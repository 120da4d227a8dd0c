// The thread that carries the journal to disk: design "Flush".
//
//   asleep --published--> gather company --window over, or asked--> batches, sync --> asleep
//
// Group commit: the first unsynced record waits at most the sync window for others to be synced
// with; a worker that waits for the disk or for room ends the wait. What is published during a sync
// is the next batch. Soon after quiet an idle marker is written. Without workers nothing wakes this
// thread; with workers it looks every few seconds whether the region is still sound. What a killed
// or stopped producer left out is made up for by the control thread (left_out_wakes.h).
//
// A failed write or sync: once at once in a new segment, with all that is unsynced, which memory
// still has. If that fails too: degraded, told to everybody once, tried again every second until it
// works.
//
// Pairs
//   end   set_end release  ->  end() acquire   what the flusher did before is seen with it
//
// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "daemon/append_times.h"
#include "daemon/flusher_orders.h"
#include "daemon/logging.h"
#include "daemon/troubles.h"
#include "journal/writer.h"
#include "schema/codec.h"
#include "schema/latency.h"
#include "shm/chunk_keeper.h"
#include "shm/flush_source.h"
#include "shm/region.h"
#include "shm/worker_slots.h"

namespace oj::daemon {

// What status says of the flusher. Written by its thread, read by any; statistics, nobody acts on
// them.
struct FlushStatistics {
  std::atomic<std::uint64_t> segments{0}, disk_bytes{0};
  std::atomic<std::uint64_t> syncs{0}, sync_ns_last{0}, sync_ns_max{0};
  std::array<std::atomic<std::uint64_t>, schema::kLatencyBuckets> sync_ns_buckets{};
  std::atomic<std::uint64_t> tombstones{0};
  std::atomic<std::uint64_t> sync_ns_total{0};  // the sum of what is in sync_ns_buckets
  // Windows that a worker's wait for the disk ended; looks that found a worker waiting for room.
  std::atomic<std::uint64_t> asked{0}, room_wanted{0};
};

class Flusher {
 public:
  enum class End : std::uint8_t {
    kRunning,
    kDrained,   // as ordered
    kUnsynced,  // ordered, but the disk would not: the records are still in the region
    kDamaged,   // ring or watermarks hold what cannot be, or the file was cut: this region cannot
                // be gone on with
  };

  // `event_fd`: an eventfd that is written when slots became free and at the end. Not owned, as
  // `troubles`.
  Flusher(std::shared_ptr<shm::Region> region, journal::Writer writer, std::int64_t sync_window_ns,
          int event_fd, Troubles& troubles);
  ~Flusher();  // REQUIRES: not started, or joined

  void start();  // after kDrained it may be started again, to drain once more
  void join();

  FlusherOrders& orders() { return orders_; }
  const FlushStatistics& statistics() const { return statistics_; }
  const AppendTimes& append_times() const { return append_times_; }
  // When the call on the disk began that this thread is in; 0: it is in none.
  std::int64_t in_disk_call_since_ns() const {
    return disk_call_since_ns_.load(std::memory_order_relaxed);  // stat
  }
  End end() const { return end_.load(std::memory_order_acquire); }  // pair: end
  // Why nothing can be synced at present, or "".
  std::string degraded_text() const;

 private:
  class DiskCall;

  void run();
  void obey();
  void end_drained();
  void be_quiet();
  void gather_company();
  Result<void> flush_round();
  Result<void> write_published(std::uint64_t goal);
  Result<void> sync_now();
  std::span<const std::byte> tombstone_for(const shm::Gathered& bad);
  void count_trouble(const Error& error);
  void on_failure(const Error& error);
  Result<void> restart_writer();
  void on_success();
  bool drain_reached() const;
  Result<void> check_region() const;
  void salvage();
  void set_end(End end);
  void make_room();
  void say_to_control() const;

  std::shared_ptr<shm::Region> region_;
  journal::Writer writer_;
  const std::int64_t sync_window_ns_;
  const int event_fd_;
  Troubles& troubles_;
  FlusherOrders orders_;
  shm::FlushSource source_;
  shm::ChunkKeeper keeper_;
  shm::SlotTable slots_;
  schema::Encoder encoder_;
  std::vector<std::vector<std::byte>> tombstones_;  // of the batch in hand
  std::uint64_t flushed_bytes_ = 0;                 // since the last reclaim
  std::uint64_t told_synced_ = 0;                   // the region's `synced`, which is ours to move
  bool marker_due_ = false;  // frames were written since the last idle marker
  bool writer_broken_ = false;
  std::uint32_t failures_ = 0;  // in a row
  std::int64_t degraded_since_ns_ = 0;
  RepeatLimit bad_record_limit_;
  FlushStatistics statistics_;
  AppendTimes append_times_;
  std::atomic<std::int64_t> disk_call_since_ns_{0};
  std::atomic<End> end_{End::kRunning};
  mutable std::mutex degraded_mutex_;
  std::string degraded_text_;
  std::thread thread_;
};

}  // namespace oj::daemon
