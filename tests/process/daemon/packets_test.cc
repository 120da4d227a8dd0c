// Goal: what a client sends can cost that client its connection, and nobody anything else.
//
// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"
#include "tests/process/daemon/daemon_under_test.h"
#include "tests/process/daemon/raw_client.h"

namespace oj::testing {
namespace {

class Packets : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(daemon_.serves()) << daemon_.said(); }
  void TearDown() override {
    EXPECT_FALSE(daemon_.has_ended()) << daemon_.said();
    RawWorker worker(scratch_.runtime(), scratch_.folder());
    worker.mark("all is well");
    worker.wait_synced();
    worker.close();
  }
  std::string runtime() const { return scratch_.runtime(); }

  // The code of the Refusal that answers, or -1.
  static int refusal_of(ControlClient& client) {
    const auto answer = client.receive();
    if (!answer || !std::holds_alternative<schema::Refusal>(*answer)) return -1;
    return static_cast<int>(std::get<schema::Refusal>(*answer).code);
  }

  Scratch scratch_;
  Daemon daemon_{scratch_};
};

TEST_F(Packets, OfRandomBytesCloseTheirConnection) {
  const char* given = std::getenv("OJ_SEED");
  const std::uint64_t seed = given != nullptr ? std::stoull(given) : std::random_device()();
  std::cout << "OJ_SEED=" << seed << "\n";
  std::mt19937_64 random(seed);
  for (int i = 0; i < 200; ++i) {
    ControlClient client(runtime());
    std::vector<std::byte> packet(1 + random() % 2000);
    for (std::byte& byte : packet) byte = static_cast<std::byte>(random());
    ASSERT_TRUE(client.send(packet));
    EXPECT_NE(refusal_of(client), -1);
    EXPECT_FALSE(client.receive());
  }
}

// Real messages with bytes changed: some still mean something; the daemon answers or closes.
TEST_F(Packets, WithFlippedBytesAreAnsweredOrRefused) {
  const char* given = std::getenv("OJ_SEED");
  const std::uint64_t seed = given != nullptr ? std::stoull(given) : std::random_device()();
  std::cout << "OJ_SEED=" << seed << "\n";
  std::mt19937_64 random(seed);
  schema::Hello hello;
  hello.monitor = true;
  hello.command = "flipped";
  const std::vector<std::byte> whole = schema::encode_control(hello);
  for (int i = 0; i < 300; ++i) {
    ControlClient client(runtime());
    std::vector<std::byte> packet = whole;
    packet[random() % packet.size()] ^= static_cast<std::byte>(1u << (random() % 8));
    if (random() % 4 == 0) packet.resize(1 + random() % packet.size());
    ASSERT_TRUE(client.send(packet));
    client.receive();
  }
}

TEST_F(Packets, LongerThanTheLimitAreRefused) {
  ControlClient client(runtime());
  const std::vector<std::byte> packet(schema::kControlMessageBytesMax + 1);
  if (!client.send(packet)) GTEST_SKIP() << "this kernel does not send packets that long";
  EXPECT_EQ(refusal_of(client), static_cast<int>(Code::kInvalid));
  EXPECT_FALSE(client.receive());
}

TEST_F(Packets, OfTheDaemonsOwnKindAreRefused) {
  ControlClient client(runtime());
  ASSERT_TRUE(client.send(schema::Welcome{}));
  EXPECT_EQ(refusal_of(client), static_cast<int>(Code::kInvalid));
  EXPECT_FALSE(client.receive());
}

// Closing a connection with packets unread makes an error of the answer that was sent.
TEST_F(Packets, ThatFollowABadOneDoNotHideTheRefusal) {
  ControlClient client(runtime());
  ASSERT_TRUE(client.connected() && status_of(runtime()));
  daemon_.stop();
  ASSERT_TRUE(client.send(schema::Welcome{}));
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(client.send(schema::StatusRequest{}));
  daemon_.go_on();
  EXPECT_EQ(refusal_of(client), static_cast<int>(Code::kInvalid));
  EXPECT_FALSE(client.receive());
}

TEST_F(Packets, OfAnotherVersionAreRefused) {
  ControlClient client(runtime());
  schema::Hello hello;
  hello.version = schema::kControlVersion + 1;
  ASSERT_TRUE(client.send(hello));
  EXPECT_EQ(refusal_of(client), static_cast<int>(Code::kIncompatible));
}

TEST_F(Packets, HelloWithADescriptorThatIsNoPidfdIsRefused) {
  const Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  const std::vector<int> numbers(1, null.get());
  ControlClient client(runtime());
  ASSERT_TRUE(client.send(schema::Hello{}, numbers));
  EXPECT_EQ(refusal_of(client), static_cast<int>(Code::kInvalid));
}

TEST_F(Packets, HelloWithAnothersPidfdIsRefused) {
  const Fd parent(static_cast<int>(syscall(SYS_pidfd_open, getppid(), 0)));
  const std::vector<int> numbers(1, parent.get());
  ControlClient client(runtime());
  ASSERT_TRUE(client.send(schema::Hello{}, numbers));
  EXPECT_EQ(refusal_of(client), static_cast<int>(Code::kInvalid));
}

TEST_F(Packets, WithManyDescriptorsLeaveNoneOpen) {
  const auto open_files = [&] {
    return files_in("/proc/" + std::to_string(daemon_.pid()) + "/fd").size();
  };
  ASSERT_TRUE(status_of(runtime()));
  const std::size_t before = open_files();
  const Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  const std::vector<int> numbers(100, null.get());
  for (int i = 0; i < 20; ++i) {
    ControlClient client(runtime());
    ASSERT_TRUE(client.send(schema::StatusRequest{}, numbers));
    client.receive();
  }
  EXPECT_TRUE(eventually([&] { return open_files() <= before; })) << open_files();
}

TEST_F(Packets, ASecondHelloIsRefusedAndTheFirstSlotStays) {
  RawWorker worker(scratch_.runtime(), scratch_.folder());
  const auto answer = worker.connection().hello();
  ASSERT_TRUE(answer && std::holds_alternative<schema::Refusal>(*answer));
  worker.mark("still here");
  worker.wait_synced();
  EXPECT_TRUE(worker.held());
}

TEST_F(Packets, AMonitorGetsNoSlot) {
  ControlClient client(runtime());
  schema::Hello hello;
  hello.monitor = true;
  ASSERT_TRUE(client.send(hello));
  const auto answer = client.receive();
  ASSERT_TRUE(answer && std::holds_alternative<schema::Welcome>(*answer));
  EXPECT_EQ(std::get<schema::Welcome>(*answer).session, 0u);
  EXPECT_TRUE(status_of(runtime())->workers.empty());
}

// Asks and never reads: its answers must not pile up in the daemon.
TEST_F(Packets, AClientThatDoesNotReadIsLeftAlone) {
  ControlClient client(runtime());
  for (int i = 0; i < 20'000 && client.send(schema::StatusRequest{}); ++i) {}
  EXPECT_TRUE(status_of(runtime()));
}

}  // namespace
}  // namespace oj::testing
