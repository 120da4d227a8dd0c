// What ties a session to one region: the mapping, the seat in it, the session's number. Immutable;
// replaced as a whole when the daemon comes back with another region.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "journal/folder.h"
#include "libclient/fork_registry.h"
#include "libclient/join.h"
#include "schema/operation.h"
#include "shm/region.h"
#include "shm/worker_slots.h"

namespace oj::client {

struct Attachment final : ForkAware {
  // Attaches to the region that a daemon's Welcome names; a worker also takes its seat. kGone:
  // replaced meanwhile.
  static Result<std::shared_ptr<Attachment>> make(const Joined& joined,
                                                  const journal::Folder& folder, bool monitor);
  Attachment() = default;
  ~Attachment() override;  // leaves the seat: CLOSED
  Attachment(const Attachment&) = delete;
  Attachment& operator=(const Attachment&) = delete;

  // Is it of no more use for appending, whatever the daemon says?
  bool lost() const noexcept { return region->retired() || (seat && !seat->held()); }
  // Forgets everything and closes the descriptors; touches nothing shared. The object itself stays
  // for ever.
  Then after_fork_in_child() noexcept override;

  std::uint64_t number = 0;  // 1, 2, ... within a session; set before it becomes current
  std::shared_ptr<shm::Region> region;
  std::optional<shm::Seat> seat;  // a monitor has none
  schema::SessionId session = 0;  // 0: a monitor
};

// The attachment in use at present, if any. Read by all threads, replaced by one.
class CurrentAttachment {
 public:
  std::shared_ptr<Attachment> get() const {
    const std::lock_guard lock(mutex_);
    return current_;
  }
  // Whether get() would give another one than last time: cheap. 0: there is none.
  std::uint64_t number() const {
    return number_.load(
        std::memory_order_acquire);  // pairs with replace(): the mutex guards the rest
  }
  // Nothing new is begun with the one of that number or an earlier one. What was begun before may
  // still go on: whoever needs its end waits for it (AppendLanes::drain, ReadPlaces::drain).
  void give_up(std::uint64_t number) {
    given_up_.store(number, std::memory_order_seq_cst);  // pairs with given_up()
  }
  bool given_up(std::uint64_t number) const {
    // pairs with give_up(): who does not see it holds a lock that drain() takes afterwards
    return given_up_.load(std::memory_order_seq_cst) >= number;
  }
  void replace(std::shared_ptr<Attachment> next) {
    const std::lock_guard lock(mutex_);
    number_.store(next ? next->number : 0, std::memory_order_release);  // pairs with number()
    current_.swap(next);
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<Attachment> current_;
  std::atomic<std::uint64_t> number_{0};
  std::atomic<std::uint64_t> given_up_{0};  // numbers count from 1
};

}  // namespace oj::client
