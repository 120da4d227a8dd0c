// SPDX-License-Identifier: MIT
#include "libclient/append_lanes.h"

#include "base/clock.h"
#include "schema/codec.h"

namespace oj::client {
namespace {

thread_local std::size_t last_lane = 0;  // of this thread, over all sessions: only a first guess

}  // namespace

std::unique_lock<std::mutex> AppendLanes::take(std::size_t& index) {
  index = last_lane;
  std::unique_lock<std::mutex> lock(lanes_[index].mutex, std::try_to_lock);
  for (std::size_t other = 0; !lock && other < kLanes; ++other) {
    index = other;
    lock = std::unique_lock(lanes_[index].mutex, std::try_to_lock);
  }
  if (!lock) {
    index = last_lane;
    lock = std::unique_lock(lanes_[index].mutex);
  }
  last_lane = index;
  return lock;
}

void AppendLanes::renew(Lane& lane) {
  lane.producer.reset();
  lane.attachment = current_.get();
  if (lane.attachment)
    lane.producer.emplace(lane.attachment->region, lane.attachment->seat->slot());
}

Result<AppendLanes::Attempt> AppendLanes::try_append(std::span<std::byte> record,
                                                     std::uint64_t op_no, std::uint64_t& used) {
  std::size_t index = 0;
  const std::unique_lock<std::mutex> lock = take(index);
  Lane& lane = lanes_[index];
  const std::uint64_t current = current_.number();
  if (!lane.attachment || lane.attachment->number != current) renew(lane);
  used = current;
  if (!lane.attachment) return Error{Code::kGone, "not attached to a region at present"};
  Attachment& attachment = *lane.attachment;
  used = attachment.number;
  if (current_.given_up(used)) return Error{Code::kGone, "the region is being replaced"};
  // Our chunks may be somebody else's by now.
  if (!attachment.seat->held()) return Error{Code::kGone, "the worker slot was taken away"};
  schema::stamp(record, {attachment.session, op_no, utc_us()});
  Result<shm::Producer::Attempt> attempt = lane.producer->try_append(record);
  if (!attempt) return attempt.error();
  return Attempt{attempt->full, attachment.number, attachment.session, attempt->seq,
                 attempt->room_made};
}

void AppendLanes::drain() {
  for (Lane& lane : lanes_) const std::lock_guard lock(lane.mutex);
}

void AppendLanes::refresh() {
  for (Lane& lane : lanes_) {
    const std::lock_guard lock(lane.mutex);
    if (lane.attachment && lane.attachment->number != current_.number()) renew(lane);
  }
}

}  // namespace oj::client
