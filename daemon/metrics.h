// The daemon's Prometheus endpoint: --metrics. docs/metrics.md lists what it tells.
//
// The HTTP threads are prometheus-cpp's. What they tell comes from atomics (the region's
// watermarks and slots, the flusher's statistics) and from snapshots (journal_counts.h); they
// change nothing, and neither the flusher nor the control thread knows of them.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "daemon/flusher.h"
#include "daemon/troubles.h"
#include "journal/folder.h"
#include "shm/region.h"

namespace oj::daemon {

class Metrics {
 public:
  // Listens on `address`, as parse_metrics_address() returns it. Signals must be blocked already:
  // the HTTP threads inherit that. `troubles` is not owned. kIo: cannot listen there, and why.
  static Result<std::unique_ptr<Metrics>> listen(const std::string& address,
                                                 std::int64_t started_us, const Troubles& troubles);
  ~Metrics();

  const std::string& url() const { return url_; }

  // Tells of this region and flusher as long as it lives. One at a time.
  class Serving {
   public:
    // `metrics` may be null: then nothing happens. Not owned, as `flusher`.
    Serving(Metrics* metrics, const journal::Folder& folder, std::shared_ptr<shm::Region> region,
            const Flusher& flusher);
    ~Serving();
    Serving(const Serving&) = delete;
    Serving& operator=(const Serving&) = delete;

   private:
    Metrics* metrics_;
  };

 private:
  struct Impl;
  Metrics();
  std::unique_ptr<Impl> impl_;
  std::string url_;
};

}  // namespace oj::daemon
