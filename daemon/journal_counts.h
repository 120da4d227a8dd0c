// What the journal says, counted for metrics: operations by name, sessions, trials by state.
//
// A thread of its own replays the segments behind the flusher, below `synced`, as any reader of the
// folder does; so the flusher and the ring know nothing of it, and a slow look costs nobody
// anything. It exists only while metrics are on.
//
// The counts are of the whole journal, from its first record on: they go on where they were when a
// daemon starts again, and nothing is told before the records that were there at the start are
// counted, or a scrape in between would look like a burst of work.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "journal/folder.h"
#include "journal/reader.h"
#include "replay/state.h"
#include "schema/codec.h"
#include "shm/region.h"

namespace oj::daemon {

struct JournalTotals {
  std::uint64_t records = 0, bytes = 0;
  std::map<std::string, std::uint64_t> operations;  // by the name of the operation
  std::map<std::string, std::uint64_t> refused;     // by the outcome
  std::map<std::string, std::uint64_t> tombstones;  // by the reason
  std::uint64_t sessions_started = 0, sessions_closed = 0, sessions_died = 0;
  // Orphans that the daemon failed; of which it also enqueued a copy; that a worker finished.
  std::uint64_t orphans_failed = 0, orphans_retried = 0, orphans_told = 0;
  std::uint64_t studies = 0, orphans = 0;
  std::array<std::uint64_t, 5> trials{};  // by schema::TrialState
};

class JournalCounts {
 public:
  // `folder` is not needed after the constructor.
  JournalCounts(const journal::Folder& folder, std::shared_ptr<shm::Region> region);
  ~JournalCounts();  // ends the thread

  // As of a moment ago. None: not all that was there at the start is counted, or the journal cannot
  // be read. Any thread.
  std::optional<JournalTotals> totals() const;

 private:
  void run();
  Result<void> count_to(std::uint64_t end);
  void count(const schema::DecodedRecord& record);
  bool finishes_orphan(const schema::Operation& operation) const;
  void count_tombstone(std::string_view reason);
  void publish();
  bool wait();  // false: stopping

  const std::shared_ptr<shm::Region> region_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  bool stopping_ = false;
  std::optional<JournalTotals> published_;

  // The thread's own.
  journal::Reader reader_;
  schema::Decoder decoder_;
  replay::State state_;
  JournalTotals totals_;
  std::vector<bool> finishes_orphan_;  // by operation, of one record
  std::thread thread_;
};

}  // namespace oj::daemon
