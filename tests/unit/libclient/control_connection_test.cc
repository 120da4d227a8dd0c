// SPDX-License-Identifier: MIT
#include "libclient/control_connection.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <variant>

#include <gtest/gtest.h>

namespace oj::client {
namespace {

// A folder with a control socket on which nobody accepts or answers unless the test does.
struct Listener {
  Listener(const std::string& below = "") {
    char name[] = "/tmp/oj-control-XXXXXX";
    base = ::mkdtemp(name);
    folder = base + below;
    std::filesystem::create_directories(folder);
    fd = Fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const auto before = std::filesystem::current_path();
    std::filesystem::current_path(folder);  // a name that is short enough, for any folder
    std::strcpy(address.sun_path, "control.sock");
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(fd.get(), 0), 0);
    std::filesystem::current_path(before);
  }
  ~Listener() { std::filesystem::remove_all(base); }
  std::string base, folder;
  Fd fd;
};

TEST(ControlConnection, SaysThatNobodyListens) {
  ControlConnection connection;
  auto done = connection.connect("/tmp/oj-no-such-folder", Deadline::never(), -1);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kGone);
  EXPECT_NE(done.error().message.find("/tmp/oj-no-such-folder/control.sock"), std::string::npos);
}

TEST(ControlConnection, DoesNotWaitForASilentDaemonBeyondTheDeadline) {
  Listener listener;
  ControlConnection connection;
  ASSERT_TRUE(connection.connect(listener.folder, Deadline::never(), -1));
  EXPECT_TRUE(connection.alive());
  ASSERT_TRUE(
      connection.send(schema::Hello{}, ControlConnection::Pass::kOwnPidfd, Deadline::never(), -1));
  auto answer = connection.receive(Deadline::in_ms(5), -1);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kBusy);
}

TEST(ControlConnection, DoesNotWaitForAFullBacklogBeyondTheDeadline) {
  Listener listener;
  ControlConnection first, second, third;
  ASSERT_TRUE(first.connect(listener.folder, Deadline::never(), -1));
  (void)second.connect(listener.folder, Deadline::in_ms(5), -1);
  auto done = third.connect(listener.folder, Deadline::in_ms(5), -1);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kBusy);
}

TEST(ControlConnection, CanBeCancelled) {
  Listener listener;
  ControlConnection connection;
  ASSERT_TRUE(connection.connect(listener.folder, Deadline::never(), -1));
  const Fd cancel(::eventfd(1, EFD_CLOEXEC));
  auto answer = connection.receive(Deadline::never(), cancel.get());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kGone);
  EXPECT_FALSE(sleep_unless_cancelled(cancel.get(), Deadline::never()));
}

TEST(ControlConnection, NoticesTheEndOfTheDaemon) {
  Listener listener;
  ControlConnection connection;
  ASSERT_TRUE(connection.connect(listener.folder, Deadline::never(), -1));
  Fd accepted(::accept(listener.fd.get(), nullptr, nullptr));
  ASSERT_TRUE(accepted);
  EXPECT_TRUE(connection.alive());
  accepted.reset();
  EXPECT_FALSE(connection.alive());
  auto answer = connection.receive(Deadline::never(), -1);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kGone);
}

TEST(ControlConnection, ReachesFoldersWithLongNames) {
  Listener listener("/" + std::string(100, 'a') + "/" + std::string(100, 'b'));
  ControlConnection connection;
  auto done = connection.connect(listener.folder, Deadline::never(), -1);
  EXPECT_TRUE(done) << done.error().message;
}

TEST(ControlConnection, RefusesBytesThatAreNoMessage) {
  Listener listener;
  ControlConnection connection;
  ASSERT_TRUE(connection.connect(listener.folder, Deadline::never(), -1));
  const Fd accepted(::accept(listener.fd.get(), nullptr, nullptr));
  ASSERT_EQ(::send(accepted.get(), "nonsense", 8, 0), 8);
  auto answer = connection.receive(Deadline::never(), -1);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kCorrupt);
}

}  // namespace
}  // namespace oj::client
