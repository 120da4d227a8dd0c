// Goal: no instruction of any operation on the region is a bad one to be killed or stopped at.
// Method: the operation runs under the CPU's trap flag, with the shipped functions. After each
// instruction the process (or its fork, see sweep.cc) is killed with SIGKILL, or stopped with
// SIGSTOP; then all invariants are checked, another worker appends and reads, a daemon reaps,
// flushes and frees, and the journal is compared with what was appended. A stopped process then
// goes on to its end, and the same must hold. Two processes share the instructions between them.
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

constexpr std::uint64_t kParts = 2;
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
    for (Operation& operation : operations()) {
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

// Of one task: what the parts found.
struct Outcomes {
  Outcome parts[kParts];
};

[[noreturn]] void run_part(std::uint64_t part, const std::vector<Task>& all, std::uint64_t seed,
                           Outcomes* outcomes, int told) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::uint64_t stride = all[i].stride * kParts;
    sweep(all[i].operation, all[i].mode, {stride, (seed + part * all[i].stride) % stride},
          outcomes[i].parts[part]);
    if (write(told, &i, sizeof i) != sizeof i) _exit(1);
  }
  _exit(0);
}

// One line; false if it is a failure.
bool tell(const Task& task, const Outcomes& outcomes) {
  std::uint64_t checked = 0, published = 0, instructions = 0;
  const Outcome* violated = nullptr;
  bool done = true;
  for (const Outcome& part : outcomes.parts) {
    checked += part.checked;
    published += part.published;
    instructions = std::max(instructions, part.instructions);
    done = done && part.done;
    if (part.violation[0] != 0) violated = &part;
  }
  const char* const how = task.mode == Mode::kKill ? "SIGKILL" : "SIGSTOP";
  const char* const name = task.operation.name.c_str();
  if (task.mutant) {
    if (violated == nullptr) {
      std::printf("FAILED mutant %s: not found, %s at %llu instructions\n", name, how,
                  static_cast<unsigned long long>(checked));
      return false;
    }
    std::printf("ok mutant %s: found after %llu instructions, %s at instruction %llu: %s\n", name,
                static_cast<unsigned long long>(checked) + 1, how,
                static_cast<unsigned long long>(violated->violated_at), violated->violation);
    return true;
  }
  if (violated != nullptr || !done) {
    std::printf("FAILED %s in %s: at instruction %llu: %s\n", how, name,
                static_cast<unsigned long long>(
                    violated != nullptr ? violated->violated_at : outcomes.parts[0].violated_at),
                violated != nullptr ? violated->violation : "the sweep did not end");
    return false;
  }
  std::printf("ok %s in %s: %llu instructions, %llu of them checked", how, name,
              static_cast<unsigned long long>(instructions),
              static_cast<unsigned long long>(checked));
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
  void* const shared = mmap(nullptr, sizeof(Outcomes) * all.size(), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return 1;
  auto* const outcomes = static_cast<Outcomes*>(shared);
  for (std::size_t i = 0; i < all.size(); ++i) new (outcomes + i) Outcomes;
  std::fflush(stdout);
  const std::int64_t began_ns = monotonic_ns();
  int told[2];
  if (pipe(told) != 0) return 1;
  for (std::uint64_t part = 0; part < kParts; ++part) {
    if (fork() == 0) run_part(part, all, seed, outcomes, told[1]);
  }
  close(told[1]);
  // In the order in which they end; what never ended, at the end.
  std::vector<std::uint64_t> ended(all.size(), 0);
  bool good = true;
  for (std::size_t i = 0; read(told[0], &i, sizeof i) == sizeof i;) {
    if (++ended[i] == kParts) good = tell(all[i], outcomes[i]) && good;
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (ended[i] != kParts) good = tell(all[i], outcomes[i]) && good;
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
