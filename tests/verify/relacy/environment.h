// The environment in which Relacy runs the templates of shm/ under weak memory orders, and the
// region of words that its tests share.
//
// Every operation may be given a weaker order than the code asks for: that is how faults are
// planted, by the name of a word and the kind of the operation, without a line in shm/.
//
// Include this before anything of shm/: Relacy defines macros with the names of the orders, of new
// and of free, which are taken back here.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include <relacy/relacy.hpp>

#undef memory_order_relaxed
#undef memory_order_consume
#undef memory_order_acquire
#undef memory_order_release
#undef memory_order_acq_rel
#undef memory_order_seq_cst
#undef new
#undef delete
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef errno

namespace oj::weak {

enum class Part : std::uint8_t {
  kNone,
  kRing,
  kOwners,
  kPool,
  kHint,
  kSynced,
  kRetained,
  kHazards,
  kWake
};
enum class Operation : std::uint8_t { kLoad, kStore, kUpdate };

// The order that an operation on a part of the region gets, instead of what the code asks for.
struct Weakening {
  Part part = Part::kNone;
  Operation operation = Operation::kLoad;
  std::memory_order order = std::memory_order_seq_cst;
};
using Weakenings = std::array<Weakening, 2>;
inline Weakenings the_weakenings;  // of the run
Part part_of(const void* word);    // in the region of the test that runs

template <class T>
class Atomic {
 public:
  Atomic() : word_(T{0}) {}

  T load(std::memory_order order) const noexcept {
    return word_.load(given(Operation::kLoad, order), $);
  }
  void store(T value, std::memory_order order) noexcept {
    word_.store(value, given(Operation::kStore, order), $);
  }
  T exchange(T value, std::memory_order order) noexcept {
    return word_.exchange(value, given(Operation::kUpdate, order), $);
  }
  T fetch_add(T value, std::memory_order order) noexcept {
    return word_.fetch_add(value, given(Operation::kUpdate, order), $);
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order success,
                               std::memory_order failure) noexcept {
    const rl::memory_order order = given(Operation::kUpdate, success);
    // A failure cannot be ordered more strongly than the success.
    const bool plain = order == rl::mo_relaxed || order == rl::mo_release;
    return word_.compare_exchange_strong(expected, desired, order, $,
                                         plain ? rl::mo_relaxed : order_of(failure), $);
  }
  // Strong: a failure without reason only repeats the loop, for ever in an exhaustive search.
  bool compare_exchange_weak(T& expected, T desired, std::memory_order success,
                             std::memory_order failure) noexcept {
    return compare_exchange_strong(expected, desired, success, failure);
  }

 private:
  static rl::memory_order order_of(std::memory_order order) {
    switch (order) {
      case std::memory_order_relaxed: return rl::mo_relaxed;
      case std::memory_order_consume: return rl::mo_consume;
      case std::memory_order_acquire: return rl::mo_acquire;
      case std::memory_order_release: return rl::mo_release;
      case std::memory_order_acq_rel: return rl::mo_acq_rel;
      default: return rl::mo_seq_cst;
    }
  }
  rl::memory_order given(Operation operation, std::memory_order order) const {
    for (const Weakening& weaker : the_weakenings) {
      if (weaker.part != Part::kNone && weaker.operation == operation &&
          weaker.part == part_of(this))
        return order_of(weaker.order);
    }
    return order_of(order);
  }

  mutable rl::atomic<T> word_;
};

// Threads of a test do not block: one that would sleep ends, and the test says at its end whether
// it should have been woken. The kernel's look at the word sees its last value.
struct Sleepers {
  static constexpr std::size_t kMax = 4;
  bool asleep[kMax] = {};
};
inline Sleepers the_sleepers;

struct Environment {
  template <class T>
  using Atomic = weak::Atomic<T>;

  static void at(const char* /*place*/) noexcept {}
  static void futex_wait(Atomic<std::uint32_t>& word, std::uint32_t expected,
                         std::int64_t /*timeout_ns*/) noexcept {
    if (word.fetch_add(0, std::memory_order_relaxed) == expected)
      the_sleepers.asleep[rl::thread_index()] = true;
  }
  static void futex_wake_all(Atomic<std::uint32_t>& word) noexcept {
    word.load(std::memory_order_relaxed);  // others may run before the kernel does it
    for (bool& asleep : the_sleepers.asleep) asleep = false;
  }
};

}  // namespace oj::weak
