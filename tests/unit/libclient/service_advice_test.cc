// SPDX-License-Identifier: MIT
#include "libclient/service_advice.h"

#include <grp.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>

namespace oj::client {
namespace {

constexpr uid_t kNobody = 65534;
constexpr gid_t kGroup = 1;  // `daemon`, everywhere

class Service : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(mkdtemp(root_.data()), nullptr);
    ASSERT_EQ(chmod(root_.c_str(), 0755), 0);
    setenv("OPTJOURNAL_STATE_ROOT", (root_ + "/state").c_str(), 1);
    setenv("OPTJOURNAL_RUNTIME_ROOT", (root_ + "/run").c_str(), 1);
    location_ = *parse_location("optjournal://hpo");
  }
  void TearDown() override {
    unsetenv("OPTJOURNAL_STATE_ROOT");
    unsetenv("OPTJOURNAL_RUNTIME_ROOT");
    std::filesystem::remove_all(root_);
  }
  std::string advice(const Error& error) const { return with_advice(location_, error).message; }
  // What a process of user nobody is told that has these groups besides `group`.
  std::string advice_for_nobody(gid_t group) const {
    std::array<int, 2> ends{};
    EXPECT_EQ(pipe(ends.data()), 0);
    const pid_t child = fork();
    if (child == 0) {
      if (setgroups(1, &group) != 0 || setgid(group) != 0 || setuid(kNobody) != 0) _exit(1);
      const std::string said = advice(io_error("open", EACCES));
      _exit(write(ends[1], said.data(), said.size()) < 0);
    }
    close(ends[1]);
    std::string said;
    std::array<char, 512> part;
    for (ssize_t got = 0; (got = read(ends[0], part.data(), part.size())) > 0;)
      said.append(part.data(), static_cast<std::size_t>(got));
    close(ends[0]);
    int status = 1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    return said;
  }
  std::string root_ = "/tmp/oj-unit-XXXXXX";
  Location location_;
};

TEST_F(Service, ThatDoesNotExistNamesTheCommandThatMakesIt) {
  const std::string said = advice({Code::kInvalid, "no such folder", ENOENT});
  EXPECT_NE(said.find("sudo systemctl enable --now optjournald@hpo"), std::string::npos) << said;
  EXPECT_NE(said.find("no such folder"), std::string::npos) << said;
}

TEST_F(Service, ThatDoesNotRunNamesTheCommandThatStartsIt) {
  std::filesystem::create_directories(location_.folder);
  const std::string said = advice({Code::kGone, "nobody listens", ENOENT});
  EXPECT_NE(said.find("sudo systemctl start optjournald@hpo"), std::string::npos) << said;
  EXPECT_NE(said.find("journalctl -u optjournald@hpo"), std::string::npos) << said;
}

TEST_F(Service, OfAnotherGroupNamesTheCommandThatLetsTheUserIn) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  std::filesystem::create_directories(location_.folder);
  ASSERT_EQ(chown(location_.folder.c_str(), 0, kGroup), 0);
  ASSERT_EQ(chmod(location_.folder.c_str(), 0750), 0);
  const std::string said = advice_for_nobody(65534);
  EXPECT_NE(said.find("sudo usermod -aG " + std::string(getgrgid(kGroup)->gr_name) + " nobody"),
            std::string::npos)
      << said;
  EXPECT_NE(said.find("log in again"), std::string::npos) << said;
  // Who is in the group and may not come in all the same is not told to do what would not help.
  EXPECT_EQ(advice_for_nobody(kGroup).find("usermod"), std::string::npos);
  ASSERT_EQ(chmod(location_.folder.c_str(), 0700), 0);
  EXPECT_EQ(advice_for_nobody(65534).find("usermod"), std::string::npos);
}

TEST_F(Service, ErrorsOfOtherKindsAndPlacesAreLeftAsTheyAre) {
  EXPECT_EQ(advice({Code::kCorrupt, "damaged", 0}), "damaged");
  EXPECT_EQ(advice({Code::kGone, "the region has another boot id", 0}),
            "the region has another boot id");
  Location folder = location_;
  folder.service = false;
  EXPECT_EQ(with_advice(folder, {Code::kGone, "gone", ENOENT}).message, "gone");
}

TEST_F(Service, HasTracesWhileSomethingIsInItsRuntimeFolder) {
  EXPECT_FALSE(has_traces(location_));
  std::filesystem::create_directories(location_.runtime_folder);
  EXPECT_FALSE(has_traces(location_));
  std::ofstream(location_.runtime_folder + "/region-1") << "region";
  EXPECT_TRUE(has_traces(location_));
}

}  // namespace
}  // namespace oj::client
