// SPDX-License-Identifier: MIT
#include "daemon/flusher.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <limits>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/check.h"
#include "base/clock.h"

namespace oj::daemon {
namespace {

constexpr std::size_t kBatchRecordsMax = 4096;
constexpr std::size_t kBatchBytesMax = 1u << 20;
constexpr std::uint64_t kRoundRecordsMax = 1u << 18;    // between two syncs
constexpr std::int64_t kMarkerDelayNs = 80 * kNsPerMs;  // of quiet before the idle marker
constexpr std::int64_t kLookNs = 3 * kNsPerS;           // for damage, with workers attached
constexpr std::int64_t kCompanySliceNs =
    5 * kNsPerMs;                            // of the commit window: is the ring filling up?
constexpr std::uint64_t kReclaimParts = 16;  // reclaim when this part of the pool was flushed
constexpr std::int64_t kRetryNs = kNsPerS;   // between tries while degraded
constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kBadRecordSayNs = 10 * kNsPerS;

}  // namespace

// For as long as one call on the disk takes: Heartbeat counts it as life.
class Flusher::DiskCall {
 public:
  explicit DiskCall(Flusher& flusher) : flusher_(flusher) {
    flusher_.orders_.answer_beat();
    flusher_.disk_call_since_ns_.store(monotonic_ns(), std::memory_order_relaxed);  // stat
  }
  ~DiskCall() { flusher_.disk_call_since_ns_.store(0, std::memory_order_relaxed); }  // stat
  DiskCall(const DiskCall&) = delete;
  DiskCall& operator=(const DiskCall&) = delete;

 private:
  Flusher& flusher_;
};

Flusher::Flusher(std::shared_ptr<shm::Region> region, journal::Writer writer,
                 std::int64_t sync_window_ns, int event_fd, Troubles& troubles)
    : region_(std::move(region)),
      writer_(std::move(writer)),
      sync_window_ns_(sync_window_ns),
      event_fd_(event_fd),
      troubles_(troubles),
      orders_(region_),
      source_(region_),
      keeper_(region_, source_),
      slots_(region_),
      told_synced_(shm::synced(*region_)),
      bad_record_limit_(kBadRecordSayNs) {
  statistics_.segments.store(writer_.segment_count(), std::memory_order_relaxed);  // stat
  statistics_.disk_bytes.store(writer_.disk_bytes(), std::memory_order_relaxed);   // stat
}

Flusher::~Flusher() { OJ_CHECK(!thread_.joinable()); }

void Flusher::start() {
  OJ_CHECK(end() == End::kRunning || end() == End::kDrained);
  set_end(End::kRunning);
  thread_ = std::thread([this] {
    try {
      run();
    } catch (const std::exception& failed) {
      spdlog::critical("the flusher cannot go on: {}", failed.what());
      std::terminate();
    }
  });
}

void Flusher::join() {
  if (thread_.joinable()) thread_.join();
}

void Flusher::run() {
  while (end() == End::kRunning) {
    obey();
    if (Result<void> sound = check_region(); !sound) {
      on_failure(sound.error());
      break;
    }
    const bool work = shm::published_end(*region_) > writer_.synced_through();
    if (!work && (failures_ == 0)) {
      // A next word that cannot be: nobody can publish, and nothing would ever be published.
      if (const auto next = source_.gather(writer_.next_seq(), 1, 1); !next) {
        on_failure(next.error());
        break;
      }
      if (orders_.drain()) {
        end_drained();
        break;
      }
      be_quiet();
      continue;
    }
    if (!orders_.drain()) gather_company();
    if (Result<void> flushed = flush_round(); flushed) {
      on_success();
      if (drain_reached()) end_drained();
    } else {
      on_failure(flushed.error());
    }
  }
  if (end() == End::kDrained && marker_due_) {
    const DiskCall call(*this);
    if (Result<void> marked = writer_.write_idle_marker(utc_us()); !marked) {
      spdlog::warn("no idle marker at the end: {}", marked.error().message);
    }
  }
  say_to_control();
}

// `synced` and `retained` are ours alone: another value was written by somebody who must not.
Result<void> Flusher::check_region() const {
  const std::uint64_t synced = shm::synced(*region_), retained = shm::retained(*region_);
  const auto damaged = [this](const std::string& what) {
    return Error{Code::kCorrupt, "the region " + region_->path() + " " + what};
  };
  if (region_->lost()) return damaged("was cut while it was in use");
  if (const auto chunk = keeper_.damaged_chunk())
    return damaged("has an owner word or a hazard that cannot be, of chunk " +
                   std::to_string(*chunk));
  if (synced != told_synced_) {
    return damaged("has the watermark synced at " + std::to_string(synced) + ", expected " +
                   std::to_string(told_synced_));
  }
  if (retained > synced) {
    return damaged("has the watermark retained at " + std::to_string(retained) +
                   ", above synced at " + std::to_string(synced));
  }
  return {};
}

// What a damaged region still gives, whatever its watermarks say: the ring tells what is published.
void Flusher::salvage() {
  if (writer_broken_ || region_->lost()) return;
  const Result<void> written = write_published(kNever);
  if (Result<void> synced = sync_now(); !synced)
    spdlog::error("nor can it be synced: {}", synced.error().message);
  if (!written)
    spdlog::error("what is behind record {}: {}", writer_.next_seq(), written.error().message);
}

bool Flusher::drain_reached() const {
  return orders_.drain() && writer_.synced_through() >= orders_.drain_goal();
}

void Flusher::obey() {
  orders_.begin_taking();
  orders_.answer_beat();
  bool freed = false;
  while (const auto slot = orders_.take_ended()) {
    keeper_.seal_chunks_of(*slot);
    slots_.finish(*slot);
    freed = true;
  }
  if (freed) say_to_control();
}

// What ended before the drain was asked for is still freed: the control thread posted it first.
void Flusher::end_drained() {
  obey();
  set_end(End::kDrained);
}

// Nothing is published that is not synced.
void Flusher::be_quiet() {
  const std::uint64_t next = writer_.next_seq();
  if (marker_due_) {
    const shm::Waited waited = shm::daemon_wait_published(region_, next, kMarkerDelayNs);
    if (waited == shm::Waited::kReached || orders_.pending() || shm::published_end(*region_) > next)
      return;
    const DiskCall call(*this);
    if (Result<void> marked = writer_.write_idle_marker(utc_us()); !marked) {
      spdlog::warn("no idle marker: {}", marked.error().message);
      count_trouble(marked.error());
      writer_broken_ = true;
    }
    marker_due_ = false;
    return;
  }
  const std::int64_t timeout_ns = orders_.attached() ? kLookNs : kNever;
  if (orders_.pending()) return;
  shm::daemon_wait_published(region_, next, timeout_ns);
  make_room();  // workers may have asked without anything being published
}

// All that can be had if a worker waits for room; else half of the pool, now and then.
void Flusher::make_room() {
  const shm::Sizes& sizes = region_->sizes();
  const bool wanted = keeper_.room_wanted();
  const bool due = flushed_bytes_ >= sizes.chunk_count * sizes.chunk_bytes / kReclaimParts;
  if (wanted) statistics_.room_wanted.fetch_add(1, std::memory_order_relaxed);  // stat
  if (!wanted && !due) return;
  keeper_.reclaim(wanted ? sizes.chunk_count : sizes.chunk_count / 2);
  flushed_bytes_ = 0;
}

void Flusher::gather_company() {
  const std::int64_t until_ns = monotonic_ns() + sync_window_ns_;
  const std::uint64_t from = writer_.synced_through();
  while (!orders_.pending()) {
    const std::int64_t left_ns = until_ns - monotonic_ns();
    if (left_ns <= 0) return;
    if (shm::published_end(*region_) - from > region_->sizes().ring_slots / 4) return;
    if (keeper_.chunks_in_use() > region_->sizes().chunk_count * 3 / 4) return;
    if (shm::daemon_wait_asked(region_, std::min(left_ns, kCompanySliceNs)) ==
        shm::Waited::kReached) {
      if (!orders_.pending()) statistics_.asked.fetch_add(1, std::memory_order_relaxed);  // stat
      return;
    }
  }
}

Result<void> Flusher::flush_round() {
  if (writer_broken_) {
    if (Result<void> restarted = restart_writer(); !restarted) return restarted;
  }
  const std::uint64_t goal =
      std::min(shm::published_end(*region_), writer_.next_seq() + kRoundRecordsMax);
  if (Result<void> written = write_published(goal); !written) return written;
  if (Result<void> synced = sync_now(); !synced) return synced;
  make_room();
  return {};
}

Result<void> Flusher::write_published(std::uint64_t goal) {
  std::vector<journal::RecordBytes> batch;
  while (writer_.next_seq() < goal) {
    auto gathered = source_.gather(writer_.next_seq(), kBatchRecordsMax, kBatchBytesMax);
    if (!gathered) return gathered.error();
    // Before a tombstone is made of what are only missing pages: those who have read the record
    // that was there learn of its loss by the region's end.
    if (region_->lost()) {
      return Error{Code::kCorrupt,
                   "the region " + region_->path() + " was cut while it was in use"};
    }
    if (gathered->empty() && goal == kNever) break;
    if (gathered->empty()) {
      return Error{Code::kCorrupt, "the order ring of " + region_->path() + " has no record " +
                                       std::to_string(writer_.next_seq()) + ", below record " +
                                       std::to_string(goal - 1) + " that is published"};
    }
    batch.clear();
    tombstones_.clear();
    for (const shm::Gathered& item : *gathered) {
      batch.push_back({item.bad == nullptr ? item.record : tombstone_for(item)});
      flushed_bytes_ += batch.back().bytes.size();
    }
    {
      const DiskCall call(*this);
      if (Result<void> written = writer_.write_batch(batch, utc_us()); !written) return written;
    }
    for (const shm::Gathered& item : *gathered) append_times_.written(item.record);
    shm::set_written(*region_, writer_.next_seq());
    marker_due_ = true;
  }
  return {};
}

std::span<const std::byte> Flusher::tombstone_for(const shm::Gathered& bad) {
  if (bad_record_limit_.allow(monotonic_ns())) {
    spdlog::error(
        "record {} fails its checks ({}) and is written as a tombstone; {} more since this was "
        "last said",
        bad.seq, bad.bad, bad_record_limit_.left_out());
  }
  statistics_.tombstones.fetch_add(1, std::memory_order_relaxed);  // stat
  troubles_.count(Trouble::kDamagedRecord);
  const std::span<std::byte> record =
      encoder_.encode(schema::Operation{schema::Tombstone{bad.bad}});
  schema::stamp(record, {0, 0, utc_us()});
  return tombstones_.emplace_back(record.begin(), record.end());
}

Result<void> Flusher::sync_now() {
  const std::uint64_t before = writer_.synced_through();
  const std::int64_t began_ns = monotonic_ns();
  {
    const DiskCall call(*this);
    if (Result<void> synced = writer_.sync(); !synced) return synced;
  }
  const std::int64_t now_ns = monotonic_ns(), now_us = utc_us();
  const auto took_ns = static_cast<std::uint64_t>(now_ns - began_ns);
  statistics_.sync_ns_total.fetch_add(took_ns, std::memory_order_relaxed);  // stat
  statistics_.syncs.fetch_add(1, std::memory_order_relaxed);                // stat
  statistics_.sync_ns_buckets[schema::latency_bucket(took_ns)].fetch_add(
      1, std::memory_order_relaxed);                                        // stat
  statistics_.sync_ns_last.store(took_ns, std::memory_order_relaxed);       // stat
  if (took_ns > statistics_.sync_ns_max.load(std::memory_order_relaxed)) {  // stat
    statistics_.sync_ns_max.store(took_ns, std::memory_order_relaxed);      // stat
  }
  statistics_.segments.store(writer_.segment_count(), std::memory_order_relaxed);  // stat
  statistics_.disk_bytes.store(writer_.disk_bytes(), std::memory_order_relaxed);   // stat
  // Last: whoever is woken by it and asks for the status finds this sync counted.
  told_synced_ = writer_.synced_through();
  shm::set_synced(*region_, told_synced_);
  append_times_.synced(now_us);  // after it: nobody waits for this
  spdlog::debug("synced {} records, {} .. {}, in {} us", writer_.synced_through() - before, before,
                writer_.synced_through(), took_ns / 1000);
  return {};
}

Result<void> Flusher::restart_writer() {
  const DiskCall call(*this);
  const std::uint64_t in_vain = writer_.next_seq() - writer_.synced_through();
  if (Result<void> restarted = writer_.restart(); !restarted) return restarted;
  append_times_.written_in_vain(in_vain);
  writer_broken_ = false;
  shm::set_written(*region_, writer_.next_seq());
  return {};
}

void Flusher::count_trouble(const Error& error) {
  const bool no_room = error.os_error == ENOSPC || error.os_error == EDQUOT;
  const Trouble otherwise = writer_.failed_in_sync() ? Trouble::kSync : Trouble::kWrite;
  troubles_.count(no_room ? Trouble::kDiskFull : otherwise);
}

void Flusher::on_failure(const Error& error) {
  if (error.code == Code::kCorrupt) {
    spdlog::error("the region is damaged: {}", error.message);
    troubles_.count(Trouble::kDamagedRegion);
    salvage();
    set_end(End::kDamaged);
    return;
  }
  ++failures_;
  count_trouble(error);
  writer_broken_ = true;
  if (failures_ == 1) {
    spdlog::warn("cannot write the journal: {}; trying once more, in a new segment", error.message);
    return;
  }
  {
    const std::scoped_lock lock(degraded_mutex_);
    degraded_text_ = error.message;
  }
  shm::set_degraded(*region_, error.os_error != 0 ? error.os_error : EIO);
  if (degraded_since_ns_ == 0) {
    degraded_since_ns_ = monotonic_ns();
    spdlog::error(
        "nothing can be synced at present: {}; workers go on until the region is full, {} records "
        "wait in memory; "
        "tried again every second",
        error.message, shm::published_end(*region_) - writer_.synced_through());
  }
  if (orders_.drain()) {
    set_end(End::kUnsynced);
    return;
  }
  const std::int64_t until_ns = monotonic_ns() + kRetryNs;
  while (!orders_.drain() && monotonic_ns() < until_ns) {
    obey();
    shm::daemon_wait_asked(region_, until_ns - monotonic_ns());
    make_room();
  }
}

void Flusher::on_success() {
  failures_ = 0;
  if (degraded_since_ns_ == 0) return;
  spdlog::info("the journal can be written again, after {} s",
               (monotonic_ns() - degraded_since_ns_) / kNsPerS);
  degraded_since_ns_ = 0;
  {
    const std::scoped_lock lock(degraded_mutex_);
    degraded_text_.clear();
  }
  shm::set_degraded(*region_, 0);
}

std::string Flusher::degraded_text() const {
  const std::scoped_lock lock(degraded_mutex_);
  return degraded_text_;
}

void Flusher::set_end(End end) { end_.store(end, std::memory_order_release); }  // pair: end

void Flusher::say_to_control() const { eventfd_write(event_fd_, 1); }

}  // namespace oj::daemon
