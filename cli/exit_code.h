// What the program's exit code says. The numbers are a promise: docs/man/optjournal.1, docs/cli.md,
// --help.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "base/result.h"

namespace oj::cli {

enum class Exit : int {
  kOk = 0,
  kWorld = 1,         // the system said no: permission, I/O, memory
  kUsage = 2,         // wrong flags or arguments
  kNotFound = 3,      // no journal there, no such study, no daemon to stop
  kBusy = 4,          // not within the time given: try again
  kRefused = 5,       // the state said no: workers are attached
  kIncompatible = 6,  // written by a newer version
  kCorrupt = 7,       // damaged bytes
  kWarning = 8,       // doctor: something is strange
  kProblem = 9,       // doctor: something is wrong
  kReaderGone =
      141,  // standard output was closed by its reader, as a death by SIGPIPE reads in a shell
};

Exit exit_of(const Error& error);

// An Error whose exit code is kNotFound.
Error not_found(std::string message);

}  // namespace oj::cli
