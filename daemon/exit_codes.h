// What optjournald's exit status means. Also in --help and in docs/man/optjournald.1; keep the
// three together.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cerrno>

#include "base/result.h"

namespace oj::daemon {

enum ExitCode : int {
  kExitOk = 0,  // ended as asked; everything published is synced
  kExitFailed =
      1,           // the system said no (rights, I/O), or not everything could be synced at the end
  kExitUsage = 2,  // a wrong option, or DIR is no journal
  kExitServed = 3,        // another daemon serves DIR
  kExitNoRoom = 4,        // not enough shared memory or disk
  kExitDamaged = 5,       // the journal is damaged: nothing was changed
  kExitIncompatible = 6,  // the journal was written by another version
};

// For errors on the way to serving.
inline ExitCode exit_code_of(const Error& error) {
  if (error.os_error == ENOSPC) return kExitNoRoom;
  switch (error.code) {
    case Code::kBusy: return kExitNoRoom;
    case Code::kInvalid: return kExitUsage;
    case Code::kRefused: return kExitServed;
    case Code::kIncompatible: return kExitIncompatible;
    case Code::kCorrupt: return kExitDamaged;
    case Code::kGone:
    case Code::kIo:
    case Code::kPublished: return kExitFailed;
  }
  return kExitFailed;
}

}  // namespace oj::daemon
