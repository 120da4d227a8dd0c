// What must hold after a victim was killed, stopped, or left alone.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>

#include "tests/verify/instructions/operation.h"

namespace oj::verify {

class Aftermath {
 public:
  // The victim is staged: what is published from here on is its operation's.
  Aftermath(World& world, const Operation& operation);

  // The victim is dead. Was its record published?
  bool of_killed() const;

  struct Stopped {
    std::map<std::uint64_t, std::uint64_t> first;  // as check_state() gave
    std::unique_ptr<shm::MemoryFlusher> flusher;   // of the daemon, if that is not the victim
    bool visible = false;
  };
  // The victim is stopped: all others go on.
  std::unique_ptr<Stopped> of_stopped() const;
  // It went on, finished, and then ended. Was its record published?
  bool of_continued(Stopped& stopped) const;
  void of_finished() const;

 private:
  bool is_daemon() const {
    return operation_.kind == Kind::kDaemon || operation_.kind == Kind::kFlush;
  }
  bool visible() const;
  bool answered(const shm::MemoryFlusher* flusher) const;
  void judge(const std::map<std::uint64_t, std::uint64_t>& first, shm::MemoryFlusher* flusher,
             bool published) const;
  void judge_disk() const;

  World& world_;
  const Operation& operation_;
  const std::uint64_t end_;
};

}  // namespace oj::verify
