// From a location to a daemon that has said Welcome: find it, start it if need be, outlive its
// being replaced.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "journal/folder.h"
#include "libclient/control_connection.h"
#include "libclient/session.h"
#include "schema/control.h"

namespace oj::client {

struct Joined {
  schema::Welcome welcome;
  std::string runtime_folder;  // holds welcome.region_file
};

struct JoinRequest {
  const Location& location;
  const journal::Folder& folder;
  const OpenOptions& options;
  schema::Hello hello;
  bool may_start = false;  // an embedded daemon, if nobody serves
  Deadline deadline;
  int cancel_fd = -1;
};

// Any number of processes may do this at once for one folder: one of them starts the daemon, the
// others wait for it, and a starter that was stopped holds them up for kStarterPatienceMs only.
// kGone: nobody serves and none is to be started, or none was to be had until the deadline (why is
// in the message). Otherwise the daemon's refusal, or why it could not be started.
Result<Joined> join(const JoinRequest& request, ControlConnection& connection);

// The runtime folder of the daemon that serves the location now, empty if none does.
Result<std::string> serving_runtime_folder(const Location& location, const journal::Folder& folder);

constexpr std::int64_t kStarterPatienceMs = 5'000;

}  // namespace oj::client
