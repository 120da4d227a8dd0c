// A Session's life in one process: what Session forwards to, replaced by a fresh one in a fork
// child.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/clock.h"
#include "base/result.h"
#include "libclient/session.h"

namespace oj::client {

class ProcessSession {
 public:
  // By options.mode: a WorkerSession or a ReadOnlySession. Keeps references to both arguments.
  static Result<std::unique_ptr<ProcessSession>> open(const Location& location,
                                                      const OpenOptions& options);
  virtual ~ProcessSession() = default;

  // As those of Session.
  virtual schema::SessionId id() = 0;
  virtual Result<Appended> append(std::span<std::byte> record, Durability durability,
                                  Deadline deadline) = 0;
  virtual Result<void> wait_for_room(Deadline deadline) = 0;
  virtual Result<void> wait_synced(std::uint64_t seq_end, Deadline deadline) = 0;
  virtual Result<void> wait_synced(const Appended& appended, Deadline deadline) = 0;
  virtual std::uint64_t published_end() = 0;
  virtual std::uint64_t synced_end() = 0;
  virtual Result<bool> wait_published(std::uint64_t seq, Deadline deadline) = 0;
  virtual Result<Session::ReadResult> read(std::uint64_t from, const Session::Take& take,
                                           std::uint64_t records_max) = 0;
  // The region's, 0 without one. Positions of one generation are positions of one history.
  virtual std::uint64_t generation() = 0;
};

}  // namespace oj::client
