// A process's place in a journal: append records, wait until they are synced, read all records in
// order.
//
// Threads: every call may be made from any thread at any time. Fork: a child that goes on using an
// inherited Session silently gets a session of its own at its first call (the parent's is not
// touched). Daemon replaced: noticed by itself; if nobody serves an embedded folder any more, a
// daemon is started.
//
// Progress: append with room in the ring is lock-free towards other processes; it waits only for
// room, and only until its deadline. Threads of one process take turns on short private locks.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "schema/control.h"
#include "schema/operation.h"

namespace oj::client {

struct OpenOptions {
  enum class Mode {
    // attach; for a folder that nobody serves, create it if absent and start an embedded daemon
    kWorker,
    // read only: attach read-only if a daemon serves the location, else read the folder offline;
    // starts nothing
    kMonitor,
    kOffline,  // read the folder's segments, whether or not a daemon runs: everything synced so far
  };
  Mode mode = Mode::kWorker;
  std::int64_t open_timeout_ms = 30'000;
  // empty: $OPTJOURNALD, else beside this library or program, else in $PATH
  std::string daemon_path;
  std::uint64_t pool_bytes = 0;    // for the embedded daemon that this may start; 0: its default
  std::int64_t idle_exit_ms = -1;  // likewise: its stay after its last client; -1: its default
  // What becomes of this process's RUNNING trials if it dies; kUnset: what the study says, or else
  // the daemon (its --orphans). kOptuna: nothing, Optuna's fail_stale_trials() sees to them.
  schema::OrphanPolicy orphans;
  std::string command;  // what status shows as this worker's name; empty: the program's name
  // Opening ends with kGone as soon as this is readable (an eventfd, say); -1: none. Used by open()
  // only.
  int cancel_fd = -1;
};

enum class Durability { kPublished, kSynced };

// (session, op_no) names the record for ever; op_no is unique in its session and grows within each
// thread.
struct Appended {
  std::uint64_t seq = 0;
  std::uint64_t op_no = 0;
  schema::SessionId session = 0;
};

// What a location names: a folder, or `optjournal://NAME` (a service: folder
// /var/lib/optjournal/NAME, socket and region in /run/optjournal/NAME; the roots are overridden by
// $OPTJOURNAL_STATE_ROOT and $OPTJOURNAL_RUNTIME_ROOT).
struct Location {
  std::string text;  // as given
  bool service = false;
  std::string folder;
  std::string runtime_folder;  // service only; an embedded journal's is found through DIR/LOCK
};
Result<Location> parse_location(const std::string& text);

// kPublished: what was met after record `seq` was published. The message begins with "published as
// record <seq>"; what is not known is whether it is on disk, or its outcome.
Error published_but(std::uint64_t seq, const Error& error);

class Session {
 public:
  static Result<std::shared_ptr<Session>> open(const std::string& location,
                                               const OpenOptions& options = {});
  // Ends the session cleanly (SessionEnded{closed}); records published so far stay published.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const Location& location() const;
  // This process's; a fork child has another one. 0: read-only, or not attached.
  schema::SessionId id();
  bool read_only() const;
  // Of the region that this process is attached to; 0 without one (offline). Positions of one
  // generation are positions of one history.
  std::uint64_t generation();

  // Publishes one record. `record` comes from a schema::Encoder; it is stamped here (session,
  // op_no, time_us). Errors, all meaning *not applied*: kBusy (ring or pool full until the
  // deadline: says which, who holds it, for how long), kInvalid (longer than the limit), kRefused
  // (read-only), kIo and kGone (no daemon to be had). With kSynced also waits as wait_synced()
  // does; an error from there is kPublished.
  Result<Appended> append(std::span<std::byte> record, Durability durability, Deadline deadline);

  // After kBusy from an append with Deadline::at_once() on this thread: until there may be room,
  // or for half a second; then append again. kBusy as append(), once the deadline has passed.
  Result<void> wait_for_room(Deadline deadline);

  // Until every record below `seq_end` is on stable storage. kBusy: not until the deadline; ask
  // again. kIo: the daemon is degraded (its disk fails), or none is to be had; the message says
  // why.
  Result<void> wait_synced(std::uint64_t seq_end, Deadline deadline);

  // Until the record is. kGone: it was lost, with the region that it was published in.
  Result<void> wait_synced(const Appended& appended, Deadline deadline);

  // A point in the order that every record published before this call is below. Where there is no
  // session to be had (a fork child whose daemon cannot be started): 0.
  std::uint64_t published_end();
  std::uint64_t synced_end();

  // Waits until some record at or after `seq` is published. False: not until the deadline.
  Result<bool> wait_published(std::uint64_t seq, Deadline deadline);

  struct ReadResult {
    std::uint64_t next_seq = 0;  // one past the last record handed out
    bool caught_up = false;      // no further record was published when we looked
  };
  // Hands records from..., in order, to `take(seq, bytes)` until caught up, `take` returns false,
  // or `records_max`. Bytes are valid during the call of `take`, in place where possible; empty
  // bytes: a tombstone's place (a record that failed its checks). From the ring where it still has
  // them, else from the segments. kGone: the region vanished and records below `from` with it (a
  // machine's crash loses at most the sync window): the caller's state is of another history; it
  // must begin again at 0. The message says how many were lost. This is remembered for one reader:
  // a program with several positions in one journal gives each a Session of its own.
  using Take = std::function<bool(std::uint64_t seq, std::span<const std::byte> record)>;
  Result<ReadResult> read(std::uint64_t from, const Take& take,
                          std::uint64_t records_max = UINT64_MAX);

  // From the daemon; kGone if none serves.
  Result<schema::Status> status();

 private:
  Session();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Asks the daemon that serves `location` to drain and end; waits until it has. kGone: none serves
// it. kRefused: workers are attached (the message lists them).
Result<void> stop_daemon(const std::string& location, Deadline deadline);
// From the daemon that serves `location`, without a session. kGone: none serves it. kBusy: it has
// not answered until the deadline, without one for 10 s: it is stopped, or the machine overloaded.
Result<schema::Status> daemon_status(const std::string& location);
Result<schema::Status> daemon_status(const std::string& location, Deadline deadline);

// The version of this library, "0.1.0".
const char* version();

// The formats that it speaks: of the journal on disk (a reader of one major version reads all of
// its minor ones), of the region, of the control protocol.
struct Formats {
  std::uint32_t journal_major = 0, journal_minor = 0, region = 0, control = 0;
};
Formats formats();

}  // namespace oj::client
