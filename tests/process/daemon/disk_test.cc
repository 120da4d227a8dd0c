// Goal: a disk that fills up stops neither workers nor the daemon, and nothing is lost when it has
// room again.
//
// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "shm/watermarks.h"
#include "tests/process/daemon/daemon_under_test.h"
#include "tests/process/daemon/raw_client.h"

namespace oj::testing {
namespace {

constexpr std::uint64_t kDiskBytes = 4u << 20;

// Takes all that is left.
void fill(const std::string& path) {
  std::ofstream junk(path, std::ios::binary);
  const std::string block(4096, 'x');
  while (junk.write(block.data(), 4096).flush()) {}
}

std::string degraded_of(const Scratch& scratch) {
  const auto status = status_of(scratch.runtime());
  return status ? status->degraded : "no daemon";
}

TEST(Disk, FullIsDegradedAndRecoversWhenThereIsRoom) {
  const Scratch scratch;
  if (!mount_tmpfs(scratch.folder(), kDiskBytes)) GTEST_SKIP() << "no mount namespace of our own";
  Daemon daemon(scratch, {"--segment-min", "256K", "--segment-max", "256K"});
  ASSERT_TRUE(daemon.serves()) << daemon.said();
  RawWorker worker(scratch.runtime(), scratch.folder());
  std::vector<std::string> marks;
  const auto mark = [&] {
    marks.push_back(std::to_string(marks.size()) + std::string(200, '.'));
    worker.mark(marks.back());
  };
  for (int i = 0; i < 100; ++i) mark();
  worker.wait_synced();
  fill(scratch.folder() + "/junk");
  // More than the segment at hand has preallocated.
  for (int i = 0; i < 3000; ++i) mark();
  ASSERT_TRUE(eventually([&] { return !degraded_of(scratch).empty(); })) << daemon.said();
  EXPECT_NE(shm::degraded(*worker.region()), 0);
  const std::uint64_t stuck = shm::synced(*worker.region());
  EXPECT_LT(stuck, marks.size());
  for (int i = 0; i < 1000; ++i) mark();  // publishing goes on
  std::filesystem::remove(scratch.folder() + "/junk");
  ASSERT_TRUE(eventually([&] { return degraded_of(scratch).empty(); })) << daemon.said();
  worker.wait_synced();
  EXPECT_EQ(shm::degraded(*worker.region()), 0);
  worker.close();
  daemon.signal(SIGTERM);
  EXPECT_EQ(daemon.wait(), 0) << daemon.said();
  EXPECT_EQ(read_all(scratch.folder()).marks, marks);
}

TEST(Disk, FullAtTheEndKeepsTheRegionForTheNextDaemon) {
  const Scratch scratch;
  if (!mount_tmpfs(scratch.folder(), kDiskBytes)) GTEST_SKIP() << "no mount namespace of our own";
  std::vector<std::string> marks;
  {
    Daemon daemon(scratch, {"--segment-min", "256K", "--segment-max", "256K"});
    ASSERT_TRUE(daemon.serves()) << daemon.said();
    RawWorker worker(scratch.runtime(), scratch.folder());
    fill(scratch.folder() + "/junk");
    for (int i = 0; i < 3000; ++i) {
      marks.push_back(std::to_string(i) + std::string(200, '.'));
      worker.mark(marks.back());
    }
    ASSERT_TRUE(eventually([&] { return !degraded_of(scratch).empty(); })) << daemon.said();
    worker.close();
    daemon.signal(SIGTERM);
    EXPECT_EQ(daemon.wait(), 1) << daemon.said();
  }
  EXPECT_NE(generation_in(scratch.runtime()), 0u);
  std::filesystem::remove(scratch.folder() + "/junk");
  Daemon next(scratch, {"--segment-min", "256K", "--segment-max", "256K"});
  ASSERT_TRUE(next.serves()) << next.said();
  next.signal(SIGTERM);
  EXPECT_EQ(next.wait(), 0) << next.said();
  EXPECT_EQ(read_all(scratch.folder()).marks, marks);
}

TEST(Disk, WithoutRoomForASegmentIsAnErrorAtTheStart) {
  const Scratch scratch;
  if (!mount_tmpfs(scratch.folder(), 256u << 10)) GTEST_SKIP() << "no mount namespace of our own";
  Daemon daemon(scratch);
  EXPECT_EQ(daemon.wait(), 4) << daemon.said();
  EXPECT_NE(daemon.said().find("no room for a new segment: needs "), std::string::npos)
      << daemon.said();
  EXPECT_NE(daemon.said().find(" bytes, available are "), std::string::npos) << daemon.said();
}

}  // namespace
}  // namespace oj::testing
