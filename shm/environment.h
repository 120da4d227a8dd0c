// What the protocol needs from the world: atomics, sleeping on a word, and named places to be
// killed at.
//
// The steps of the protocol (order_ring.h, chunk_pool.h, hazards.h, wake.h) are templates over an
// environment, so that production, a model checker and a scheduler that kills compile the same
// source. An environment is a type with
//
//   Atomic<T>                                  as std::atomic<T>; a checker's own type may do
//                                              something before each use
//   at(name)                                   a place where a process may be killed or stopped;
//                                              names are in each file
//   futex_wait(word, expected, timeout_ns)     sleeps while word == expected; may return at any
//                                              time
//   futex_wake_all(word)                       ends all futex_wait() on the word, in all processes
//   kChunkBytesMin                             the smallest chunk that a region may have
//
// The shipped sources (shm/*.cc) use the environment `Production`. It is the one below, unless
// OJ_SHM_ENVIRONMENT is defined, as the name of a header that defines `Production` in its place.
// Only a library that compiles all of shm/ for itself may do that: tests/verify/schedules, whose
// atomics are run by a scheduler. No program has both.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>

#ifdef OJ_SHM_ENVIRONMENT
#include OJ_SHM_ENVIRONMENT
#else

namespace oj::shm {

struct Production {
  template <class T>
  using Atomic = std::atomic<T>;

  static constexpr std::uint64_t kChunkBytesMin = 4096;

  static void at(const char* /*place*/) noexcept {}
  static void futex_wait(const Atomic<std::uint32_t>& word, std::uint32_t expected,
                         std::int64_t timeout_ns) noexcept;
  static void futex_wake_all(const Atomic<std::uint32_t>& word) noexcept;
};

}  // namespace oj::shm

#endif  // OJ_SHM_ENVIRONMENT
