// The environment of the code under test, and its clock; while a schedule runs, it answers.
//
// SPDX-License-Identifier: MIT
#include "tests/verify/schedules/environment.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <ctime>

#include "tests/verify/schedules/scheduler.h"

namespace oj::shm {

using oj::schedules::Scheduler;

void scheduled::perform(Access& access) noexcept {
  Scheduler* const scheduler = Scheduler::active();
  if (scheduler == nullptr || !scheduler->in_fibre()) return schedules::perform_raw(access);
  scheduler->perform(access);
}

void Production::at(const char* place) noexcept {
  Scheduler* const scheduler = Scheduler::active();
  if (scheduler != nullptr && scheduler->in_fibre()) scheduler->at_place(place);
}

void Production::futex_wait(const Atomic<std::uint32_t>& word, std::uint32_t expected,
                            std::int64_t timeout_ns) noexcept {
  Scheduler::active()->sleep(&word, expected, timeout_ns);
}

void Production::futex_wake_all(const Atomic<std::uint32_t>& word) noexcept {
  Scheduler* const scheduler = Scheduler::active();
  if (scheduler != nullptr && scheduler->in_fibre()) scheduler->wake_all(&word);
}

}  // namespace oj::shm

// Whoever asks for the time in a schedule, in whatever library, is told the schedule's.
extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
  const auto* const scheduler = oj::schedules::Scheduler::active();
  if (scheduler == nullptr) return static_cast<int>(syscall(SYS_clock_gettime, clock, time));
  time->tv_sec = scheduler->now_ns() / 1'000'000'000;
  time->tv_nsec = scheduler->now_ns() % 1'000'000'000;
  return 0;
}
