// Keeps a worker's session tied to a daemon, whatever happens to daemons.
//
// One thread a session, with all signals blocked, asleep on the control socket: no wake-ups while
// nothing happens. At end of file it joins again at once: the same seat if the new daemon took the
// region over (the usual case after a crash: nobody but this thread notices), another region
// otherwise; and for an embedded journal that nobody serves it starts a daemon, so that published
// records never wait for one longer than its start.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"
#include "libclient/attachment.h"
#include "libclient/control_connection.h"
#include "libclient/process_identity.h"
#include "libclient/region_change.h"

namespace oj::client {

class Keeper {
 public:
  struct Session {
    const Location& location;
    const journal::Folder& folder;
    const OpenOptions& options;
    const ProcessIdentity& identity;
    CurrentAttachment& current;
    RegionChanges& changes;
  };
  // What the owner does, in the keeper's thread, when an attachment is replaced, in this order:
  //   the old one is given up: nothing new is begun in it, and its region is retired
  //   drain      what had begun has ended: what was published there by us does not grow any more
  //   (compare)  what was published is compared with what the journal has
  //   announce   the session's first record in the new region
  //   the new one becomes current: others of this process append there from here on
  //   let_go     of what is still held of the old one
  struct Steps {
    std::function<void()> drain;
    std::function<void(const Attachment& next, schema::SessionId former)> announce;
    std::function<void()> let_go;
  };
  Keeper(const Session& session, Steps steps);
  ~Keeper();  // stop(), then lets the connection go

  // Joins in the calling thread, then goes on in one of its own.
  Result<void> start(Deadline deadline);
  void stop();

  // The attachment `number` is of no more use: get another one.
  void ask_for_another(std::uint64_t number);
  // Until the current attachment is another one than `number`. False: not until the deadline.
  bool wait_for_another(std::uint64_t number, Deadline deadline);
  // Until a daemon is at the other end. False: not until the deadline.
  bool wait_tied(Deadline deadline);
  // Of the daemon at the other end; 0: there is none. For people: it may be of another namespace.
  std::uint32_t daemon_pid() const;

  // Why there is no daemon, and since when, if there is none and it could not be helped so far.
  struct Trouble {
    std::string text;
    std::int64_t since_ns = 0;
  };
  std::optional<Trouble> trouble() const;

 private:
  void run();
  void sleep_until_something_happens();
  Result<void> tie(Deadline deadline, int cancel_fd, std::shared_ptr<Attachment> before);
  Result<void> change_attachment(const Joined& joined, const std::shared_ptr<Attachment>& before);
  bool wants_another(std::uint64_t number) const;
  void set_trouble(std::optional<std::string> text);
  void set_tied_to(std::uint32_t daemon_pid);

  const Session session_;
  const Steps steps_;
  ControlConnection connection_;  // of the thread, once it runs
  Fd stop_, wake_;                // eventfds
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> unwanted_{
      0};                     // the highest number that ask_for_another() was called with
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::uint32_t daemon_pid_ = 0;
  std::optional<Trouble> trouble_;
  std::thread thread_;
};

}  // namespace oj::client
