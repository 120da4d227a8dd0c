// Goal: what a dead worker left is told once and given back; a living one is never taken for dead.
//
// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "shm/watermarks.h"
#include "tests/process/daemon/daemon_under_test.h"
#include "tests/process/daemon/raw_client.h"

namespace oj::testing {
namespace {

std::size_t workers_of(const Scratch& scratch) {
  const auto status = status_of(scratch.runtime());
  return status ? status->workers.size() : 1000;
}

void end(Daemon& daemon) {
  daemon.signal(SIGTERM);
  EXPECT_EQ(daemon.wait(), 0) << daemon.said();
}

TEST(Death, IsToldOnceAndFreesTheSlot) {
  const Scratch scratch;
  Daemon daemon(scratch);
  ASSERT_TRUE(daemon.serves()) << daemon.said();
  std::vector<schema::SessionId> killed;
  for (int i = 0; i < 5; ++i) {
    WorkerProcess worker(scratch.runtime(), scratch.folder(), [](RawWorker& w) { w.mark("mark"); });
    killed.push_back(worker.session());
    EXPECT_EQ(workers_of(scratch), 1u);
    worker.kill();
    ASSERT_TRUE(eventually([&] { return workers_of(scratch) == 0; })) << daemon.said();
  }
  end(daemon);
  const OnDisk disk = read_all(scratch.folder());
  EXPECT_EQ(disk.died, killed);
  EXPECT_EQ(disk.marks.size(), 5u);
  EXPECT_EQ(files_in(scratch.runtime()), std::vector<std::string>());
}

TEST(Death, ComesAfterEverythingTheDeadPublished) {
  const Scratch scratch;
  Daemon daemon(scratch);
  ASSERT_TRUE(daemon.serves()) << daemon.said();
  {
    WorkerProcess worker(scratch.runtime(), scratch.folder(), [](RawWorker& w) {
      for (int i = 0; i < 20'000; ++i) w.mark("mark");
    });
    worker.kill();
  }
  ASSERT_TRUE(eventually([&] { return workers_of(scratch) == 0; })) << daemon.said();
  end(daemon);
  const OnDisk disk = read_all(scratch.folder());
  EXPECT_EQ(disk.marks.size(), 20'000u);
  EXPECT_EQ(disk.died.size(), 1u);
  EXPECT_EQ(disk.records, 20'001u);
}

TEST(Death, WhileNoDaemonRunsIsFoundByTheNext) {
  const Scratch scratch;
  WorkerProcess* worker = nullptr;
  {
    Daemon daemon(scratch);
    ASSERT_TRUE(daemon.serves()) << daemon.said();
    worker = new WorkerProcess(scratch.runtime(), scratch.folder(),
                               [](RawWorker& w) { w.mark("mark"); });
    daemon.kill();
  }
  const schema::SessionId session = worker->session();
  delete worker;
  Daemon next(scratch);
  ASSERT_TRUE(next.serves()) << next.said();
  ASSERT_TRUE(eventually([&] { return workers_of(scratch) == 0; })) << next.said();
  end(next);
  EXPECT_EQ(read_all(scratch.folder()).died, std::vector<schema::SessionId>{session});
}

// The next daemon has no pidfd of it, only its lock byte.
TEST(Death, AfterTheDaemonWasReplacedIsSeenByTheLock) {
  const Scratch scratch;
  Daemon first(scratch);
  ASSERT_TRUE(first.serves()) << first.said();
  WorkerProcess worker(scratch.runtime(), scratch.folder(), [](RawWorker& w) { w.mark("mark"); });
  first.kill();
  Daemon next(scratch);
  ASSERT_TRUE(next.serves()) << next.said();
  EXPECT_EQ(workers_of(scratch), 1u);
  const schema::SessionId session = worker.session();
  worker.kill();
  ASSERT_TRUE(eventually([&] { return workers_of(scratch) == 0; })) << next.said();
  end(next);
  EXPECT_EQ(read_all(scratch.folder()).died, std::vector<schema::SessionId>{session});
}

TEST(Death, ThatADaemonBeganToReapIsFinishedByTheNext) {
  const Scratch scratch;
  Daemon first(scratch);
  ASSERT_TRUE(first.serves()) << first.said();
  WorkerProcess worker(scratch.runtime(), scratch.folder(), [](RawWorker& w) { w.mark("mark"); });
  first.kill();
  const schema::SessionId session = worker.session();
  worker.kill();
  {
    auto region = shm::Region::attach(scratch.runtime() + "/region-1",
                                      shm::Region::Access::kReadWrite, nullptr);
    ASSERT_TRUE(region) << region.error().message;
    shm::SlotTable slots(*region);
    for (std::uint32_t i = 0; i < slots.size(); ++i) {
      const auto seen = slots.snapshot(i);
      if (seen.identity.session == session) {
        ASSERT_TRUE(slots.begin_reaping(seen.slot));
      }
    }
  }
  Daemon next(scratch);
  ASSERT_TRUE(next.serves()) << next.said();
  RawWorker other(scratch.runtime(), scratch.folder());
  other.close();
  ASSERT_TRUE(eventually([&] { return workers_of(scratch) == 0; })) << next.said();
  end(next);
  EXPECT_EQ(read_all(scratch.folder()).died, std::vector<schema::SessionId>{session});
  EXPECT_EQ(files_in(scratch.runtime()), std::vector<std::string>());
}

TEST(Death, IsNotProvenByAClosedConnection) {
  const Scratch scratch;
  Daemon daemon(scratch);
  ASSERT_TRUE(daemon.serves()) << daemon.said();
  RawWorker worker(scratch.runtime(), scratch.folder());
  worker.connection().close();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(workers_of(scratch), 1u);
  worker.mark("alive");
  worker.wait_synced();
  EXPECT_TRUE(worker.held());
  worker.close();
  ASSERT_TRUE(eventually([&] { return workers_of(scratch) == 0; })) << daemon.said();
  end(daemon);
  EXPECT_TRUE(read_all(scratch.folder()).died.empty());
}

// A client leaves slots that it never took, others get them, and the client ends: the daemon,
// stopped meanwhile, learns of all that at once.
TEST(Death, IsNotProvenByThePidfdOfWhoHadTheSlotBefore) {
  constexpr std::size_t kSlots = 20;  // the first are free again while the last are given back
  const Scratch scratch;
  Daemon daemon(scratch);
  ASSERT_TRUE(daemon.serves()) << daemon.said();
  int order[2], answer[2];
  ASSERT_TRUE(pipe(order) == 0 && pipe(answer) == 0);
  char byte = 0;
  const pid_t former = fork();
  if (former == 0) {
    std::vector<ControlClient> clients;
    for (std::size_t i = 0; i < kSlots; ++i) {
      clients.emplace_back(scratch.runtime());
      if (!clients.back().hello()) _exit(1);
    }
    if (write(answer[1], "1", 1) != 1 || read(order[0], &byte, 1) != 1) _exit(1);
    clients.clear();
    if (write(answer[1], "2", 1) != 1 || read(order[0], &byte, 1) != 1) _exit(1);
    _exit(0);
  }
  ASSERT_EQ(read(answer[0], &byte, 1), 1);
  std::vector<ControlClient> next;
  for (std::size_t i = 0; i < kSlots; ++i) {
    next.emplace_back(scratch.runtime());
    ASSERT_TRUE(next.back().send(schema::StatusRequest{}) && next.back().receive());
  }

  daemon.stop();
  ASSERT_EQ(write(order[1], "1", 1), 1);
  ASSERT_EQ(read(answer[0], &byte, 1), 1);
  const Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  const int number = pidfd.get();
  for (ControlClient& client : next) ASSERT_TRUE(client.send(schema::Hello{}, {&number, 1}));
  ASSERT_EQ(write(order[1], "2", 1), 1);
  ASSERT_EQ(waitpid(former, nullptr, 0), former);
  daemon.go_on();

  for (ControlClient& client : next) {
    const auto welcome = client.receive();
    ASSERT_TRUE(welcome && std::holds_alternative<schema::Welcome>(*welcome));
  }
  EXPECT_EQ(workers_of(scratch), kSlots) << daemon.said();
  for (const int fd : {order[0], order[1], answer[0], answer[1]}) close(fd);
}

// Leaves a daemon so many descriptors that it may still open.
class FewDescriptors {
 public:
  FewDescriptors(pid_t daemon, std::uint64_t free) : daemon_(daemon) {
    const std::string folder = "/proc/" + std::to_string(daemon) + "/fd/";
    rlimit few{};
    while (free > 0 || access((folder + std::to_string(few.rlim_cur)).c_str(), F_OK) == 0) {
      if (access((folder + std::to_string(few.rlim_cur)).c_str(), F_OK) != 0) --free;
      ++few.rlim_cur;
    }
    EXPECT_EQ(prlimit(daemon, RLIMIT_NOFILE, nullptr, &before_), 0);
    few.rlim_max = before_.rlim_max;
    EXPECT_EQ(prlimit(daemon, RLIMIT_NOFILE, &few, nullptr), 0);
  }
  ~FewDescriptors() { EXPECT_EQ(prlimit(daemon_, RLIMIT_NOFILE, &before_, nullptr), 0); }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;

 private:
  pid_t daemon_;
  rlimit before_{};
};

// For want of descriptors the daemon can not receive a pidfd, or not see whose it is.
TEST(Death, IsProvenByTheLockWhereThePidfdCannotBeJudged) {
  const Scratch scratch;
  Daemon daemon(scratch);
  ASSERT_TRUE(daemon.serves()) << daemon.said();
  ASSERT_EQ(workers_of(scratch), 0u);
  for (const std::uint64_t free : {1, 2, 3}) {
    std::optional<FewDescriptors> few(std::in_place, daemon.pid(), free);
    WorkerProcess worker(scratch.runtime(), scratch.folder(), [](RawWorker& w) { w.mark("mark"); });
    few.reset();
    EXPECT_EQ(workers_of(scratch), 1u) << free;
    worker.kill();
    ASSERT_TRUE(eventually([&] { return workers_of(scratch) == 0; })) << daemon.said();
  }
  end(daemon);
  EXPECT_EQ(read_all(scratch.folder()).died.size(), 3u);
}

TEST(Death, IsNotProvenByAPidfdThatCouldNotBeJudged) {
  const Scratch scratch;
  Daemon daemon(scratch);
  ASSERT_TRUE(daemon.serves()) << daemon.said();
  ASSERT_EQ(workers_of(scratch), 0u);
  const pid_t another = fork();
  if (another == 0) {
    for (;;) pause();
  }
  const Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, another, 0)));
  const int number = pidfd.get();
  ControlClient client(scratch.runtime());
  {
    // Its connection is taken: two more are for the pidfd, and to look at whose it is.
    ASSERT_TRUE(client.send(schema::StatusRequest{}) && client.receive());
    const FewDescriptors few(daemon.pid(), 2);
    ASSERT_TRUE(client.send(schema::Hello{}, {&number, 1}));
    const auto welcome = client.receive();
    ASSERT_TRUE(welcome && std::holds_alternative<schema::Welcome>(*welcome));
  }
  kill(another, SIGKILL);
  ASSERT_EQ(waitpid(another, nullptr, 0), another);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(workers_of(scratch), 1u) << daemon.said();
}

// Its process and pidfd live on; its connection and its lock byte went with the first program.
TEST(Death, OfASessionWhoseProcessBecameAnotherProgram) {
  const Scratch scratch;
  Daemon daemon(scratch);
  ASSERT_TRUE(daemon.serves()) << daemon.said();
  int go[2];
  ASSERT_EQ(pipe(go), 0);
  const WorkerProcess worker(scratch.runtime(), scratch.folder(), [&](RawWorker& w) {
    w.mark("mark");
    std::thread([&] {
      char byte = 0;
      if (read(go[0], &byte, 1) == 1) execl("/bin/sleep", "sleep", "1000", nullptr);
      _exit(1);
    }).detach();
  });
  EXPECT_EQ(workers_of(scratch), 1u);
  ASSERT_EQ(write(go[1], "x", 1), 1);
  EXPECT_TRUE(eventually([&] { return workers_of(scratch) == 0; })) << daemon.said();
  EXPECT_EQ(kill(worker.pid(), 0), 0);
  end(daemon);
  EXPECT_EQ(read_all(scratch.folder()).died, std::vector<schema::SessionId>{worker.session()});
  for (const int fd : go) close(fd);
}

TEST(Death, IsNotProvenByBeingStopped) {
  const Scratch scratch;
  Daemon daemon(scratch);
  ASSERT_TRUE(daemon.serves()) << daemon.said();
  WorkerProcess worker(scratch.runtime(), scratch.folder(), [](RawWorker& w) { w.mark("mark"); });
  ASSERT_EQ(kill(worker.pid(), SIGSTOP), 0);
  RawWorker other(scratch.runtime(), scratch.folder());
  for (int i = 0; i < 10; ++i) {
    other.mark("meanwhile");
    other.wait_synced();
  }
  EXPECT_EQ(workers_of(scratch), 2u);
}

// A client that got a slot and went away before it took it, its process living on.
TEST(Death, ASlotThatWasNeverTakenComesBack) {
  const Scratch scratch;
  Daemon daemon(scratch);
  ASSERT_TRUE(daemon.serves()) << daemon.said();
  ControlClient client(scratch.runtime());
  auto answer = client.hello();
  ASSERT_TRUE(answer && std::holds_alternative<schema::Welcome>(*answer));
  EXPECT_EQ(workers_of(scratch), 1u);
  client.close();
  ASSERT_TRUE(eventually([&] { return workers_of(scratch) == 0; })) << daemon.said();
  end(daemon);
  EXPECT_TRUE(read_all(scratch.folder()).died.empty());
}

}  // namespace
}  // namespace oj::testing
