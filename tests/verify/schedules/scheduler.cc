// SPDX-License-Identifier: MIT
#include "tests/verify/schedules/scheduler.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "shm/wake.h"

namespace oj::schedules {
namespace {

constexpr std::uint64_t kStepsMax = 200'000;  // many times what the longest schedule needs
constexpr std::int64_t kStepNs = 100;
constexpr std::uint64_t kFalseWakeOneIn = 8;
constexpr std::uint64_t kSpoilOneIn = 16;
constexpr std::uint64_t kPlaceOneIn = 4;

Scheduler* the_active = nullptr;

std::vector<std::unique_ptr<Thread>>& spare_threads() {
  static std::vector<std::unique_ptr<Thread>> spare;  // keeps the stacks
  return spare;
}

const char* name_of(shm::scheduled::Operation operation) {
  using shm::scheduled::Operation;
  switch (operation) {
    case Operation::kLoad: return "load";
    case Operation::kStore: return "store";
    case Operation::kExchange: return "exchange";
    case Operation::kAdd: return "add";
    case Operation::kCompareExchange: return "cas";
  }
  return "?";
}

}  // namespace

Scheduler::Scheduler(Subject& subject, const Words& words, const Plan& plan, Fault fault,
                     bool trace)
    : subject_(subject),
      words_(words),
      plan_(plan),
      fault_(fault),
      trace_(trace),
      dice_(plan.seed ^ 0x5c4ed) {
  the_active = this;
}

Scheduler::~Scheduler() {
  the_active = nullptr;
  for (auto& thread : threads_) spare_threads().push_back(std::move(thread));
}

Scheduler* Scheduler::active() { return the_active; }

Thread& Scheduler::start(Process& process, std::string name, std::function<void()> body) {
  std::unique_ptr<Thread> thread;
  if (spare_threads().empty()) {
    thread = std::make_unique<Thread>();
  } else {
    thread = std::move(spare_threads().back());
    spare_threads().pop_back();
  }
  thread->name = std::move(name);
  thread->process = &process;
  thread->state = Thread::State::kReady;
  thread->priority = (std::uint64_t{1} << 32) + dice_.below(std::uint64_t{1} << 32);
  thread->waiting = nullptr;
  thread->signalled = false;
  thread->fault = {};
  thread->in_flight = {};
  Thread* const raw = thread.get();
  thread->fibre.begin([this, raw, body = std::move(body)] {
    body();
    raw->state = Thread::State::kEnded;
    leave();
  });
  threads_.push_back(std::move(thread));
  woken_ = true;
  return *raw;
}

std::string Scheduler::run() {
  for (;;) {
    if (Thread* const next = failure_.empty() ? choose() : nullptr; next != nullptr) {
      current_ = next;
      Fibre::change(main_, next->fibre);
      current_ = nullptr;
      continue;
    }
    if (!failure_.empty()) return failure_;
    if (subject_.continue_daemon()) continue;
    if (late_or_time_passes()) continue;
    if (!subject_.go_on()) return failure_;
  }
}

// Somebody sleeps although what it waits for is true. With a right to do so (the timed sleeps of
// the protocol, or because a process was halted between making it true and the wake): time passes.
bool Scheduler::late_or_time_passes() {
  const Thread* late = nullptr;
  std::int64_t until_ns = std::numeric_limits<std::int64_t>::max();
  for (const auto& thread : threads_) {
    const bool sleeps =
        thread->state == Thread::State::kAsleep || thread->state == Thread::State::kWaiting;
    if (!sleeps || thread->process->state != ProcessState::kLiving) continue;
    until_ns = std::min(until_ns, thread->until_ns);
    if (thread->waiting == nullptr || !thread->waiting->until()) {
      thread->late_since_ns = -1;
      continue;
    }
    if (thread->late_since_ns < 0) thread->late_since_ns = now_ns_;
    late = thread.get();
    const std::int64_t allowed =
        std::max(thread->waiting->late_ns_max, halted_ > 0 ? kLateAfterHaltNs : 0);
    if (now_ns_ - thread->late_since_ns > allowed || allowed == 0 ||
        thread->until_ns == std::numeric_limits<std::int64_t>::max()) {
      failure_ = thread->name + " sleeps although what it waits for is so, for " +
                 std::to_string((now_ns_ - thread->late_since_ns) / 1'000'000) +
                 " ms: a lost wake-up";
      return true;
    }
  }
  if (late == nullptr) return false;
  pass_time(until_ns - now_ns_);
  return true;
}

void Scheduler::pass_time(std::int64_t ns) {
  if (ns > 0) now_ns_ += ns;
  for (const auto& thread : threads_) {
    const bool sleeps =
        thread->state == Thread::State::kAsleep || thread->state == Thread::State::kWaiting;
    if (sleeps && thread->until_ns <= now_ns_) thread->state = Thread::State::kReady;
  }
  woken_ = true;
}

Thread* Scheduler::choose() {
  Thread* chosen = nullptr;
  std::uint64_t ready = 0;
  for (const auto& thread : threads_) {
    if (thread->state != Thread::State::kReady || thread->process->state != ProcessState::kLiving)
      continue;
    ++ready;
    if (plan_.priorities) {
      if (chosen == nullptr || thread->priority > chosen->priority) chosen = thread.get();
    } else if (dice_.below(ready) == 0) {
      chosen = thread.get();
    }
  }
  return chosen;
}

void Scheduler::change_to(Thread* next) {
  Thread* const from = current_;
  if (next == from) return;
  current_ = next;
  Fibre::change(from->fibre, next != nullptr ? next->fibre : main_);
  current_ = from;
}

void Scheduler::leave() { change_to(failure_.empty() ? choose() : nullptr); }

void Scheduler::fail(const std::string& why) {
  if (failure_.empty()) {
    failure_ = (current_ != nullptr ? current_->name + ": " : std::string()) + why;
  }
  if (current_ != nullptr) change_to(nullptr);
  std::abort();  // a failed schedule is left for good
}

void Scheduler::fail_later(const Thread& thread, const std::string& why) {
  if (failure_.empty()) failure_ = thread.name + ": " + why;
}

void Scheduler::fail_at_rest(const std::string& why) {
  if (failure_.empty()) failure_ = why;
}

void Scheduler::point() {
  now_ns_ += kStepNs;
  if (++steps_ > kStepsMax) fail("still not at its end after " + std::to_string(steps_) + " steps");
  if (!plan_.halts.empty() && halt_due(nullptr)) return;
  if (plan_.wild_hints && dice_.one_in(kSpoilOneIn)) spoil_hints();
  if (!plan_.priorities) {
    if (dice_.one_in(plan_.change_one_in)) leave();
    return;
  }
  if (next_change_ < plan_.change_steps.size() && steps_ >= plan_.change_steps[next_change_]) {
    ++next_change_;
    current_->priority = --low_priority_;
    woken_ = true;
  }
  if (!woken_) return;
  woken_ = false;
  leave();
}

bool Scheduler::halt_due(const char* place) {
  for (std::size_t i = 0; i < plan_.halts.size(); ++i) {
    const Halt halt = plan_.halts[i];
    if (steps_ < halt.step || halt.at_place != (place != nullptr) ||
        halt.daemon != current_->process->is_daemon)
      continue;
    if (place != nullptr && !dice_.one_in(kPlaceOneIn)) continue;
    plan_.halts.erase(plan_.halts.begin() + static_cast<std::ptrdiff_t>(i));
    halt_current(halt.stop, place != nullptr ? place : "no place");
    return true;
  }
  return false;
}

// Returns only if the process was stopped and is continued.
void Scheduler::halt_current(bool stop, const char* place) {
  ++halted_;
  note(stop ? "STOPPED" : "KILLED");
  Process& process = *current_->process;
  process.state = stop ? ProcessState::kStopped : ProcessState::kDead;
  Thread* const thread = current_;
  current_ = nullptr;  // what follows is the kernel's doing
  subject_.on_halted(process, place);
  current_ = thread;
  leave();
}

void Scheduler::resume(Process& process) {
  process.state = ProcessState::kLiving;
  woken_ = true;
}

void Scheduler::spoil_hints() {
  if (!current_->process->region->writable()) return;
  std::byte* const marks = current_->process->region->base() + shm::kWatermarksOffset;
  const auto store = [&](std::uint64_t offset, std::uint64_t value) {
    __atomic_store_n(reinterpret_cast<std::uint64_t*>(marks + offset), value, __ATOMIC_SEQ_CST);
  };
  const auto synced =
      __atomic_load_n(reinterpret_cast<std::uint64_t*>(marks + kSynced), __ATOMIC_SEQ_CST);
  store(kHint, dice_.one_in(8) ? dice_.next() : synced + dice_.below(12));
  store(offsetof(shm::ProductionWatermarks, next_chunk), dice_.below(64));
}

std::uint64_t Scheduler::offset_of(const void* word) const {
  return static_cast<std::uint64_t>(static_cast<const std::byte*>(word) -
                                    current_->process->region->base());
}

void Scheduler::perform(shm::scheduled::Access& access) {
  point();
  if (access.weak && plan_.false_wakes && dice_.one_in(kFalseWakeOneIn)) {
    shm::scheduled::Access now = access;
    now.operation = shm::scheduled::Operation::kLoad;
    perform_raw(now);
    access.value = now.value;
    access.done = false;
    return;
  }
  Thread& thread = *current_;
  const Word word = words_.at(offset_of(access.word));
  if (fault_ == Fault::kNone) {
    perform_raw(access);
  } else {
    perform_faulty(fault_, thread.fault, thread.process->is_daemon, word,
                   thread.process->region->sizes().ring_slots, access);
  }
  if (trace_) {
    char text[160];
    const bool cas = access.operation == shm::scheduled::Operation::kCompareExchange;
    std::snprintf(
        text, sizeof text, "%-8s %-24s 0x%llx -> 0x%llx%s", name_of(access.operation),
        Words::name(word).c_str(), static_cast<unsigned long long>(access.value),
        static_cast<unsigned long long>(
            access.operation == shm::scheduled::Operation::kLoad ? access.value : access.operand),
        !cas          ? ""
        : access.done ? ""
                      : "  FAILED");
    note(text);
  }
  current_ = nullptr;  // looks at the region without being scheduled
  subject_.after(access, word, thread);
  current_ = &thread;
  if (!failure_.empty()) change_to(nullptr);
}

void Scheduler::note(const std::string& text) {
  if (!trace_) return;
  std::printf("%6llu %-20s %s\n", static_cast<unsigned long long>(steps_),
              current_ != nullptr ? current_->name.c_str() : "-", text.c_str());
}

void Scheduler::at_place(const char* place) {
  note(std::string("at ") + place);
  if (!plan_.halts.empty()) halt_due(place);
}

void Scheduler::sleep(const void* word, std::uint32_t expected, std::int64_t timeout_ns) {
  point();
  if (timeout_ns <= 0) return;
  auto* const futex = static_cast<std::uint32_t*>(const_cast<void*>(word));
  if (fault_ == Fault::kLookBeforeArm && !current_->fault.later.empty()) {
    expected = (__atomic_load_n(futex, __ATOMIC_SEQ_CST) + shm::kWakeStep) | shm::kArmed;
    __atomic_store_n(futex, expected, __ATOMIC_SEQ_CST);
    current_->fault.later.clear();
  }
  if (__atomic_load_n(futex, __ATOMIC_SEQ_CST) != expected && fault_ != Fault::kSleepNotCompared) {
    note("does not sleep: the word has changed");
    return;
  }
  if (plan_.false_wakes && dice_.one_in(kFalseWakeOneIn)) {
    note("wakes without reason");
    return;
  }
  note("sleeps");
  current_->state = Thread::State::kAsleep;
  current_->word = offset_of(word);
  current_->until_ns = timeout_ns >= std::numeric_limits<std::int64_t>::max() - now_ns_
                           ? std::numeric_limits<std::int64_t>::max()
                           : now_ns_ + timeout_ns;
  leave();
  note("wakes");
}

void Scheduler::wake_all(const void* word) {
  point();
  const std::uint64_t offset = offset_of(word);
  for (const auto& thread : threads_) {
    if (thread->state == Thread::State::kAsleep && thread->word == offset) {
      thread->state = Thread::State::kReady;
      woken_ = true;
    }
  }
  note("wakes all who sleep");
}

void Scheduler::wait_signal(std::int64_t timeout_ns) {
  point();
  if (!current_->signalled) {
    current_->state = Thread::State::kWaiting;
    current_->until_ns = timeout_ns >= std::numeric_limits<std::int64_t>::max() - now_ns_
                             ? std::numeric_limits<std::int64_t>::max()
                             : now_ns_ + timeout_ns;
    leave();
  }
  current_->signalled = false;
}

void Scheduler::signal(Thread& thread) {
  thread.signalled = true;
  if (thread.state != Thread::State::kWaiting) return;
  thread.state = Thread::State::kReady;
  woken_ = true;
}

}  // namespace oj::schedules
