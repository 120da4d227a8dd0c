// Goal: a reader that sleeps hears of a record whose producer was halted before its wake, whatever
// the flusher is doing; and the record comes to disk although the flusher was not told. Method: the
// test arms the wake word as a sleeper does, and publishes without a wake; meanwhile all threads of
// the daemon but the first are held by ptrace.
//
// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "shm/views.h"
#include "shm/wake.h"
#include "shm/watermarks.h"
#include "tests/process/daemon/daemon_under_test.h"
#include "tests/process/daemon/raw_client.h"

namespace oj::testing {
namespace {

// All threads of a process but its first, held at whatever they are doing.
class HeldThreads {
 public:
  explicit HeldThreads(pid_t process) {
    for (const auto& entry :
         std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/task")) {
      const pid_t thread = std::stoi(entry.path().filename().string());
      if (thread == process) continue;
      if (ptrace(PTRACE_SEIZE, thread, nullptr, nullptr) != 0) return;
      threads_.push_back(thread);
      EXPECT_EQ(ptrace(PTRACE_INTERRUPT, thread, nullptr, nullptr), 0);
      int status = 0;
      EXPECT_EQ(waitpid(thread, &status, __WALL), thread);
      EXPECT_TRUE(WIFSTOPPED(status));
    }
    held_ = !threads_.empty();
  }
  ~HeldThreads() {
    for (const pid_t thread : threads_) ptrace(PTRACE_DETACH, thread, nullptr, nullptr);
  }
  HeldThreads(const HeldThreads&) = delete;
  HeldThreads& operator=(const HeldThreads&) = delete;
  bool held() const { return held_; }

 private:
  std::vector<pid_t> threads_;
  bool held_ = false;
};

TEST(LeftOutWakes, AreMadeUpForWhateverTheFlusherIsDoing) {
  const Scratch scratch;
  Daemon daemon(scratch);
  ASSERT_TRUE(daemon.serves()) << daemon.said();
  RawWorker worker(scratch.runtime(), scratch.folder());
  worker.mark("before");
  worker.wait_synced();
  const shm::RegionView view(*worker.region());
  auto& word = view.marks().published_wake;
  shm::PublishCursor cursor;
  for (int round = 0; round < 2; ++round) {
    const HeldThreads flusher(daemon.pid());
    if (!flusher.held()) GTEST_SKIP() << "no right to ptrace";
    const std::uint32_t armed = shm::arm<shm::Production>(word);
    ASSERT_EQ(view.ring().publish(0, cursor), shm::PublishEnd::kPublished);  // and no wake
    EXPECT_TRUE(eventually([&] {
      return word.load(std::memory_order_seq_cst) != armed;  // pair: sleep
    }));
  }
  const std::uint64_t end = shm::published_end(*worker.region());
  EXPECT_TRUE(eventually([&] { return shm::synced(*worker.region()) == end; }));
}

}  // namespace
}  // namespace oj::testing
