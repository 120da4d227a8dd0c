// The templates of shm/ under every order of operations that the C++ memory model allows, by
// Relacy; then with one memory order weakened, which must be reported.
//
// usage: relacy_shm [--fast] | NAME BOUND   (one test, that many changes; 0: all)
// A test is searched in full, or with a bound on the number of changes from one thread to another
// that could have gone on, as its line says. Status 1 if a test failed or a weakening was not seen.
//
// SPDX-License-Identifier: MIT
#include "tests/verify/relacy/environment.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <streambuf>
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

// What Relacy says, as much as fits: a buffer that grew while a test runs would grow on Relacy's
// own heap, which replaces operator new there.
class Said : public std::streambuf {
 public:
  Said() { setp(text_, text_ + sizeof text_ - 1); }
  const char* text() {
    *pptr() = 0;
    return text_;
  }
  void forget() { setp(text_, text_ + sizeof text_ - 1); }

 protected:
  int overflow(int) override { return 0; }

 private:
  char text_[256 * 1024];
};
Said said;

template <class Test>
Outcome run(unsigned bound) {
  said.forget();
  std::ostream output(&said);
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
  Weakenings weakenings = {};
};
constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kAcquire = std::memory_order_acquire;
constexpr auto kRelease = std::memory_order_release;
constexpr auto kAcqRel = std::memory_order_acq_rel;
// Relacy lets no store of seq_cst be overtaken by a later store when it is looked for with seq_cst,
// as the language does: a monitor's loads of `retained` are made acquire, which alone is no fault,
// so that the pair `payload` has to hold by itself.
constexpr Weakening kLoadsOfRetained{Part::kRetained, Operation::kLoad, kAcquire};
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
    {"copy-by-payload-alone", run<CopyAndReclaim>, kFull, 4, {{kLoadsOfRetained}}},
    {"copy-and-claim-by-payload-alone", run<CopyReclaimAndClaim>, 4, 3, {{kLoadsOfRetained}}},
    {"give-back-and-claim", run<GiveBackAndClaim>, kFull, 3},
    {"one-sleeper-one-waker", run<OneSleeperOneWaker>, kFull, kFull},
    {"one-sleeper-one-sync", run<OneSleeperOneSync>, kFull, kFull},
    {"two-sleepers-one-waker", run<TwoSleepersOneWaker>, 4, 3},
    {"one-sleeper-two-wakers", run<OneSleeperTwoWakers>, 4, 3},
};

struct Mutant {
  const char* name;
  Run run;
  Weakenings weakenings;
};
const Mutant kMutants[] = {
    {"publish-relaxed", run<PublishAndRead>, {{{Part::kRing, Operation::kUpdate, kRelaxed}}}},
    {"ticket-load-relaxed", run<PublishAndRead>, {{{Part::kRing, Operation::kLoad, kRelaxed}}}},
    {"hint-check-relaxed", run<StartFromTheHint>, {{{Part::kRing, Operation::kLoad, kRelaxed}}}},
    {"raise-synced-relaxed",
     run<RefillASyncedSlot>,
     {{{Part::kSynced, Operation::kUpdate, kRelaxed}}}},
    {"load-synced-relaxed",
     run<RefillASyncedSlot>,
     {{{Part::kSynced, Operation::kLoad, kRelaxed}}}},
    {"seal-relaxed", run<SealedAfterItsRecords>, {{{Part::kOwners, Operation::kUpdate, kRelaxed}}}},
    {"look-at-owner-relaxed",
     run<SealedAfterItsRecords>,
     {{{Part::kOwners, Operation::kLoad, kRelaxed}}}},
    {"hazard-store-release",
     run<ReadAndReclaim>,
     {{{Part::kHazards, Operation::kStore, kRelease}}}},
    {"unpin-relaxed", run<ReadAndReclaim>, {{{Part::kHazards, Operation::kStore, kRelaxed}}}},
    {"hazard-look-acquire", run<ReadAndReclaim>, {{{Part::kHazards, Operation::kLoad, kAcquire}}}},
    {"raise-retained-release",
     run<ReadAndReclaim>,
     {{{Part::kRetained, Operation::kStore, kRelease}}}},
    {"look-at-retained-acquire",
     run<ReadAndReclaim>,
     {{{Part::kRetained, Operation::kLoad, kAcquire}}}},
    {"free-and-claim-relaxed",
     run<ReadReclaimAndClaim>,
     {{{Part::kOwners, Operation::kUpdate, kRelaxed}}}},
    {"claim-release", run<ReadReclaimAndClaim>, {{{Part::kOwners, Operation::kUpdate, kRelease}}}},
    {"free-acquire", run<ReadReclaimAndClaim>, {{{Part::kOwners, Operation::kUpdate, kAcquire}}}},
    {"payload-store-relaxed",
     run<CopyAndReclaim>,
     {{{Part::kPool, Operation::kStore, kRelaxed}, kLoadsOfRetained}}},
    {"payload-load-relaxed",
     run<CopyAndReclaim>,
     {{{Part::kPool, Operation::kLoad, kRelaxed}, kLoadsOfRetained}}},
    {"publish-acq-rel", run<OneSleeperOneWaker>, {{{Part::kRing, Operation::kUpdate, kAcqRel}}}},
    {"look-acquire", run<OneSleeperOneWaker>, {{{Part::kRing, Operation::kLoad, kAcquire}}}},
    {"arm-acq-rel", run<OneSleeperOneWaker>, {{{Part::kWake, Operation::kUpdate, kAcqRel}}}},
    {"look-at-armed-acquire",
     run<OneSleeperOneWaker>,
     {{{Part::kWake, Operation::kLoad, kAcquire}}}},
    {"raise-synced-acq-rel",
     run<OneSleeperOneSync>,
     {{{Part::kSynced, Operation::kUpdate, kAcqRel}}}},
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
    unsigned bound = fast ? test.fast_bound : test.bound;
    if (argc == 3) {
      if (std::string_view(argv[1]) != test.name) continue;
      bound = static_cast<unsigned>(std::strtoul(argv[2], nullptr, 10));
    }
    the_weakenings = test.weakenings;
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
      std::fputs(said.text(), stderr);
      broken = true;
    }
    std::fflush(stdout);
  }
  if (argc == 3) return broken ? 1 : 0;
  for (const Mutant& mutant : kMutants) {
    the_weakenings = mutant.weakenings;
    const Outcome outcome = mutant.run(3);
    if (outcome.passed) {
      std::printf("FAILED mutant %s: not found in %llu executions\n", mutant.name,
                  number(outcome.executions));
      broken = true;
    } else {
      std::printf("ok mutant %s: found after %llu executions: %s\n", mutant.name,
                  number(outcome.executions), outcome.why.c_str());
    }
    std::fflush(stdout);
  }
  return broken ? 1 : 0;
}
