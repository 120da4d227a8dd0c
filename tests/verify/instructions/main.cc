// Goal: no instruction of any operation on the region is a bad one to be killed or stopped at.
// Method: the operation runs under the CPU's trap flag, with the shipped functions. After each
// instruction the process (or its fork, see sweep.cc) is killed with SIGKILL, or stopped with
// SIGSTOP; then all invariants are checked, another worker appends and reads, a daemon reaps,
// flushes and frees, and the journal is compared with what was appended. A stopped process then
// goes on to its end, and the same must hold. Two processes share the operations between them.
//
// usage: verify_instructions [--fast] [TEXT]
//   --fast   every 7th instruction, but all of the short append
//   TEXT     only operations whose names contain it
//
// SPDX-License-Identifier: MIT
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "base/clock.h"
#include "daemon/logging.h"
#include "tests/verify/instructions/sweep.h"
#include "tests/verify/instructions/traced.h"

namespace oj::verify {
namespace {

constexpr int kProcesses = 2;
constexpr std::uint64_t kFastStride = 7;

struct Task {
  Operation operation;
  Mode mode = Mode::kKill;
  bool mutant = false;
  std::uint64_t stride = 1;
};

std::vector<Task> tasks(bool fast, const std::string& wanted) {
  std::vector<Task> all;
  for (const Mode mode : {Mode::kKill, Mode::kStop}) {
    std::vector<Operation> longest_first = operations();  // they are listed the other way round
    std::ranges::reverse(longest_first);
    for (Operation& operation : longest_first) {
      const bool is_short = operation.name == "append, short";
      all.push_back({std::move(operation), mode, false, fast && !is_short ? kFastStride : 1});
    }
  }
  for (Mutant& mutant : mutants()) {
    all.push_back(
        {std::move(mutant.operation), mutant.by_stop ? Mode::kStop : Mode::kKill, true, 1});
  }
  std::erase_if(all, [&wanted](const Task& task) {
    return task.operation.name.find(wanted) == std::string::npos;
  });
  return all;
}

// Which task is next, and what the sweeps found; shared by the processes.
struct Board {
  std::atomic<std::size_t> next{0};
  Outcome* outcomes = nullptr;
};

// One process sweeps all instructions of a task: two runs may differ in their length, so a sweep
// that was dealt out to two of them could leave some out.
[[noreturn]] void run_tasks(const std::vector<Task>& all, std::uint64_t seed, Board& board,
                            int told) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;) {
    const std::size_t i = board.next.fetch_add(1, std::memory_order_seq_cst);
    if (i >= all.size()) _exit(0);
    const std::uint64_t stride = all[i].stride;
    sweep(all[i].operation, all[i].mode, {stride, seed % stride}, board.outcomes[i]);
    if (write(told, &i, sizeof i) != sizeof i) _exit(1);
  }
}

// One line; false if it is a failure.
bool tell(const Task& task, const Outcome& outcome) {
  const bool violated = outcome.violation[0] != 0;
  const std::uint64_t checked = outcome.checked, published = outcome.published;
  const char* const how = task.mode == Mode::kKill ? "SIGKILL" : "SIGSTOP";
  const char* const name = task.operation.name.c_str();
  if (task.mutant) {
    if (!violated) {
      std::printf("FAILED mutant %s: not found, %s at %llu instructions\n", name, how,
                  static_cast<unsigned long long>(checked));
      return false;
    }
    std::printf("ok mutant %s: found after %llu instructions, %s at instruction %llu: %s\n", name,
                static_cast<unsigned long long>(checked) + 1, how,
                static_cast<unsigned long long>(outcome.violated_at), outcome.violation);
    return true;
  }
  const bool left_out = task.stride == 1 && checked < outcome.instructions;
  if (violated || !outcome.done || left_out) {
    std::printf("FAILED %s in %s: at instruction %llu: %s\n", how, name,
                static_cast<unsigned long long>(outcome.violated_at),
                violated        ? outcome.violation
                : !outcome.done ? "the sweep did not end"
                                : "the end, but instructions were left out");
    return false;
  }
  if (task.stride == 1) {
    std::printf("ok %s in %s: all %llu instructions", how, name,
                static_cast<unsigned long long>(checked));
  } else {
    std::printf("ok %s in %s: %llu of %llu instructions", how, name,
                static_cast<unsigned long long>(checked),
                static_cast<unsigned long long>(outcome.instructions));
  }
  if (task.operation.kind == Kind::kAppend) {
    std::printf(", not published %llu, published %llu",
                static_cast<unsigned long long>(checked - published),
                static_cast<unsigned long long>(published));
  }
  std::printf("; 0 violations%s\n", task.operation.fresh ? " (a new process for each)" : "");
  return true;
}

int run(bool fast, const std::string& wanted) {
  if (!can_trace()) {
    std::printf("skipped every instruction: needs x86_64: it uses the trap flag\n");
    return 0;
  }
  const char* const given = std::getenv("OJ_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10)
                             : fast           ? std::random_device{}() % 1000
                                              : 0;
  std::printf("OJ_SEED=%llu\n", static_cast<unsigned long long>(seed));
  daemon::start_logging_to_stderr("off");
  const std::vector<Task> all = tasks(fast, wanted);
  void* const shared = mmap(nullptr, sizeof(Board) + sizeof(Outcome) * all.size(),
                            PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return 1;
  auto* const board = new (shared) Board;
  board->outcomes = reinterpret_cast<Outcome*>(board + 1);
  for (std::size_t i = 0; i < all.size(); ++i) new (board->outcomes + i) Outcome;
  std::fflush(stdout);
  const std::int64_t began_ns = monotonic_ns();
  int told[2];
  if (pipe(told) != 0) return 1;
  for (int process = 0; process < kProcesses; ++process) {
    if (fork() == 0) run_tasks(all, seed, *board, told[1]);
  }
  close(told[1]);
  // In the order in which they end; what never ended, at the end.
  std::vector<bool> ended(all.size(), false);
  bool good = true;
  std::uint64_t swept = 0;
  const auto end = [&](std::size_t i) {
    good = tell(all[i], board->outcomes[i]) && good;
    if (!all[i].mutant) swept += board->outcomes[i].checked;
  };
  for (std::size_t i = 0; read(told[0], &i, sizeof i) == sizeof i;) {
    ended[i] = true;
    end(i);
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!ended[i]) end(i);
  }
  if (wanted.empty() && good) {
    std::printf(
        "ok sweeps: %llu kills and stops, %s instruction%s of %zu operations, 0 violations\n",
        static_cast<unsigned long long>(swept), fast ? "every 7th" : "every single",
        fast ? " (the short append: every one)" : "", operations().size());
  }
  std::printf("%.1f s\n", static_cast<double>(monotonic_ns() - began_ns) / 1e9);
  return good ? 0 : 1;
}

}  // namespace
}  // namespace oj::verify

int main(int argc, char** argv) {
  const bool fast = argc > 1 && std::strcmp(argv[1], "--fast") == 0;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  return oj::verify::run(fast, argc > 1 + fast ? argv[1 + fast] : "");
}
