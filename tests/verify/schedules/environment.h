// The environment in which a scheduler runs the shipped sources of shm/ (OJ_SHM_ENVIRONMENT names
// this header; shm/environment.h).
//
// `Production` is here a type whose atomics have the size and the place of std::atomic, and hand
// every operation to perform(): it lets the scheduler change to another fibre, or end the process,
// before the operation, and then does it. Memory orders have no meaning here: all fibres are in one
// thread, so what is explored is sequentially consistent (weak orders: tests/verify/relacy).
//
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>

namespace oj::shm {
namespace scheduled {

enum class Operation : std::uint8_t { kLoad, kStore, kExchange, kAdd, kCompareExchange };

// One atomic operation, before and after it was done.
struct Access {
  Operation operation = Operation::kLoad;
  bool weak = false;  // may fail without reason
  unsigned bytes = 0;
  void* word = nullptr;
  std::uint64_t operand = 0;   // stored, added, or the desired value
  std::uint64_t expected = 0;  // of kCompareExchange
  std::uint64_t value = 0;     // what was there before
  bool done = true;            // false: a kCompareExchange that failed
};
void perform(Access& access) noexcept;

template <class T>
class Atomic {
  static_assert(std::is_integral_v<T> && (sizeof(T) == 4 || sizeof(T) == 8));

 public:
  T load(std::memory_order /*order*/) const noexcept { return ask(Operation::kLoad, 0); }
  void store(T value, std::memory_order /*order*/) noexcept { ask(Operation::kStore, value); }
  T exchange(T value, std::memory_order /*order*/) noexcept {
    return ask(Operation::kExchange, value);
  }
  T fetch_add(T value, std::memory_order /*order*/) noexcept { return ask(Operation::kAdd, value); }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order /*success*/,
                               std::memory_order /*failure*/) noexcept {
    return compare_exchange(expected, desired, false);
  }
  bool compare_exchange_weak(T& expected, T desired, std::memory_order /*success*/,
                             std::memory_order /*failure*/) noexcept {
    return compare_exchange(expected, desired, true);
  }

 private:
  Access access_of(Operation operation, T operand) const noexcept {
    Access access;
    access.operation = operation;
    access.bytes = sizeof(T);
    access.word = const_cast<T*>(&value_);
    access.operand = static_cast<std::uint64_t>(operand);
    return access;
  }
  T ask(Operation operation, T operand) const noexcept {
    Access access = access_of(operation, operand);
    perform(access);
    return static_cast<T>(access.value);
  }
  bool compare_exchange(T& expected, T desired, bool weak) noexcept {
    Access access = access_of(Operation::kCompareExchange, desired);
    access.expected = static_cast<std::uint64_t>(expected);
    access.weak = weak;
    perform(access);
    if (!access.done) expected = static_cast<T>(access.value);
    return access.done;
  }

  T value_;
};

}  // namespace scheduled

struct Production {
  template <class T>
  using Atomic = scheduled::Atomic<T>;

  // Small, so that a few records fill a chunk.
  static constexpr std::uint64_t kChunkBytesMin = 64;

  static void at(const char* place) noexcept;
  static void futex_wait(const Atomic<std::uint32_t>& word, std::uint32_t expected,
                         std::int64_t timeout_ns) noexcept;
  static void futex_wake_all(const Atomic<std::uint32_t>& word) noexcept;
};

static_assert(sizeof(Production::Atomic<std::uint32_t>) == sizeof(std::atomic<std::uint32_t>) &&
              alignof(Production::Atomic<std::uint32_t>) == alignof(std::atomic<std::uint32_t>));
static_assert(sizeof(Production::Atomic<std::uint64_t>) == sizeof(std::atomic<std::uint64_t>) &&
              alignof(Production::Atomic<std::uint64_t>) == alignof(std::atomic<std::uint64_t>));

}  // namespace oj::shm
