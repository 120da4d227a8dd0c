// The templates of shm/ under every order of operations that the C++ memory model allows, by
// Relacy; then with one memory order weakened, which must be reported.
//
// usage: relacy_shm [--fast]
// A test is searched in full, or with a bound on the number of changes from one thread to another
// that could have gone on, as its line says. Status 1 if a test failed or a weakening was not seen.
//
// SPDX-License-Identifier: MIT
#include "tests/verify/relacy/environment.h"

#include <chrono>
#include <cstdio>
#include <functional>
#include <string_view>

#include "tests/verify/relacy/chunk_tests.h"
#include "tests/verify/relacy/order_tests.h"
#include "tests/verify/relacy/sleep_tests.h"

namespace {

using namespace oj::weak;

constexpr unsigned kFull = 0;  // as a bound: none

struct Outcome {
  bool passed = false;
  std::uint64_t executions = 0;
  std::string why;
};

using Run = std::function<Outcome(unsigned bound)>;

template <class Test>
Outcome run(unsigned bound) {
  std::ostringstream output;
  rl::test_params params;
  params.output_stream = &output;
  params.progress_stream = &output;
  params.search_type = bound == kFull ? rl::sched_full : rl::sched_bound;
  params.context_bound = bound;
  Outcome outcome;
  outcome.passed = rl::simulate<Test>(params);
  outcome.executions = params.stop_iteration;
  outcome.why = rl::test_result_str(params.test_result);
  return outcome;
}

struct Test {
  const char* name;
  Run run;
  unsigned bound, fast_bound;
};
const Test kTests[] = {
    {"publish-and-read", run<PublishAndRead>, 4, 3},
    {"start-from-the-hint", run<StartFromTheHint>, 4, 3},
    {"refill-a-synced-slot", run<RefillASyncedSlot>, kFull, kFull},
    {"refill-in-competition", run<RefillInCompetition>, 4, 3},
    {"sealed-after-its-records", run<SealedAfterItsRecords>, kFull, kFull},
    {"read-and-reclaim", run<ReadAndReclaim>, kFull, 4},
    {"read-reclaim-and-claim", run<ReadReclaimAndClaim>, 4, 3},
    {"copy-and-reclaim", run<CopyAndReclaim>, kFull, 4},
    {"copy-reclaim-and-claim", run<CopyReclaimAndClaim>, 4, 3},
    {"give-back-and-claim", run<GiveBackAndClaim>, kFull, 3},
    {"one-sleeper-one-waker", run<OneSleeperOneWaker>, kFull, kFull},
    {"one-sleeper-one-sync", run<OneSleeperOneSync>, kFull, kFull},
    {"two-sleepers-one-waker", run<TwoSleepersOneWaker>, 4, 3},
    {"one-sleeper-two-wakers", run<OneSleeperTwoWakers>, 4, 3},
};

struct Mutant {
  Weakening weakening;
  Run run;
};
constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kAcquire = std::memory_order_acquire;
constexpr auto kRelease = std::memory_order_release;
constexpr auto kAcqRel = std::memory_order_acq_rel;
const Mutant kMutants[] = {
    {{"publish-relaxed", Part::kRing, Operation::kUpdate, kRelaxed}, run<PublishAndRead>},
    {{"ticket-load-relaxed", Part::kRing, Operation::kLoad, kRelaxed}, run<PublishAndRead>},
    {{"hint-check-relaxed", Part::kRing, Operation::kLoad, kRelaxed}, run<StartFromTheHint>},
    {{"raise-synced-relaxed", Part::kSynced, Operation::kUpdate, kRelaxed}, run<RefillASyncedSlot>},
    {{"load-synced-relaxed", Part::kSynced, Operation::kLoad, kRelaxed}, run<RefillASyncedSlot>},
    {{"seal-relaxed", Part::kOwners, Operation::kUpdate, kRelaxed}, run<SealedAfterItsRecords>},
    {{"look-at-owner-relaxed", Part::kOwners, Operation::kLoad, kRelaxed},
     run<SealedAfterItsRecords>},
    {{"hazard-store-release", Part::kHazards, Operation::kStore, kRelease}, run<ReadAndReclaim>},
    {{"unpin-relaxed", Part::kHazards, Operation::kStore, kRelaxed}, run<ReadAndReclaim>},
    {{"hazard-look-acquire", Part::kHazards, Operation::kLoad, kAcquire}, run<ReadAndReclaim>},
    {{"raise-retained-release", Part::kRetained, Operation::kStore, kRelease}, run<ReadAndReclaim>},
    {{"look-at-retained-acquire", Part::kRetained, Operation::kLoad, kAcquire},
     run<ReadAndReclaim>},
    {{"free-and-claim-relaxed", Part::kOwners, Operation::kUpdate, kRelaxed},
     run<ReadReclaimAndClaim>},
    {{"claim-release", Part::kOwners, Operation::kUpdate, kRelease}, run<ReadReclaimAndClaim>},
    {{"free-acquire", Part::kOwners, Operation::kUpdate, kAcquire}, run<ReadReclaimAndClaim>},
    {{"payload-store-relaxed", Part::kPool, Operation::kStore, kRelaxed}, run<CopyAndReclaim>},
    {{"payload-load-relaxed", Part::kPool, Operation::kLoad, kRelaxed}, run<CopyAndReclaim>},
    {{"publish-acq-rel", Part::kRing, Operation::kUpdate, kAcqRel}, run<OneSleeperOneWaker>},
    {{"look-acquire", Part::kRing, Operation::kLoad, kAcquire}, run<OneSleeperOneWaker>},
    {{"arm-acq-rel", Part::kWake, Operation::kUpdate, kAcqRel}, run<OneSleeperOneWaker>},
    {{"look-at-armed-acquire", Part::kWake, Operation::kLoad, kAcquire}, run<OneSleeperOneWaker>},
    {{"raise-synced-acq-rel", Part::kSynced, Operation::kUpdate, kAcqRel}, run<OneSleeperOneSync>},
};

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

unsigned long long number(std::uint64_t n) { return n; }

}  // namespace

int main(int argc, char** argv) {
  const bool fast = argc > 1 && std::string_view(argv[1]) == "--fast";
  bool broken = false;
  for (const Test& test : kTests) {
    const unsigned bound = fast ? test.fast_bound : test.bound;
    const auto begin = std::chrono::steady_clock::now();
    const Outcome outcome = test.run(bound);
    const std::string search =
        bound == kFull ? "all" : "at most " + std::to_string(bound) + " changes of thread";
    if (outcome.passed) {
      std::printf("ok %s: %llu executions (%s), %.1f s\n", test.name, number(outcome.executions),
                  search.c_str(), seconds_since(begin));
    } else {
      std::printf("FAILED %s: %s in execution %llu (%s)\n", test.name, outcome.why.c_str(),
                  number(outcome.executions), search.c_str());
      broken = true;
    }
    std::fflush(stdout);
  }
  for (const Mutant& mutant : kMutants) {
    the_weakening = mutant.weakening;
    const Outcome outcome = mutant.run(3);
    if (outcome.passed) {
      std::printf("FAILED mutant %s: not found in %llu executions\n", mutant.weakening.name,
                  number(outcome.executions));
      broken = true;
    } else {
      std::printf("ok mutant %s: found after %llu executions: %s\n", mutant.weakening.name,
                  number(outcome.executions), outcome.why.c_str());
    }
    std::fflush(stdout);
  }
  return broken ? 1 : 0;
}
