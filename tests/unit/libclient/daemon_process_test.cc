// SPDX-License-Identifier: MIT
#include "libclient/daemon_process.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

namespace oj::client {
namespace {

// A program in place of the daemon that does what `script` says.
struct Script {
  explicit Script(const std::string& script) {
    char name[] = "/tmp/oj-script-XXXXXX";
    folder = ::mkdtemp(name);
    path = folder + "/optjournald";
    std::ofstream(path) << "#!/bin/sh\n" << script << "\n";
    ::chmod(path.c_str(), 0700);
  }
  ~Script() { std::filesystem::remove_all(folder); }
  DaemonStart start() const { return DaemonStart{"/some/folder", path, 0, -1}; }
  std::string folder, path;
};

TEST(DaemonProgram, IsTheOneThatWasAskedFor) {
  const Script script("exit 0");
  auto wished = find_daemon_program(script.path);
  ASSERT_TRUE(wished);
  EXPECT_EQ(*wished, script.path);
  ::setenv("OPTJOURNALD", script.path.c_str(), 1);
  auto variable = find_daemon_program("");
  ::unsetenv("OPTJOURNALD");
  ASSERT_TRUE(variable);
  EXPECT_EQ(*variable, script.path);
}

TEST(DaemonProgram, SaysWhichNameWasWrong) {
  auto wished = find_daemon_program("/no/such/optjournald");
  ASSERT_FALSE(wished);
  EXPECT_NE(wished.error().message.find("/no/such/optjournald"), std::string::npos);
  ::setenv("OPTJOURNALD", "/no/such/variable", 1);
  auto variable = find_daemon_program("");
  ::unsetenv("OPTJOURNALD");
  ASSERT_FALSE(variable);
  EXPECT_NE(variable.error().message.find("$OPTJOURNALD"), std::string::npos);
}

TEST(StartDaemon, ReturnsOnReady) {
  const Script script("echo READY");
  auto started = start_embedded_daemon(script.start(), Deadline::never(), -1);
  EXPECT_TRUE(started) << started.error().message;
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST(StartDaemon, PassesOnWhatItSaidAndMeant) {
  const Script script("echo 'no room: 5 bytes needed' >&2; exit 4");
  auto started = start_embedded_daemon(script.start(), Deadline::never(), -1);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, Code::kBusy);
  EXPECT_EQ(started.error().message, "no room: 5 bytes needed");
}

TEST(StartDaemon, SaysSoWhenItEndsWithoutAWord) {
  const Script script("exit 1");
  auto started = start_embedded_daemon(script.start(), Deadline::never(), -1);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, Code::kIo);
  EXPECT_NE(started.error().message.find("/some/folder"), std::string::npos);
}

TEST(StartDaemon, GivesUpAtTheDeadlineAndLeavesNoZombie) {
  const Script script("exec sleep 1000");
  auto started = start_embedded_daemon(script.start(), Deadline::in_ms(20), -1);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, Code::kBusy);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
}

TEST(StartDaemon, PassesItsOptionsInOneWordEach) {
  const Script script("echo \"$@\" >&2; exit 1");
  DaemonStart start = script.start();
  start.pool_bytes = 4096;
  start.idle_exit_ms = 0;
  auto started = start_embedded_daemon(start, Deadline::never(), -1);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().message, "--embedded --pool=4096 --idle-exit=0 -- /some/folder");
}

}  // namespace
}  // namespace oj::client
