// One daemon's life: take the folder, serve it, drain.
//
// SPDX-License-Identifier: MIT
#pragma once

#include "daemon/background.h"
#include "daemon/options.h"

namespace oj::daemon {

// Returns the exit code. Blocks SIGTERM, SIGINT and SIGHUP for the calling thread and those that it
// makes.
int serve(const Options& options, Announcement& announcement);

}  // namespace oj::daemon
