// SPDX-License-Identifier: MIT
#include "daemon/runtime_folder.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>

namespace oj::daemon {
namespace {

class RuntimeFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    for (std::string* place : {&disk_, &memory_}) {
      *place = place == &disk_ ? "/tmp/oj-unit-XXXXXX" : "/dev/shm/oj-unit-XXXXXX";
      ASSERT_NE(mkdtemp(place->data()), nullptr);
    }
    unsetenv("XDG_RUNTIME_DIR");
  }
  void TearDown() override {
    unsetenv("XDG_RUNTIME_DIR");
    std::filesystem::remove_all(disk_);
    std::filesystem::remove_all(memory_);
  }
  journal::Folder folder() const {
    auto opened = journal::Folder::open(disk_ + "/journal", journal::Folder::IfAbsent::kCreate);
    EXPECT_TRUE(opened) << opened.error().message;
    return std::move(*opened);
  }
  std::string chosen(const Options& options = {}) const {
    const journal::Folder of = folder();
    auto path = choose_runtime_folder(of, options, *rights_of(of, Options{}));
    EXPECT_TRUE(path);
    return *path;
  }
  mode_t mode_of(const std::string& path) const {
    struct stat info {};
    EXPECT_EQ(stat(path.c_str(), &info), 0);
    return info.st_mode & 07777;
  }

  std::string disk_, memory_;
};

TEST_F(RuntimeFolder, IsUnderDevShmWithoutAUsersRuntimeFolder) {
  EXPECT_EQ(chosen(), "/dev/shm/optjournal-" + std::to_string(geteuid()) + "/" + folder().key());
}

TEST_F(RuntimeFolder, IsInTheUsersRuntimeFolderIfThatIsATmpfs) {
  setenv("XDG_RUNTIME_DIR", memory_.c_str(), 1);
  EXPECT_EQ(chosen(), memory_ + "/optjournal/" + folder().key());
  if (!is_tmpfs(disk_)) {
    setenv("XDG_RUNTIME_DIR", disk_.c_str(), 1);
    EXPECT_TRUE(chosen().starts_with("/dev/shm/")) << chosen();
  }
}

TEST_F(RuntimeFolder, OfAFolderSharedWithAGroupIsWhereTheGroupCanGetTo) {
  const journal::Folder of = folder();
  ASSERT_EQ(chmod(of.path().c_str(), 0770), 0);
  setenv("XDG_RUNTIME_DIR", memory_.c_str(), 1);
  EXPECT_TRUE(chosen().starts_with("/dev/shm/")) << chosen();
  const Rights rights = *rights_of(of, Options{});
  EXPECT_EQ(rights.folder_mode, 0770u);
  EXPECT_EQ(rights.file_mode, 0660u);
}

TEST_F(RuntimeFolder, OfAServiceIsForTheGroupThatMayReadItsFolder) {
  const journal::Folder of = folder();
  Options service;
  service.service = "hpo";
  ASSERT_EQ(chmod(of.path().c_str(), 0750), 0);
  EXPECT_EQ(rights_of(of, service)->folder_mode, 0750u);
  EXPECT_EQ(rights_of(of, service)->file_mode, 0660u);
  EXPECT_EQ(rights_of(of, service)->group, getegid());
  EXPECT_EQ(rights_of(of, Options{})->folder_mode, 0700u);
  EXPECT_EQ(rights_of(of, Options{})->file_mode, 0600u);
  ASSERT_EQ(chmod(of.path().c_str(), 0700), 0);
  EXPECT_EQ(rights_of(of, service)->folder_mode, 0700u);
  EXPECT_EQ(rights_of(of, service)->file_mode, 0600u);
}

TEST_F(RuntimeFolder, ThatWasGivenIsTaken) {
  Options options;
  options.runtime_folder = "/somewhere/else";
  EXPECT_EQ(chosen(options), "/somewhere/else");
}

TEST_F(RuntimeFolder, ThatLockNamesIsKeptWhileItHasARegion) {
  const std::string former = memory_ + "/former/" + folder().key();
  std::ofstream(disk_ + "/journal/LOCK") << "pid: 1\nruntime: " << former << "\n";
  EXPECT_NE(chosen(), former);  // nothing there
  std::filesystem::create_directories(former);
  std::ofstream(former + "/region-3") << "x";
  EXPECT_EQ(chosen(), former);
}

TEST_F(RuntimeFolder, ThatLockNamesIsNotACopys) {
  const std::string former = memory_ + "/key-of-the-original";
  std::filesystem::create_directories(former);
  std::ofstream(former + "/region-3") << "x";
  folder();
  std::ofstream(disk_ + "/journal/LOCK") << "pid: 1\nruntime: " << former << "\n";
  EXPECT_NE(chosen(), former);
}

TEST_F(RuntimeFolder, IsMadeWithItsRightsAndLocked) {
  const std::string path = memory_ + "/a/b/c";
  auto taken = take_runtime_folder(path, {0770, 0660, getegid()});
  ASSERT_TRUE(taken) << taken.error().message;
  EXPECT_EQ(mode_of(path), 0770u);
  EXPECT_EQ(mode_of(memory_ + "/a/b"), 0711u);
  auto again = take_runtime_folder(path, {});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::kRefused);
  taken->reset();
  EXPECT_TRUE(take_runtime_folder(path, {}));
}

TEST_F(RuntimeFolder, OfAnotherUserIsRefused) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to give a folder away";
  // As root, everybody else's folder is another user's.
  const std::string path = memory_ + "/theirs";
  ASSERT_EQ(mkdir(path.c_str(), 0700), 0);
  ASSERT_EQ(chown(path.c_str(), 65534, 65534), 0);
  auto taken = take_runtime_folder(path, {});
  ASSERT_FALSE(taken);
  EXPECT_NE(taken.error().message.find("65534"), std::string::npos) << taken.error().message;
}

TEST_F(RuntimeFolder, ThatIsAFileIsRefused) {
  std::ofstream(memory_ + "/file") << "x";
  EXPECT_FALSE(take_runtime_folder(memory_ + "/file", {}));
}

TEST_F(RuntimeFolder, ListsRegionsHighestFirstAndNothingElse) {
  for (const char* name :
       {"region-2", "region-10", "region-", "region-x", "region-3x", "control.sock"}) {
    std::ofstream(memory_ + "/" + name) << "x";
  }
  EXPECT_EQ(*region_generations(memory_), (std::vector<std::uint64_t>{10, 2}));
  EXPECT_TRUE(region_generations(memory_ + "/absent")->empty());
}

// For want of descriptors: a region that is not seen would be left behind, with what it holds.
TEST_F(RuntimeFolder, ThatCannotBeListedIsNotEmpty) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto generations = region_generations(memory_);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_FALSE(generations);
  EXPECT_EQ(generations.error().os_error, EMFILE);
}

TEST_F(RuntimeFolder, RoomIsThatOfTheNearestFolderThatExists) {
  auto here = available_bytes(memory_);
  auto below = available_bytes(memory_ + "/not/yet/there");
  ASSERT_TRUE(here && below);
  EXPECT_GT(*here, 0u);
  EXPECT_TRUE(is_tmpfs(memory_ + "/not/yet/there"));
}

}  // namespace
}  // namespace oj::daemon
