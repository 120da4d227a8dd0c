// How the victim gets to its n-th instruction: a trap costs microseconds, so starting anew for each
// n costs n^2 of them. Instead one process is traced, and forks itself after each instruction: the
// fork, which is in the same place with the same registers and memory, is what is killed or
// stopped. Region and counters are put back before the next instruction. What the fork does not
// have for itself is the open file description, hence the lock byte of its slot; operations on that
// are `fresh`: a new process for each n.
//
// SPDX-License-Identifier: MIT
#include "tests/verify/instructions/sweep.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "tests/verify/instructions/aftermath.h"
#include "tests/verify/instructions/traced.h"

namespace oj::verify {
namespace {

struct Message {
  enum What : std::uint32_t { kStaged, kAt, kFinished, kEnded, kBroken } what = kBroken;
  int status = 0;  // as of waitpid
  std::uint64_t instruction = 0;
};

// Of the victim's process, for the handler.
struct Tracing {
  int channel = -1;
  Mode mode = Mode::kKill;
  Choice choice;
  bool fresh = false;
  bool is_fork = false;
  std::uint64_t instructions = 0;
};
Tracing tracing;

void tell(const Message& message) {
  if (write(tracing.channel, &message, sizeof message) != sizeof message)
    _exit(1);  // the checker has given up
}

void tell_and_wait(const Message& message) {
  tell(message);
  char go = 0;
  if (read(tracing.channel, &go, 1) != 1) _exit(1);
}

void suffer() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  kill(getpid(), tracing.mode == Mode::kKill ? SIGKILL : SIGSTOP);
}

bool fork_at_each(std::uint64_t instruction) {
  tracing.instructions = instruction;
  if (instruction % tracing.choice.stride != tracing.choice.offset) return true;
  const pid_t fork_of_us = _Fork();
  if (fork_of_us == 0) {
    tracing.is_fork = true;
    suffer();
    return false;
  }
  int status = 0;
  waitpid(fork_of_us, &status, WUNTRACED);
  tell_and_wait({Message::kAt, status, instruction});
  if (tracing.mode == Mode::kStop) {
    kill(fork_of_us, SIGCONT);
    waitpid(fork_of_us, &status, 0);
    tell_and_wait({Message::kFinished, status, instruction});
  }
  return true;
}

bool suffer_at_one(std::uint64_t instruction) {
  tracing.instructions = instruction;
  if (instruction != tracing.choice.offset) return true;
  suffer();
  return false;
}

[[noreturn]] void be_victim(World& world, const Operation& operation) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  auto* const victim = new Victim;  // never destroyed: nothing of it may end tidily
  victim->world = &world;
  try {
    const std::function<void()> traced = operation.stage(*victim);
    tell_and_wait({Message::kStaged, 0, 0});
    trace(traced, tracing.fresh ? suffer_at_one : fork_at_each);
    if (!tracing.is_fork) tell({Message::kEnded, 0, tracing.instructions});
  } catch (const std::exception& failed) {
    victim->answer(Report::kWrong, failed.what());
    tell({Message::kBroken, 0, 0});
  }
  _exit(0);
}

// The checker's end of a victim.
class VictimProcess {
 public:
  VictimProcess(World& world, const Operation& operation, Mode mode, Choice choice, bool fresh) {
    std::array<int, 2> ends{};
    require(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends.data()) == 0, "socketpair");
    pid_ = fork();
    if (pid_ == 0) {
      close(ends[0]);
      tracing = {ends[1], mode, choice, fresh, false, 0};
      be_victim(world, operation);
    }
    close(ends[1]);
    channel_ = ends[0];
  }
  ~VictimProcess() {
    close(channel_);
    if (waited_) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  VictimProcess(const VictimProcess&) = delete;
  VictimProcess& operator=(const VictimProcess&) = delete;

  Message hear() {
    Message message;
    require(read(channel_, &message, sizeof message) == sizeof message,
            "the victim ended by itself");
    return message;
  }
  void go_on() { require(write(channel_, "g", 1) == 1, "the victim is gone"); }
  void signal(int number) { kill(pid_, number); }
  int wait(int options) {
    int status = 0;
    waitpid(pid_, &status, options);
    waited_ = WIFEXITED(status) || WIFSIGNALED(status);
    return status;
  }

 private:
  pid_t pid_ = -1;
  int channel_ = -1;
  bool waited_ = false;
};

bool suffered(Mode mode, int status) {
  return mode == Mode::kKill ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL
                             : WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP;
}

bool ended_well(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }

constexpr unsigned kWatchdogS = 60;

// One traced process, forks of which are killed or stopped.
void sweep_with_forks(World& world, const Operation& operation, Mode mode, Choice choice,
                      Outcome& outcome) {
  VictimProcess victim(world, operation, mode, choice, false);
  require(victim.hear().what == Message::kStaged, world.report().text);
  const Aftermath aftermath(world, operation);
  World::Image image;
  for (;;) {
    alarm(kWatchdogS);
    victim.go_on();
    const Message at = victim.hear();
    outcome.violated_at = at.instruction;
    if (at.what == Message::kEnded) {
      outcome.instructions = at.instruction;
      aftermath.of_finished();
      return;
    }
    require(at.what == Message::kAt && suffered(mode, at.status), "the victim ended by itself");
    world.save(image);
    const std::uint64_t appended = world.appended(kBystander);
    const std::uint32_t answer = world.report().answer.load(std::memory_order_acquire);
    if (mode == Mode::kKill) {
      outcome.published += aftermath.of_killed() ? 1 : 0;
    } else {
      const auto stopped = aftermath.of_stopped();
      victim.go_on();
      const Message finished = victim.hear();
      require(finished.what == Message::kFinished && ended_well(finished.status),
              "the stopped victim ended badly");
      outcome.published += aftermath.of_continued(*stopped) ? 1 : 0;
    }
    ++outcome.checked;
    world.restore(image);
    world.appended(kBystander) = appended;
    world.report().answer.store(answer, std::memory_order_release);
  }
}

// A process for each instruction.
void sweep_afresh(World& world, const Operation& operation, Mode mode, Choice choice,
                  Outcome& outcome) {
  World::Image image;
  world.save(image);
  const std::uint64_t appended = world.appended(kBystander);
  for (std::uint64_t n = choice.offset == 0 ? choice.stride : choice.offset;; n += choice.stride) {
    alarm(kWatchdogS);
    outcome.violated_at = n;
    VictimProcess victim(world, operation, mode, {1, n}, true);
    require(victim.hear().what == Message::kStaged, world.report().text);
    const Aftermath aftermath(world, operation);
    victim.go_on();
    const int status = victim.wait(WUNTRACED);
    if (!suffered(mode, status)) {
      require(ended_well(status), "the victim ended badly");
      // An earlier run may have been longer: then more was checked than this one has.
      outcome.instructions = std::max(victim.hear().instruction, n - choice.stride);
      aftermath.of_finished();
      return;
    }
    if (mode == Mode::kKill) {
      outcome.published += aftermath.of_killed() ? 1 : 0;
    } else {
      const auto stopped = aftermath.of_stopped();
      victim.signal(SIGCONT);
      require(ended_well(victim.wait(0)), "the stopped victim ended badly");
      outcome.published += aftermath.of_continued(*stopped) ? 1 : 0;
    }
    ++outcome.checked;
    world.restore(image);
    world.appended(kBystander) = appended;
    world.report().answer.store(Report::kNone, std::memory_order_release);
    world.report().appended.store(0, std::memory_order_release);
  }
}

}  // namespace

void sweep(const Operation& operation, Mode mode, Choice choice, Outcome& outcome) {
  try {
    World world({16, 4096, 16, 8});
    operation.prepare(world);
    const auto run = operation.fresh ? sweep_afresh : sweep_with_forks;
    run(world, operation, mode, choice, outcome);
  } catch (const std::exception& violated) {
    std::strncpy(outcome.violation, violated.what(), sizeof outcome.violation - choice.stride);
  }
  outcome.done = true;
}

}  // namespace oj::verify
