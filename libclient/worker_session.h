// A session that appends: lanes to write, places to read, and a keeper that sees to it that there
// is a daemon.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "journal/folder.h"
#include "libclient/append_lanes.h"
#include "libclient/attachment.h"
#include "libclient/keeper.h"
#include "libclient/process_identity.h"
#include "libclient/process_session.h"
#include "libclient/read_places.h"
#include "libclient/region_change.h"

namespace oj::client {

class WorkerSession final : public ProcessSession {
 public:
  static Result<std::unique_ptr<ProcessSession>> open(const Location& location,
                                                      const OpenOptions& options);
  ~WorkerSession() override;  // publishes SessionEnded{closed}

  schema::SessionId id() override;
  Result<Appended> append(std::span<std::byte> record, Durability durability,
                          Deadline deadline) override;
  Result<void> wait_for_room(Deadline deadline) override;
  Result<void> wait_synced(std::uint64_t seq_end, Deadline deadline) override;
  Result<void> wait_synced(const Appended& appended, Deadline deadline) override;
  std::uint64_t published_end() override;
  std::uint64_t synced_end() override;
  Result<bool> wait_published(std::uint64_t seq, Deadline deadline) override;
  Result<Session::ReadResult> read(std::uint64_t from, const Session::Take& take,
                                   std::uint64_t records_max) override;
  std::uint64_t generation() override;

 private:
  WorkerSession(const Location& location, const OpenOptions& options, journal::Folder folder);
  // SessionStarted, in the region that we are attached to first.
  Result<void> announce(Deadline deadline);
  // SessionStarted, and the end of our former session, in a region that is not current yet.
  void announce_in(const Attachment& next, schema::SessionId former);
  Result<void> wait_for_other_attachment(std::uint64_t used, Deadline deadline);
  // The current attachment, once it is not one whose region the daemon has given up: others may be
  // ahead in the next one already. Null: the session is being closed.
  Result<std::shared_ptr<Attachment>> usable_attachment(Deadline deadline);
  // That there is no daemon, once that has lasted longer than one may take to open.
  Result<void> check_daemon() const;
  std::string daemon() const;  // "daemon 1234", for messages

  const Location& location_;
  const OpenOptions& options_;
  const journal::Folder folder_;
  const ProcessIdentity identity_;
  CurrentAttachment current_;
  RegionChanges changes_;
  AppendLanes lanes_;
  ReadPlaces places_;
  std::atomic<std::uint64_t> op_no_{0};
  Keeper keeper_;
};

}  // namespace oj::client
