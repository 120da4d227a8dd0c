// What the daemon does with what a session left behind: tells the journal, frees chunks and slot.
//
//   proven dead   begin_reaping -> SessionEnded{died} published -> chunks sealed -> slot FREE
//   CLOSED        chunks sealed -> slot FREE
//   ASSIGNED, and nobody took it   withdrawn, as CLOSED
//
// Proof of death is the caller's business, or a free lock byte of a LIVE slot. Every step may be
// repeated: a daemon that is killed in between leaves REAPING slots, which the next one finishes;
// it may then publish a second SessionEnded{died}, which says nothing new. The record never waits:
// with a full ring it is tried again later.
//
// Control thread only. The chunks and the slot itself are freed by the flusher thread, see
// flusher_orders.h.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "daemon/flusher_orders.h"
#include "schema/codec.h"
#include "shm/producer.h"
#include "shm/region.h"
#include "shm/worker_slots.h"

namespace oj::daemon {

class Reaper {
 public:
  Reaper(std::shared_ptr<shm::Region> region, FlusherOrders& orders);

  // Frees what a former daemon's own slot held and takes one for this daemon, to publish with.
  // kBusy: no slot.
  Result<void> take_seat();
  // Before the end: no more records will be published.
  void give_up_seat();

  // REQUIRES: the worker is dead, or the slot was never taken and its process is dead.
  void proven_dead(shm::SlotRef slot);
  // A slot that nobody took and nobody is about to take: given back. A worker that takes it in this
  // moment keeps it.
  void never_taken(shm::SlotRef slot);
  // Looks at one slot: CLOSED or REAPING and not yet on its way: sends it on its way.
  void look_at(std::uint32_t index);
  // Publishes what could not be published before. True: something still waits for room in the ring.
  bool continue_pending();
  bool pending() const { return !waiting_.empty(); }
  std::uint64_t deaths_told() const { return deaths_told_; }
  std::optional<shm::SlotRef> seat() const {
    return seat_ ? std::optional(seat_->slot()) : std::nullopt;
  }

  const shm::SlotTable& slots() const { return slots_; }
  shm::SlotTable& slots() { return slots_; }
  bool is_own(std::uint32_t index) const { return seat_ && seat_->slot().index == index; }

 private:
  struct Dead {
    shm::SlotRef slot;
    shm::SlotIdentity identity;
    std::uint64_t records = 0;
  };
  bool on_its_way(shm::SlotRef slot) const {
    return on_its_way_[slot.index] == slot.incarnation + 1;
  }
  void send_on(shm::SlotRef slot);
  bool publish_death(const Dead& dead);

  std::shared_ptr<shm::Region> region_;
  FlusherOrders& orders_;
  shm::SlotTable slots_;
  std::optional<shm::Seat> seat_;
  std::optional<shm::Producer> producer_;
  schema::Encoder encoder_;
  std::vector<std::uint64_t> on_its_way_;  // by slot: the incarnation being freed, plus one
  std::deque<Dead> waiting_;               // for room in the ring; who died first comes first
  std::uint64_t deaths_told_ = 0;
};

}  // namespace oj::daemon
