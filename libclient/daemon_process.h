// Starting an embedded daemon: which program, how, and what it said.
//
// `optjournald --embedded DIR` daemonises itself: the process that we start prints "READY" when its
// child accepts connections and exits 0, or passes the child's complaint to stderr and exits
// otherwise. Started with posix_spawn, so that it inherits nothing but its three standard
// descriptors and no signal settings, and so that starting it is safe in a process with any number
// of threads.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace oj::client {

// The path of optjournald: `wish` if not empty; else $OPTJOURNALD; else beside this library or
// program (the same folder, ../bin, bin/); else in $PATH. kInvalid with every place that was tried.
Result<std::string> find_daemon_program(const std::string& wish);

struct DaemonStart {
  std::string folder;
  std::string program;             // the caller's wish; may be empty
  std::uint64_t pool_bytes = 0;    // 0: the daemon's default
  std::int64_t idle_exit_ms = -1;  // -1: the daemon's default
};
// Starts one and waits until it serves. An error's message is what the daemon said, its code
// follows the daemon's exit status; kBusy also when it does not serve until the deadline (it is
// left alone and may still come up). Leaves no zombie, whatever the host program does with SIGCHLD.
Result<void> start_embedded_daemon(const DaemonStart& start, Deadline deadline, int cancel_fd);

}  // namespace oj::client
