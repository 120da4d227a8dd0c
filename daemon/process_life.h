// Does the process behind a session still live, when neither a pidfd nor a lock byte is left to
// ask?
//
// That is so for the sessions of a region that is gone: of the time before a reboot, or of a region
// file that was removed. A process is told from all others by boot, pid namespace, number and start
// time, which its SessionStarted carries.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

#include "schema/operation.h"

namespace oj::daemon {

enum class Life : std::uint8_t {
  kDead,     // proven
  kAlive,    // it is there
  kUnknown,  // it cannot be seen from here, or the session did not say who it is: nothing is proven
};

class ProcessWitness {
 public:
  // What can be seen from this process. `proc`: where /proc is.
  static ProcessWitness of_this_machine(const std::string& proc = "/proc");

  // `pid`: as the process itself sees it, in the namespace that `birth` names.
  Life life_of(std::uint32_t pid, const schema::ProcessBirth& birth) const;

 private:
  Life look_here(std::uint32_t pid, std::uint64_t start_ticks) const;
  Life look_everywhere(std::uint32_t pid, std::uint64_t start_ticks) const;

  std::string proc_;
  std::uint64_t boot_id_high_ = 0, boot_id_low_ = 0, pid_namespace_ = 0;
  bool proc_is_ours_ = false;  // and not that of another pid namespace, or in another time
  bool sees_all_ = false;      // we are in the machine's first pid namespace, and nothing is hidden
};

}  // namespace oj::daemon
