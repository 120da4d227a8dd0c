// How far everything is, and how to sleep until it is further.
//
// All sleeps are futex waits on words in the region (wake.h), in slices: a sleeper looks again at
// least every kSleepMsMax, in case the one who should wake it was stopped. Then, or earlier when
// there is reason to, a worker's wait returns kLook: the caller looks at its daemon and comes
// again.
//
// Roles
//   worker   waits for records, for `synced`, for room; asks the daemon for the latter two
//   daemon   one thread moves `written`, `synced`, `retained`; sleeps until there is something to
//            flush or somebody asks. Another repeats wakes that were left out
//   monitor  waits for records without leaving a mark
//
// Invariants
//   M1  retained <= synced <= written <= published end. All only grow, but `written`: a daemon that
//       begins again in a new segment sets it back to what is synced.
//   M2  What a sleeper waits for is made true by a seq_cst store before the wake words are looked
//       at, and looked for by a seq_cst load after arming; so no wake-up is lost (wake.h has the
//       proof).
//   M3  A request for a sync is a watermark (`sync_wanted`), not a flag: nobody consumes it,
//       `synced` passes it. The daemon's window ends for it once, and again only after `synced` has
//       moved, so a disk that fails does not make the daemon spin. Other requests are counted, and
//       each of the daemon's sleeps ends once for each.
//
// Pairs
//   synced   set_synced  seq_cst  ->  publish, anybody  acquire    what is below is on disk
//   sleep    synced, room_made, sync_wanted, daemon_asks  seq_cst  ->  the sleeper's look  seq_cst
//   room     set_synced, reclaim  seq_cst  ->  try_append  acquire  room made after an attempt
//            began counts as new
//   retired  retire  seq_cst  ->  anybody  acquire
//
// Progress   everything but the waits is wait-free (published_end walks at most M slots).
// Crash      the words keep their values; a new daemon goes on from them.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "shm/region.h"
#include "shm/worker_slots.h"

namespace oj::shm {

constexpr std::int64_t kSleepMsMax = 5'000;

// Any role. seqs; each is one past the last that the word speaks of, so that 0 means none.
// Every record published before the call is below. Walks from the hint; does not write.
std::uint64_t published_end(const Region& region) noexcept;
std::uint64_t written(const Region& region) noexcept;
std::uint64_t synced(const Region& region) noexcept;
// Records below may be readable from disk only.
std::uint64_t retained(const Region& region) noexcept;

enum class Waited : std::uint8_t {
  kReached,
  kDeadline,
  // Neither, but look: kSleepMsMax passed, the region is retired, or (wait_synced) the daemon is
  // degraded().
  kLook,
};
// Worker or monitor: until record `seq` is published. `slot`: the waiter's own; a monitor gives
// none, leaves no mark in the region, and looks every 50 ms instead.
Waited wait_published(const std::shared_ptr<Region>& region, const SlotRef* slot, std::uint64_t seq,
                      Deadline deadline) noexcept;
// Worker: until synced() >= seq_end. Tells the daemon that somebody wants a sync now.
Waited wait_synced(const std::shared_ptr<Region>& region, std::uint64_t seq_end,
                   Deadline deadline) noexcept;
// Worker, after Producer said kRing or kPool: until the daemon made some room after that attempt
// began. Tells the daemon. Room is for everybody, so the next attempt may find it taken.
Waited wait_for_room(const std::shared_ptr<Region>& region, std::uint64_t room_made,
                     Deadline deadline) noexcept;
// Which is full, for how long nothing was synced, and who holds what, for the error after
// wait_for_room() failed: "the order ring is full: 4096 of 4096 records not yet on disk, synced
// stands at 17 for 3.2 s", or "the chunk pool is full: of 64 chunks of 4096 bytes 0 are free, 52
// wait for the disk or for a reader, and workers hold 12; synced stands at 17 for 3.2 s; session 5
// (pid 71, uid 1000, python) filled 30 that wait, writes 12 and reads 2; ...".
std::string describe_full(const Region& region);

// Daemon. Sleeps until something at or after `seq` is published or a worker asks for room or
// wake_daemon() is called, `timeout_ns` at most.
Waited daemon_wait_published(const std::shared_ptr<Region>& region, std::uint64_t seq,
                             std::int64_t timeout_ns) noexcept;
// Sleeps until a worker asks for a sync or for room, or `timeout_ns`: the group commit window.
// kReached: asked.
Waited daemon_wait_asked(const std::shared_ptr<Region>& region, std::int64_t timeout_ns) noexcept;
void wake_daemon(Region& region) noexcept;  // any thread: ends both of the daemon's sleeps
// Repeats the wakes, of readers and of the daemon, that a killed or stopped producer may have left
// out: if anything was published since the last call, and somebody sleeps. Else it costs a few
// loads. Notes how far before it wakes: what a daemon killed in between leaves asleep, the next one
// wakes at its start. One thread of the daemon.
void repeat_wake(Region& region) noexcept;
void wake_everybody(Region& region) noexcept;
// What the daemon says of itself, for wait_synced()'s errors and for status: 0 healthy, else an
// errno.
void set_degraded(Region& region, int os_error) noexcept;
int degraded(const Region& region) noexcept;
void set_written(Region& region, std::uint64_t seq) noexcept;
void set_synced(Region& region, std::uint64_t seq) noexcept;  // and wakes who waits for it

// Session numbers of this region's generation: (generation << 32 | 1, 2, 3, ...). Daemon only.
std::uint64_t next_session(Region& region) noexcept;

}  // namespace oj::shm
