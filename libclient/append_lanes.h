// The producers of one process: one for each thread that appends at the same moment.
//
// A producer owns at most one open chunk. A thread takes the lane that it had last, else any free
// one from the first on, so that a process in which one thread at a time appends (a lock of its
// own, Python's GIL) uses one lane and pins one chunk, and N threads that append all the time get N
// lanes, up to kLanes.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>

#include "base/result.h"
#include "libclient/attachment.h"
#include "shm/producer.h"

namespace oj::client {

class AppendLanes {
 public:
  explicit AppendLanes(const CurrentAttachment& current) : current_(current) {}

  struct Attempt {
    shm::Full full = shm::Full::kNo;
    std::uint64_t attachment = 0;  // the number of the one that was used
    schema::SessionId session = 0;
    std::uint64_t seq = 0;
    std::uint64_t room_made = 0;  // for shm::wait_for_room(), when full
  };
  // Stamps `record` and publishes it, if there is room. Never waits but for other threads' turns.
  // kGone: the attachment is of no more use (its number is in `used`); otherwise as
  // Producer::try_append.
  Result<Attempt> try_append(std::span<std::byte> record, std::uint64_t op_no, std::uint64_t& used);

  // Until every append that had begun before the call has ended.
  void drain();
  // Gives up what the lanes hold of attachments other than the current one; all of it if there is
  // none.
  void refresh();

 private:
  static constexpr std::size_t kLanes = 8;
  struct alignas(64) Lane {
    std::mutex mutex;
    std::shared_ptr<Attachment> attachment;
    std::optional<shm::Producer> producer;
  };
  std::unique_lock<std::mutex> take(std::size_t& index);
  void renew(Lane& lane);

  const CurrentAttachment& current_;
  std::array<Lane, kLanes> lanes_;
};

}  // namespace oj::client
