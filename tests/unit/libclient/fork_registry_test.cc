// SPDX-License-Identifier: MIT
#include "libclient/fork_registry.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

namespace oj::client {
namespace {

struct Counting final : ForkAware {
  explicit Counting(Then what) : then(what) { ForkGuard().add(*this); }
  ~Counting() override { ForkGuard().remove(*this); }
  void before_fork() noexcept override { ++before; }
  void after_fork_in_parent() noexcept override { ++in_parent; }
  Then after_fork_in_child() noexcept override {
    ++in_child;
    return then;
  }
  const Then then;
  int before = 0, in_parent = 0, in_child = 0;
};

// What `body` returns in a fork child.
template <class Body>
int in_child(Body body) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(body());
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(ForkRegistry, TellsBothSides) {
  Counting thing(ForkAware::Then::kStay);
  EXPECT_EQ(in_child([&] { return thing.before * 100 + thing.in_parent * 10 + thing.in_child; }),
            101);
  EXPECT_EQ(thing.before, 1);
  EXPECT_EQ(thing.in_parent, 1);
  EXPECT_EQ(thing.in_child, 0);
}

TEST(ForkRegistry, AGrandchildIsToldOfWhatStayedOnly) {
  Counting stays(ForkAware::Then::kStay), goes(ForkAware::Then::kForget);
  EXPECT_EQ(in_child([&] { return in_child([&] { return stays.in_child * 10 + goes.in_child; }); }),
            21);
}

TEST(ForkRegistry, ForksWaitForAGuardAndNeverCopyALockedRegistry) {
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop.load(std::memory_order_relaxed)) {  // own: only a signal to end
      Counting thing(ForkAware::Then::kForget);
    }
  });
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(in_child([] {
                Counting thing(ForkAware::Then::kStay);  // would hang on a mutex locked by `other`
                return 0;
              }),
              0);
  }
  stop.store(true, std::memory_order_relaxed);  // own: only a signal to end
  other.join();
}

}  // namespace
}  // namespace oj::client
