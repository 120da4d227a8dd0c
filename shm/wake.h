// Sleep until somebody made something true; wake who sleeps.
//
// A wake word is {epoch : 31 | armed : 1}. Whoever is about to sleep *changes* the word and sets
// `armed`; whoever made something true looks at `armed` with one load, and only if it is set
// changes the word, wakes all, and clears `armed` unless the word has changed since.
//
// Roles
//   sleeper   arm(), look again at what it waits for, then futex_wait() with the value that arm()
//             returned
//   waker     makes it true, then wake_sleepers()
//
// Invariants
//   W1  `armed` is cleared only by a waker, only while the word is exactly what that waker made it
//       before it woke all.
//   W2  Every arm() and every wake changes the word.
//   No wake-up is lost. Say a sleeper armed the word to value a, looked, saw nothing, and sleeps,
//   while the waker's store makes the thing true. arm, look, store and the waker's look at the word
//   are seq_cst; the sleeper did not see the store, so its look came before the store, so the
//   waker's look came after arm: it sees a or something later. If that has `armed` set, the waker
//   wakes. If not, another waker cleared it after a; by W1 and W2 that one's change came after a
//   and its wake after its change, so the sleeper is either not asleep yet (the word is not a: it
//   does not fall asleep) or was woken; it looks again. The epoch returns to the same value after
//   2^31 changes, while a sleeper is between arm() and futex_wait(): at 10^7 wakes a second that is
//   200 s, and then a slice ends the sleep.
//
// Pairs
//   sleep   arm seq_cst, then look seq_cst   ->   make true seq_cst, then look at the word seq_cst
//
// Progress   wake_sleepers() is one load when nobody sleeps; arm() is lock-free.
// Crash      wake.before_change, wake.before_futex: `armed` is still set, so the next waker wakes
//            everybody, and the daemon repeats the wake (repeat_wake) within half a second. A
//            sleeper that died leaves `armed` set: one needless wake clears it.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "shm/environment.h"

namespace oj::shm {

constexpr std::uint32_t kArmed = 1;
constexpr std::uint32_t kWakeStep = 2;

// Returns the value to futex_wait() on.
template <class Env>
std::uint32_t arm(typename Env::template Atomic<std::uint32_t>& word) noexcept {
  std::uint32_t seen = word.load(std::memory_order_relaxed);  // hint: the CAS decides
  for (;;) {
    const std::uint32_t armed = (seen + kWakeStep) | kArmed;
    if (word.compare_exchange_weak(seen, armed, std::memory_order_seq_cst,  // pair: sleep
                                   std::memory_order_relaxed)) {            // hint: tried again
      return armed;
    }
  }
}

// REQUIRES: what the sleepers wait for was made true by a seq_cst store or read-modify-write of
// this thread.
template <class Env>
void wake_sleepers(typename Env::template Atomic<std::uint32_t>& word) noexcept {
  if ((word.load(std::memory_order_seq_cst) & kArmed) == 0) [[likely]]
    return;  // pair: sleep
  Env::at("wake.before_change");
  std::uint32_t mine =
      word.fetch_add(kWakeStep, std::memory_order_seq_cst) + kWakeStep;  // pair: sleep
  Env::at("wake.before_futex");
  Env::futex_wake_all(word);
  Env::at("wake.before_clear");
  if ((mine & kArmed) != 0) {
    word.compare_exchange_strong(mine, mine & ~kArmed, std::memory_order_seq_cst,  // pair: sleep
                                 std::memory_order_relaxed);  // hint: W1, somebody newer clears it
  }
}

// Makes it true for those who sleep until a watermark reaches `seq`; never lowers it.
template <class Env>
void raise_mark(typename Env::template Atomic<std::uint64_t>& mark, std::uint64_t seq) noexcept {
  std::uint64_t now = mark.load(std::memory_order_relaxed);  // hint: the CAS decides
  while (now < seq &&
         !mark.compare_exchange_weak(now, seq, std::memory_order_seq_cst,  // pair: sleep, synced
                                     std::memory_order_relaxed)) {         // hint: tried again
  }
}

}  // namespace oj::shm
