// SPDX-License-Identifier: MIT
#include "daemon/metrics.h"

#include <exception>
#include <mutex>
#include <utility>

#include <prometheus/collectable.h>
#include <prometheus/exposer.h>

#include "daemon/journal_counts.h"
#include "daemon/metric_families.h"
#include "daemon/metrics_address.h"

namespace oj::daemon {
namespace {

struct Served {
  Served(const journal::Folder& folder, std::shared_ptr<shm::Region> region, const Flusher& flusher)
      : counts(folder, region), seen(std::move(region), flusher, folder.path()) {}
  JournalCounts counts;
  LiveFigures seen;
};

// Asked by the HTTP threads, set by the server's.
class Page : public prometheus::Collectable {
 public:
  Page(std::int64_t started_us, const Troubles& troubles)
      : started_us_(started_us), troubles_(troubles) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    const std::scoped_lock lock(mutex_);
    Families families;
    add_daemon(families, started_us_);
    add_troubles(families, troubles_);
    if (served_) {
      served_->seen.add_to(families);
      if (const auto totals = served_->counts.totals()) add_totals(families, *totals);
    }
    return std::move(families).take();
  }

  void serve(std::unique_ptr<Served> served) {
    {
      const std::scoped_lock lock(mutex_);
      served_.swap(served);
    }
    // The former one ends here, without the lock.
  }

 private:
  const std::int64_t started_us_;
  const Troubles& troubles_;
  mutable std::mutex mutex_;
  std::unique_ptr<Served> served_;
};

}  // namespace

struct Metrics::Impl {
  Impl(const std::string& address, std::int64_t started_us, const Troubles& troubles)
      : page(std::make_shared<Page>(started_us, troubles)), exposer(address) {
    exposer.RegisterCollectable(page);
  }
  std::shared_ptr<Page> page;
  prometheus::Exposer exposer;
};

Metrics::Metrics() = default;
Metrics::~Metrics() = default;

Result<std::unique_ptr<Metrics>> Metrics::listen(const std::string& address,
                                                 std::int64_t started_us,
                                                 const Troubles& troubles) {
  // The library does not say why it could not listen.
  if (Result<void> free = check_listening(address); !free) return free.error();
  std::unique_ptr<Metrics> metrics(new Metrics);
  try {
    metrics->impl_ = std::make_unique<Impl>(address, started_us, troubles);
  } catch (const std::exception& failed) {
    return Error{Code::kIo, "cannot serve metrics on " + address + ": " + failed.what()};
  }
  const std::string host = address.substr(0, address.rfind(':'));
  const int port = metrics->impl_->exposer.GetListeningPorts().at(0);
  metrics->url_ = "http://" + host + ":" + std::to_string(port) + "/metrics";
  return metrics;
}

Metrics::Serving::Serving(Metrics* metrics, const journal::Folder& folder,
                          std::shared_ptr<shm::Region> region, const Flusher& flusher)
    : metrics_(metrics) {
  if (metrics_ != nullptr)
    metrics_->impl_->page->serve(std::make_unique<Served>(folder, std::move(region), flusher));
}

Metrics::Serving::~Serving() {
  if (metrics_ != nullptr) metrics_->impl_->page->serve(nullptr);
}

}  // namespace oj::daemon
