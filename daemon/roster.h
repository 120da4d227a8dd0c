// Who has a worker slot: gives slots out, notices deaths, and sends what has ended on its way.
//
// A worker counts as dead when its pidfd says so, or, where there is none (a worker of a former
// daemon that has not said Hello again) or its connection has ended (it may have become another
// program, which has the pidfd's process but not the session), when its slot's lock byte is free.
// The end of a connection alone proves nothing.
//
// Control thread only.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"
#include "daemon/control_socket.h"
#include "daemon/flusher_orders.h"
#include "daemon/reaper.h"
#include "schema/control.h"
#include "shm/chunk_keeper.h"
#include "shm/flush_source.h"
#include "shm/region.h"
#include "shm/worker_slots.h"

namespace oj::daemon {

class Roster {
 public:
  // Between looks at lock bytes, or a little more.
  static constexpr std::int64_t kLockLookNs = 2 * kNsPerS;
  // To be called back, with on_pidfd(slot), when the process behind `pidfd` has died; the
  // descriptor's end ends it. False: cannot be watched.
  using Watch = std::function<bool(int pidfd, std::uint32_t slot)>;

  Roster(std::shared_ptr<shm::Region> region, FlusherOrders& orders, Watch watch);

  // A slot for the sender of Hello: the one that it still has, or a new one with a new session.
  // kInvalid: `pidfd` is not the sender's. kBusy: all are taken, and by whom.
  Result<shm::SlotRef> admit(const schema::Hello& hello, const Peer& peer, Fd pidfd);
  void on_pidfd(std::uint32_t slot);
  // Counts, forgets pidfds of former lives, looks for deaths that no pidfd tells, and sends ended
  // slots on their way. `connected`: the slots that have a connection.
  void look(const std::set<std::uint32_t>& connected);
  bool look_is_due(std::int64_t now_ns) const {
    return by_lock_ > 0 && now_ns - looked_ns_ >= kLockLookNs;
  }

  // As of the last look: slots that a worker, alive as far as is known, has; of them those whose
  // end only the lock byte tells.
  std::uint32_t workers() const { return workers_; }
  std::uint32_t by_lock() const { return by_lock_; }
  bool attached() const { return attached_; }  // as of the last look: somebody has a slot
  shm::SlotIdentity identity(shm::SlotRef slot) const;
  std::string holders() const;                  // ": slot 3, pid 71 (python); ..." or ""
  void describe(schema::Status& status) const;  // its workers, and the chunks in use

  // As Reaper's.
  bool pending() const { return reaper_.pending(); }
  bool continue_pending() { return reaper_.continue_pending(); }
  void give_up_seat() { reaper_.give_up_seat(); }
  std::uint64_t deaths_told() const { return reaper_.deaths_told(); }
  std::optional<shm::SlotRef> seat() const { return reaper_.seat(); }

 private:
  struct Watched {
    Fd pidfd;
    shm::SlotRef slot;
  };
  struct Said {  // what the region's slots have no room for
    std::uint64_t incarnation = 0;
    schema::WorkerIdentity identity;
  };
  std::optional<shm::SlotRef> rejoined(const schema::Hello& hello, const Peer& peer) const;
  std::optional<shm::SlotRef> assigned(const schema::Hello& hello, const Peer& peer);
  bool is_watched(const shm::SlotTable::Snapshot& seen);

  std::shared_ptr<shm::Region> region_;
  FlusherOrders& orders_;
  const Watch watch_;
  Reaper reaper_;
  shm::FlushSource count_source_;  // only to count chunks with
  shm::ChunkKeeper counter_;
  std::map<std::uint32_t, Watched> watched_;  // by slot
  std::map<std::uint32_t, Said> said_;        // by slot; may be of a former life
  bool seated_ = false, attached_ = false;
  std::uint32_t workers_ = 0, by_lock_ = 0;
  std::int64_t looked_ns_ = 0;
};

}  // namespace oj::daemon
