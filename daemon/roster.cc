// SPDX-License-Identifier: MIT
#include "daemon/roster.h"

#include <utility>

#include "shm/watermarks.h"

namespace oj::daemon {
namespace {

constexpr std::size_t kNamedHoldersMax = 8;  // in a refusal

// As far as both are visible. kInvalid: it is not, or no pidfd.
Result<void> check_is_callers(int pidfd, const Peer& peer) {
  const auto pid = pid_of_pidfd(pidfd);
  if (!pid) return pid.error();
  if (!*pid) return Error{Code::kInvalid, "the descriptor beside Hello is no pidfd"};
  if (peer.pid == 0) return {};  // a caller of a pid namespace that we do not see
  const auto caller = shown_pid(peer.pid);
  if (!caller) return caller.error();
  if (**pid > 0 && *caller && **caller > 0 && **pid != **caller) {
    return Error{Code::kInvalid, "the pidfd beside Hello is of process " + std::to_string(**pid) +
                                     ", the caller is process " + std::to_string(**caller)};
  }
  return {};
}

}  // namespace

Roster::Roster(std::shared_ptr<shm::Region> region, FlusherOrders& orders, Watch watch)
    : region_(std::move(region)),
      orders_(orders),
      watch_(std::move(watch)),
      reaper_(region_, orders),
      count_source_(region_),
      counter_(region_, count_source_) {}

Result<shm::SlotRef> Roster::admit(const schema::Hello& hello, const Peer& peer, Fd pidfd) {
  if (pidfd) {
    const Result<void> known = check_is_callers(pidfd.get(), peer);
    if (!known && known.error().code != Code::kIo) return known.error();
    // Whose it is cannot be told at present: then it proves nothing, and the lock byte has to.
    if (!known) pidfd.reset();
  }
  std::optional<shm::SlotRef> slot = rejoined(hello, peer);
  if (!slot) slot = assigned(hello, peer);
  if (!slot) {
    return Error{Code::kBusy, "all " + std::to_string(reaper_.slots().size() - 1) +
                                  " worker slots are taken" + holders()};
  }
  said_[slot->index] = {slot->incarnation, hello.identity};
  if (pidfd) {
    watched_.erase(slot->index);
    if (watch_(pidfd.get(), slot->index)) {
      watched_.emplace(slot->index, Watched{std::move(pidfd), *slot});
    }
  }
  return *slot;
}

// The slot that the client already has, if that is still so. Else it gets a new one, and a new
// session: it sees that from Welcome, and takes it. Another user's slot is never given: whoever had
// it could end that session by his own death.
std::optional<shm::SlotRef> Roster::rejoined(const schema::Hello& hello, const Peer& peer) const {
  if (!hello.rejoin || hello.slot >= reaper_.slots().size() || reaper_.is_own(hello.slot))
    return std::nullopt;
  const auto seen = reaper_.slots().snapshot(hello.slot);
  if (seen.state != shm::SlotState::kLive || seen.slot.incarnation != hello.incarnation ||
      seen.identity.session != hello.session || seen.identity.uid != peer.uid) {
    return std::nullopt;
  }
  return seen.slot;
}

std::optional<shm::SlotRef> Roster::assigned(const schema::Hello& hello, const Peer& peer) {
  if (!seated_) return std::nullopt;  // the daemon's own slot comes first
  shm::SlotIdentity identity;
  identity.session = shm::next_session(*region_);
  identity.pid = peer.pid;
  identity.uid = peer.uid;
  identity.started_us = utc_us();
  identity.command = hello.command;
  return reaper_.slots().assign(identity);
}

void Roster::on_pidfd(std::uint32_t slot) {
  const auto found = watched_.find(slot);
  // The event may be of the pidfd that was here before: the kernel gave it together with those by
  // which the slot became free and somebody else's. So ask the one that is here now.
  if (found == watched_.end() || !has_ended(found->second.pidfd.get())) return;
  const shm::SlotRef dead = found->second.slot;
  watched_.erase(found);
  reaper_.proven_dead(dead);
}

// In its present life; a pidfd of a former one is forgotten.
bool Roster::is_watched(const shm::SlotTable::Snapshot& seen) {
  const auto found = watched_.find(seen.slot.index);
  if (found == watched_.end()) return false;
  if (seen.state != shm::SlotState::kFree &&
      found->second.slot.incarnation == seen.slot.incarnation)
    return true;
  watched_.erase(found);
  return false;
}

void Roster::look(const std::set<std::uint32_t>& connected) {
  looked_ns_ = monotonic_ns();
  if (!seated_) seated_ = reaper_.take_seat().ok();  // else when a former daemon's slot was freed
  workers_ = by_lock_ = 0;
  bool any = false;
  for (std::uint32_t i = 0; i < reaper_.slots().size(); ++i) {
    if (reaper_.is_own(i)) continue;
    const auto seen = reaper_.slots().snapshot(i);
    const bool watched = is_watched(seen);
    if (seen.state == shm::SlotState::kFree) continue;
    any = true;
    if (seen.state == shm::SlotState::kClosed || seen.state == shm::SlotState::kReaping) {
      reaper_.look_at(i);
      continue;
    }
    if (seen.state == shm::SlotState::kAssigned && connected.count(i) == 0) {
      reaper_.never_taken(seen.slot);  // who it was meant for has gone, or comes again
      continue;
    }
    const bool by_lock = !watched || connected.count(i) == 0;
    if (by_lock && seen.state == shm::SlotState::kLive) {
      if (Result<bool> free = reaper_.slots().lock_is_free(i); free && *free) {
        reaper_.proven_dead(seen.slot);
        continue;
      }
    }
    ++workers_;
    if (by_lock) ++by_lock_;
  }
  attached_ = any;
  orders_.post_attached(any);
}

shm::SlotIdentity Roster::identity(shm::SlotRef slot) const {
  return reaper_.slots().snapshot(slot.index).identity;
}

std::string Roster::holders() const {
  std::string text;
  std::size_t named = 0, more = 0;
  for (std::uint32_t i = 0; i < reaper_.slots().size(); ++i) {
    const auto seen = reaper_.slots().snapshot(i);
    if (seen.state == shm::SlotState::kFree || reaper_.is_own(i) || seen.identity.session == 0)
      continue;
    if (named == kNamedHoldersMax) {
      ++more;
      continue;
    }
    text += (named++ == 0 ? ": " : "; ");
    text += "slot " + std::to_string(i) + ", pid " + std::to_string(seen.identity.pid) + " (" +
            seen.identity.command + ")";
  }
  if (more > 0) text += "; and " + std::to_string(more) + " more";
  return text;
}

void Roster::describe(schema::Status& status) const {
  status.chunks_in_use = counter_.chunks_in_use();
  for (std::uint32_t i = 0; i < reaper_.slots().size(); ++i) {
    if (reaper_.is_own(i)) continue;
    const auto seen = reaper_.slots().snapshot(i);
    if (seen.state != shm::SlotState::kLive && seen.state != shm::SlotState::kAssigned) continue;
    const auto said = said_.find(i);
    const bool of_this_life =
        said != said_.end() && said->second.incarnation == seen.slot.incarnation;
    status.workers.push_back({i, seen.identity.pid, seen.identity.uid, seen.identity.session,
                              seen.identity.command, seen.identity.started_us, seen.records,
                              counter_.chunks_held_by(i),
                              of_this_life ? said->second.identity : schema::WorkerIdentity()});
  }
}

}  // namespace oj::daemon
