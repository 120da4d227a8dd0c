// Goal: one daemon a folder, that serves, drains and ends as its man page says.
//
// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/fd.h"
#include "shm/watermarks.h"
#include "tests/process/daemon/daemon_under_test.h"
#include "tests/process/daemon/raw_client.h"

namespace oj::testing {
namespace {

std::vector<std::string> numbered(int count) {
  std::vector<std::string> marks;
  for (int i = 0; i < count; ++i) marks.push_back("mark " + std::to_string(i));
  return marks;
}

TEST(Serving, SyncsWhatIsPublishedAndTellsItsStatus) {
  const Scratch scratch;
  Daemon daemon(scratch);
  ASSERT_TRUE(daemon.serves()) << daemon.said();
  RawWorker worker(scratch.runtime(), scratch.folder());
  for (const std::string& mark : numbered(100)) worker.mark(mark);
  worker.wait_synced();
  auto status = status_of(scratch.runtime());
  ASSERT_TRUE(status);
  EXPECT_EQ(status->daemon_pid, static_cast<std::uint32_t>(daemon.pid()));
  EXPECT_EQ(status->published, 100u);
  EXPECT_EQ(status->synced, 100u);
  EXPECT_GE(status->syncs, 1u);
  EXPECT_GT(status->disk_bytes, 0u);
  EXPECT_EQ(status->degraded, "");
  ASSERT_EQ(status->workers.size(), 1u);
  EXPECT_EQ(status->workers[0].pid, static_cast<std::uint32_t>(getpid()));
  EXPECT_EQ(status->workers[0].records, 100u);
  EXPECT_EQ(status->workers[0].command, "daemon_test");
}

// Nobody waits for the disk here, so the daemon has to see by itself that something was published.
// To open a journal may take longer than systemd waits for a start, or for a sign of life.
TEST(Serving, AsksItsSupervisorForTimeWhileItOpens) {
  const Fd ear(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socklen_t size = sizeof(sa_family_t);  // the kernel chooses an abstract name
  ASSERT_EQ(bind(ear.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  size = sizeof address;
  ASSERT_EQ(getsockname(ear.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  std::string name(address.sun_path, size - offsetof(sockaddr_un, sun_path));
  name[0] = '@';
  const Scratch scratch;
  setenv("NOTIFY_SOCKET", name.c_str(), 1);
  Daemon daemon(scratch);
  unsetenv("NOTIFY_SOCKET");
  ASSERT_TRUE(daemon.serves()) << daemon.said();
  std::vector<std::string> heard;
  while (heard.empty() || heard.back().find("READY=1") == std::string::npos) {
    std::string told(512, '\0');
    const ssize_t got = recv(ear.get(), told.data(), told.size(), 0);
    ASSERT_GT(got, 0);
    told.resize(static_cast<std::size_t>(got));
    heard.push_back(told);
  }
  EXPECT_NE(heard.front().find("EXTEND_TIMEOUT_USEC="), std::string::npos) << heard.front();
  EXPECT_NE(heard.front().find("WATCHDOG=1"), std::string::npos) << heard.front();
}

TEST(Serving, SyncsWithoutBeingAsked) {
  const Scratch scratch;
  Daemon daemon(scratch);
  ASSERT_TRUE(daemon.serves()) << daemon.said();
  RawWorker worker(scratch.runtime(), scratch.folder());
  for (std::uint64_t i = 0; i < 5; ++i) {
    worker.mark("mark");
    EXPECT_TRUE(eventually([&] { return shm::synced(*worker.region()) == i + 1; }));
  }
}

TEST(Serving, RefusesASecondDaemonNamingThePidOfTheFirst) {
  const Scratch scratch;
  Daemon first(scratch);
  ASSERT_TRUE(first.serves()) << first.said();
  Daemon second(scratch);
  EXPECT_EQ(second.wait(), 3);
  EXPECT_NE(second.said().find(std::to_string(first.pid())), std::string::npos) << second.said();
  EXPECT_FALSE(first.has_ended());
}

TEST(Serving, TermSyncsEverythingAndRemovesTheRegion) {
  const Scratch scratch;
  Daemon daemon(scratch, {"--sync-window-ms", "50"});
  ASSERT_TRUE(daemon.serves()) << daemon.said();
  {
    RawWorker worker(scratch.runtime(), scratch.folder());
    for (const std::string& mark : numbered(5000)) worker.mark(mark);
    worker.close();
  }
  ASSERT_TRUE(eventually([&] { return status_of(scratch.runtime())->workers.empty(); }));
  daemon.signal(SIGTERM);
  EXPECT_EQ(daemon.wait(), 0) << daemon.said();
  EXPECT_FALSE(std::filesystem::exists(scratch.runtime()));
  const OnDisk disk = read_all(scratch.folder());
  EXPECT_EQ(disk.marks, numbered(5000));
  EXPECT_EQ(disk.closed.size(), 1u);
  EXPECT_TRUE(disk.died.empty());
}

TEST(Serving, TermLeavesTheRegionToWorkersThatStay) {
  const Scratch scratch;
  Daemon daemon(scratch);
  ASSERT_TRUE(daemon.serves()) << daemon.said();
  RawWorker worker(scratch.runtime(), scratch.folder());
  worker.mark("before");
  daemon.signal(SIGTERM);
  EXPECT_EQ(daemon.wait(), 0) << daemon.said();
  EXPECT_EQ(read_all(scratch.folder()).marks, std::vector<std::string>{"before"});
  EXPECT_EQ(generation_in(scratch.runtime()), worker.welcome().generation);
  worker.mark("without a daemon");

  Daemon next(scratch);
  ASSERT_TRUE(next.serves()) << next.said();
  worker.mark("after");
  worker.wait_synced();
  EXPECT_TRUE(worker.held());
  worker.close();
  ASSERT_TRUE(eventually([&] { return status_of(scratch.runtime())->workers.empty(); }));
  next.signal(SIGTERM);
  EXPECT_EQ(next.wait(), 0) << next.said();
  EXPECT_EQ(read_all(scratch.folder()).marks,
            (std::vector<std::string>{"before", "without a daemon", "after"}));
}

TEST(Serving, StopIsRefusedWhileAWorkerIsAttached) {
  const Scratch scratch;
  Daemon daemon(scratch);
  ASSERT_TRUE(daemon.serves()) << daemon.said();
  ControlClient asker(scratch.runtime());
  {
    RawWorker worker(scratch.runtime(), scratch.folder());
    ASSERT_TRUE(asker.send(schema::StopRequest{}));
    auto answer = asker.receive();
    ASSERT_TRUE(answer && std::holds_alternative<schema::Refusal>(*answer));
    const auto& refusal = std::get<schema::Refusal>(*answer);
    EXPECT_EQ(refusal.code, static_cast<std::uint32_t>(Code::kRefused));
    EXPECT_NE(refusal.message.find("pid " + std::to_string(getpid())), std::string::npos)
        << refusal.message;
    worker.close();
  }
  ASSERT_TRUE(eventually([&] { return status_of(scratch.runtime())->workers.empty(); }));
  ASSERT_TRUE(asker.send(schema::StopRequest{}));
  auto answer = asker.receive();
  ASSERT_TRUE(answer && std::holds_alternative<schema::Stopping>(*answer));
  EXPECT_FALSE(asker.receive());  // the connection ends when it has drained
  EXPECT_EQ(daemon.wait(), 0) << daemon.said();
}

TEST(Serving, EndsByItselfWhenIdle) {
  const Scratch scratch;
  Daemon daemon(scratch, {"--idle-exit", "50"});
  ASSERT_TRUE(daemon.serves()) << daemon.said();
  RawWorker worker(scratch.runtime(), scratch.folder());
  worker.mark("mark");
  usleep(200'000);  // four times the idle time, with a worker: it stays
  EXPECT_FALSE(daemon.has_ended()) << daemon.said();
  worker.close();
  EXPECT_EQ(daemon.wait(), 0) << daemon.said();
  EXPECT_FALSE(std::filesystem::exists(scratch.runtime()));
  EXPECT_EQ(read_all(scratch.folder()).marks.size(), 1u);
}

TEST(Serving, HupIsIgnored) {
  const Scratch scratch;
  Daemon daemon(scratch);
  ASSERT_TRUE(daemon.serves()) << daemon.said();
  daemon.signal(SIGHUP);
  EXPECT_TRUE(status_of(scratch.runtime()));
  EXPECT_FALSE(daemon.has_ended());
}

TEST(Serving, BadPlacesAndOptionsAreErrorsOfTheirOwn) {
  const Scratch scratch;
  std::ofstream(scratch.disk() + "/file") << "text";
  const std::string of_something_else = scratch.disk() + "/photos";
  std::filesystem::create_directory(of_something_else);
  std::ofstream(of_something_else + "/cat.jpg") << "meow";

  Ran ran = run_daemon({scratch.disk() + "/file"});
  EXPECT_EQ(ran.exit_code, 2) << ran.err;
  EXPECT_NE(ran.err.find(scratch.disk() + "/file"), std::string::npos) << ran.err;
  ran = run_daemon({of_something_else});
  EXPECT_EQ(ran.exit_code, 2) << ran.err;
  EXPECT_EQ(files_in(of_something_else), std::vector<std::string>{"cat.jpg"});
  ran = run_daemon({"--sync-window-ms", "51", scratch.folder()});
  EXPECT_EQ(ran.exit_code, 2);
  for (const char* part : {"--sync-window-ms", "51", "0 .. 50"}) {
    EXPECT_NE(ran.err.find(part), std::string::npos) << ran.err;
  }
  ran = run_daemon({"--runtime-folder", "/dev/shm/" + std::string(120, 'x'), scratch.folder()});
  EXPECT_EQ(ran.exit_code, 2) << ran.err;
  EXPECT_FALSE(std::filesystem::exists("/dev/shm/" + std::string(120, 'x')));
  ran = run_daemon({"--help"});
  EXPECT_EQ(ran.exit_code, 0);
  EXPECT_NE(ran.out.find("Exit status"), std::string::npos);
}

}  // namespace
}  // namespace oj::testing
