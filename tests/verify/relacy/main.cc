// The templates of shm/ under every order of operations that the C++ memory model allows, by
// Relacy; then with one memory order weakened, which must be reported.
//
// usage: relacy_shm [--fast] [NAME ...] | --list
// Tests by name, or all, and "mutants". A test is searched in full, or with a bound on the number
// of changes from one thread to another that could have gone on, as its line says. Status 1 if a
// test failed or a weakening was not reported.
//
// SPDX-License-Identifier: MIT
#include "tests/verify/relacy/environment.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <streambuf>
#include <string_view>

#include "tests/verify/relacy/chunk_tests.h"
#include "tests/verify/relacy/order_tests.h"
#include "tests/verify/relacy/sleep_tests.h"

namespace {

using namespace oj::weak;

constexpr unsigned kFull = 0;  // as a bound: none
constexpr unsigned kMutantBound = 3;

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
    {"publish-and-read", run<PublishAndRead>, kFull, 4},
    {"start-from-the-hint", run<StartFromTheHint>, 5, 3},
    {"refill-a-synced-slot", run<RefillASyncedSlot>, kFull, kFull},
    {"refill-in-competition", run<RefillInCompetition>, 6, 4},
    {"sealed-after-its-records", run<SealedAfterItsRecords>, kFull, kFull},
    {"read-and-reclaim", run<ReadAndReclaim>, kFull, kFull},
    {"read-reclaim-and-claim", run<ReadReclaimAndClaim>, kFull, 5},
    {"copy-and-reclaim", run<CopyAndReclaim>, kFull, kFull},
    {"copy-reclaim-and-claim", run<CopyReclaimAndClaim>, kFull, 5},
    {"copy-by-payload-alone", run<CopyAndReclaim>, kFull, kFull, {{kLoadsOfRetained}}},
    {"copy-and-claim-by-payload-alone", run<CopyReclaimAndClaim>, 6, 4, {{kLoadsOfRetained}}},
    {"give-back-and-claim", run<GiveBackAndClaim>, kFull, kFull},
    {"one-sleeper-one-waker", run<OneSleeperOneWaker>, kFull, kFull},
    {"one-sleeper-one-sync", run<OneSleeperOneSync>, kFull, kFull},
    {"two-sleepers-one-waker", run<TwoSleepersOneWaker>, 6, 4},
    {"one-sleeper-two-wakers", run<OneSleeperTwoWakers>, 5, 4},
};

struct Mutant {
  const char* name;
  Run run;
  Weakenings weakenings;
};
const Mutant kMutants[] = {
    {"publish-relaxed", run<PublishAndRead>, {{{Part::kRing, Operation::kUpdate, kRelaxed}}}},
    {"ticket-load-relaxed", run<PublishAndRead>, {{{Part::kRing, Operation::kLoad, kRelaxed}}}},
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
    {"owner-relaxed", run<ReadReclaimAndClaim>, {{{Part::kOwners, Operation::kUpdate, kRelaxed}}}},
    {"owner-without-acquire",
     run<ReadReclaimAndClaim>,
     {{{Part::kOwners, Operation::kUpdate, kRelease}}}},
    {"owner-without-release",
     run<ReadReclaimAndClaim>,
     {{{Part::kOwners, Operation::kUpdate, kAcquire}}}},
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

bool passes(const Test& test, unsigned bound) {
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
  }
  return outcome.passed;
}

bool is_found(const Mutant& mutant) {
  the_weakenings = mutant.weakenings;
  const Outcome outcome = mutant.run(kMutantBound);
  if (outcome.passed) {
    std::printf("FAILED mutant %s: not found in %llu executions\n", mutant.name,
                number(outcome.executions));
  } else {
    std::printf("ok mutant %s: found after %llu executions: %s\n", mutant.name,
                number(outcome.executions), outcome.why.c_str());
  }
  return !outcome.passed;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string_view> names(argv + 1, argv + argc);
  const bool fast = std::erase(names, "--fast") > 0;
  const bool list = std::erase(names, "--list") > 0;
  const auto is_wanted = [&](std::string_view name) {
    if (list) std::printf("%s\n", name.data());
    return !list && (names.empty() || std::ranges::count(names, name) > 0);
  };
  bool good = true;
  for (const Test& test : kTests) {
    if (is_wanted(test.name)) good = passes(test, fast ? test.fast_bound : test.bound) && good;
  }
  if (is_wanted("mutants")) {
    for (const Mutant& mutant : kMutants) good = is_found(mutant) && good;
  }
  return good ? 0 : 1;
}
