// SPDX-License-Identifier: MIT
#include "schema/control.h"

#include <gtest/gtest.h>

#include <cstring>

namespace oj::schema {
namespace {

Status sample_status(std::size_t workers) {
  Status status{.daemon_version = "0.1.0",
                .folder = "/data/\xed\xa0\x80",
                .daemon_pid = 1,
                .embedded = true,
                .started_us = -5,
                .generation = 2,
                .published = 3,
                .written = 4,
                .synced = 5,
                .retained = 6,
                .ring_slots = 7,
                .chunk_bytes = 8,
                .chunk_count = 9,
                .chunks_in_use = 10,
                .region_bytes = 11,
                .segments = 12,
                .disk_bytes = 13,
                .syncs = 14,
                .sync_ns_last = 15,
                .sync_ns_max = 16,
                .sync_ns_total = 31,
                .sync_counts = {7, 0, 9},
                .degraded = "disk full",
                .workers = {}};
  for (std::size_t i = 0; i < workers; ++i) {
    const auto n = static_cast<std::uint32_t>(i);
    status.workers.push_back(
        {.slot = n,
         .pid = n + 1,
         .uid = n + 2,
         .session = UINT64_MAX - i,
         .command = std::string(63, 'c'),
         .started_us = INT64_MIN,
         .records = i,
         .chunks = i,
         .identity = {.user = "ada", .container = {}, .cuda_visible_devices = "0", .gpus = {}}});
  }
  return status;
}

std::vector<ControlMessage> samples() {
  return {Hello{.version = 1,
                .monitor = true,
                .rejoin = true,
                .slot = 3,
                .incarnation = 4,
                .session = 5,
                .command = "train.py",
                .identity = {.user = "ada",
                             .container = "3f2a90b1c4d5",
                             .cuda_visible_devices = "",
                             .gpus = {{"GPU-1", "NVIDIA H200"}, {"GPU-2", ""}}}},
          Welcome{.generation = 1,
                  .region_file = "region-1",
                  .slot = 2,
                  .incarnation = 3,
                  .session = 4,
                  .daemon_pid = 5},
          Refusal{.code = 3, .message = "workers are attached"},
          StatusRequest{},
          sample_status(3),
          StopRequest{},
          Stopping{}};
}

// Fields are compared by encoding again: encode_control() is a function of all of them.
TEST(Control, GivesBackWhatItWasGiven) {
  for (const ControlMessage& message : samples()) {
    const auto bytes = encode_control(message);
    const auto decoded = decode_control(bytes);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(decoded->index(), message.index());
    EXPECT_EQ(encode_control(*decoded), bytes);
  }
  const auto hello = std::get<Hello>(*decode_control(encode_control(samples()[0])));
  EXPECT_TRUE(hello.monitor && hello.rejoin);
  EXPECT_EQ(hello.slot, 3u);
  EXPECT_EQ(hello.incarnation, 4u);
  EXPECT_EQ(hello.session, 5u);
  EXPECT_EQ(hello.command, "train.py");
  EXPECT_EQ(hello.identity.user, "ada");
  EXPECT_EQ(hello.identity.container, "3f2a90b1c4d5");
  EXPECT_EQ(hello.identity.cuda_visible_devices, "");
  ASSERT_EQ(hello.identity.gpus.size(), 2u);
  EXPECT_EQ(hello.identity.gpus[0].uuid, "GPU-1");
  EXPECT_EQ(hello.identity.gpus[0].name, "NVIDIA H200");
  const auto welcome = std::get<Welcome>(*decode_control(encode_control(samples()[1])));
  EXPECT_EQ(welcome.region_file, "region-1");
  EXPECT_EQ(welcome.daemon_pid, 5u);
  const auto status = std::get<Status>(*decode_control(encode_control(samples()[4])));
  EXPECT_EQ(status.folder, "/data/\xed\xa0\x80");
  EXPECT_EQ(status.sync_ns_max, 16u);
  EXPECT_EQ(status.sync_ns_total, 31u);
  EXPECT_EQ(status.sync_counts, (LatencyCounts{7, 0, 9}));
  EXPECT_EQ(status.degraded, "disk full");
  ASSERT_EQ(status.workers.size(), 3u);
  EXPECT_EQ(status.workers[2].session, UINT64_MAX - 2);
}

TEST(Control, FitsTheStatusOfAllWorkersIntoAPacket) {
  const auto bytes = encode_control(sample_status(1024));
  EXPECT_LE(bytes.size(), kControlMessageBytesMax);
  const auto decoded = decode_control(bytes);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(std::get<Status>(*decoded).workers.size(), 1024u);
}

TEST(Control, KeepsOfAnIdentityWhatIsWithinItsLimits) {
  using Kept = WorkerIdentity;
  Hello hello;
  hello.identity = {
      .user = std::string(40, 'u'),
      .container = std::string(70, 'c'),
      .cuda_visible_devices = std::string(300, '0'),
      .gpus = std::vector<GpuIdentity>(20, {std::string(60, 'i'), std::string(70, 'n')})};
  const auto decoded = decode_control(encode_control(hello));
  ASSERT_TRUE(decoded);
  const WorkerIdentity& kept = std::get<Hello>(*decoded).identity;
  EXPECT_EQ(kept.user.size(), Kept::kUserBytesMax);
  EXPECT_EQ(kept.container.size(), Kept::kContainerBytesMax);
  ASSERT_TRUE(kept.cuda_visible_devices);
  EXPECT_EQ(kept.cuda_visible_devices->size(), Kept::kCudaVisibleDevicesBytesMax);
  ASSERT_EQ(kept.gpus.size(), Kept::kGpusMax);
  EXPECT_EQ(kept.gpus[0].uuid.size(), Kept::kGpuUuidBytesMax);
  EXPECT_EQ(kept.gpus[0].name.size(), Kept::kGpuNameBytesMax);
}

TEST(Control, KeepsTheFirst63BytesOfACommand) {
  const auto decoded = decode_control(encode_control(Hello{.command = std::string(64, 'x')}));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(std::get<Hello>(*decoded).command, std::string(63, 'x'));
}

TEST(Control, DamageIsAnAnswerOrAnError) {
  for (const ControlMessage& message : samples()) {
    const auto whole = encode_control(message);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const std::vector<std::byte> cut(whole.begin(),
                                       whole.begin() + static_cast<std::ptrdiff_t>(size));
      EXPECT_FALSE(decode_control(cut)) << message.index() << " cut to " << size;
    }
    auto flipped = whole;
    for (std::size_t bit = 0; bit < flipped.size() * 8; ++bit) {
      flipped[bit / 8] ^= std::byte(1 << bit % 8);
      const auto decoded = decode_control(flipped);
      if (!decoded) {
        EXPECT_TRUE(decoded.error().code == Code::kCorrupt ||
                    decoded.error().code == Code::kIncompatible);
      }
      flipped[bit / 8] ^= std::byte(1 << bit % 8);
    }
  }
}

TEST(Control, AMessageOfAKindNewerThanThisBuildIsIncompatible) {
  auto bytes = encode_control(StopRequest{});
  bytes[16] = std::byte(200);  // after the segment table and the root pointer: the kind
  const auto decoded = decode_control(bytes);
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code, Code::kIncompatible);
}

TEST(Control, RefusesAPacketAboveItsLimit) {
  EXPECT_FALSE(decode_control(std::vector<std::byte>(kControlMessageBytesMax + 8)));
}

}  // namespace
}  // namespace oj::schema
