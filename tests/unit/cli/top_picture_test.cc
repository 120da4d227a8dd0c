// Goal: what `top` says of workers, studies and the daemon follows from the records. Method: real
// records through a real State, looked at twice.
//
// SPDX-License-Identifier: MIT
#include "cli/top_picture.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "base/check.h"
#include "schema/codec.h"
#include "schema/latency.h"

namespace oj::cli {
namespace {

constexpr std::int64_t kS = 1'000'000;

class Journal {
 public:
  void add(schema::SessionId session, std::int64_t time_us, const schema::Operation& operation) {
    const auto bytes = encoder_.encode(operation);
    schema::stamp(bytes, {session, ++op_no_[session], time_us});
    const std::vector<std::byte> record(bytes.begin(), bytes.end());
    const auto decoded = decoder_.decode(record);
    OJ_CHECK(decoded.ok());
    state.apply(state.next_seq(), *decoded);
  }
  replay::State state;

 private:
  schema::Encoder encoder_;
  schema::Decoder decoder_;
  std::map<schema::SessionId, std::uint64_t> op_no_;
};

class TopPictureOfAJournal : public ::testing::Test {
 protected:
  void SetUp() override {
    journal_.add(7, 0, schema::SessionStarted{.pid = 71, .command = "train.py", .user = "ada"});
    journal_.add(9, kS, schema::SessionStarted{.pid = 91, .uid = 1009, .command = "idle.py"});
    constexpr std::array kMaximize = {schema::Direction::kMaximize};
    journal_.add(7, kS, schema::CreateStudy{"digits", kMaximize});
    journal_.add(7, kS, schema::CreateStudy{"other", kMaximize});
    journal_.add(7, 2 * kS, schema::CreateTrial{.study = 0, .start_us = 2 * kS});
  }
  void finish(schema::TrialId trial, double value) {
    journal_.add(7, 9 * kS,
                 schema::SetTrialStateValues{trial, schema::TrialState::kComplete,
                                             std::span<const double>(&value, 1), 9 * kS});
  }
  Journal journal_;
  TopHistory history_;
};

TEST_F(TopPictureOfAJournal, SaysWhichTrialAWorkerIsAt) {
  const TopPicture picture = history_.look(5 * kS, std::nullopt, journal_.state);
  ASSERT_EQ(picture.workers.size(), 2u);
  EXPECT_EQ(picture.workers[0].user, "ada");
  EXPECT_EQ(picture.workers[0].study, "digits");
  EXPECT_EQ(picture.workers[0].trial, 0u);
  EXPECT_EQ(picture.workers[0].trial_age_us, 3 * kS);
  EXPECT_EQ(picture.workers[1].user, "1009");
  EXPECT_FALSE(picture.workers[1].trial);
  EXPECT_EQ(picture.workers[1].age_us, 4 * kS);
  EXPECT_FALSE(picture.daemon);
}

TEST_F(TopPictureOfAJournal, MakesRatesOfTheLastSeconds) {
  history_.look(0, std::nullopt, journal_.state);
  finish(0, 0.5);
  TopPicture picture = history_.look(2 * kS, std::nullopt, journal_.state);
  EXPECT_DOUBLE_EQ(picture.records_per_s, 0.5);
  EXPECT_DOUBLE_EQ(picture.workers[0].records_per_s, 0.5);
  EXPECT_DOUBLE_EQ(picture.workers[1].records_per_s, 0);
  EXPECT_DOUBLE_EQ(picture.studies[0].finished_per_min, 30);
  EXPECT_EQ(picture.studies[0].best, 0.5);
  EXPECT_FALSE(picture.workers[0].trial);
  // What is older than the window counts no more.
  picture = history_.look(2 * kS + TopHistory::kRateUs, std::nullopt, journal_.state);
  picture = history_.look(3 * kS + TopHistory::kRateUs, std::nullopt, journal_.state);
  EXPECT_DOUBLE_EQ(picture.records_per_s, 0);
}

TEST_F(TopPictureOfAJournal, TellsSyncLatenciesOfTheSameDaemonOnly) {
  schema::Status status{.daemon_pid = 5, .sync_ns_max = UINT64_MAX - 1};
  status.sync_ns_buckets.resize(schema::kLatencyBuckets);
  status.sync_ns_buckets[10] = 100;
  history_.look(0, status, journal_.state);
  status.sync_ns_buckets[4] = 1;
  EXPECT_EQ(history_.look(kS, status, journal_.state).sync_ns_p99, schema::latency_bound_ns(4));
  status.daemon_pid = 6;
  EXPECT_EQ(history_.look(2 * kS, status, journal_.state).sync_ns_p99,
            schema::latency_bound_ns(10));
}

TEST_F(TopPictureOfAJournal, KnowsTheGpusOfAWorkerByUuidOrByWhatCudaWasTold) {
  const std::array said_gpus = {schema::Gpu{"GPU-b", "Double"},
                                schema::Gpu{"GPU-elsewhere", "Double"}};
  schema::SessionStarted said{.pid = 11};
  said.gpus = said_gpus;
  journal_.add(11, 0, said);
  journal_.add(12, 0, schema::SessionStarted{.pid = 12, .cuda_visible_devices = "1,0"});
  schema::SessionStarted contained{.pid = 13, .container = "docker"};
  contained.cuda_visible_devices = "0";
  journal_.add(13, 0, contained);
  contained.cuda_visible_devices = "GPU-a";
  journal_.add(14, 0, contained);
  const std::vector<client::GpuLoad> machine = {{{"GPU-a", "Double"}, 10, 1, 2},
                                                {{"GPU-b", "Double"}, 20, 1, 2}};
  const TopPicture picture = history_.look(5 * kS, std::nullopt, journal_.state, machine);
  ASSERT_EQ(picture.workers.size(), 6u);
  EXPECT_TRUE(picture.workers[0].gpus.empty());
  const TopWorker& own = picture.workers[2];
  ASSERT_EQ(own.gpus.size(), 2u);
  EXPECT_EQ(own.gpus[0].index, 1u);
  EXPECT_EQ(own.gpus[0].load.busy_percent, 20u);
  EXPECT_FALSE(own.gpus[1].index);
  EXPECT_EQ(own.gpus[1].load.gpu.uuid, "GPU-elsewhere");
  ASSERT_EQ(picture.workers[3].gpus.size(), 2u);
  EXPECT_EQ(picture.workers[3].gpus[0].load.gpu.uuid, "GPU-b");
  EXPECT_TRUE(picture.workers[4].gpus.empty());
  ASSERT_EQ(picture.workers[5].gpus.size(), 1u);
  EXPECT_EQ(picture.workers[5].gpus[0].index, 0u);
}

TEST_F(TopPictureOfAJournal, IsSortedAndFiltered) {
  TopPicture picture = history_.look(5 * kS, std::nullopt, journal_.state);
  arrange(picture, TopSort::kUser, "");
  EXPECT_EQ(picture.workers[0].pid, 91u);
  arrange(picture, TopSort::kAge, "");
  EXPECT_EQ(picture.workers[0].pid, 71u);
  arrange(picture, TopSort::kAge, "dig");
  ASSERT_EQ(picture.workers.size(), 1u);
  ASSERT_EQ(picture.studies.size(), 1u);
  EXPECT_EQ(picture.studies[0].name, "digits");
}

}  // namespace
}  // namespace oj::cli
