// Workers and daemons killed and stopped under load: a short form, also for sanitizers, of what
// tests/verify/processes does at length, and with its means.
//
// Goal    What append() said is published is in the journal, once, whole, in its producer's order,
//         whoever dies or is stopped whenever; and nobody waits for the victim.
// Method  Real processes on an embedded journal, with a diary each; the oracle compares.
//
// $OJ_SEED chooses the seed, $OJ_KILLS how many kills (300; of the daemon alone: a sixth of it).
//
// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "libclient/session.h"
#include "tests/verify/processes/campaign.h"
#include "tests/verify/processes/judgement.h"

namespace oj::verify {
namespace {

using namespace std::chrono_literals;  // to measure over some time, not to be in time

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

class Crash : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/oj-crash-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern), nullptr);
    root_ = pattern;
    fleet_.emplace(root_, OJ_WORKER, journal());
  }
  void TearDown() override {
    fleet_.reset();
    std::filesystem::remove_all(root_);
  }
  std::string journal() const { return root_ + "/journal"; }

  std::uint64_t start(const std::vector<std::string>& words) {
    const std::uint64_t worker = fleet_->start("append", words);
    wait_until([&] { return fleet_->says(worker, Entry::Kind::kReady); });
    return worker;
  }
  // Appends begun or done, in halves: an intent and a result each.
  std::uint64_t progress(const std::vector<std::uint64_t>& workers) const {
    std::uint64_t bytes = 0;
    for (const std::uint64_t worker : workers) {
      struct stat file {};
      ::stat(fleet_->diary_path(worker).c_str(), &file);
      bytes += static_cast<std::uint64_t>(file.st_size);
    }
    return bytes / sizeof(Entry);
  }
  double records_per_second(const std::vector<std::uint64_t>& workers) const {
    const std::uint64_t before = progress(workers);
    const std::int64_t began_ns = monotonic_ns();
    std::this_thread::sleep_for(800ms);
    return static_cast<double>(progress(workers) - before) / 2 * 1e9 /
           static_cast<double>(monotonic_ns() - began_ns);
  }
  // Looks every millisecond; the test runner's own time limit is the watchdog.
  template <class Condition>
  static void wait_until(const Condition& condition) {
    while (!condition()) std::this_thread::sleep_for(1ms);
  }
  void expect_clean() {
    EXPECT_TRUE(fleet_->end_all());
    EXPECT_TRUE(wait_for_deaths(journal()));
    const auto histories = fleet_->histories();
    const Verdict live = judge(histories, journal(), Source::kLive);
    EXPECT_TRUE(live.clean()) << live.text();
    EXPECT_TRUE(stop_serving(journal()));
    const Verdict disk = judge(histories, journal(), Source::kDisk);
    EXPECT_TRUE(disk.clean()) << disk.text();
    EXPECT_GT(disk.acknowledged, 0u);
  }

  std::string root_;
  std::optional<Fleet> fleet_;
};

TEST_F(Crash, ProcessesKilledAtRandomMomentsLoseNothing) {
  Plan plan;
  plan.kills = from_environment("OJ_KILLS", 300);
  plan.seed = from_environment("OJ_SEED", std::random_device{}());
  std::printf("seed %llu\n", static_cast<unsigned long long>(plan.seed));
  const Tally tally = Campaign(plan, *fleet_, journal()).run();
  EXPECT_TRUE(tally.ended);
  expect_clean();
  std::vector<double> waits = waits_ms(fleet_->histories(), *fleet_);
  ASSERT_FALSE(waits.empty());
  std::printf(
      "%llu kills; the longest of %zu published appends, its process not stopped: %.1f ms\n",
      static_cast<unsigned long long>(tally.total()), waits.size(),
      *std::max_element(waits.begin(), waits.end()));
  EXPECT_TRUE(find_planted(fleet_->histories(), journal(), plan.seed));
}

TEST_F(Crash, TheDaemonKilledUnderLoadLosesNothingAndIsServedAgain) {
  const std::vector<std::string> fast = {"pool=16777216", "pause=0"};
  const std::vector<std::uint64_t> workers = {start(fast), start(fast), start(fast)};
  const std::uint64_t kills = from_environment("OJ_KILLS", 300) / 6;
  std::mt19937_64 random(from_environment("OJ_SEED", std::random_device{}()));
  std::vector<double> served_again_ms;
  for (std::uint64_t kill = 0; kill < kills; ++kill) {
    const std::uint64_t at = progress(workers);
    const std::uint64_t more = 200 + random() % 4000;  // the moment: so much later
    wait_until([&] { return progress(workers) > at + more; });
    const auto daemon = fleet_->daemon();
    ASSERT_TRUE(daemon);
    ASSERT_EQ(::kill(*daemon, SIGKILL), 0);
    const std::int64_t killed_ns = monotonic_ns();
    wait_until([&] {
      const auto next = fleet_->daemon();
      return next && *next != *daemon && client::daemon_status(journal());
    });
    served_again_ms.push_back(static_cast<double>(monotonic_ns() - killed_ns) / kNsPerMs);
  }
  std::sort(served_again_ms.begin(), served_again_ms.end());
  std::printf("daemon killed %zu times: the next one answers after %.0f ms (p50), %.0f ms (max)\n",
              served_again_ms.size(), served_again_ms[served_again_ms.size() / 2],
              served_again_ms.back());
  expect_clean();
}

TEST_F(Crash, AStoppedWorkerDoesNotSlowTheOthers) {
  const std::vector<std::string> fast = {"pool=16777216", "pause=0"};
  const std::vector<std::uint64_t> others = {start(fast), start(fast), start(fast)};
  const std::uint64_t victim = start(fast);
  // In turns, so that what else this machine does falls on both.
  std::vector<double> ratios;
  for (int turn = 0; turn < 5; ++turn) {
    const double beside = records_per_second(others);
    fleet_->stop(victim);
    ratios.push_back(records_per_second(others) / beside);
    fleet_->go_on(victim);
    const std::uint64_t at = progress({victim});
    wait_until([&] { return progress({victim}) > at + 100; });
  }
  std::sort(ratios.begin(), ratios.end());
  std::printf(
      "three workers, while a fourth is stopped: %.2f times what they do beside it (%.2f to "
      "%.2f)\n",
      ratios[2], ratios.front(), ratios.back());
  EXPECT_GE(ratios[2], 0.5)
      << "who waits for a stopped worker does nothing; noise is less than half";
  expect_clean();
}

TEST_F(Crash, AStoppedDaemonStopsNobodyUntilTheRingIsFull) {
  // Who waits for the disk waits for the daemon: that is not what this test is about.
  const std::vector<std::string> fast = {"pool=67108864", "pause=0", "sync=0"};
  const std::vector<std::uint64_t> workers = {start(fast), start(fast), start(fast)};
  wait_until([&] { return progress(workers) > 2000; });
  const auto daemon = fleet_->daemon();
  ASSERT_TRUE(daemon);
  ::kill(*daemon, SIGSTOP);
  const std::uint64_t at_stop = progress(workers);
  std::uint64_t full = 0;
  do {  // every append that is made takes room, so it comes to an end
    full = progress(workers);
    std::this_thread::sleep_for(2s);
  } while (progress(workers) != full);
  ::kill(*daemon, SIGCONT);
  EXPECT_GT(full, at_stop) << "nothing was published while the daemon was stopped";
  wait_until([&] { return progress(workers) > full + 2000; });
  std::printf("daemon stopped: %llu records went on into the ring, then all waited\n",
              static_cast<unsigned long long>((full - at_stop) / 2));
  expect_clean();
}

}  // namespace
}  // namespace oj::verify
