// What becomes of the trials of workers that died: the third thread of the daemon.
//
//   asleep --a death is told, or the start--> wait until it is synced -> replay -> end orphans
//
// An orphan is ended by one record, EndOrphan, which the order judges: it fails the trial only if
// that is still RUNNING and of the dead session. So it does not matter that the state here is a
// little behind, that a daemon is killed before or after it published one, or that two are
// published. Here it is only decided when, and by whose policy (replay/orphans.h).
//
// The thread also ends the sessions of former regions whose processes are provably gone, which
// nobody else can: their slots went with their region (process_life.h).
//
// It costs nothing before the first death but one replay at the start of a journal that holds
// records, for what a former daemon left undone, and it gives the state up when nobody died for a
// while. It reads segments only, below `synced`: so the flusher and the ring know nothing of it.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>

#include "base/result.h"
#include "daemon/process_life.h"
#include "daemon/troubles.h"
#include "journal/folder.h"
#include "journal/reader.h"
#include "replay/state.h"
#include "schema/codec.h"
#include "schema/operation.h"
#include "shm/producer.h"
#include "shm/region.h"
#include "shm/worker_slots.h"

namespace oj::daemon {

struct OrphanSettings {
  schema::OrphanPolicy policy{schema::OrphanPolicy::Kind::kFail};  // where nobody says otherwise
  std::int64_t grace_ms = 0;  // from the death to the end of its orphans
};

class OrphanKeeper {
 public:
  // `event_fd`: an eventfd that is written when busy() ends. Not owned, as `folder` and
  // `troubles`.
  OrphanKeeper(const journal::Folder& folder, std::shared_ptr<shm::Region> region,
               const OrphanSettings& settings, int event_fd, Troubles& troubles);
  ~OrphanKeeper();  // stop()

  // All from the control thread.
  void start();
  // To publish with. REQUIRES: the daemon holds it until stop() has returned.
  void use_seat(shm::SlotRef seat);
  // A death was published: look.
  void look();
  // Is there something that only this daemon would do: a death not looked at yet, or orphans in
  // their grace?
  bool busy() const;
  // How many ends of orphans were published so far; any thread.
  std::uint64_t ended() const;
  void stop();

 private:
  enum class Step : std::uint8_t { kDone, kAgain, kGiveUp };

  void run();
  void rounds();
  Step one_round();
  bool catch_up();
  Result<void> replay_to(std::uint64_t end);
  bool end_former_sessions();
  Step end_orphans();
  bool publish(std::span<const schema::Operation> operations);
  bool wait(std::int64_t ms);  // false: stopping
  bool stopping() const;
  void forget_state();

  const journal::Folder& folder_;
  const std::shared_ptr<shm::Region> region_;
  const OrphanSettings settings_;
  const int event_fd_;
  Troubles& troubles_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  bool stopping_ = false, asked_ = false, working_ = false;
  std::optional<shm::SlotRef> seat_;
  std::uint64_t ended_ = 0;

  // The thread's own.
  replay::State state_;
  std::optional<journal::Reader> reader_;  // none: state_ is empty
  schema::Decoder decoder_;
  schema::Encoder encoder_;
  std::optional<shm::Producer> producer_;
  std::optional<std::int64_t> due_ms_;    // until the next orphan's grace ends
  std::optional<std::int64_t> doubt_ms_;  // until former sessions that live are looked at again
  std::thread thread_;
};

}  // namespace oj::daemon
