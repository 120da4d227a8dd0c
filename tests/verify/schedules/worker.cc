// Workers and monitors.
//
// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "shm/watermarks.h"
#include "tests/verify/schedules/actors.h"

namespace oj::schedules {
namespace {

// A worker asks for room again after 100 ms; half of that is for the daemon's window.
constexpr std::int64_t kRoomLateNs = 150 * kNsPerMs;
constexpr std::int64_t kMonitorLateNs = 60 * kNsPerMs;  // looks every 50 ms

// Bytes that only this record has, of one of three kinds of length, or a run of chunks.
Bytes record_of(std::uint64_t author, std::uint64_t number, std::uint64_t bytes_max, Dice& dice) {
  const std::uint64_t longest = dice.pick<std::uint64_t>({24, 64, 120, bytes_max});
  const std::uint64_t length = std::min(bytes_max, longest) - dice.below(8);
  Bytes bytes(length);
  Dice content(author << 32 | number);
  for (std::size_t at = 0; at < length; at += sizeof(std::uint64_t)) {
    const std::uint64_t word = content.next();
    std::memcpy(bytes.data() + at, &word, std::min(sizeof word, length - at));
  }
  return bytes;
}

}  // namespace

Reading::Reading(Simulation& simulation, shm::Reader reader, const shm::SlotRef* slot)
    : simulation_(simulation), reader_(std::move(reader)), slot_(slot) {}

void Reading::check_record(std::uint64_t seq, std::span<const std::byte> bytes) {
  simulation_.scheduler().require(simulation_.seen().is(seq, bytes),
                                  "a reader finds other bytes than were published");
}

void Reading::run(const std::shared_ptr<shm::Region>& region, std::uint64_t next) {
  Scheduler& scheduler = simulation_.scheduler();
  for (;;) {
    const std::uint64_t published = simulation_.seen().end();
    const shm::Reader::Answer answer = reader_.read(next);
    switch (answer.found) {
      case shm::Reader::Found::kRecord: {
        check_record(next, answer.bytes);
        // In place they must stay as they are, whatever the others do meanwhile.
        for (std::uint64_t more = scheduler.dice().below(12); more > 0; --more) {
          scheduler.point();
          check_record(next, answer.bytes);
        }
        ++(slot_ != nullptr ? simulation_.counts().in_place : simulation_.counts().copied);
        if (scheduler.dice().one_in(4)) reader_.unpin();
        ++next;
        continue;
      }
      case shm::Reader::Found::kOnDisk:
        simulation_.require_disk(next);
        ++simulation_.counts().from_disk;
        ++next;
        continue;
      case shm::Reader::Found::kBad: scheduler.fail(answer.why);
      case shm::Reader::Found::kNotPublished: break;
    }
    scheduler.require(published <= next, "a reader does not find what was published before");
    if (simulation_.ending() && next >= simulation_.seen().end()) return reader_.unpin();
    if (scheduler.dice().one_in(2)) reader_.unpin();
    const WaitingFor waiting(scheduler, slot_ != nullptr ? 0 : kMonitorLateNs,
                             [this, next] { return simulation_.seen().end() > next; });
    shm::wait_published(region, slot_, next, Deadline::never());
  }
}

Worker::Worker(Simulation& simulation, Process& process, shm::SlotRef slot, std::uint64_t author,
               Dice dice)
    : simulation_(simulation), process_(process), slot_(slot), author_(author), dice_(dice) {
  to_append_ = dice_.below(7);
  reads_ = to_append_ == 0 || dice_.one_in(2);
}

void Worker::run() {
  Scheduler& scheduler = simulation_.scheduler();
  auto seat = shm::Seat::take(process_.region, slot_);
  if (!seat) {  // a new daemon withdrew the slot before; a client would ask for another
    appended_ = ended_ = true;
    return simulation_.tell_daemon();
  }
  seat_.emplace(std::move(*seat));
  if (reads_) {
    ++threads_;
    scheduler.start(process_, process_.name + ".reader", [this] { read_all(); });
  }
  append_all();
  thread_ended();
}

void Worker::append_all() {
  producer_.emplace(process_.region, slot_);
  Thread& self = simulation_.scheduler().self();
  const std::uint64_t bytes_max = process_.region->sizes().record_bytes_max();
  for (std::uint64_t number = 1; number <= to_append_; ++number) {
    record_ = record_of(author_, number, bytes_max, dice_);
    self.in_flight = record_;
    self.author = author_;
    self.number = number;
    append_one();
    if (dice_.one_in(6)) producer_->seal();
  }
  producer_.reset();
  appended_ = true;
}

void Worker::append_one() {
  Scheduler& scheduler = simulation_.scheduler();
  shm::Producer::Attempt attempt;
  for (;;) {
    auto tried = producer_->try_append(record_);
    if (!tried) scheduler.fail(tried.error().message);
    attempt = *tried;
    if (attempt.full == shm::Full::kNo) break;
    const bool ring = attempt.full == shm::Full::kRing;
    scheduler.note(ring ? "the ring is full" : "the pool is full");
    ++(ring ? simulation_.counts().waits_ring : simulation_.counts().waits_pool);
    const WaitingFor waiting(scheduler, kRoomLateNs, [this] { return !simulation_.disk().slow; });
    shm::wait_for_room(process_.region, attempt.room_made, Deadline::never());
  }
  scheduler.require(simulation_.seen().acknowledge(attempt.seq, record_),
                    "an append says another place than its record has");
  if (!dice_.one_in(3)) return;
  ++simulation_.counts().waits_synced;
  const std::uint64_t end = attempt.seq + 1;
  const WaitingFor waiting(scheduler, 0, [&] { return shm::synced(*process_.region) >= end; });
  while (shm::wait_synced(process_.region, end, Deadline::never()) != shm::Waited::kReached) {}
  simulation_.require_disk(attempt.seq);
}

void Worker::read_all() {
  reading_.emplace(simulation_, shm::Reader(process_.region, slot_, 0), &slot_);
  // From the start, or from about now.
  const std::uint64_t from =
      dice_.one_in(3) ? shm::published_end(*process_.region) : simulation_.seen().first();
  reading_->run(process_.region, from);
  reading_.reset();
  thread_ended();
}

void Worker::thread_ended() {
  if (--threads_ > 0) return;
  simulation_.scheduler().require(seat_->held(), "a living worker's slot was taken from it");
  seat_->close();
  ended_ = true;
  simulation_.tell_daemon();
}

void Monitor::run() {
  reading_.emplace(simulation_, shm::Reader(process_.region), nullptr);
  reading_->run(process_.region, simulation_.seen().first());
  ended_ = true;
}

}  // namespace oj::schedules
