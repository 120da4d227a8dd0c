// SPDX-License-Identifier: MIT
#include "daemon/reaper.h"

#include <unistd.h>

#include <utility>

#include <spdlog/spdlog.h>

#include "base/check.h"
#include "base/clock.h"

namespace oj::daemon {

Reaper::Reaper(std::shared_ptr<shm::Region> region, FlusherOrders& orders)
    : region_(std::move(region)), orders_(orders), slots_(region_), on_its_way_(slots_.size(), 0) {}

Result<void> Reaper::take_seat() {
  const auto slot = slots_.assign({0, static_cast<std::uint32_t>(getpid()),
                                   static_cast<std::uint32_t>(geteuid()), utc_us(), "optjournald"});
  if (!slot) {
    return Error{Code::kBusy, "all " + std::to_string(slots_.size()) + " worker slots of " +
                                  region_->path() + " are taken, and the daemon needs one"};
  }
  auto seat = shm::Seat::take(region_, *slot);
  if (!seat) return seat.error();
  seat_.emplace(std::move(*seat));
  producer_.emplace(region_, *slot);
  return {};
}

void Reaper::give_up_seat() {
  producer_.reset();
  seat_.reset();
}

void Reaper::proven_dead(shm::SlotRef slot) {
  if (on_its_way(slot)) return;
  const shm::SlotTable::Snapshot seen = slots_.snapshot(slot.index);
  if (seen.slot.incarnation != slot.incarnation) return;
  if (seen.state == shm::SlotState::kClosed || seen.state == shm::SlotState::kFree)
    return look_at(slot.index);
  const bool never_taken = seen.state == shm::SlotState::kAssigned;
  if (!slots_.begin_reaping(slot)) return look_at(slot.index);  // it closed in this moment
  if (never_taken || seen.identity.session == 0) return send_on(slot);
  spdlog::info("worker died: pid {} ({}), session {}, slot {}, {} records", seen.identity.pid,
               seen.identity.command, seen.identity.session, slot.index, seen.records);
  on_its_way_[slot.index] = slot.incarnation + 1;
  waiting_.push_back({slot, seen.identity, seen.records});
  continue_pending();
}

void Reaper::never_taken(shm::SlotRef slot) {
  if (!on_its_way(slot) && slots_.withdraw(slot)) send_on(slot);
}

void Reaper::look_at(std::uint32_t index) {
  const shm::SlotTable::Snapshot seen = slots_.snapshot(index);
  if (on_its_way(seen.slot)) return;
  if (seen.state == shm::SlotState::kClosed) {
    if (seen.identity.session != 0) {
      spdlog::info("worker ended: pid {} ({}), session {}, slot {}, {} records", seen.identity.pid,
                   seen.identity.command, seen.identity.session, index, seen.records);
    }
    send_on(seen.slot);
  } else if (seen.state == shm::SlotState::kReaping) {
    if (seen.identity.session == 0) return send_on(seen.slot);
    on_its_way_[index] = seen.slot.incarnation + 1;
    waiting_.push_back({seen.slot, seen.identity, seen.records});
    continue_pending();
  }
}

bool Reaper::continue_pending() {
  while (producer_ && !waiting_.empty() && publish_death(waiting_.front())) {
    orders_.post_ended(waiting_.front().slot);
    waiting_.pop_front();
  }
  return !waiting_.empty();
}

void Reaper::send_on(shm::SlotRef slot) {
  on_its_way_[slot.index] = slot.incarnation + 1;
  orders_.post_ended(slot);
}

bool Reaper::publish_death(const Dead& dead) {
  const std::span<std::byte> record = encoder_.encode(schema::Operation{
      schema::SessionEnded{dead.identity.session, schema::SessionEnded::Reason::kDied}});
  schema::stamp(record, {0, 0, utc_us()});
  const auto attempt = producer_->try_append(record);
  if (attempt) {
    const bool published = attempt->full == shm::Full::kNo;
    deaths_told_ += published;
    return published;
  }
  // The region is retired or damaged: the flusher sees that too, and this region is not gone on
  // with.
  spdlog::error("cannot publish the death of session {}: {}", dead.identity.session,
                attempt.error().message);
  return true;
}

}  // namespace oj::daemon
