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
#include <thread>
#include <variant>

#include <gtest/gtest.h>

#include "journal/folder.h"
#include "libclient/session.h"

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

// A daemon that takes no more clients: refuses, and closes whatever came meanwhile.
TEST(ControlConnection, HearsARefusalOfADaemonThatDidNotListen) {
  for (const bool before : {false, true}) {
    Listener listener;
    ControlConnection connection;
    ASSERT_TRUE(connection.connect(listener.folder, Deadline::never(), -1));
    const auto send = [&] {
      return connection.send(schema::Hello{}, ControlConnection::Pass::kNothing, Deadline::never(),
                             -1);
    };
    if (before) {
      ASSERT_TRUE(send());
    }
    Fd accepted(::accept(listener.fd.get(), nullptr, nullptr));
    const auto refusal = schema::encode_control(schema::Refusal{0, "full"});
    ASSERT_EQ(::send(accepted.get(), refusal.data(), refusal.size(), 0),
              static_cast<ssize_t>(refusal.size()));
    accepted.reset();
    if (!before) {
      const auto sent = send();
      ASSERT_FALSE(sent);
      EXPECT_EQ(sent.error().code, Code::kGone);
    }
    const auto answer = connection.receive(Deadline::never(), -1);
    ASSERT_TRUE(answer) << answer.error().message;
    ASSERT_TRUE(std::holds_alternative<schema::Refusal>(*answer));
    EXPECT_EQ(std::get<schema::Refusal>(*answer).message, "full");
    const auto end = connection.receive(Deadline::never(), -1);
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().code, Code::kGone);
  }
}

// Whether the request comes before the daemon closes or after.
TEST(ControlConnection, TellsWhoAsksWhyItWasRefused) {
  Listener listener;
  const std::string path = listener.base + "/journal";
  const auto folder = journal::Folder::open(path, journal::Folder::IfAbsent::kCreate);
  ASSERT_TRUE(folder) << folder.error().message;
  const auto lock = folder->lock_for_serving(listener.folder);
  ASSERT_TRUE(lock) << lock.error().message;
  constexpr int kTimes = 100;
  std::thread refuses([&] {
    const auto refusal = schema::encode_control(schema::Refusal{0, "full"});
    for (int i = 0; i < kTimes; ++i) {
      const Fd accepted(::accept(listener.fd.get(), nullptr, nullptr));
      (void)!::send(accepted.get(), refusal.data(), refusal.size(), MSG_NOSIGNAL);
    }
  });
  for (int i = 0; i < kTimes; ++i) {
    const auto status = daemon_status(path);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().message, "full");
  }
  refuses.join();
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
