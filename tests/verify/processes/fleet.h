// The processes of a run: started, killed, stopped and continued, each known by its pidfd.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/fd.h"
#include "journal/folder.h"
#include "tests/verify/processes/oracle.h"

namespace oj::verify {

struct Pause {  // of a stopped process
  std::int64_t begin_ns = 0, end_ns = 0;
};

struct Member {
  std::uint64_t id = 0;
  std::string role;  // append, read, monitor, python
  pid_t pid = 0;
  Fd pidfd;
  bool ours = true;  // our own child: its exit status comes to us
  bool killed = false, stopped = false, ended = false;
  int status = 0;  // as waitpid() gives it, of those that ended by themselves
  std::int64_t killed_us = 0;
  std::vector<Pause> pauses;
};

class Fleet {
 public:
  // `root`: a folder for the diaries. `worker`: the program. Makes this process the one to which
  // orphans come, so that daemons, which detach themselves, can be reaped.
  Fleet(std::string root, std::string worker, std::string journal);
  ~Fleet();  // kills what is left, and the daemon

  std::uint64_t start(const std::string& role, const std::vector<std::string>& words = {});
  // Python workers are forked by a process that has Optuna loaded.
  bool start_python(const std::string& python, const std::string& program);
  std::uint64_t fork_python();
  std::uint64_t started() const { return next_id_ - 1; }

  Member& at(std::uint64_t id) { return members_.at(id); }
  const std::map<std::uint64_t, Member>& members() const { return members_; }
  std::string diary_path(std::uint64_t id) const;
  bool says(std::uint64_t id, Entry::Kind kind) const;  // is there such an entry in its diary?

  void kill(std::uint64_t id);
  void stop(std::uint64_t id);
  void go_on(std::uint64_t id);
  // Takes the exits of children; what ended without having been killed is noted.
  void reap();
  // SIGTERM to all that live; false if one has not ended until the watchdog (two minutes).
  bool end_all();

  std::optional<pid_t> daemon() const;  // who serves the journal
  std::map<std::uint64_t, History> histories() const;

 private:
  std::uint64_t add(const std::string& role, pid_t pid, bool ours);

  const std::string root_, worker_, journal_;
  std::uint64_t next_id_ = 1;
  std::map<std::uint64_t, Member> members_;
  std::map<pid_t, std::uint64_t> by_pid_;  // our children
  std::set<std::uint64_t> forked_;         // the zygote's
  Fd to_zygote_, from_zygote_;
  pid_t zygote_ = 0;
};

// SIGKILL, SIGSTOP, SIGCONT, SIGTERM through a pidfd: a number may be somebody else's by now.
void signal_through(const Fd& pidfd, int number);
bool has_ended(const Fd& pidfd, std::int64_t wait_ms = 0);

}  // namespace oj::verify
