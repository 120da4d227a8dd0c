// What whoever started the daemon as a service (systemd) is told: sd_notify(3)'s datagrams.
//
//   READY=1                 clients can connect
//   STATUS=...              one line for `systemctl status`
//   WATCHDOG=1              the flusher is alive, see heartbeat.h
//   STOPPING=1              draining
//   EXTEND_TIMEOUT_USEC=    opening or draining takes longer, for the disk takes longer
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

#include "base/fd.h"

namespace oj::daemon {

class Supervisor {
 public:
  Supervisor() = default;  // nobody: tell() does nothing
  // As $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID say; takes them out of the environment.
  // REQUIRES: one thread.
  static Supervisor from_environment();

  bool listens() const { return static_cast<bool>(socket_); }
  // It ends us if it hears nothing for so long; 0: it never does.
  std::int64_t patience_ns() const { return patience_ns_; }
  // One assignment a line. Never blocks; what cannot be told is not told.
  void tell(const std::string& lines) const;

 private:
  Fd socket_;
  std::string address_;  // as in sockaddr_un: an abstract one begins with NUL
  std::int64_t patience_ns_ = 0;
};

}  // namespace oj::daemon
