// A real optjournald with places of its own, for tests of the binary.
//
// Goal: say what the daemon promises in terms of exit codes, files, packets and records. Method:
// start it, signal it, look. Nothing waits by sleeping: `eventually` asks until it is so, and a
// watchdog ends a test that would wait for ever.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "journal/folder.h"
#include "schema/operation.h"

namespace oj::testing {

// Asks until the answer is yes. False after a minute: nothing here takes that long.
bool eventually(const std::function<bool()>& is_so);

// Two fresh folders, one on a disk and one on a tmpfs, removed at the end.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::string folder() const { return disk_ + "/journal"; }
  std::string disk() const { return disk_; }
  std::string runtime() const { return memory_ + "/run"; }
  std::string memory() const { return memory_; }

 private:
  std::string disk_, memory_;
};

class Daemon {
 public:
  // Runs `optjournald options... DIR --runtime-folder ...` in the foreground.
  explicit Daemon(const Scratch& scratch, const std::vector<std::string>& options = {});
  ~Daemon();  // kill -9, if it still runs
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // Until it takes connections; false if it ended instead.
  bool serves();
  void signal(int number) const;
  // Until all its threads have stopped: SIGSTOP takes effect a moment after kill() returned.
  void stop() const;
  void go_on() const;
  // The exit code, or 1000 + the number of the signal that ended it.
  int wait();
  void kill();
  bool has_ended();
  pid_t pid() const { return pid_; }
  std::string said() const;  // stderr so far

 private:
  std::string runtime_, said_path_;
  pid_t pid_ = -1;
  std::optional<int> ended_;
};

struct Ran {
  int exit_code = -1;
  std::string out, err;
};
// Runs optjournald to its end, or, for --embedded, to the end of its first process.
Ran run_daemon(const std::vector<std::string>& arguments);

struct OnDisk {
  std::vector<std::string> marks;               // keys of SetStudyUserAttr operations, in order
  std::vector<schema::SessionId> died, closed;  // sessions that SessionEnded names
  std::uint64_t tombstones = 0;
  std::uint64_t records = 0;
};
// Everything that a folder holds which nobody serves. Fails the test if it cannot be read.
OnDisk read_all(const std::string& folder);

std::vector<std::string> files_in(const std::string& folder);
std::uint64_t generation_in(
    const std::string& runtime_folder);  // of the only region file; 0: not one

// Mounts a tmpfs of that size on `place`, in a mount namespace of this process. False, and why on
// stdout, where that is not allowed.
bool mount_tmpfs(const std::string& place, std::uint64_t bytes);

}  // namespace oj::testing
