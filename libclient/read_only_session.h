// A session that only reads: of a monitor, attached read-only while a daemon serves and offline
// while none does; or always offline.
//
// It has no thread: it looks at its daemon when it is called, at most every kLookMs.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>

#include "journal/folder.h"
#include "libclient/attachment.h"
#include "libclient/control_connection.h"
#include "libclient/process_session.h"
#include "libclient/read_places.h"
#include "libclient/region_change.h"

namespace oj::client {

class ReadOnlySession final : public ProcessSession {
 public:
  static Result<std::unique_ptr<ProcessSession>> open(const Location& location,
                                                      const OpenOptions& options);
  ~ReadOnlySession() override;

  schema::SessionId id() override { return 0; }
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
  ReadOnlySession(const Location& location, const OpenOptions& options, journal::Folder folder);
  // Attaches if a daemon serves that we are not attached to. Afterwards current_ is what there is.
  Result<void> look(Deadline deadline);
  Result<void> attach(Deadline deadline);
  Result<std::uint64_t> disk_end() const;  // REQUIRES: no attachment
  Error read_only_error() const;

  const Location& location_;
  const OpenOptions& options_;
  const journal::Folder folder_;
  CurrentAttachment current_;
  RegionChanges changes_;
  ReadPlaces places_;
  std::mutex mutex_;  // guards what follows
  ControlConnection connection_;
  std::int64_t looked_ns_ = 0;
};

}  // namespace oj::client
