// What a process says of itself when it joins a journal: for people who watch, and, of what tells
// it from all other processes, for the daemon, which may have to find out later whether it lives.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "libclient/session.h"
#include "schema/control.h"
#include "schema/operation.h"

namespace oj::client {

struct ProcessIdentity {
  std::uint32_t pid = 0, uid = 0;
  std::string host, command;
  schema::WorkerIdentity said;
  schema::OrphanPolicy orphans;
  schema::ProcessBirth birth;

  // Reads some files of /proc and asks for the user's name: some hundred microseconds, and longer
  // where names come over a network.
  static ProcessIdentity of_this_process(const OpenOptions& options);

  // Borrows from this, and from `gpus`, which it fills.
  schema::SessionStarted started(std::vector<schema::Gpu>& gpus) const;
};

}  // namespace oj::client
