// Tells the supervisor that the daemon is alive, for as long as it is.
//
// The control thread beats, several times in the supervisor's patience. What must be alive is the
// flusher, which sleeps while there is nothing to do: each beat asks it for an answer, and tells
// the supervisor if the last question was answered. A flusher inside a call on the disk cannot
// answer and counts as alive, however long that takes: to end the daemon would not make the disk
// faster, and the records are safe in the region. So what stops the beat is a control thread or a
// flusher that goes round in a loop, waits for a lock, or is stopped.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "daemon/flusher.h"
#include "daemon/supervisor.h"

namespace oj::daemon {

class Heartbeat {
 public:
  static constexpr std::int64_t kBeatsInPatience = 3;

  Heartbeat(const Supervisor& supervisor, Flusher& flusher);

  // Milliseconds until the next beat is due, 0 if it is; -1: there are none.
  int left_ms(std::int64_t now_ns) const;
  // Beats if it is due. `status`: what is shown to people.
  void look(std::int64_t now_ns, const std::string& status);
  void say(const std::string& status);  // unless it was said last
  // While stopping: also asks for more time to stop, if it is the disk that takes it.
  void look_while_stopping(std::int64_t now_ns);

 private:
  bool beat(std::int64_t now_ns);

  const Supervisor& supervisor_;
  Flusher& flusher_;
  std::int64_t interval_ns_, next_ns_ = 0;
  std::string said_;
};

// While it lives, a thread tells the supervisor that we are alive, and asks for more time, of which
// it counts from the start of the service or a watchdog: opening a journal of hundreds of segments,
// or one whose end has to be read again, may take longer than either, and ends with the disk's
// answers only.
class OpeningBeat {
 public:
  explicit OpeningBeat(const Supervisor& supervisor);
  ~OpeningBeat();
  OpeningBeat(const OpeningBeat&) = delete;
  OpeningBeat& operator=(const OpeningBeat&) = delete;

 private:
  void run();

  const Supervisor& supervisor_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool opened_ = false;
  std::thread thread_;
};

}  // namespace oj::daemon
