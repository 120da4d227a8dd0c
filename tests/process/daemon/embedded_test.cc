// Goal: `optjournald --embedded` tells whoever starts it how it went, and needs nobody to end it.
//
// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "journal/folder.h"
#include "tests/process/daemon/daemon_under_test.h"
#include "tests/process/daemon/raw_client.h"

namespace oj::testing {
namespace {

std::optional<journal::Holder> holder_of(const std::string& path) {
  auto folder = journal::Folder::open(path, journal::Folder::IfAbsent::kRefuse);
  if (!folder) return std::nullopt;
  auto holder = folder->holder();
  return holder ? *holder : std::nullopt;
}

// As a client of an embedded journal does: whoever DIR/LOCK names.
std::string runtime_of(const std::string& path) {
  const auto holder = holder_of(path);
  return holder ? holder->runtime_folder : "";
}

TEST(Embedded, SaysReadyServesAndEndsWhenIdle) {
  const Scratch scratch;
  const Ran ran = run_daemon({"--embedded", "--idle-exit", "100", scratch.folder()});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(ran.out, "READY\n");
  EXPECT_EQ(ran.err, "");
  const auto holder = holder_of(scratch.folder());
  ASSERT_TRUE(holder);
  EXPECT_EQ(getpgid(holder->pid), holder->pid);  // a Ctrl-C at the terminal is not for it
  {
    RawWorker worker(holder->runtime_folder, scratch.folder());
    worker.mark("mark");
    worker.close();
  }
  ASSERT_TRUE(eventually([&] { return !holder_of(scratch.folder()); }));
  EXPECT_FALSE(std::filesystem::exists(holder->runtime_folder));
  EXPECT_EQ(read_all(scratch.folder()).marks, std::vector<std::string>{"mark"});
  std::ifstream said(scratch.folder() + "/optjournald.log");
  std::ostringstream text;
  text << said.rdbuf();
  EXPECT_NE(text.str().find("ended; "), std::string::npos) << text.str();
}

// The members of DIR's group need not have it as their own first group.
TEST(Embedded, OfAFolderSharedWithAGroupMakesEverythingForThatGroup) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to use another group";
  constexpr gid_t kGroup = 4242;
  const Scratch scratch;
  std::filesystem::create_directory(scratch.folder());
  ASSERT_EQ(chown(scratch.folder().c_str(), 0, kGroup), 0);
  ASSERT_EQ(chmod(scratch.folder().c_str(), 0770), 0);
  const Ran ran = run_daemon({"--embedded", "--idle-exit", "100", scratch.folder()});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const RawWorker worker(runtime_of(scratch.folder()), scratch.folder());
  std::size_t looked = 0;
  for (const std::string& place : {scratch.folder(), runtime_of(scratch.folder())}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(place)) {
      struct stat info {};
      ASSERT_EQ(lstat(entry.path().c_str(), &info), 0);
      if (S_ISLNK(info.st_mode)) continue;
      EXPECT_EQ(info.st_gid, kGroup) << entry.path();
      EXPECT_EQ(info.st_mode & 0060, 0060u) << entry.path();
      ++looked;
    }
  }
  EXPECT_GE(looked,
            7u);  // FORMAT, LOCK, segments and one in it, optjournald.log; socket and region
}

TEST(Embedded, RemovesTheRegionsOfFoldersThatAreGone) {
  const Scratch scratch;
  const std::string kept = scratch.folder(), deleted = scratch.disk() + "/deleted";
  std::vector<std::string> left;
  for (const std::string& folder : {kept, deleted}) {
    ASSERT_EQ(run_daemon({"--embedded", folder}).exit_code, 0);
    const auto holder = holder_of(folder);
    ASSERT_TRUE(holder);
    left.push_back(holder->runtime_folder);
    ASSERT_EQ(::kill(holder->pid, SIGKILL), 0);
    ASSERT_TRUE(eventually([&] { return !holder_of(folder); }));
    ASSERT_GT(generation_in(left.back()), 0u);
  }
  std::filesystem::remove_all(deleted);
  const std::string other = scratch.disk() + "/other";
  ASSERT_EQ(run_daemon({"--embedded", "--idle-exit", "0", other}).exit_code, 0);
  EXPECT_TRUE(eventually([&] { return !std::filesystem::exists(left[1]); }));
  EXPECT_GT(generation_in(left[0]), 0u);
  ASSERT_TRUE(eventually([&] { return !holder_of(other); }));
  ASSERT_EQ(run_daemon({"--embedded", "--idle-exit", "0", kept}).exit_code, 0);
  EXPECT_TRUE(eventually([&] { return !std::filesystem::exists(left[0]); }));
}

TEST(Embedded, WithNobodyComingEndsToo) {
  const Scratch scratch;
  ASSERT_EQ(run_daemon({"--embedded", "--idle-exit", "0", scratch.folder()}).exit_code, 0);
  EXPECT_TRUE(eventually([&] { return !holder_of(scratch.folder()); }));
}

TEST(Embedded, ASecondOneSaysWhoServes) {
  const Scratch scratch;
  ASSERT_EQ(run_daemon({"--embedded", scratch.folder()}).exit_code, 0);
  const auto holder = holder_of(scratch.folder());
  ASSERT_TRUE(holder);
  const Ran second = run_daemon({"--embedded", scratch.folder()});
  EXPECT_EQ(second.exit_code, 3);
  EXPECT_EQ(second.out, "");
  EXPECT_NE(second.err.find(std::to_string(holder->pid)), std::string::npos) << second.err;
  EXPECT_EQ(kill(holder->pid, SIGTERM), 0);
  EXPECT_TRUE(eventually([&] { return !holder_of(scratch.folder()); }));
}

TEST(Embedded, PassesErrorsToWhoStartedIt) {
  const Scratch scratch;
  std::ofstream(scratch.disk() + "/file") << "text";
  const Ran ran = run_daemon({"--embedded", scratch.disk() + "/file"});
  EXPECT_EQ(ran.exit_code, 2);
  EXPECT_EQ(ran.out, "");
  EXPECT_NE(ran.err.find(scratch.disk() + "/file"), std::string::npos) << ran.err;
}

TEST(Embedded, IsFoundAgainAfterKillWhateverTheEnvironment) {
  const Scratch scratch;
  setenv("XDG_RUNTIME_DIR", scratch.memory().c_str(), 1);
  ASSERT_EQ(run_daemon({"--embedded", scratch.folder()}).exit_code, 0);
  const std::string runtime = runtime_of(scratch.folder());
  EXPECT_TRUE(runtime.starts_with(scratch.memory() + "/optjournal/")) << runtime;
  RawWorker worker(runtime, scratch.folder());
  kill(holder_of(scratch.folder())->pid, SIGKILL);
  ASSERT_TRUE(eventually([&] { return !holder_of(scratch.folder()); }));
  worker.mark("published without a daemon");
  unsetenv("XDG_RUNTIME_DIR");
  ASSERT_EQ(run_daemon({"--embedded", "--idle-exit", "100", scratch.folder()}).exit_code, 0);
  EXPECT_EQ(runtime_of(scratch.folder()), runtime);
  worker.wait_synced();
  worker.close();
  EXPECT_TRUE(eventually([&] { return !holder_of(scratch.folder()); }));
  EXPECT_EQ(read_all(scratch.folder()).marks,
            std::vector<std::string>{"published without a daemon"});
}

// A copy has a copy of DIR/LOCK, which names the region of the original.
TEST(Embedded, ACopyOfAServedFolderGetsARegionOfItsOwn) {
  const Scratch scratch;
  ASSERT_EQ(run_daemon({"--embedded", scratch.folder()}).exit_code, 0);
  RawWorker worker(runtime_of(scratch.folder()), scratch.folder());
  worker.mark("in both");
  worker.wait_synced();
  const std::string copy = scratch.disk() + "/copy";
  std::filesystem::copy(scratch.folder(), copy, std::filesystem::copy_options::recursive);
  ASSERT_EQ(run_daemon({"--embedded", copy}).exit_code, 0);
  EXPECT_NE(runtime_of(copy), runtime_of(scratch.folder()));
  {
    RawWorker other(runtime_of(copy), copy);
    EXPECT_EQ(other.mark("in the copy"), 1u);
    other.wait_synced();
    other.close();
  }
  worker.mark("in the original");
  worker.wait_synced();
  worker.close();
  for (const std::string& path : {copy, scratch.folder()}) {
    kill(holder_of(path)->pid, SIGTERM);
    ASSERT_TRUE(eventually([&] { return !holder_of(path); }));
  }
  EXPECT_EQ(read_all(copy).marks, (std::vector<std::string>{"in both", "in the copy"}));
  EXPECT_EQ(read_all(scratch.folder()).marks,
            (std::vector<std::string>{"in both", "in the original"}));
}

}  // namespace
}  // namespace oj::testing
