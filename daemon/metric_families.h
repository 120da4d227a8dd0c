// Figures in Prometheus' form: names, help texts, units. docs/metrics.md has the same list; a test
// holds the two together.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <prometheus/metric_family.h>

#include "daemon/flusher.h"
#include "daemon/journal_counts.h"
#include "daemon/troubles.h"
#include "schema/latency.h"
#include "shm/chunk_keeper.h"
#include "shm/flush_source.h"
#include "shm/region.h"
#include "shm/worker_slots.h"

namespace oj::daemon {

class Families {
 public:
  using Labels = std::map<std::string, std::string>;

  // Names without the prefix "optjournal_", which all have.
  void counter(const std::string& name, const std::string& help, double value,
               const Labels& labels = {});
  void gauge(const std::string& name, const std::string& help, double value,
             const Labels& labels = {});
  void seconds(const std::string& name, const std::string& help,
               const std::array<std::atomic<std::uint64_t>, schema::kLatencyBuckets>& counts,
               std::uint64_t total_ns);
  std::vector<prometheus::MetricFamily> take() && { return std::move(families_); }

 private:
  // Metrics of one name follow each other.
  prometheus::ClientMetric& add(const std::string& name, const std::string& help,
                                prometheus::MetricType type, const Labels& labels);
  std::vector<prometheus::MetricFamily> families_;
};

// What atomics of the region and of the flusher say now.
class LiveFigures {
 public:
  LiveFigures(std::shared_ptr<shm::Region> region, const Flusher& flusher, std::string folder);
  void add_to(Families& families) const;

 private:
  void add_region(Families& families) const;
  void add_flusher(Families& families) const;

  std::shared_ptr<shm::Region> region_;
  const Flusher& flusher_;
  const std::string folder_;
  shm::SlotTable slots_;
  shm::FlushSource count_source_;  // only to count chunks with
  shm::ChunkKeeper counter_;
};

void add_daemon(Families& families, std::int64_t started_us);
void add_troubles(Families& families, const Troubles& troubles);
void add_totals(Families& families, const JournalTotals& totals);

}  // namespace oj::daemon
