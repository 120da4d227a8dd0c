// SPDX-License-Identifier: MIT
#include "libclient/fork_registry.h"

#include <pthread.h>

#include <algorithm>
#include <mutex>
#include <vector>

#include "base/check.h"

namespace oj::client {
namespace {

struct Registry {
  std::mutex mutex;
  std::vector<ForkAware*> things;
};

void before_fork();
void after_fork_in_parent();
void after_fork_in_child();

// Never destroyed: sessions in static variables of the host program may end later than any of ours.
Registry& registry() {
  static Registry* const the = [] {
    auto* made = new Registry;
    OJ_CHECK(::pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0);
    return made;
  }();
  return *the;
}

// Made when the program or library is loaded: a fork while another thread makes it at its first use
// would give the child a static variable that is being made for ever.
[[maybe_unused]] const Registry& made_at_load = registry();

void before_fork() {
  registry().mutex.lock();
  for (ForkAware* thing : registry().things) thing->before_fork();
}

void after_fork_in_parent() {
  for (ForkAware* thing : registry().things) thing->after_fork_in_parent();
  registry().mutex.unlock();
}

void after_fork_in_child() {
  std::erase_if(registry().things, [](ForkAware* thing) {
    return thing->after_fork_in_child() == ForkAware::Then::kForget;
  });
  registry().mutex.unlock();  // locked by this very thread in before_fork()
}

}  // namespace

ForkGuard::ForkGuard() { registry().mutex.lock(); }
ForkGuard::~ForkGuard() { registry().mutex.unlock(); }

void ForkGuard::add(ForkAware& thing) { registry().things.push_back(&thing); }

void ForkGuard::remove(ForkAware& thing) { std::erase(registry().things, &thing); }

}  // namespace oj::client
