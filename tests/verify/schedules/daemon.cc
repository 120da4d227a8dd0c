// The daemon.
//
// SPDX-License-Identifier: MIT
#include <algorithm>
#include <limits>

#include "base/clock.h"
#include "shm/watermarks.h"
#include "tests/verify/schedules/actors.h"

namespace oj::schedules {
namespace {

constexpr std::int64_t kLookNs = 3 * kNsPerS;
constexpr std::int64_t kPendingRetryNs = 20 * kNsPerMs;
constexpr std::uint64_t kSyncFailsOneIn = 16;
constexpr std::uint64_t kSyncIsSlowOneIn = 16;
constexpr std::int64_t kSlowSyncNs = 2 * kNsPerS;
constexpr int kPendingTriesMax = 50;  // at the end; then the next daemon publishes them
constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kWindowSliceNs = 5 * kNsPerMs;

}  // namespace

struct Daemon::Parts {
  explicit Parts(const std::shared_ptr<shm::Region>& region)
      : orders(region),
        source(region),
        keeper(region, source),
        slots(region),
        reaper(region, orders) {}
  daemon::FlusherOrders orders;
  shm::FlushSource source;
  shm::ChunkKeeper keeper;
  shm::SlotTable slots;
  daemon::Reaper reaper;
  bool seated = false;
};

Daemon::Daemon(Simulation& simulation, Process& process, bool first, Dice dice)
    : simulation_(simulation), process_(process), first_(first), dice_(dice) {
  batch_records_max_ = 1 + dice_.below(4);
  window_ns_ = dice_.one_in(2) ? 0 : 2 * kWindowSliceNs;
}

Daemon::~Daemon() = default;

void Daemon::run() {
  Scheduler& scheduler = simulation_.scheduler();
  simulation_.disk().slow = false;
  if (!first_) recover();
  parts_ = std::make_unique<Parts>(process_.region);
  control_ = &scheduler.self();
  scheduler.start(process_, process_.name + ".flusher", [this] { flush_all(); });
  look_at_slots();
  shm::wake_everybody(*process_.region);
  daemon::LeftOutWakes wakes(process_.region);
  while (!simulation_.ending()) {
    {
      const bool pending = parts_->reaper.pending();
      const WaitingFor waiting(scheduler, 2 * kPendingRetryNs, [pending] { return pending; });
      const std::int64_t look_ns = until_look_ns(wakes);
      scheduler.wait_signal(pending ? std::min(kPendingRetryNs, look_ns) : look_ns);
    }
    repeat_wakes(wakes);
    look_at_slots();
    if (parts_->reaper.pending()) parts_->reaper.continue_pending();
    welcome();
  }
  for (int tries = 0; parts_->reaper.continue_pending() && tries < kPendingTriesMax; ++tries) {
    const WaitingFor waiting(scheduler, 2 * kPendingRetryNs, [] { return true; });
    scheduler.wait_signal(kPendingRetryNs);
    repeat_wakes(wakes);
  }
  parts_->reaper.give_up_seat();
  parts_->orders.post_drain();
  while (!flusher_ended_) {
    scheduler.wait_signal(until_look_ns(wakes));
    repeat_wakes(wakes);
  }
  ended_ = true;
}

bool Daemon::repeats_wakes() const {
  const Fault fault = simulation_.scheduler().fault();
  return attached_ && fault != Fault::kWakeNotRepeated &&
         !(fault == Fault::kWakeWaitsForDisk && simulation_.disk().slow);
}

std::int64_t Daemon::until_look_ns(const daemon::LeftOutWakes& wakes) const {
  return repeats_wakes() ? wakes.left_ns(simulation_.scheduler().now_ns()) : kNever;
}

void Daemon::repeat_wakes(daemon::LeftOutWakes& wakes) {
  if (repeats_wakes()) wakes.look(simulation_.scheduler().now_ns());
}

// The region's `synced` is the truth; the disk may vouch for more, if the former daemon died
// between a sync and raising it, and what was only written is cut off.
void Daemon::recover() {
  Scheduler& scheduler = simulation_.scheduler();
  Disk& disk = simulation_.disk();
  const std::uint64_t first = simulation_.seen().first();
  const std::uint64_t synced = shm::synced(*process_.region);
  scheduler.require(synced <= first + disk.synced, "the region says more is synced than is");
  const std::uint64_t next = synced + dice_.below(first + disk.synced - synced + 1);
  disk.written.resize(next - first);
  disk.synced = next - first;
  scheduler.require(next <= published_end(), "the disk has more than is published");
  shm::set_written(*process_.region, next);
  shm::set_synced(*process_.region, next);
}

// Every record published before the call is below, and nothing else.
std::uint64_t Daemon::published_end() {
  const std::uint64_t before = simulation_.seen().end();
  const std::uint64_t end = shm::published_end(*process_.region);
  simulation_.scheduler().require(before <= end && end <= simulation_.seen().end(),
                                  "published_end() is not the end of what is published");
  return end;
}

void Daemon::look_at_slots() {
  if (!parts_->seated) parts_->seated = parts_->reaper.take_seat().ok();
  shm::SlotTable& slots = parts_->slots;
  bool any = false;
  for (std::uint32_t i = 0; i < slots.size(); ++i) {
    if (parts_->reaper.is_own(i)) continue;
    const auto seen = slots.snapshot(i);
    if (seen.state == shm::SlotState::kFree) continue;
    any = true;
    if (seen.state == shm::SlotState::kClosed || seen.state == shm::SlotState::kReaping) {
      parts_->reaper.look_at(i);
      continue;
    }
    const Process* const holder = simulation_.holder_of(seen.slot);
    const bool dead = holder != nullptr && holder->state == ProcessState::kDead;
    if (seen.state == shm::SlotState::kAssigned) {
      if (dead) {
        parts_->reaper.proven_dead(seen.slot);  // by its pidfd
      } else if (holder == nullptr || !simulation_.is_connected(*holder)) {
        parts_->reaper.never_taken(seen.slot);
      }
      continue;
    }
    if (const auto free = slots.lock_is_free(i); free && *free)
      parts_->reaper.proven_dead(seen.slot);
  }
  attached_ = any;
  parts_->orders.post_attached(any);
}

// A new worker. Before it can publish, the flusher knows that there is somebody.
void Daemon::welcome() {
  if (!parts_->seated || !simulation_.wants_successor()) return;
  const auto slot = parts_->slots.assign({parts_->slots.size(), 0, 0, 0, ""});
  if (!slot) return;
  attached_ = true;
  parts_->orders.post_attached(true);
  simulation_.start_successor(*slot);
}

void Daemon::flush_all() {
  const auto synced_through = [this] {
    return simulation_.seen().first() + simulation_.disk().synced;
  };
  for (;;) {
    obey();
    if (published_end() <= synced_through()) {
      if (parts_->orders.drain()) break;
      be_quiet();
      continue;
    }
    if (!parts_->orders.drain()) gather_company();
    flush_round();
    if (parts_->orders.drain() && synced_through() >= parts_->orders.drain_goal()) break;
  }
  flusher_ended_ = true;
  simulation_.scheduler().signal(*control_);
}

void Daemon::obey() {
  parts_->orders.begin_taking();
  bool freed = false;
  while (const auto slot = parts_->orders.take_ended()) {
    parts_->keeper.seal_chunks_of(*slot);
    parts_->slots.finish(*slot);
    ++simulation_.counts().reaped;
    freed = true;
  }
  if (freed) simulation_.scheduler().signal(*control_);
}

void Daemon::be_quiet() {
  const std::uint64_t next = simulation_.seen().first() + simulation_.disk().synced;
  const std::int64_t timeout_ns = parts_->orders.attached() ? kLookNs : kNever;
  if (parts_->orders.pending()) return;
  {
    const WaitingFor waiting(simulation_.scheduler(), 0, [this, next] {
      return simulation_.seen().end() > next || parts_->orders.pending();
    });
    shm::daemon_wait_published(process_.region, next, timeout_ns);
  }
  make_room();
}

void Daemon::gather_company() {
  Scheduler& scheduler = simulation_.scheduler();
  const std::int64_t until_ns = monotonic_ns() + window_ns_;
  const std::uint64_t from = simulation_.seen().first() + simulation_.disk().synced;
  const shm::Sizes& sizes = process_.region->sizes();
  const WaitingFor waiting(scheduler, window_ns_ + kWindowSliceNs, [] { return true; });
  while (!parts_->orders.pending()) {
    const std::int64_t left_ns = until_ns - monotonic_ns();
    if (left_ns <= 0) return;
    if (published_end() - from > sizes.ring_slots / 4) return;
    if (parts_->keeper.chunks_in_use() > sizes.chunk_count * 3 / 4) return;
    if (shm::daemon_wait_asked(process_.region, std::min(left_ns, kWindowSliceNs)) ==
        shm::Waited::kReached)
      return;
  }
}

void Daemon::flush_round() {
  Scheduler& scheduler = simulation_.scheduler();
  Disk& disk = simulation_.disk();
  const std::uint64_t first = simulation_.seen().first();
  const std::uint64_t goal = published_end();
  while (first + disk.written.size() < goal) {
    auto gathered = parts_->source.gather(first + disk.written.size(), batch_records_max_, 256);
    if (!gathered) scheduler.fail(gathered.error().message);
    if (gathered->empty()) break;
    for (const shm::Gathered& item : *gathered) {
      if (item.bad != nullptr) scheduler.fail(item.bad);
      scheduler.require(simulation_.seen().is(item.seq, item.record),
                        "the flusher gathers other bytes than were published");
    }
    scheduler.point();
    for (const shm::Gathered& item : *gathered)
      disk.written.emplace_back(item.record.begin(), item.record.end());
    shm::set_written(*process_.region, first + disk.written.size());
  }
  if (scheduler.fault() == Fault::kSyncedBeforeDisk)
    shm::set_synced(*process_.region, first + disk.written.size());
  scheduler.point();
  if (!sync()) {  // what was written since the last one counts as lost
    ++simulation_.counts().failed_syncs;
    disk.written.resize(disk.synced);
    return shm::set_written(*process_.region, first + disk.synced);
  }
  disk.synced = disk.written.size();
  scheduler.point();
  shm::set_synced(*process_.region, first + disk.synced);
  make_room();
}

// False: it failed.
bool Daemon::sync() {
  if (dice_.one_in(kSyncIsSlowOneIn)) {
    Scheduler& scheduler = simulation_.scheduler();
    const WaitingFor waiting(scheduler, 2 * kSlowSyncNs, [] { return true; });
    simulation_.disk().slow = true;
    scheduler.wait_signal(kSlowSyncNs);
    simulation_.disk().slow = false;
  }
  return !dice_.one_in(kSyncFailsOneIn);
}

// As the flusher, but that chance decides when it is due.
void Daemon::make_room() {
  const std::uint64_t chunks = process_.region->sizes().chunk_count;
  const bool wanted = parts_->keeper.room_wanted();
  if (wanted || dice_.one_in(2)) parts_->keeper.reclaim(wanted ? chunks : chunks / 2);
  if (const auto chunk = parts_->keeper.damaged_chunk())
    simulation_.scheduler().fail("chunk " + std::to_string(*chunk) +
                                 " has an owner word, or a hazard, that cannot be");
}

}  // namespace oj::schedules
