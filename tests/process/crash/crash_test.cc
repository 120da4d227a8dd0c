// Workers and daemons killed and stopped under load.
//
// Goal    What append() said is published is in the journal, once, whole, in its producer's order,
//         whoever dies or is stopped whenever; and nobody waits for the victim.
// Method  Real processes (crash_worker) on an embedded journal; SIGKILL and SIGSTOP at random
//         moments from a printed seed ($OJ_SEED to repeat); the judge (judge.h) compares the
//         replayed journal with what the workers were told.
//
// $OJ_WORKER_KILLS and $OJ_DAEMON_KILLS change how many (300 and 50).
//
// SPDX-License-Identifier: MIT
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "journal/folder.h"
#include "libclient/session.h"
#include "schema/codec.h"
#include "tests/process/crash/judge.h"

extern char** environ;

namespace oj::crash {
namespace {

using namespace std::chrono_literals;  // for the moments between kills only

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

class Crash : public ::testing::Test {
 protected:
  void SetUp() override {
    seed_ = from_environment("OJ_SEED", std::random_device{}());
    random_.seed(seed_);
    std::printf("seed %llu\n", static_cast<unsigned long long>(seed_));
    char pattern[] = "/tmp/oj-crash-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern), nullptr);
    root_ = pattern;
    folder_ = root_ + "/journal";
  }

  void TearDown() override {
    for (const auto& [worker, pid] : pids_) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
    if (const pid_t daemon = daemon_pid(); daemon > 0) {
      ::kill(daemon, SIGCONT);
      ::kill(daemon, SIGTERM);
      wait_until([&] { return daemon_pid() != daemon; });
    }
    for (const auto& [worker, board] : boards_) ::munmap(const_cast<Board*>(board), sizeof(Board));
    std::filesystem::remove_all(root_);
  }

  // Starts a worker and waits until its session is open.
  std::uint64_t start_worker() {
    const std::uint64_t worker = next_worker_++;
    const std::string path = board_path(worker);
    boards_[worker] = map_board(path);
    const std::string id = std::to_string(worker);
    const std::string pool = std::to_string(pool_bytes_);
    const std::string sync = std::to_string(sync_every_);
    const char* argv[] = {OJ_CRASH_WORKER, folder_.c_str(), path.c_str(), id.c_str(),
                          pool.c_str(),    sync.c_str(),    nullptr};
    pid_t pid = 0;
    EXPECT_EQ(
        ::posix_spawn(&pid, OJ_CRASH_WORKER, nullptr, nullptr, const_cast<char**>(argv), environ),
        0);
    pids_[worker] = pid;
    wait_until(
        [&] { return boards_[worker]->running.load() == 1 || boards_[worker]->errors.load() > 0; });
    EXPECT_EQ(boards_[worker]->errors.load(), 0u) << boards_[worker]->error_text;
    return worker;
  }

  void kill_worker(std::uint64_t worker) {
    ::kill(pids_[worker], SIGKILL);
    int status = 0;
    ::waitpid(pids_[worker], &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status))
        << "worker " << worker << " ended by itself: " << boards_[worker]->error_text;
    pids_.erase(worker);
  }

  void end_workers() {
    for (const auto& [worker, pid] : pids_) std::ofstream(board_path(worker) + ".stop") << "stop";
    for (const auto& [worker, pid] : pids_) {
      int status = 0;
      ::waitpid(pid, &status, 0);
      EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0)
          << "worker " << worker << ": " << boards_[worker]->error_text;
    }
    pids_.clear();
  }

  std::string board_path(std::uint64_t worker) const {
    return root_ + "/board-" + std::to_string(worker);
  }

  pid_t daemon_pid() const {
    const auto folder = journal::Folder::open(folder_, journal::Folder::IfAbsent::kRefuse);
    if (!folder) return 0;
    const auto holder = folder->holder();
    return holder && holder->has_value() ? (*holder)->pid : 0;
  }

  // Looks every millisecond; the test runner's own time limit is the watchdog.
  template <class Condition>
  static void wait_until(const Condition& condition) {
    while (!condition()) std::this_thread::sleep_for(1ms);
  }

  static bool is_stopped(pid_t pid) {
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    std::string number, name, state;
    stat >> number >> name >> state;  // our daemon's name has no blank
    return state == "T";
  }

  void pause_ms(int low, int high) {
    std::this_thread::sleep_for(
        std::chrono::milliseconds(std::uniform_int_distribution<int>(low, high)(random_)));
  }

  std::uint64_t acked_total() const {
    std::uint64_t total = 0;
    for (const auto& [worker, board] : boards_) total += board->acked.load();
    return total;
  }

  double records_per_second(const std::vector<std::uint64_t>& workers, std::int64_t ms) const {
    std::uint64_t before = 0, after = 0;
    for (const std::uint64_t worker : workers) before += boards_.at(worker)->acked.load();
    const std::int64_t start = monotonic_ns();
    std::this_thread::sleep_for(std::chrono::milliseconds(ms));
    for (const std::uint64_t worker : workers) after += boards_.at(worker)->acked.load();
    return static_cast<double>(after - before) * 1e9 / static_cast<double>(monotonic_ns() - start);
  }

  void expect_clean(bool offline, std::uint64_t killed) {
    const Verdict verdict = judge(folder_, offline, boards_);
    std::printf(
        "%s: %llu records of %zu workers: %llu lost, %llu doubled, %llu out of order, %llu torn; "
        "%llu published without an answer\n",
        offline ? "from disk" : "live", static_cast<unsigned long long>(verdict.records),
        boards_.size(), static_cast<unsigned long long>(verdict.lost),
        static_cast<unsigned long long>(verdict.doubled),
        static_cast<unsigned long long>(verdict.out_of_order),
        static_cast<unsigned long long>(verdict.torn),
        static_cast<unsigned long long>(verdict.unacknowledged));
    EXPECT_TRUE(verdict.clean()) << verdict.first_complaint;
    EXPECT_GE(verdict.records, acked_total());
    EXPECT_LE(verdict.unacknowledged, killed);
    for (const auto& [worker, board] : boards_)
      EXPECT_EQ(board->errors.load(), 0u) << board->error_text;
  }

  std::uint64_t seed_ = 0;
  std::mt19937_64 random_;
  std::string root_, folder_;
  std::uint64_t pool_bytes_ = 16u << 20;
  std::uint64_t sync_every_ = 64;
  std::uint64_t next_worker_ = 1;
  std::map<std::uint64_t, pid_t> pids_;  // of workers that run
  std::map<std::uint64_t, const Board*> boards_;
};

TEST_F(Crash, WorkersKilledAtRandomMomentsLoseNothingAndStopNobody) {
  const std::uint64_t kills = from_environment("OJ_WORKER_KILLS", 300);
  std::vector<std::uint64_t> bystanders;
  for (int i = 0; i < 3; ++i) bystanders.push_back(start_worker());
  for (std::uint64_t kill = 0; kill < kills; ++kill) {
    const std::uint64_t victim = start_worker();
    if (kill % 3 != 0) pause_ms(0, 5);  // a third dies right after its start
    kill_worker(victim);
  }
  std::uint64_t wait_ns_max = 0;
  for (const std::uint64_t worker : bystanders) {
    wait_ns_max = std::max(wait_ns_max, boards_[worker]->wait_ns_max.load());
    EXPECT_GT(boards_[worker]->acked.load(), 0u);
  }
  end_workers();
  std::printf("%llu kills; longest published append of a bystander: %.3f ms\n",
              static_cast<unsigned long long>(kills), static_cast<double>(wait_ns_max) / 1e6);
  expect_clean(false, kills);
}

TEST_F(Crash, AStoppedWorkerDoesNotSlowTheOthers) {
  std::vector<std::uint64_t> others;
  for (int i = 0; i < 3; ++i) others.push_back(start_worker());
  const std::uint64_t victim = start_worker();
  const double before = records_per_second(others, 3000);
  ::kill(pids_[victim], SIGSTOP);
  const double during = records_per_second(others, 5000);
  ::kill(pids_[victim], SIGCONT);
  const std::uint64_t victim_acked = boards_[victim]->acked.load();
  wait_until([&] {
    return boards_[victim]->acked.load() > victim_acked || boards_[victim]->errors.load() > 0;
  });
  end_workers();
  std::printf(
      "three workers: %.0f records/s beside a running fourth, %.0f while it is stopped: ratio "
      "%.2f\n",
      before, during, during / before);
  EXPECT_GE(during, 0.8 * before) << "a fifth is left to chance: two cores, a shared disk";
  expect_clean(false, 0);
}

TEST_F(Crash, TheDaemonKilledUnderLoadLosesNothingAndIsServedAgain) {
  const std::uint64_t kills = from_environment("OJ_DAEMON_KILLS", 50);
  for (int i = 0; i < 3; ++i) start_worker();
  std::vector<double> restart_ms;
  for (std::uint64_t kill = 0; kill < kills; ++kill) {
    pause_ms(5, 60);
    const pid_t daemon = daemon_pid();
    ASSERT_GT(daemon, 0);
    const std::int64_t before = monotonic_ns();
    ::kill(daemon, SIGKILL);
    wait_until([&] { return client::daemon_status(folder_).ok(); });
    ASSERT_NE(daemon_pid(), daemon);
    restart_ms.push_back(static_cast<double>(monotonic_ns() - before) / 1e6);
  }
  end_workers();
  std::sort(restart_ms.begin(), restart_ms.end());
  std::printf("%llu daemon kills; kill to serving again: p50 %.1f ms, max %.1f ms\n",
              static_cast<unsigned long long>(kills), restart_ms[restart_ms.size() / 2],
              restart_ms.back());
  expect_clean(false, 0);
  // And once more from disk alone, after a clean end.
  ASSERT_TRUE(client::stop_daemon(folder_, Deadline::in_ms(30'000)).ok() || daemon_pid() == 0);
  expect_clean(true, 0);
}

TEST_F(Crash, AStoppedDaemonStopsNobodyUntilTheRingIsFull) {
  pool_bytes_ = 64u << 20;  // some tenths of a second to fill, and the 8 s below are enough
  sync_every_ =
      0;  // who waits for the disk waits for the daemon: that is not what this test is about
  std::vector<std::uint64_t> workers;
  for (int i = 0; i < 3; ++i) workers.push_back(start_worker());
  wait_until([&] { return acked_total() > 1000; });
  const pid_t daemon = daemon_pid();
  ASSERT_GT(daemon, 0);
  ::kill(daemon, SIGSTOP);
  wait_until([&] { return is_stopped(daemon); });
  const std::uint64_t at_stop = acked_total();
  std::this_thread::sleep_for(8s);
  const std::uint64_t full = acked_total();
  std::this_thread::sleep_for(2s);
  const std::uint64_t still_full = acked_total();
  ::kill(daemon, SIGCONT);
  wait_until([&] { return acked_total() > still_full + 1000; });
  end_workers();
  std::printf(
      "daemon stopped for 10 s: %llu records went on into the ring, then all waited; %llu more "
      "after it went on\n",
      static_cast<unsigned long long>(still_full - at_stop),
      static_cast<unsigned long long>(acked_total() - still_full));
  EXPECT_GT(full, at_stop) << "nothing was published while the daemon was stopped";
  EXPECT_EQ(still_full, full) << "a full ring must make its producers wait";
  expect_clean(false, 0);
}

// The judge must find what it is there to find.
TEST(Judge, FindsWhatIsPlanted) {
  char pattern[] = "/tmp/oj-judge-XXXXXX";
  ASSERT_NE(::mkdtemp(pattern), nullptr);
  Board* board = map_board(std::string(pattern) + "/board");
  board->acked = 3;
  for (std::uint64_t n = 1; n <= 3; ++n) board->seq[n] = 10 + n;
  const std::map<std::uint64_t, const Board*> boards{{7, board}};
  schema::Encoder encoder;
  const auto record = [&](std::uint64_t n, double value) {
    return encoder.encode(
        schema::SetTrialIntermediateValue{7, {static_cast<std::int64_t>(n), value}});
  };
  {
    Judge judge(boards);
    for (std::uint64_t n = 1; n <= 3; ++n)
      judge.see(10 + n, record(n, 7.0 * static_cast<double>(n)));
    EXPECT_TRUE(judge.finish().clean());
  }
  {
    Judge judge(boards);
    judge.see(11, record(1, 7));
    judge.see(12, record(2, 14));
    EXPECT_EQ(judge.finish().lost, 1u);
  }
  {
    Judge judge(boards);
    judge.see(11, record(1, 7));
    judge.see(12, record(1, 7));
    EXPECT_EQ(judge.finish().doubled, 1u);
  }
  {
    Judge judge(boards);
    judge.see(12, record(2, 14));
    EXPECT_EQ(judge.finish().out_of_order, 1u);
  }
  {
    Judge judge(boards);
    judge.see(11, record(1, 8));
    EXPECT_EQ(judge.finish().torn, 1u);
  }
  ::munmap(board, sizeof(Board));
  std::filesystem::remove_all(pattern);
}

}  // namespace
}  // namespace oj::crash
