// Workers and daemons killed and stopped under load: a short form, also for sanitizers, of what
// tests/verify/processes does at length, and with its means.
//
// Goal    What append() said is published is in the journal, once, whole, in its producer's order,
//         whoever dies or is stopped whenever; and nobody waits for the victim.
// Method  Real processes on an embedded journal, with a diary each; the oracle compares.
//
// $OJ_SEED chooses the seed, $OJ_KILLS how many workers are killed (300); of the daemon alone it is
// a sixth of it.
//
// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
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
#include "schema/codec.h"
#include "tests/measured.h"
#include "tests/verify/processes/campaign.h"
#include "tests/verify/processes/judgement.h"

namespace oj::verify {
namespace {

using testing::measured;

using namespace std::chrono_literals;  // to measure over some time, not to be in time

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

// Of no worker that the oracle knows.
Result<client::Appended> append_text(client::Session& session, std::size_t bytes) {
  const std::string text(bytes, 'x');
  schema::Value value;
  value.kind = schema::Value::Kind::kText;
  value.text = text;
  schema::Encoder encoder;
  return session.append(encoder.encode(schema::SetStudyUserAttr{7, {"text", value}}),
                        client::Durability::kPublished, Deadline::in_ms(100));
}

std::uint64_t kills() { return from_environment("OJ_KILLS", 300); }

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
  double records_per_second(const std::vector<std::uint64_t>& workers,
                            std::chrono::milliseconds over) const {
    const std::uint64_t before = progress(workers);
    const std::int64_t began_ns = monotonic_ns();
    std::this_thread::sleep_for(over);
    return static_cast<double>(progress(workers) - before) / 2 * 1e9 /
           static_cast<double>(monotonic_ns() - began_ns);
  }
  // Of every published append of a process that was not killed.
  std::vector<double> waits_of_others_ms() const {
    auto histories = fleet_->histories();
    std::erase_if(histories, [](const auto& entry) { return entry.second.killed; });
    return waits_ms(histories, *fleet_);
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

TEST_F(Crash, WorkersKilledAtRandomMomentsLoseNothing) {
  Plan plan;
  plan.kills = kills();
  plan.seconds_max = 500;
  plan.seed = from_environment("OJ_SEED", std::random_device{}());
  std::printf("seed %llu\n", static_cast<unsigned long long>(plan.seed));
  const Tally tally = Campaign(plan, *fleet_, journal()).run();
  EXPECT_TRUE(tally.ended);
  EXPECT_GE(tally.workers(), plan.kills);
  expect_clean();
  std::vector<double> waits = waits_of_others_ms();
  ASSERT_FALSE(waits.empty());
  measured("worker killed with SIGKILL",
           "%llu times, the daemon %llu times; the longest of the %zu waits of the others %.1f ms",
           static_cast<unsigned long long>(tally.workers()),
           static_cast<unsigned long long>(tally.total() - tally.workers()), waits.size(),
           *std::max_element(waits.begin(), waits.end()));
  EXPECT_TRUE(find_planted(fleet_->histories(), journal(), plan.seed));
}

TEST_F(Crash, TheDaemonKilledUnderLoadLosesNothingAndIsServedAgain) {
  const std::vector<std::string> fast = {"pool=16777216", "pause=0"};
  const std::vector<std::uint64_t> workers = {start(fast), start(fast), start(fast)};
  std::mt19937_64 random(from_environment("OJ_SEED", std::random_device{}()));
  std::vector<double> served_again_ms;
  for (std::uint64_t kill = 0; kill < kills() / 6; ++kill) {
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
  expect_clean();
  std::sort(served_again_ms.begin(), served_again_ms.end());
  std::vector<double> waits = waits_of_others_ms();
  measured("daemon killed with SIGKILL under load",
           "%zu times; the next one answers after %.0f ms (median), %.0f ms (longest); the longest "
           "of %zu published appends %.0f ms",
           served_again_ms.size(), served_again_ms[served_again_ms.size() / 2],
           served_again_ms.back(), waits.size(), *std::max_element(waits.begin(), waits.end()));
}

constexpr double kRatioMin = 0.5;

TEST_F(Crash, AWorkerStoppedForFiveSecondsDoesNotSlowTheOthers) {
  const std::vector<std::string> fast = {"pool=16777216", "pause=0"};
  const std::vector<std::uint64_t> others = {start(fast), start(fast), start(fast)};
  const std::uint64_t victim = start(fast);
  struct Stop {
    std::int64_t begin_ns = 0, end_ns = 0;
  };
  std::vector<Stop> stops;
  double ratio = 0, meanwhile = 0;
  // What else this machine does is no fault of the ring: three times it hardly does it just then.
  while (stops.size() < 3 && ratio < kRatioMin) {
    const double before = records_per_second(others, 2500ms);
    fleet_->stop(victim);
    stops.push_back({monotonic_ns(), 0});
    meanwhile = records_per_second(others, 5000ms);
    stops.back().end_ns = monotonic_ns();
    fleet_->go_on(victim);
    const std::uint64_t at = progress({victim});
    wait_until([&] { return progress({victim}) > at + 100; });
    ratio = meanwhile / ((before + records_per_second(others, 2500ms)) / 2);
  }
  expect_clean();

  double longest_ms = 0;
  const auto histories = fleet_->histories();
  for (const std::uint64_t other : others) {
    for (const Call& call : histories.at(other).calls) {
      const auto during = [&call](const Stop& stop) {
        return call.returned_ns > stop.begin_ns && call.returned_ns - call.wait_ns < stop.end_ns;
      };
      if (call.returned_ns != 0 && std::any_of(stops.begin(), stops.end(), during))
        longest_ms = std::max(longest_ms, static_cast<double>(call.wait_ns) / kNsPerMs);
    }
  }
  measured("worker stopped with SIGSTOP for 5 s",
           "three others make %.0f records a second, %.2f times what they make beside it; their "
           "longest wait %.1f ms",
           meanwhile, ratio, longest_ms);
  EXPECT_GT(longest_ms, 0);
  EXPECT_LT(longest_ms, 5000) << "somebody waited for the stopped one";
  EXPECT_GE(ratio, kRatioMin);
}

TEST_F(Crash, ADaemonStoppedForTenSecondsStopsNobodyUntilTheRingIsFull) {
  // Who waits for the disk waits for the daemon: that is not what this test is about.
  const std::vector<std::string> fast = {"pool=67108864", "pause=0", "sync=0"};
  const std::vector<std::uint64_t> workers = {start(fast), start(fast), start(fast)};
  wait_until([&] { return progress(workers) > 2000; });
  auto session = client::Session::open(journal());
  ASSERT_TRUE(session) << session.error().message;
  const auto daemon = fleet_->daemon();
  ASSERT_TRUE(daemon);
  ::kill(*daemon, SIGSTOP);
  const std::int64_t stopped_ns = monotonic_ns();
  const auto stopped_s = [&] {
    return static_cast<double>(monotonic_ns() - stopped_ns) / static_cast<double>(kNsPerS);
  };
  const std::uint64_t at_stop = progress(workers);
  std::uint64_t full = at_stop;
  double full_after_s = 0;
  while (stopped_s() < full_after_s + 2) {  // every append takes room, so it comes to an end
    const std::uint64_t now = progress(workers);
    if (now != full) full_after_s = stopped_s();
    full = now;
    std::this_thread::sleep_for(10ms);
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(std::max(0.0, 10 - stopped_s())));
  EXPECT_EQ(progress(workers), full);

  // Of our own chunk, too, nothing is left after some records.
  Result<client::Appended> refused = client::Appended{};
  for (int i = 0; refused && i < 100; ++i) refused = append_text(**session, 4000);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kBusy);
  EXPECT_NE(refused.error().message.find("full"), std::string::npos) << refused.error().message;

  ::kill(*daemon, SIGCONT);
  EXPECT_GT(full, at_stop) << "nothing was published while the daemon was stopped";
  wait_until([&] { return progress(workers) > full + 2000; });
  session->reset();
  measured("daemon stopped with SIGSTOP for 10 s",
           "%llu records went on into the ring for %.1f s, then all waited",
           static_cast<unsigned long long>((full - at_stop) / 2), full_after_s);
  expect_clean();
}

}  // namespace
}  // namespace oj::verify
