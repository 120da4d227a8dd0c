// What the control thread asks of the flusher thread, and back: a bounded hand-off, no locks.
//
// Roles
//   control    posts orders, then wakes the flusher out of its sleep on the region
//   flusher    takes them between two batches; says through an eventfd when slots became free or
//              it has ended
//
// Pairs
//   ended      post  (spsc_queue)  ->  take    (spsc_queue)  the slots to free
//   attached   post  release       ->  take    acquire       who is in the slots is seen with it
//   drain      post  release       ->  take    acquire       drain_goal is written before
//   beat       post  release       ->  take    acquire       nothing is handed over but the number
//   answer     give  release       ->  look    acquire       likewise
//   posted     post  release       ->  take    acquire       the order is there when it counts
//
// Progress   wait-free on both sides.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include <boost/lockfree/spsc_queue.hpp>

#include "base/check.h"
#include "shm/region.h"
#include "shm/watermarks.h"
#include "shm/worker_slots.h"

namespace oj::daemon {

class FlusherOrders {
 public:
  // A slot is posted once in each of its lives and is not assigned again before the flusher freed
  // it, so the number of slots bounds the queue.
  static constexpr std::size_t kEndedMax = 4096;

  explicit FlusherOrders(std::shared_ptr<shm::Region> region) : region_(std::move(region)) {}

  // Control thread.
  void post_ended(shm::SlotRef slot) {
    OJ_CHECK(ended_.push(slot));
    posted();
  }
  // Are there workers whose publishing and sleeping must be looked after?
  void post_attached(bool attached) {
    if (attached_.load(std::memory_order_relaxed) == attached) return;  // own
    attached_.store(attached, std::memory_order_release);               // pair: attached
    posted();
  }
  // Sync all that is published now, then end.
  void post_drain() {
    const std::uint64_t goal = shm::published_end(*region_);
    drain_goal_.store(goal, std::memory_order_relaxed);  // own: released by drain_, below
    drain_.store(true, std::memory_order_release);       // pair: drain
    posted();
  }
  // Show that you are alive.
  void post_beat() {
    beat_.fetch_add(1, std::memory_order_release);  // pair: beat
    posted();
  }
  // Since the last post_beat().
  bool beat_answered() const {
    const std::uint64_t asked = beat_.load(std::memory_order_relaxed);  // own
    return answer_.load(std::memory_order_acquire) == asked;            // pair: answer
  }
  // Flusher thread.
  void answer_beat() {
    const std::uint64_t asked = beat_.load(std::memory_order_acquire);  // pair: beat
    answer_.store(asked, std::memory_order_release);                    // pair: answer
  }
  void begin_taking() {
    taken_ = posted_.load(std::memory_order_acquire);  // pair: posted
  }
  std::optional<shm::SlotRef> take_ended() {
    shm::SlotRef slot;
    if (!ended_.pop(slot)) return std::nullopt;
    return slot;
  }
  bool attached() const { return attached_.load(std::memory_order_acquire); }  // pair: attached
  bool drain() const { return drain_.load(std::memory_order_acquire); }        // pair: drain
  // REQUIRES: drain().
  std::uint64_t drain_goal() const {
    return drain_goal_.load(std::memory_order_relaxed);  // own: ordered by drain(), called before
  }
  // Was something posted since begin_taking()?
  bool pending() const {
    return posted_.load(std::memory_order_acquire) != taken_;  // pair: posted
  }

 private:
  void posted() {
    posted_.fetch_add(1, std::memory_order_release);  // pair: posted
    shm::wake_daemon(*region_);  // kept until the flusher's next sleep, if it does not sleep now
  }

  std::shared_ptr<shm::Region> region_;
  boost::lockfree::spsc_queue<shm::SlotRef, boost::lockfree::capacity<kEndedMax>> ended_;
  std::atomic<std::uint64_t> posted_{0};
  std::uint64_t taken_ = 0;  // flusher
  std::atomic<bool> attached_{false}, drain_{false};
  std::atomic<std::uint64_t> drain_goal_{0};
  std::atomic<std::uint64_t> beat_{0}, answer_{0};
};

}  // namespace oj::daemon
