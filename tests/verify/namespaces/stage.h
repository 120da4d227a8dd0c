// A PID namespace with processes in it, whose numbers the caller chooses.
//
// Its process 1 is a child of ours that does as it is told: starts programs under a given number,
// kills and reaps them. A number is free for the next as soon as its process was reaped.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"

namespace oj::verify {

enum class Proc { kOwn, kShared };  // is /proc that of the namespace, or still the outer one?

class Stage {
 public:
  // None, and why in `reason`, where that is not allowed.
  static std::unique_ptr<Stage> make(Proc proc, std::string& reason);
  ~Stage();  // ends everything in it
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  // Whether the program got that very number. (A thread may have been faster: it was ended again.)
  bool start(pid_t number, const std::vector<std::string>& words);
  void kill(pid_t number);  // SIGKILL, and reaps it: its number is free
  int end(pid_t number);    // SIGTERM; the exit status
  // What a judge by number says: does kill(number, 0) find a process?
  bool number_is_taken(pid_t number);

 private:
  Stage() = default;
  std::string ask(const std::string& order);
  Fd orders_;
  pid_t first_ = 0;  // process 1, as we see it
};

}  // namespace oj::verify
