// What must be told that this process was forked, and how to keep fork() out for a moment.
//
// A fork child has one thread, copies of all memory, and shares every descriptor and file lock with
// its parent. So a session in the child must forget its descriptors (a lock byte or socket that the
// child keeps would make a dead parent look alive) and must not wait for a mutex whose owner does
// not exist here. Everything that holds such things registers itself; the handlers of
// pthread_atfork do the rest.
//
// Lock order: the registry's lock is taken last by everybody and nothing is waited for under it, so
// that fork() is delayed by microseconds at most and can never deadlock.
//
// SPDX-License-Identifier: MIT
#pragma once

namespace oj::client {

class ForkAware {
 public:
  virtual ~ForkAware() = default;
  // In the forking thread, before and after. Must not wait.
  virtual void before_fork() noexcept {}
  virtual void after_fork_in_parent() noexcept {}
  enum class Then { kStay, kForget };  // in the child's registry
  // In the child's only thread. Closes what must not be shared; takes no lock, waits for nothing.
  virtual Then after_fork_in_child() noexcept = 0;
};

// While one exists, no other thread is inside fork(): what is opened and noted under one guard is
// seen by the child wholly or not at all. Short: no waiting and no further locks while it is held.
class ForkGuard {
 public:
  ForkGuard();
  ~ForkGuard();
  ForkGuard(const ForkGuard&) = delete;
  ForkGuard& operator=(const ForkGuard&) = delete;

  void add(ForkAware& thing);
  void remove(ForkAware& thing);
};

}  // namespace oj::client
