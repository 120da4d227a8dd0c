// One connection to a daemon's control socket: packets out, packets in, with deadlines.
//
// The open socket is a session's tie to its daemon: end of file here means that the daemon process
// is gone. Sends and receives never wait longer than their deadline, also when the daemon is
// stopped or its backlog is full.
//
// Not thread-safe. Closed by itself in a fork child.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"
#include "libclient/fork_registry.h"
#include "schema/control.h"

namespace oj::client {

// Sleeps until `deadline`, or until `cancel_fd` (-1: none) is readable: then false.
bool sleep_unless_cancelled(int cancel_fd, Deadline deadline);
Error cancelled();

class ControlConnection final : ForkAware {
 public:
  ControlConnection() = default;
  ~ControlConnection() override { close(); }
  ControlConnection(ControlConnection&&) = delete;

  // To `runtime_folder`/control.sock. kGone: nobody listens there. kBusy: not until the deadline.
  Result<void> connect(const std::string& runtime_folder, Deadline deadline, int cancel_fd);
  // kGone: the daemon has closed the connection; receive() tells why, if it said so before.
  enum class Pass { kNothing, kOwnPidfd };
  Result<void> send(const schema::ControlMessage& message, Pass pass, Deadline deadline,
                    int cancel_fd);
  // kGone: end of file. kBusy: not until the deadline. kCorrupt, kIncompatible: as
  // decode_control().
  Result<schema::ControlMessage> receive(Deadline deadline, int cancel_fd);
  // Is the daemon still at the other end? Does not wait; anything that it said unasked is dropped.
  bool alive();

  bool is_open() const { return static_cast<bool>(socket_); }
  int fd() const { return socket_.get(); }
  void close();

 private:
  Then after_fork_in_child() noexcept override;

  Fd socket_;
  std::string peer_;  // the socket's path, for messages
  std::vector<std::byte> buffer_;
};

}  // namespace oj::client
