// Going to the background (--embedded), and telling whoever started us how it went.
//
// The first process forks; the child serves. The parent waits until the child is ready to accept
// clients, prints "READY" and a newline to stdout and exits 0, or passes the child's error text to
// stderr and exits with its code.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace oj::daemon {

// What the starter is told. In the foreground nobody waits: errors go to stderr.
class Announcement {
 public:
  Announcement() = default;
  // Forks. Returns in the child only: in a session of its own, without the starter's descriptors,
  // stdin, stdout and stderr on /dev/null. REQUIRES: one thread, nothing opened yet that is to be
  // kept.
  static Result<Announcement> go_to_background();

  void ready();
  void failed(int exit_code, const std::string& text);

 private:
  bool background_ = false;
  Fd to_parent_;
};

}  // namespace oj::daemon
