// What went wrong, counted by kind, for metrics.
//
// One for the whole life of a daemon: the counts go on where a region is replaced.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/result.h"

namespace oj::daemon {

enum class Trouble : std::uint8_t {
  kWrite,          // the journal could not be written: a frame, or a new segment
  kSync,           // fdatasync failed
  kDiskFull,       // either of them, for want of room
  kDamagedRecord,  // a published record failed its checks
  kDamagedRegion,  // the region was cut or written over, and is replaced
  kAccept,         // a connection could not be accepted: out of descriptors
  kOrphans,        // orphans could not be looked after, or their end not be published
};
constexpr std::size_t kTroubles = 7;

// Why the control socket said no.
enum class Refusal : std::uint8_t {
  kConnections,  // as many as there may be
  kWorkerSlots,  // likewise
  kVersion,      // the client speaks another one
  kInvalid,      // no message, a wrong one, another process's pidfd
  kRegion,       // the region is damaged and about to be replaced
  kInUse,        // asked to stop while workers are attached
};
constexpr std::size_t kRefusals = 6;

class Troubles {
 public:
  // Any thread.
  void count(Trouble kind) { add(kinds_[static_cast<std::size_t>(kind)]); }
  void count(Refusal reason) { add(refusals_[static_cast<std::size_t>(reason)]); }
  std::uint64_t of(Trouble kind) const { return get(kinds_[static_cast<std::size_t>(kind)]); }
  std::uint64_t of(Refusal reason) const {
    return get(refusals_[static_cast<std::size_t>(reason)]);
  }

  // As metrics name them.
  static const char* name_of(Trouble kind);
  static const char* name_of(Refusal reason);
  // Of a refusal that the client is told with `code`.
  static Refusal of_code(Code code);

 private:
  static void add(std::atomic<std::uint64_t>& count) {
    count.fetch_add(1, std::memory_order_relaxed);  // stat
  }
  static std::uint64_t get(const std::atomic<std::uint64_t>& count) {
    return count.load(std::memory_order_relaxed);  // stat
  }

  std::array<std::atomic<std::uint64_t>, kTroubles> kinds_{};
  std::array<std::atomic<std::uint64_t>, kRefusals> refusals_{};
};

}  // namespace oj::daemon
