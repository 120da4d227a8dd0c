// Makes up for the wakes that a killed or stopped producer left out.
//
// A producer that is halted between publishing and its wake leaves readers asleep, and the flusher.
// The control thread, which never waits for the disk, therefore looks every kLookNs while a worker
// slot is taken: if anything was published since the last look, whoever still sleeps is woken. So
// nobody hears of a record later than half a second after it was published, whatever the flusher is
// doing. Without workers it does not look.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/clock.h"
#include "shm/region.h"
#include "shm/watermarks.h"

namespace oj::daemon {

// Control thread only.
class LeftOutWakes {
 public:
  // Less than half a second, as a look comes a little late.
  static constexpr std::int64_t kLookNs = 470 * kNsPerMs;

  explicit LeftOutWakes(std::shared_ptr<shm::Region> region) : region_(std::move(region)) {}

  // Until the next look is due; 0: it is.
  std::int64_t left_ns(std::int64_t now_ns) const {
    return std::max<std::int64_t>(0, next_ns_ - now_ns);
  }
  // Looks, if it is due.
  void look(std::int64_t now_ns) {
    if (left_ns(now_ns) > 0) return;
    next_ns_ = now_ns + kLookNs;
    shm::repeat_wake(*region_);
  }

 private:
  std::shared_ptr<shm::Region> region_;
  std::int64_t next_ns_ = 0;
};

}  // namespace oj::daemon
