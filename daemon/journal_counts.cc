// SPDX-License-Identifier: MIT
#include "daemon/journal_counts.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <span>
#include <variant>

#include <spdlog/spdlog.h>

#include "shm/watermarks.h"

namespace oj::daemon {
namespace {

constexpr std::chrono::milliseconds kLook{250};  // between looks for synced records
constexpr int kNiceness = 10;                    // workers and the flusher come first
constexpr std::uint64_t kSliceRecords = 4096;    // between looks whether to stop
// Anybody who appends chooses the text of a tombstone; a metric's labels must be few.
constexpr std::size_t kReasonsMax = 8;

const char* name_of(replay::OutcomeCode code) {
  switch (code) {
    case replay::OutcomeCode::kDone:
    case replay::OutcomeCode::kUnchanged: return nullptr;
    case replay::OutcomeCode::kNoSuchStudy: return "no_such_study";
    case replay::OutcomeCode::kNoSuchTrial: return "no_such_trial";
    case replay::OutcomeCode::kStudyExists: return "study_exists";
    case replay::OutcomeCode::kTrialFinished: return "trial_finished";
    case replay::OutcomeCode::kIncompatible: return "incompatible";
  }
  return nullptr;
}

}  // namespace

JournalCounts::JournalCounts(const journal::Folder& folder, std::shared_ptr<shm::Region> region)
    : region_(std::move(region)), reader_(folder, 0) {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "oj-counts");
    setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNiceness);
    try {
      run();
    } catch (const std::exception& failed) {
      spdlog::error("metrics of the journal's content end here: {}", failed.what());
    }
  });
}

JournalCounts::~JournalCounts() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

std::optional<JournalTotals> JournalCounts::totals() const {
  const std::scoped_lock lock(mutex_);
  return published_;
}

bool JournalCounts::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, kLook, [this] { return stopping_; });
  return !stopping_;
}

void JournalCounts::run() {
  for (bool first = true;; first = false) {
    const std::uint64_t end = shm::synced(*region_);
    const bool more = state_.next_seq() < end;
    while (state_.next_seq() < end) {
      {
        const std::scoped_lock lock(mutex_);
        if (stopping_) return;
      }
      if (Result<void> counted = count_to(std::min(end, state_.next_seq() + kSliceRecords));
          !counted) {
        spdlog::error("metrics of the journal's content end here: {}", counted.error().message);
        const std::scoped_lock lock(mutex_);
        published_.reset();
        return;
      }
    }
    if (first || more) publish();
    if (!wait()) return;
  }
}

Result<void> JournalCounts::count_to(std::uint64_t end) {
  while (state_.next_seq() < end) {
    const std::uint64_t seq = state_.next_seq();
    auto bytes = reader_.next(end);
    if (!bytes) return bytes.error();
    ++totals_.records;
    totals_.bytes += bytes->size();
    auto record = decoder_.decode(*bytes);
    if (!record && record.error().code != Code::kCorrupt) return record.error();
    if (!record) {
      count_tombstone("does not decode");
      state_.apply_tombstone(seq);
      continue;
    }
    count(*record);
    finishes_orphan_.clear();
    for (const schema::Operation& operation : record->operations)
      finishes_orphan_.push_back(finishes_orphan(operation));
    const std::span<const replay::Outcome> outcomes = state_.apply(seq, *record);
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      if (const char* refused = name_of(outcomes[i].code)) ++totals_.refused[refused];
      if (outcomes[i].code != replay::OutcomeCode::kDone) continue;
      totals_.orphans_told += finishes_orphan_[i];
      if (std::holds_alternative<schema::EndOrphan>(record->operations[i]))
        ++(outcomes[i].id == replay::kNoTrial ? totals_.orphans_failed : totals_.orphans_retried);
    }
  }
  return {};
}

void JournalCounts::count(const schema::DecodedRecord& record) {
  for (const schema::Operation& operation : record.operations) {
    ++totals_.operations[std::string(schema::operation_name(operation))];
    if (std::holds_alternative<schema::SessionStarted>(operation)) ++totals_.sessions_started;
    if (const auto* bad = std::get_if<schema::Tombstone>(&operation)) count_tombstone(bad->reason);
    if (const auto* ended = std::get_if<schema::SessionEnded>(&operation)) {
      // A daemon that was killed in between may say an end twice; only the first one counts.
      const auto known = state_.sessions().find(ended->session);
      if (known == state_.sessions().end() || known->second.ended) continue;
      const bool died = ended->reason == schema::SessionEnded::Reason::kDied;
      ++(died ? totals_.sessions_died : totals_.sessions_closed);
    }
  }
}

// As the state is before it. What Optuna's heartbeat does, or a person.
bool JournalCounts::finishes_orphan(const schema::Operation& operation) const {
  const auto* told = std::get_if<schema::SetTrialStateValues>(&operation);
  if (told == nullptr || !schema::is_finished(told->state)) return false;
  const replay::Trial* trial = state_.trial(told->trial);
  if (trial == nullptr) return false;
  const auto session = state_.sessions().find(trial->session);
  return session != state_.sessions().end() && session->second.died &&
         session->second.running.count(trial->id) > 0;
}

void JournalCounts::count_tombstone(std::string_view reason) {
  const std::string known(reason);
  const bool few = totals_.tombstones.size() < kReasonsMax || totals_.tombstones.count(known) > 0;
  ++totals_.tombstones[few ? known : "other"];
}

void JournalCounts::publish() {
  totals_.studies = state_.studies().size();
  totals_.trials = {};
  for (const auto& [id, study] : state_.studies()) {
    for (std::size_t i = 0; i < totals_.trials.size(); ++i)
      totals_.trials[i] += study.count_by_state[i];
  }
  totals_.orphans = 0;
  for (const auto& [id, session] : state_.sessions()) {
    if (session.died) totals_.orphans += session.running.size();
  }
  const std::scoped_lock lock(mutex_);
  published_ = totals_;
}

}  // namespace oj::daemon
