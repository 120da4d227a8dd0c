// SPDX-License-Identifier: MIT
#include "shm/worker_slots.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "shm/views.h"

namespace oj::shm {
namespace {

constexpr std::uint64_t word_of(SlotState state, std::uint64_t incarnation) {
  return incarnation << kSlotIncarnationShift | static_cast<std::uint8_t>(state);
}
constexpr SlotState state_of(std::uint64_t word) { return static_cast<SlotState>(word & 0xff); }
constexpr std::uint64_t incarnation_of(std::uint64_t word) { return word >> kSlotIncarnationShift; }

// The byte `index` of the region file, as an open-file-description lock: unlike a POSIX record lock
// it is not lost when the process closes some other descriptor of the file. Returns 0 or errno.
int lock_byte(int fd, int command, short type, std::uint32_t index,
              struct flock* answer = nullptr) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = index;
  lock.l_len = 1;
  int rc;
  do rc = fcntl(fd, command, &lock);
  while (rc != 0 && errno == EINTR);
  if (answer != nullptr) *answer = lock;
  return rc == 0 ? 0 : errno;
}

bool change(ProductionSlot& slot, std::uint64_t from, std::uint64_t to) noexcept {
  return slot.state.compare_exchange_strong(from, to,
                                            std::memory_order_acq_rel,   // pair: life, identity
                                            std::memory_order_acquire);  // pair: life
}

std::string slot_text(const Region& region, SlotRef slot) {
  return "worker slot " + std::to_string(slot.index) + " (life " +
         std::to_string(slot.incarnation) + ") of the region " + region.path();
}

}  // namespace

Result<Seat> Seat::take(std::shared_ptr<Region> region, SlotRef slot) {
  OJ_CHECK(region != nullptr && region->writable());
  if (slot.index >= region->sizes().worker_slots) {
    return Error{Code::kInvalid, slot_text(*region, slot) + " does not exist: it has " +
                                     std::to_string(region->sizes().worker_slots) + " slots"};
  }
  if (const int error = lock_byte(region->fd(), F_OFD_SETLK, F_WRLCK, slot.index); error != 0) {
    if (error == EAGAIN || error == EACCES) {
      return Error{Code::kGone, slot_text(*region, slot) + " is held by another process"};
    }
    return io_error("cannot lock " + slot_text(*region, slot), error);
  }
  Production::at("seat.before_live");
  ProductionSlot& shared = RegionView(*region).slot(slot.index);
  if (!change(shared, word_of(SlotState::kAssigned, slot.incarnation),
              word_of(SlotState::kLive, slot.incarnation))) {
    const std::uint64_t now = shared.state.load(std::memory_order_acquire);  // pair: life
    // LIVE in this life: a seat of this process has it, through the same descriptor, so the lock
    // that we "took" is that one's. In a later life: somebody else's, who died before we took it.
    if (now != word_of(SlotState::kLive, slot.incarnation))
      lock_byte(region->fd(), F_OFD_SETLK, F_UNLCK, slot.index);
    return Error{Code::kGone, slot_text(*region, slot) + " is no longer assigned: it is in state " +
                                  std::to_string(static_cast<unsigned>(state_of(now))) + ", life " +
                                  std::to_string(incarnation_of(now))};
  }
  Seat seat;
  seat.region_ = std::move(region);
  seat.slot_ = slot;
  return seat;
}

Seat::Seat(Seat&& other) noexcept
    : region_(std::exchange(other.region_, nullptr)), slot_(other.slot_) {}

Seat& Seat::operator=(Seat&& other) noexcept {
  if (this != &other) {
    close();
    region_ = std::exchange(other.region_, nullptr);
    slot_ = other.slot_;
  }
  return *this;
}

Seat::~Seat() { close(); }

bool Seat::held() const noexcept {
  if (!region_ || region_->base() == nullptr) return false;
  return RegionView(*region_)
             .slot(slot_.index)
             .state.load(std::memory_order_acquire) ==  // pair: life
         word_of(SlotState::kLive, slot_.incarnation);
}

void Seat::close() noexcept {
  if (!region_ || region_->base() == nullptr) return;
  // Not LIVE in this life: the daemon took us for dead. Then the lock byte may be somebody else's
  // concern, but it is ours to give back all the same: the slot is not assigned again before it is
  // free.
  change(RegionView(*region_).slot(slot_.index), word_of(SlotState::kLive, slot_.incarnation),
         word_of(SlotState::kClosed, slot_.incarnation));
  Production::at("seat.before_unlock");
  lock_byte(region_->fd(), F_OFD_SETLK, F_UNLCK, slot_.index);
  region_.reset();
}

void Seat::abandon_after_fork() noexcept { region_.reset(); }

SlotTable::SlotTable(std::shared_ptr<Region> region) : region_(std::move(region)) {
  OJ_CHECK(region_ != nullptr);
}

std::uint32_t SlotTable::size() const { return region_->sizes().worker_slots; }

SlotTable::Snapshot SlotTable::snapshot(std::uint32_t index) const {
  OJ_CHECK(index < size());
  const ProductionSlot& slot = RegionView(*region_).slot(index);
  Snapshot result;
  // Fields of two lives must not mix: look at the word before and after. A slot that changes every
  // time is shown as it is.
  for (int attempt = 0; attempt < 4; ++attempt) {
    const std::uint64_t before = slot.state.load(std::memory_order_acquire);  // pair: identity
    result.state = state_of(before);
    result.slot = {index, incarnation_of(before)};
    result.identity.session = slot.session.load(std::memory_order_acquire);        // pair: identity
    result.identity.pid = slot.pid.load(std::memory_order_acquire);                // pair: identity
    result.identity.uid = slot.uid.load(std::memory_order_acquire);                // pair: identity
    result.identity.started_us = slot.started_us.load(std::memory_order_acquire);  // pair: identity
    char command[kCommandWords * sizeof(std::uint64_t) + 1] = {};
    for (std::size_t i = 0; i < kCommandWords; ++i) {
      const std::uint64_t word = slot.command[i].load(std::memory_order_acquire);  // pair: identity
      std::memcpy(command + i * sizeof word, &word, sizeof word);
    }
    result.identity.command = command;
    result.records = slot.records.load(std::memory_order_relaxed);  // stat
    if (slot.state.load(std::memory_order_relaxed) == before)
      break;  // identity: ordered by the acquires above
  }
  return result;
}

std::optional<SlotRef> SlotTable::assign(const SlotIdentity& identity) {
  OJ_CHECK(region_->writable());
  const RegionView view(*region_);
  for (std::uint32_t index = 0; index < size(); ++index) {
    ProductionSlot& slot = view.slot(index);
    const std::uint64_t word = slot.state.load(std::memory_order_acquire);  // pair: life
    if (state_of(word) != SlotState::kFree) continue;
    if (const auto free = lock_is_free(index); !free || !*free) continue;   // S4
    slot.session.store(identity.session, std::memory_order_release);        // pair: identity
    slot.pid.store(identity.pid, std::memory_order_release);                // pair: identity
    slot.uid.store(identity.uid, std::memory_order_release);                // pair: identity
    slot.started_us.store(identity.started_us, std::memory_order_release);  // pair: identity
    char command[kCommandWords * sizeof(std::uint64_t)] = {};
    std::memcpy(command, identity.command.data(),
                std::min(identity.command.size(), sizeof command - 1));
    for (std::size_t i = 0; i < kCommandWords; ++i) {
      std::uint64_t part;
      std::memcpy(&part, command + i * sizeof part, sizeof part);
      slot.command[i].store(part, std::memory_order_release);  // pair: identity
    }
    slot.records.store(0, std::memory_order_relaxed);  // stat
    if (change(slot, word, word_of(SlotState::kAssigned, incarnation_of(word))))
      return SlotRef{index, incarnation_of(word)};
  }
  return std::nullopt;
}

Result<bool> SlotTable::lock_is_free(std::uint32_t index) const {
  OJ_CHECK(index < size());
  struct flock found {};
  if (const int error = lock_byte(region_->fd(), F_OFD_GETLK, F_WRLCK, index, &found); error != 0) {
    return io_error("cannot ask for the lock of worker slot " + std::to_string(index) + " of " +
                        region_->path(),
                    error);
  }
  return found.l_type == F_UNLCK;
}

bool SlotTable::begin_reaping(SlotRef slot) noexcept {
  OJ_CHECK(slot.index < size() && region_->writable());
  ProductionSlot& shared = RegionView(*region_).slot(slot.index);
  const std::uint64_t reaping = word_of(SlotState::kReaping, slot.incarnation);
  // A worker on its way from ASSIGNED to LIVE may come between; then the second change does it.
  if (change(shared, word_of(SlotState::kAssigned, slot.incarnation), reaping)) return true;
  if (change(shared, word_of(SlotState::kLive, slot.incarnation), reaping)) return true;
  return shared.state.load(std::memory_order_acquire) == reaping;  // pair: life
}

bool SlotTable::withdraw(SlotRef slot) noexcept {
  OJ_CHECK(slot.index < size() && region_->writable());
  return change(RegionView(*region_).slot(slot.index),
                word_of(SlotState::kAssigned, slot.incarnation),
                word_of(SlotState::kReaping, slot.incarnation));
}

void SlotTable::finish(SlotRef slot) noexcept {
  OJ_CHECK(slot.index < size() && region_->writable());
  ProductionSlot& shared = RegionView(*region_).slot(slot.index);
  const std::uint64_t word = shared.state.load(std::memory_order_acquire);  // pair: life
  const SlotState state = state_of(word);
  if (incarnation_of(word) != slot.incarnation ||
      (state != SlotState::kClosed && state != SlotState::kReaping))
    return;
  for (auto& hazard : shared.hazards) hazard.store(0, std::memory_order_release);  // pair: unpin
  change(shared, word, word_of(SlotState::kFree, slot.incarnation + 1));
}

}  // namespace oj::shm
