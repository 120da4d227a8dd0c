// An Optuna storage in C++: a Session, the State replayed from it, and one call for each operation.
//
// Every call first replays all that was published before it began, so reads are linearisable on the
// box. A write is checked against the state, published, and replayed; the *order* decides, so its
// outcome is what replay says, the same in every process.
//
// Errors: kInvalid (no such study or trial, the name is taken, incompatible distribution: see
// outcome_error()), kRefused (the trial is finished), and what Session::append says. Reads take
// what they need inside read(), under the lock.
//
// Threads, fork, restart: as Session. kGone from a call that is no write, or that wrote nothing:
// published records were lost with their region (see Session::read); it is said once, the next call
// reads the journal anew. A call never holds the lock while it waits for room or for the disk.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "libclient/session.h"
#include "replay/state.h"
#include "schema/operation.h"

namespace oj::client {

struct WriteOptions {
  // Unset: kSynced for creating and deleting a study and finishing a trial, kPublished for
  // everything else.
  std::optional<Durability> durability;
  Deadline deadline = Deadline::never();
};

class Storage {
 public:
  static Result<std::shared_ptr<Storage>> open(const std::string& location,
                                               const OpenOptions& options = {});
  ~Storage();

  Session& session();

  // One record with one operation. The outcome is what the order decided; whether an outcome is an
  // error is the caller's business (outcome_error() words it). When check() against the caught-up
  // state refuses, nothing is written and that outcome is returned. In two steps for callers that
  // hold a lock of their own (Python's): try_write() never waits (kBusy when it would have to);
  // settle() waits for the durability that was asked for.
  struct Written {
    replay::Outcome outcome;
    std::uint64_t seq = 0;          // of the record; UINT64_MAX when nothing was written
    schema::SessionId session = 0;  // that wrote it
    bool must_wait = false;         // not yet as durable as asked for: call settle()
  };
  Result<Written> try_write(const schema::Operation& operation, const WriteOptions& options);
  // After kBusy from try_write() on this thread; as Session::wait_for_room().
  Result<void> wait_for_room(Deadline deadline);
  Result<void> settle(const Written& written, Deadline deadline);
  // All of it at once: waits for room and durability.
  Result<replay::Outcome> write(const schema::Operation& operation,
                                const WriteOptions& options = {});

  // C++ workers' conveniences over write(); outcomes that are no success become errors.
  Result<schema::StudyId> create_study(std::string_view name,
                                       std::span<const schema::Direction> directions,
                                       bool load_if_exists, const WriteOptions& options = {});
  // Takes the WAITING trial with the lowest number and makes it RUNNING, exactly once over all
  // processes; nothing if none waits.
  Result<std::optional<schema::TrialId>> pop_waiting(schema::StudyId study,
                                                     const WriteOptions& options = {});

  // What becomes of the study's RUNNING trials whose worker died, where that worker did not say
  // otherwise (OpenOptions::orphans); kUnset: what the daemon says. Counts for deaths that
  // come after it in the order; orphans that were kept stay.
  Result<void> set_orphan_policy(schema::StudyId study, const schema::OrphanPolicy& policy,
                                 const WriteOptions& options = {});

  // Catches up, then calls `use` with the state, under this process's lock. Keep it short; do not
  // call back in.
  Result<void> read(const std::function<void(const replay::State&)>& use);
  // Goes up when what was replayed is no more, because records were lost with their region: what
  // was kept of the state before is of another history. Inside `use` it is that of the state.
  std::uint64_t history() const;
  // Without catching up: the state as of the last call.
  void peek(const std::function<void(const replay::State&)>& use);

 private:
  Storage();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// "study 7 does not exist", "Trial#3 has already finished and can not be updated.", ...
Error outcome_error(const replay::Outcome& outcome, const schema::Operation& operation);

}  // namespace oj::client
