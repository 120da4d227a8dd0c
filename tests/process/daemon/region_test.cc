// Goal: whatever becomes of daemon and region, what was published is kept, or its loss is told.
//
// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/fd.h"
#include "shm/watermarks.h"
#include "tests/process/daemon/daemon_under_test.h"
#include "tests/process/daemon/raw_client.h"
#include "tests/quiet_fork.h"

namespace oj::testing {
namespace {

constexpr off_t kFormatOffset = 8, kBootIdOffset = 24;  // docs/region-format.md

void overwrite(const std::string& path, off_t offset) {
  const Fd fd(open(path.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(fd) << path;
  const std::uint8_t other = 0x5a;
  ASSERT_EQ(pwrite(fd.get(), &other, 1, offset), 1);
}

void end(Daemon& daemon) {
  daemon.signal(SIGTERM);
  EXPECT_EQ(daemon.wait(), 0) << daemon.said();
}

TEST(Restart, AfterKillLosesNothingPublishedAndKeepsTheRegion) {
  const Scratch scratch;
  Daemon daemon(scratch);
  ASSERT_TRUE(daemon.serves()) << daemon.said();
  RawWorker worker(scratch.runtime(), scratch.folder());
  std::vector<std::string> marks;
  const auto mark = [&](const std::string& text) {
    marks.push_back(text);
    worker.mark(text);
  };
  mark("synced");
  worker.wait_synced();
  daemon.stop();
  for (int i = 0; i < 1000; ++i) mark("published while it was stopped, " + std::to_string(i));
  daemon.kill();
  for (int i = 0; i < 1000; ++i) mark("published while there was none, " + std::to_string(i));
  EXPECT_EQ(shm::synced(*worker.region()), 1u);

  Daemon next(scratch);
  ASSERT_TRUE(next.serves()) << next.said();
  EXPECT_EQ(status_of(scratch.runtime())->generation, worker.welcome().generation);
  worker.wait_synced();
  mark("after");
  worker.close();
  end(next);
  EXPECT_EQ(read_all(scratch.folder()).marks, marks);
}

TEST(Restart, TenTimesUnderLoadLosesNothing) {
  const Scratch scratch;
  std::vector<std::string> marks;
  std::optional<RawWorker> worker;
  for (int life = 0; life < 10; ++life) {
    Daemon daemon(scratch, {"--segment-min", "64K", "--segment-max", "64K"});
    ASSERT_TRUE(daemon.serves()) << daemon.said();
    if (!worker) worker.emplace(scratch.runtime(), scratch.folder());
    for (int i = 0; i < 3000; ++i) {
      marks.push_back(std::to_string(life) + "." + std::to_string(i));
      worker->mark(marks.back());
    }
    if (life % 3 == 0) worker->wait_synced();
    daemon.kill();
  }
  Daemon last(scratch);
  ASSERT_TRUE(last.serves()) << last.said();
  worker->close();
  end(last);
  EXPECT_EQ(read_all(scratch.folder()).marks, marks);
}

TEST(Restart, WorkerSaysHelloAgainAndKeepsItsSlot) {
  const Scratch scratch;
  Daemon first(scratch);
  ASSERT_TRUE(first.serves()) << first.said();
  RawWorker worker(scratch.runtime(), scratch.folder());
  first.kill();
  Daemon next(scratch);
  ASSERT_TRUE(next.serves()) << next.said();
  ControlClient again(scratch.runtime());
  const schema::Welcome& before = worker.welcome();
  schema::Hello hello;
  hello.rejoin = true;
  hello.slot = before.slot;
  hello.incarnation = before.incarnation;
  hello.session = before.session;
  auto answer = again.hello(hello);
  ASSERT_TRUE(answer && std::holds_alternative<schema::Welcome>(*answer));
  const auto& welcome = std::get<schema::Welcome>(*answer);
  EXPECT_EQ(welcome.slot, before.slot);
  EXPECT_EQ(welcome.incarnation, before.incarnation);
  EXPECT_EQ(welcome.session, before.session);
  EXPECT_NE(welcome.daemon_pid, before.daemon_pid);
  EXPECT_TRUE(worker.held());

  hello.incarnation += 1;  // of another life: a new slot
  ControlClient stranger(scratch.runtime());
  answer = stranger.hello(hello);
  ASSERT_TRUE(answer && std::holds_alternative<schema::Welcome>(*answer));
  EXPECT_NE(std::get<schema::Welcome>(*answer).session, before.session);
}

TEST(Region, OfAnotherBootIsReplacedAndItsUnsyncedRecordsAreTold) {
  const Scratch scratch;
  std::uint64_t generation = 0;
  {
    Daemon daemon(scratch);
    ASSERT_TRUE(daemon.serves()) << daemon.said();
    RawWorker worker(scratch.runtime(), scratch.folder());
    generation = worker.welcome().generation;
    worker.mark("synced");
    worker.wait_synced();
    daemon.stop();
    for (int i = 0; i < 7; ++i) worker.mark("lost with the machine");
    daemon.kill();
  }
  overwrite(scratch.runtime() + "/region-" + std::to_string(generation), kBootIdOffset);
  Daemon next(scratch);
  ASSERT_TRUE(next.serves()) << next.said();
  EXPECT_GT(status_of(scratch.runtime())->generation, generation);
  EXPECT_NE(next.said().find("7 records"), std::string::npos) << next.said();
  RawWorker worker(scratch.runtime(), scratch.folder());
  EXPECT_EQ(worker.mark("after"), 1u);
  worker.close();
  end(next);
  EXPECT_EQ(read_all(scratch.folder()).marks, (std::vector<std::string>{"synced", "after"}));
}

TEST(Region, OfAnotherFormatIsReplacedOnceNobodyHoldsIt) {
  const Scratch scratch;
  {
    Daemon daemon(scratch);
    ASSERT_TRUE(daemon.serves()) << daemon.said();
    RawWorker worker(scratch.runtime(), scratch.folder());
    worker.mark("synced");
    worker.wait_synced();
    daemon.kill();
    overwrite(scratch.runtime() + "/region-1", kFormatOffset);
    Daemon refused(scratch);
    EXPECT_EQ(refused.wait(), 6) << refused.said();
  }
  Daemon next(scratch);
  ASSERT_TRUE(next.serves()) << next.said();
  EXPECT_EQ(generation_in(scratch.runtime()), 2u);
  end(next);
  EXPECT_EQ(read_all(scratch.folder()).marks, std::vector<std::string>{"synced"});
}

TEST(Region, RemovedAfterACrashLosesNothingSynced) {
  const Scratch scratch;
  {
    Daemon daemon(scratch);
    ASSERT_TRUE(daemon.serves()) << daemon.said();
    RawWorker worker(scratch.runtime(), scratch.folder());
    worker.mark("synced");
    worker.wait_synced();
    daemon.kill();
  }
  remove_whole(scratch.runtime());
  Daemon next(scratch);
  ASSERT_TRUE(next.serves()) << next.said();
  end(next);
  EXPECT_EQ(read_all(scratch.folder()).marks, std::vector<std::string>{"synced"});
}

// A daemon that is killed while it makes a region leaves the file under its temporary name.
TEST(Region, ThatAFormerDaemonDidNotFinishIsRemoved) {
  const Scratch scratch;
  std::filesystem::create_directories(scratch.runtime());
  for (const char* name : {"/region-1.new", "/region-7.new", "/region-8.newer"})
    std::ofstream(scratch.runtime() + name) << std::string(1 << 20, 'x');
  Daemon daemon(scratch);
  ASSERT_TRUE(daemon.serves()) << daemon.said();
  EXPECT_EQ(files_in(scratch.runtime()),
            (std::vector<std::string>{"control.sock", "region-1", "region-8.newer"}));
  EXPECT_NE(daemon.said().find("region-7.new"), std::string::npos) << daemon.said();
  end(daemon);
  EXPECT_EQ(files_in(scratch.runtime()), std::vector<std::string>{"region-8.newer"});
}

TEST(Region, RemovedUnderTheDaemonIsReplacedAndNothingIsLost) {
  for (const bool whole_folder : {false, true}) {
    const Scratch scratch;
    Daemon daemon(scratch);
    ASSERT_TRUE(daemon.serves()) << daemon.said();
    RawWorker worker(scratch.runtime(), scratch.folder());
    std::vector<std::string> marks;
    for (int i = 0; i < 500; ++i) {
      marks.push_back(std::to_string(i));
      worker.mark(marks.back());
    }
    if (whole_folder) {
      remove_whole(scratch.runtime());
    } else {
      std::filesystem::remove(scratch.runtime() + "/region-1");
    }
    ASSERT_TRUE(eventually([&] { return worker.region()->retired(); })) << daemon.said();
    ASSERT_TRUE(eventually([&] { return generation_in(scratch.runtime()) == 2; })) << daemon.said();
    ASSERT_TRUE(daemon.serves()) << daemon.said();
    RawWorker other(scratch.runtime(), scratch.folder());
    EXPECT_EQ(other.welcome().generation, 2u);
    EXPECT_NE(daemon.said().find("(generation 1): its file is gone"), std::string::npos);
    marks.push_back("in the new one");
    EXPECT_EQ(other.mark(marks.back()), 500u);
    other.close();
    end(daemon);
    EXPECT_EQ(read_all(scratch.folder()).marks, marks);
  }
}

TEST(Region, WhoseHeaderIsWrittenOverIsReplacedAlthoughAWorkerSleepsInIt) {
  for (const off_t offset : {off_t{0}, kFormatOffset, off_t{16}, kBootIdOffset}) {
    const Scratch scratch;
    Daemon daemon(scratch);
    ASSERT_TRUE(daemon.serves()) << daemon.said();
    RawWorker worker(scratch.runtime(), scratch.folder());  // and holds its slot to the end
    worker.mark("in the first");
    worker.wait_synced();
    overwrite(scratch.runtime() + "/region-1", offset);
    ASSERT_TRUE(eventually([&] { return generation_in(scratch.runtime()) == 2; }))
        << offset << ": " << daemon.said();
    ASSERT_TRUE(daemon.serves()) << daemon.said();
    RawWorker other(scratch.runtime(), scratch.folder());
    EXPECT_EQ(other.mark("in the second"), 1u);
    other.close();
    end(daemon);
    EXPECT_EQ(read_all(scratch.folder()).marks,
              (std::vector<std::string>{"in the first", "in the second"}));
  }
}

TEST(Region, RemovedSocketIsMadeAgain) {
  const Scratch scratch;
  Daemon daemon(scratch);
  ASSERT_TRUE(daemon.serves()) << daemon.said();
  std::filesystem::remove(scratch.runtime() + "/control.sock");
  EXPECT_TRUE(eventually([&] { return status_of(scratch.runtime()).has_value(); }))
      << daemon.said();
}

TEST(Region, WithMoreSyncedThanTheDiskHasIsRefusedAndNamed) {
  const Scratch scratch;
  {
    Daemon daemon(scratch);
    ASSERT_TRUE(daemon.serves()) << daemon.said();
    RawWorker worker(scratch.runtime(), scratch.folder());
    worker.mark("synced");
    worker.wait_synced();
    daemon.kill();
  }
  std::filesystem::rename(scratch.folder() + "/segments", scratch.disk() + "/aside");
  std::filesystem::create_directory(scratch.folder() + "/segments");
  Daemon refused(scratch);
  EXPECT_EQ(refused.wait(), 5) << refused.said();
  EXPECT_NE(refused.said().find(scratch.runtime() + "/region-1"), std::string::npos)
      << refused.said();
  std::filesystem::remove(scratch.folder() + "/segments");
  std::filesystem::rename(scratch.disk() + "/aside", scratch.folder() + "/segments");
  Daemon next(scratch);
  ASSERT_TRUE(next.serves()) << next.said();
  end(next);
  EXPECT_EQ(read_all(scratch.folder()).marks, std::vector<std::string>{"synced"});
}

TEST(Region, FullWhileTheDaemonIsStoppedGoesOnAfterwards) {
  const Scratch scratch;
  Daemon daemon(scratch, {"--pool", "256K"});
  ASSERT_TRUE(daemon.serves()) << daemon.said();
  RawWorker worker(scratch.runtime(), scratch.folder());
  daemon.stop();
  std::vector<std::string> marks;
  for (;;) {
    const std::string text = std::to_string(marks.size());
    if (!worker.try_mark(text)) break;
    marks.push_back(text);
  }
  EXPECT_GT(marks.size(), 100u);
  EXPECT_NE(shm::describe_full(*worker.region()).find("full"), std::string::npos);
  daemon.go_on();
  for (int i = 0; i < 1000; ++i) {
    marks.push_back("after " + std::to_string(i));
    worker.mark(marks.back());
  }
  worker.close();
  end(daemon);
  EXPECT_EQ(read_all(scratch.folder()).marks, marks);
}

TEST(Region, OnATmpfsOf64MiBServes64Workers) {
  const Scratch scratch;
  if (!mount_tmpfs(scratch.runtime(), 64u << 20)) GTEST_SKIP() << "no mount namespace of our own";
  Daemon daemon(scratch);
  ASSERT_TRUE(daemon.serves()) << daemon.said();
  {
    std::vector<std::unique_ptr<RawWorker>> workers;
    for (int i = 0; i < 64; ++i) {
      workers.push_back(std::make_unique<RawWorker>(scratch.runtime(), scratch.folder()));
      ASSERT_FALSE(HasFailure()) << i;
    }
    for (int round = 0; round < 50; ++round) {
      for (auto& worker : workers) worker->mark("mark");
    }
    EXPECT_EQ(status_of(scratch.runtime())->workers.size(), 64u);
    EXPECT_LE(status_of(scratch.runtime())->region_bytes, (64u << 20) / 3);
    for (auto& worker : workers) worker->close();
  }
  end(daemon);
  EXPECT_EQ(read_all(scratch.folder()).marks.size(), 64u * 50);
}

TEST(Region, WithoutRoomIsAnErrorWithBytesNeededAndAvailable) {
  const Scratch scratch;
  if (!mount_tmpfs(scratch.runtime(), 512u << 10)) GTEST_SKIP() << "no mount namespace of our own";
  Daemon daemon(scratch);
  EXPECT_EQ(daemon.wait(), 4) << daemon.said();
  EXPECT_NE(daemon.said().find(" bytes needed, 524288 available"), std::string::npos)
      << daemon.said();
}

}  // namespace
}  // namespace oj::testing
