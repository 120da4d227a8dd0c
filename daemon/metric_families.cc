// SPDX-License-Identifier: MIT
#include "daemon/metric_families.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "shm/watermarks.h"

namespace oj::daemon {
namespace {

double number(std::uint64_t value) { return static_cast<double>(value); }

// By schema::TrialState.
constexpr std::array<const char*, 5> kStates{"running", "complete", "pruned", "fail", "waiting"};

}  // namespace

prometheus::ClientMetric& Families::add(const std::string& name, const std::string& help,
                                        prometheus::MetricType type, const Labels& labels) {
  const std::string full = "optjournal_" + name;
  if (families_.empty() || families_.back().name != full)
    families_.push_back({full, help, type, {}});
  prometheus::ClientMetric& metric = families_.back().metric.emplace_back();
  for (const auto& [key, value] : labels) metric.label.push_back({key, value});
  return metric;
}

void Families::counter(const std::string& name, const std::string& help, double value,
                       const Labels& labels) {
  add(name, help, prometheus::MetricType::Counter, labels).counter.value = value;
}

void Families::gauge(const std::string& name, const std::string& help, double value,
                     const Labels& labels) {
  add(name, help, prometheus::MetricType::Gauge, labels).gauge.value = value;
}

// The bounds that are powers of two: half as many series, and no figure needs more.
void Families::seconds(
    const std::string& name, const std::string& help,
    const std::array<std::atomic<std::uint64_t>, schema::kLatencyBuckets>& counts,
    std::uint64_t total_ns) {
  auto& histogram = add(name, help, prometheus::MetricType::Histogram, {}).histogram;
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    below += counts[i].load(std::memory_order_relaxed);  // stat
    const bool last = i + 1 == counts.size();
    if (!last && i % 2 != 0) continue;
    const double bound =
        last ? std::numeric_limits<double>::infinity() : number(schema::latency_bound_ns(i)) / 1e9;
    histogram.bucket.push_back({below, bound});
  }
  histogram.sample_count = below;
  histogram.sample_sum = number(total_ns) / 1e9;
}

LiveFigures::LiveFigures(std::shared_ptr<shm::Region> region, const Flusher& flusher,
                         std::string folder)
    : region_(std::move(region)),
      flusher_(flusher),
      folder_(std::move(folder)),
      slots_(region_),
      count_source_(region_),
      counter_(region_, count_source_) {}

void LiveFigures::add_to(Families& families) const {
  add_region(families);
  add_flusher(families);
  struct statvfs room {};
  if (statvfs(folder_.c_str(), &room) == 0) {
    families.gauge("disk_available_bytes", "Free on the file system of the journal's folder.",
                   number(room.f_bavail) * number(room.f_frsize));
  }
}

void LiveFigures::add_region(Families& families) const {
  const std::uint64_t synced = shm::synced(*region_);  // first: it is the one behind
  const std::uint64_t published = std::max(synced, shm::published_end(*region_));
  families.counter("published_records_total", "Records published since the journal began.",
                   number(published));
  families.counter("synced_records_total", "Of them, on stable storage.", number(synced));
  families.gauge("unsynced_records", "Records published and not yet synced: the lag.",
                 number(published - synced));
  const shm::Sizes& sizes = region_->sizes();
  families.gauge("ring_slots", "Records that may be published and not yet synced.",
                 number(sizes.ring_slots));
  families.gauge("pool_bytes", "Shared memory for records.",
                 number(sizes.chunk_count * sizes.chunk_bytes));
  families.gauge("pool_used_bytes", "Of it, in chunks that hold records or belong to a worker.",
                 number(counter_.chunks_in_use() * sizes.chunk_bytes));
  families.gauge("degraded", "1 while the disk does not take what is published, else 0.",
                 shm::degraded(*region_) != 0 ? 1 : 0);
  std::uint64_t attached = 0;
  for (std::uint32_t i = 0; i < slots_.size(); ++i) {
    const auto seen = slots_.snapshot(i);  // session 0: the daemon itself
    attached += seen.state == shm::SlotState::kLive && seen.identity.session != 0;
  }
  families.gauge("sessions_attached", "Sessions that hold a worker slot.", number(attached));
  families.gauge("worker_slots", "Sessions that may be attached at a time.",
                 number(sizes.worker_slots));
}

void LiveFigures::add_flusher(Families& families) const {
  const FlushStatistics& flushed = flusher_.statistics();
  const auto read = [](const std::atomic<std::uint64_t>& value) {
    return number(value.load(std::memory_order_relaxed));  // stat
  };
  families.seconds("sync_duration_seconds", "How long writing to stable storage takes, by sync.",
                   flushed.sync_ns_buckets,
                   flushed.sync_ns_total.load(std::memory_order_relaxed));  // stat
  const AppendTimes& appends = flusher_.append_times();
  families.seconds("append_to_synced_seconds",
                   "From when a record was appended until it was on stable storage.",
                   appends.buckets(), appends.total_ns());
  families.counter("untimed_appends_total",
                   "Records that were synced and whose time of append makes no sense.",
                   number(appends.untimed()));
  families.counter("sync_requests_total",
                   "Sync windows that ended early, because a worker waited for the disk.",
                   read(flushed.asked));
  families.counter("room_requests_total",
                   "Looks of the daemon that found a worker waiting for room in the region.",
                   read(flushed.room_wanted));
  families.gauge("segments", "Segment files.", read(flushed.segments));
  families.gauge("journal_bytes", "Size of the segment files.", read(flushed.disk_bytes));
}

void add_daemon(Families& families, std::int64_t started_us) {
  families.gauge("build_info", "1; the version is a label.", 1, {{"version", OPTJOURNAL_VERSION}});
  families.gauge("start_time_seconds", "When the daemon started, in Unix time.",
                 static_cast<double>(started_us) / 1e6);
}

void add_troubles(Families& families, const Troubles& troubles) {
  for (std::size_t i = 0; i < kTroubles; ++i) {
    const auto kind = static_cast<Trouble>(i);
    families.counter("failures_total", "What went wrong, by kind.", number(troubles.of(kind)),
                     {{"kind", Troubles::name_of(kind)}});
  }
  for (std::size_t i = 0; i < kRefusals; ++i) {
    const auto reason = static_cast<Refusal>(i);
    families.counter("refused_connections_total", "Clients that the daemon refused, by reason.",
                     number(troubles.of(reason)), {{"reason", Troubles::name_of(reason)}});
  }
}

void add_totals(Families& families, const JournalTotals& totals) {
  families.counter("records_total", "Records of the journal.", number(totals.records));
  families.counter("record_bytes_total", "Bytes of these records.", number(totals.bytes));
  for (const auto& [name, count] : totals.operations) {
    families.counter("operations_total", "Operations of the journal, by operation.", number(count),
                     {{"operation", name}});
  }
  for (const auto& [outcome, count] : totals.refused) {
    families.counter("refused_operations_total", "Operations that changed nothing, by why.",
                     number(count), {{"outcome", outcome}});
  }
  for (const auto& [reason, count] : totals.tombstones) {
    families.counter("tombstones_total",
                     "Records that failed their checks or do not decode, by reason.", number(count),
                     {{"reason", reason}});
  }
  families.counter("sessions_started_total", "Sessions that began.",
                   number(totals.sessions_started));
  families.counter("sessions_ended_total", "Sessions that ended, by how.",
                   number(totals.sessions_closed), {{"reason", "closed"}});
  families.counter("sessions_ended_total", "", number(totals.sessions_died), {{"reason", "died"}});
  families.gauge("studies", "Studies that are not deleted.", number(totals.studies));
  for (std::size_t i = 0; i < kStates.size(); ++i) {
    families.gauge("trials", "Trials of these studies, by state.", number(totals.trials[i]),
                   {{"state", kStates[i]}});
  }
  for (const auto& [outcome, count] :
       {std::pair("failed", totals.orphans_failed), std::pair("retried", totals.orphans_retried),
        std::pair("told", totals.orphans_told)}) {
    families.counter("orphans_ended_total", "Orphans that are none any more, by how.",
                     number(count), {{"outcome", outcome}});
  }
  families.gauge("orphaned_trials", "Running trials whose session died.", number(totals.orphans));
}

}  // namespace oj::daemon
