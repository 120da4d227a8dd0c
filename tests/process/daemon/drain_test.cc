// Goal: whoever publishes while the daemon drains, and ends, leaves nothing unsynced. Method: the
// flusher is held, by ptrace, as it begins its last sync; meanwhile a worker publishes and closes.
//
// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "tests/process/daemon/daemon_under_test.h"
#include "tests/process/daemon/raw_client.h"

namespace oj::testing {
namespace {

// All threads of a process but its first, until one of them begins a certain system call: that one
// is held there, the others go on.
class HeldAtSystemCall {
 public:
  explicit HeldAtSystemCall(pid_t process) {
    for (const auto& entry :
         std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/task")) {
      const pid_t thread = std::stoi(entry.path().filename().string());
      if (thread == process) continue;
      if (ptrace(PTRACE_SEIZE, thread, nullptr, PTRACE_O_TRACESYSGOOD) != 0) return;
      interrupt(thread);
    }
    for (const auto& [thread, stopped] : stopped_) go_on(thread);
    may_ = !stopped_.empty();
  }
  ~HeldAtSystemCall() { let_go_all_but(0); }
  HeldAtSystemCall(const HeldAtSystemCall&) = delete;
  HeldAtSystemCall& operator=(const HeldAtSystemCall&) = delete;
  bool may() const { return may_; }

  bool held_at(long call) {
    return eventually([&] {
      for (const auto& [thread, stopped] : stopped_) {
        int status = 0;
        if (stopped || waitpid(thread, &status, __WALL | WNOHANG) != thread) continue;
        stopped_[thread] = true;
        if (begins(thread, status, call)) return let_go_all_but(thread);
        go_on(thread);
      }
      return false;
    });
  }

 private:
  static bool begins(pid_t thread, int status, long call) {
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != (SIGTRAP | 0x80)) return false;
    __ptrace_syscall_info info{};
    return ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info) > 0 &&
           info.op == PTRACE_SYSCALL_INFO_ENTRY &&
           info.entry.nr == static_cast<std::uint64_t>(call);
  }
  void interrupt(pid_t thread) {
    EXPECT_EQ(ptrace(PTRACE_INTERRUPT, thread, nullptr, nullptr), 0);
    int status = 0;
    EXPECT_EQ(waitpid(thread, &status, __WALL), thread);
    stopped_[thread] = true;
  }
  bool let_go_all_but(pid_t held) {
    for (const auto& [thread, stopped] : std::map(stopped_)) {
      if (thread == held) continue;
      if (!stopped) interrupt(thread);
      ptrace(PTRACE_DETACH, thread, nullptr, nullptr);
      stopped_.erase(thread);
    }
    return true;
  }
  void go_on(pid_t thread) {
    EXPECT_EQ(ptrace(PTRACE_SYSCALL, thread, nullptr, nullptr), 0);
    stopped_[thread] = false;
  }

  std::map<pid_t, bool> stopped_;
  bool may_ = false;
};

// As the kernel says; "running" if it is in none.
bool main_thread_is_in(pid_t process, long call) {
  std::ifstream file("/proc/" + std::to_string(process) + "/syscall");
  std::string number;
  return file >> number && number == std::to_string(call);
}

TEST(Drain, SyncsWhatIsPublishedUntilTheLastWorkerLetsGo) {
  const Scratch scratch;
  Daemon daemon(scratch);
  ASSERT_TRUE(daemon.serves()) << daemon.said();
  RawWorker worker(scratch.runtime(), scratch.folder());
  {
    HeldAtSystemCall flusher(daemon.pid());
    if (!flusher.may()) GTEST_SKIP() << "no right to ptrace";
    worker.mark("before");
    ASSERT_TRUE(flusher.held_at(SYS_fdatasync));
    daemon.signal(SIGTERM);
    // It has posted the drain, with what is published now as its goal, once it waits for the end.
    ASSERT_TRUE(eventually([&] {
      return !std::filesystem::exists(scratch.runtime() + "/control.sock") &&
             main_thread_is_in(daemon.pid(), SYS_poll);
    })) << daemon.said();
    worker.mark("meanwhile");
    worker.close();
  }
  EXPECT_EQ(daemon.wait(), 0) << daemon.said();
  EXPECT_EQ(files_in(scratch.runtime()), std::vector<std::string>()) << daemon.said();
  EXPECT_EQ(read_all(scratch.folder()).marks, (std::vector<std::string>{"before", "meanwhile"}));
}

}  // namespace
}  // namespace oj::testing
