// What a crash test's worker tells its judge, in a file of its own that outlives it: every append
// that returned.
//
// Goal    Nothing that a worker was told is published may be missing, torn, doubled or out of
//         order, whoever died.
// Method  The worker numbers its records 1, 2, 3, ... and, after append() returned seq s for record
//         n, stores seq[n] = s and then acked = n here (a mapped file: the stores survive SIGKILL).
//         The judge replays the journal and compares. Between append's return and the store the
//         worker may die: so a journal may hold one record more than acked, never one less.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/fd.h"

namespace oj::crash {

constexpr std::uint64_t kRecordsMax = 1u << 20;

struct Board {
  std::atomic<std::uint64_t> acked;        // records 1 .. acked were reported published
  std::atomic<std::uint64_t> wait_ns_max;  // the longest append
  std::atomic<std::uint64_t> errors;       // appends that returned an error
  std::atomic<std::uint64_t> running;      // 1 once the session is open
  char error_text[512];                    // the first error
  std::atomic<std::uint64_t> seq[kRecordsMax];
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

// Maps `path`, creating it (sparse, zeroed) when absent. Ends the process when it cannot: these are
// tests.
inline Board* map_board(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd || ::ftruncate(fd.get(), sizeof(Board)) != 0) {
    std::perror(path.c_str());
    std::exit(70);
  }
  void* map = ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (map == MAP_FAILED) {
    std::perror(path.c_str());
    std::exit(70);
  }
  return static_cast<Board*>(map);
}

}  // namespace oj::crash
