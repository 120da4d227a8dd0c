// SPDX-License-Identifier: MIT
#include "daemon/orphan_keeper.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>
#include <vector>

#include <spdlog/spdlog.h>

#include "base/check.h"
#include "base/clock.h"
#include "replay/orphans.h"
#include "schema/orphan_policy.h"
#include "shm/watermarks.h"

namespace oj::daemon {
namespace {

constexpr std::int64_t kSyncSliceMs = 100;     // of waiting for the disk: is it to stop?
constexpr std::int64_t kDegradedLookMs = 500;  // while the disk does not sync
constexpr std::int64_t kRoomLookMs = 20;       // while the ring is full
constexpr std::int64_t kStateKeptMs = 60'000;  // after the last death
constexpr std::int64_t kDoubtMsMin = 1'000;    // between looks at living sessions of former regions
constexpr std::int64_t kDoubtMsMax = 60'000;
constexpr int kNiceness = 10;              // replaying long journals is not urgent
constexpr std::size_t kBatchMax = 256;     // orphans in one record
constexpr unsigned kGenerationShift = 32;  // of a session's number

}  // namespace

OrphanKeeper::OrphanKeeper(const journal::Folder& folder, std::shared_ptr<shm::Region> region,
                           const OrphanSettings& settings, int event_fd, Troubles& troubles)
    : folder_(folder),
      region_(std::move(region)),
      settings_(settings),
      event_fd_(event_fd),
      troubles_(troubles) {}

OrphanKeeper::~OrphanKeeper() { stop(); }

void OrphanKeeper::start() {
  OJ_CHECK(!thread_.joinable());
  // A journal without records has no orphans.
  asked_ = working_ = asked_ || shm::published_end(*region_) > 0;
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "oj-orphans");
    setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNiceness);
    try {
      run();
    } catch (const std::exception& failed) {
      spdlog::critical("the keeper of orphans cannot go on: {}", failed.what());
      std::terminate();
    }
  });
}

void OrphanKeeper::use_seat(shm::SlotRef seat) {
  const std::scoped_lock lock(mutex_);
  if (seat_) return;
  seat_ = seat;
  changed_.notify_all();
}

void OrphanKeeper::look() {
  const std::scoped_lock lock(mutex_);
  asked_ = working_ = true;
  changed_.notify_all();
}

bool OrphanKeeper::busy() const {
  const std::scoped_lock lock(mutex_);
  return working_;
}

std::uint64_t OrphanKeeper::ended() const {
  const std::scoped_lock lock(mutex_);
  return ended_;
}

void OrphanKeeper::stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

bool OrphanKeeper::stopping() const {
  const std::scoped_lock lock(mutex_);
  return stopping_;
}

bool OrphanKeeper::wait(std::int64_t ms) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::milliseconds(ms), [this] { return stopping_; });
  return !stopping_;
}

void OrphanKeeper::run() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      const auto something = [this] { return stopping_ || asked_; };
      if (!something() && !due_ms_ && !doubt_ms_ && !reader_) changed_.wait(lock, something);
      if (!something()) {
        const std::int64_t ms = std::min(
            {due_ms_.value_or(kStateKeptMs), doubt_ms_.value_or(kStateKeptMs), kStateKeptMs});
        changed_.wait_for(lock, std::chrono::milliseconds(ms), something);
      }
      if (stopping_) break;
      if (!asked_ && !due_ms_ && !doubt_ms_) {
        lock.unlock();
        forget_state();
        continue;
      }
      asked_ = false;
      working_ = true;
    }
    rounds();
    {
      const std::scoped_lock lock(mutex_);
      working_ = asked_ || due_ms_.has_value();
    }
    eventfd_write(event_fd_, 1);
  }
  producer_.reset();
}

void OrphanKeeper::rounds() {
  Step step = Step::kAgain;
  while (step == Step::kAgain && !stopping()) step = one_round();
  if (producer_) producer_->seal();
  if (step != Step::kDone) {
    due_ms_.reset();
    doubt_ms_.reset();
    forget_state();
  }
}

OrphanKeeper::Step OrphanKeeper::one_round() {
  if (!catch_up()) return Step::kGiveUp;
  if (end_former_sessions()) return Step::kAgain;
  return end_orphans();
}

// To all that is published now. False: not to be had in this region, or stopping.
bool OrphanKeeper::catch_up() {
  const std::uint64_t end = shm::published_end(*region_);
  while (shm::synced(*region_) < end) {
    if (stopping() || region_->retired() || region_->lost()) return false;
    shm::wait_synced(region_, end, Deadline::in_ms(kSyncSliceMs));
    if (shm::degraded(*region_) != 0 && !wait(kDegradedLookMs)) return false;
  }
  const Result<void> replayed = replay_to(end);
  if (replayed) return true;
  if (stopping()) return false;
  spdlog::error("orphans are not looked after: {}", replayed.error().message);
  troubles_.count(Trouble::kOrphans);
  return false;
}

Result<void> OrphanKeeper::replay_to(std::uint64_t end) {
  if (!reader_) {
    state_ = replay::State();
    reader_.emplace(folder_, 0);
  }
  while (reader_->next_seq() < end) {
    if (reader_->next_seq() % 4096 == 0 && stopping())
      return Error{Code::kBusy, "the daemon is ending"};
    const std::uint64_t seq = reader_->next_seq();
    const auto bytes = reader_->next(end);
    if (!bytes) return bytes.error();
    const auto record = decoder_.decode(*bytes);
    if (record) {
      (void)state_.apply(seq, *record);
    } else if (record.error().code == Code::kIncompatible) {
      return record.error();
    } else {
      state_.apply_tombstone(seq);
    }
  }
  return {};
}

// True: some were ended, so there may be orphans that this state does not know of yet.
bool OrphanKeeper::end_former_sessions() {
  const std::uint64_t generation = region_->identity().generation;
  const ProcessWitness witness = ProcessWitness::of_this_machine();
  std::vector<schema::Operation> ends;
  bool doubt = false;
  for (const auto& [id, session] : state_.sessions()) {
    if (session.ended || id >> kGenerationShift >= generation) continue;
    const Life life = witness.life_of(session.pid, session.birth);
    doubt = doubt || life == Life::kAlive;
    if (life != Life::kDead) continue;
    spdlog::info("worker died: pid {} ({}), session {}, of a region that is gone", session.pid,
                 session.command, id);
    ends.emplace_back(schema::SessionEnded{id, schema::SessionEnded::Reason::kDied});
  }
  // One that lives comes to this region by itself, and then its former session is closed.
  doubt_ms_ = doubt ? std::min(doubt_ms_.value_or(kDoubtMsMin / 2) * 2, kDoubtMsMax)
                    : std::optional<std::int64_t>();
  return !ends.empty() && publish(ends);
}

OrphanKeeper::Step OrphanKeeper::end_orphans() {
  due_ms_.reset();
  std::vector<schema::Operation> ends;
  const std::int64_t now_us = utc_us();
  for (const replay::Orphan& orphan : replay::orphans(state_, settings_.policy)) {
    const bool fails = orphan.policy.kind == schema::OrphanPolicy::Kind::kFail ||
                       orphan.policy.kind == schema::OrphanPolicy::Kind::kRetry;
    if (!fails) continue;
    // A clock that was set back does not make the grace longer.
    const std::int64_t left_ms = std::clamp<std::int64_t>(
        settings_.grace_ms - (now_us - orphan.died_us) / 1000, 0, settings_.grace_ms);
    if (left_ms > 0) {
      due_ms_ = std::min(due_ms_.value_or(left_ms), left_ms);
      continue;
    }
    const replay::Trial& trial = *state_.trial(orphan.trial);
    spdlog::info("trial {} of {} is an orphan of session {}: {}", trial.number,
                 state_.study(trial.study)->name, orphan.session, schema::text_of(orphan.policy));
    ends.emplace_back(schema::EndOrphan{
        orphan.trial, orphan.session, now_us,
        orphan.policy.kind == schema::OrphanPolicy::Kind::kRetry ? orphan.policy.retries_max : 0});
  }
  if (ends.empty()) return Step::kDone;
  if (!publish(ends)) return Step::kGiveUp;
  const std::scoped_lock lock(mutex_);
  ended_ += ends.size();
  return Step::kAgain;
}

// False: not in this region any more, or stopping. Waits for room.
bool OrphanKeeper::publish(std::span<const schema::Operation> operations) {
  if (!producer_) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stopping_ || seat_; });
    if (stopping_) return false;
    producer_.emplace(region_, *seat_);
  }
  while (!operations.empty()) {
    const auto some = operations.first(std::min(operations.size(), kBatchMax));
    const std::span<std::byte> record = encoder_.encode(some);
    schema::stamp(record, {0, 0, utc_us()});
    const auto attempt = producer_->try_append(record);
    if (!attempt) {
      spdlog::warn("cannot publish the end of orphans: {}", attempt.error().message);
      troubles_.count(Trouble::kOrphans);
      return false;
    }
    if (attempt->full == shm::Full::kNo) {
      operations = operations.subspan(some.size());
    } else if (!wait(shm::degraded(*region_) == 0 ? kRoomLookMs : kDegradedLookMs)) {
      return false;
    }
  }
  return true;
}

void OrphanKeeper::forget_state() {
  reader_.reset();
  state_ = replay::State();
}

}  // namespace oj::daemon
