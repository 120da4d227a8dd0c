// What a worker was told to do and what came of it, in a file of its own that outlives it.
//
// An entry is one write(2): before a call its intent, after it the result. The page cache survives
// SIGKILL, and an entry never crosses a page, so the kernel cannot be interrupted inside one. So a
// call has an intent only (the worker died in it, or between the two writes: whether its record is
// in the journal is open) or both (it must be there).
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace oj::verify {

struct Entry {
  enum class Kind : std::uint16_t {
    kOpened = 1,  // `value`: the session. Again when the session became another one.
    kIntent,      // `number` is about to be appended; at_ns: before the call
    kResult,      // it was, as record `value`; at_ns: after the call
    kBelief,      // a lying worker: said to be appended, though the call is still to come
    kError,       // a call failed; the text is in FILE.error
    kClosed,      // ended as it was asked to
    kReady,       // what it had to do before it counts (touching memory, reading the past) is done
    kSeen,        // a reader: everything below `value` was read and found right
  };
  Kind kind = Kind::kOpened;
  std::uint16_t synced = 0;  // of an intent: the call also waits for the disk
  std::uint32_t number = 0;
  std::uint64_t value = 0;
  std::int64_t at_ns = 0;    // CLOCK_MONOTONIC
  std::int64_t wait_ns = 0;  // of a result: inside the call
};
static_assert(sizeof(Entry) == 32 && 4096 % sizeof(Entry) == 0);

class Diary {
 public:
  // Ends the process when the file cannot be made or written: these are tests.
  explicit Diary(const std::string& path);
  void write(const Entry& entry);
  void write_error(const std::string& text);

 private:
  std::string path_;
  Fd fd_;
};

std::vector<Entry> read_diary(const std::string& path);  // none: never begun
std::string read_error(const std::string& path);         // "": none

}  // namespace oj::verify
