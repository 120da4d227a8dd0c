// Futexes of the production environment.
//
// SPDX-License-Identifier: MIT
#include "shm/environment.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <ctime>

#include "base/clock.h"

namespace oj::shm {

// Not FUTEX_PRIVATE: the word is shared between processes (std::atomic::wait of libstdc++ 12 is
// private). EAGAIN, EINTR and ETIMEDOUT all mean "look again", which every caller does.
void Production::futex_wait(const Atomic<std::uint32_t>& word, std::uint32_t expected,
                            std::int64_t timeout_ns) noexcept {
  if (timeout_ns <= 0) return;
  timespec timeout{};
  timeout.tv_sec = static_cast<time_t>(timeout_ns / kNsPerS);
  timeout.tv_nsec = static_cast<long>(timeout_ns % kNsPerS);
  syscall(SYS_futex, &word, FUTEX_WAIT, expected, &timeout, nullptr, 0);
}

void Production::futex_wake_all(const Atomic<std::uint32_t>& word) noexcept {
  syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace oj::shm
