// Who is attached: one slot a session, handed out by the daemon, held by the worker.
//
//   FREE -> ASSIGNED          daemon, when a worker says Hello
//   ASSIGNED -> LIVE          worker, after it took the OFD lock on byte `index` of the region file
//   LIVE -> CLOSED            worker, at a clean end
//   ASSIGNED | LIVE -> REAPING   daemon, once the worker is proven dead (its pidfd, or the lock
//                                byte is free)
//   CLOSED | REAPING -> FREE  daemon, incarnation + 1, when nothing of the session is left
//
// State and incarnation are one word, so every step is one CAS and a late one from an earlier life
// fails.
//
// Roles
//   worker   ASSIGNED -> LIVE -> CLOSED of its own slot; holds the lock byte meanwhile
//   daemon   one thread of it: everything else, and the identity fields while the slot is FREE
//   monitor  loads
//
// Invariants
//   S1  A life has one worker: only who moved it from ASSIGNED to LIVE acts in it.
//   S2  A slot is reaped only after its worker was proven dead: until then nothing of it is
//       touched.
//   S3  A slot is FREE only with its hazards cleared.
//
// Pairs
//   life       CAS of the state word  acq_rel  ->  CAS or load  acquire   what the life before left
//              is seen by the next
//   identity   stored before assign's CAS  release  ->  snapshot  acquire, and the same word again
//              after
//
// Progress   wait-free but for the system calls of the lock; loops over the word end after as many
//            tries as it has states.
// Crash      seat.before_live: ASSIGNED, with or without the lock byte; reaped. seat.before_unlock:
//            CLOSED; finished by the daemon. A killed daemon repeats begin_reaping() and finish():
//            both are idempotent.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "shm/region.h"

namespace oj::shm {

enum class SlotState : std::uint8_t {
  kFree = 0,
  kAssigned = 1,
  kLive = 2,
  kClosed = 3,
  kReaping = 4
};

struct SlotRef {
  std::uint32_t index = 0;
  std::uint64_t incarnation = 0;  // which life of the slot
};

struct SlotIdentity {
  std::uint64_t session = 0;
  std::uint32_t pid = 0, uid = 0;  // for people only: no decision rests on them
  std::int64_t started_us = 0;
  std::string command;  // at most 63 bytes are kept
};

// Role: worker. Holds one slot for the life of the session.
class Seat {
 public:
  // Takes the lock byte, then makes the slot LIVE. kGone if it is no longer assigned to
  // `slot.incarnation`.
  static Result<Seat> take(std::shared_ptr<Region> region, SlotRef slot);
  Seat(Seat&& other) noexcept;
  Seat& operator=(Seat&& other) noexcept;
  ~Seat();  // close()

  SlotRef slot() const { return slot_; }
  // Still LIVE in this life? False only if the daemon took a living worker for dead, or the region
  // is damaged.
  bool held() const noexcept;
  void close() noexcept;               // LIVE -> CLOSED, gives the lock byte back
  void abandon_after_fork() noexcept;  // in a fork child: forget it, the parent has it

 private:
  Seat() = default;
  std::shared_ptr<Region> region_;
  SlotRef slot_;
};

// Role: daemon. Also readable by monitors (snapshot only).
class SlotTable {
 public:
  explicit SlotTable(std::shared_ptr<Region> region);

  struct Snapshot {
    SlotState state = SlotState::kFree;
    SlotRef slot;
    SlotIdentity identity;
    std::uint64_t records = 0;  // published by it, a statistic
  };
  std::uint32_t size() const;
  Snapshot snapshot(std::uint32_t index) const;

  // None: all taken. A slot whose lock byte somebody else holds is not free, whatever its word
  // says.
  std::optional<SlotRef> assign(const SlotIdentity& identity);
  // Is the worker's lock byte free, that is, has nobody the slot LIVE? Meaningless for ASSIGNED
  // slots.
  Result<bool> lock_is_free(std::uint32_t index) const;
  // -> REAPING; false if it is not in state ASSIGNED/LIVE of this incarnation (idempotent: REAPING
  // gives true).
  bool begin_reaping(SlotRef slot) noexcept;
  // ASSIGNED -> REAPING, for a slot that nobody took, whether or not its worker lives. False if it
  // is not ASSIGNED in this life: a worker that took it in this moment has it.
  bool withdraw(SlotRef slot) noexcept;
  // CLOSED | REAPING -> FREE; clears the hazards; incarnation + 1.
  void finish(SlotRef slot) noexcept;

 private:
  std::shared_ptr<Region> region_;
};

}  // namespace oj::shm
