// Sleep and wake: nobody sleeps while what he waits for is so.
//
// SPDX-License-Identifier: MIT
#pragma once

#include "tests/verify/relacy/region.h"

namespace oj::weak {

struct Sleepy {
  Region region;

  void lie_down() { the_sleepers = {}; }
  // As wait_published() does.
  void sleep_until_published() {
    auto& word = region.marks.published_wake;
    const std::uint32_t armed = shm::arm<Environment>(word);
    if (region.ring().lap(region.ring().load_before_sleep(0), 0) == shm::Lap::kThis) return;
    Environment::futex_wait(word, armed, 1);
  }
  void publish_and_wake(std::uint64_t reference) {
    shm::PublishCursor cursor;
    region.ring().publish(reference, cursor);
    shm::wake_sleepers<Environment>(region.marks.published_wake);
  }
  // As wait_synced() and set_synced() do.
  void sleep_until_synced() {
    auto& word = region.marks.published_wake;
    const std::uint32_t armed = shm::arm<Environment>(word);
    if (region.marks.synced.load(std::memory_order_seq_cst) >= 1) return;
    Environment::futex_wait(word, armed, 1);
  }
  void sync_and_wake() {
    shm::raise_mark<Environment>(region.marks.synced, 1);
    shm::wake_sleepers<Environment>(region.marks.published_wake);
  }
  // Whatever the sleepers waited for is so by now.
  void all_awake() {
    for (const bool asleep : the_sleepers.asleep) RL_ASSERT(!asleep);
  }
};

struct OneSleeperOneWaker : rl::test_suite<OneSleeperOneWaker, 2>, Sleepy {
  void before() { lie_down(); }
  void thread(unsigned index) { index == 0 ? sleep_until_published() : publish_and_wake(1); }
  void after() { all_awake(); }
};

struct OneSleeperOneSync : rl::test_suite<OneSleeperOneSync, 2>, Sleepy {
  void before() { lie_down(); }
  void thread(unsigned index) { index == 0 ? sleep_until_synced() : sync_and_wake(); }
  void after() { all_awake(); }
};

struct TwoSleepersOneWaker : rl::test_suite<TwoSleepersOneWaker, 3>, Sleepy {
  void before() { lie_down(); }
  void thread(unsigned index) { index < 2 ? sleep_until_published() : publish_and_wake(1); }
  void after() { all_awake(); }
};

// One waker may clear `armed` while the other makes it true.
struct OneSleeperTwoWakers : rl::test_suite<OneSleeperTwoWakers, 3>, Sleepy {
  void before() { lie_down(); }
  void thread(unsigned index) { index == 0 ? sleep_until_published() : publish_and_wake(index); }
  void after() { all_awake(); }
};

}  // namespace oj::weak
