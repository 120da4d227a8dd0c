// Goal: everything that is named stands on 80 columns, whatever the names; wide screens are used.
//
// SPDX-License-Identifier: MIT
#include "cli/top_screen.h"

#include <clocale>

#include <gtest/gtest.h>

#include "cli/text.h"

namespace oj::cli {
namespace {

client::GpuLoad load(std::string uuid, unsigned busy, std::uint64_t used_gib) {
  return {{std::move(uuid), "NVIDIA Double"}, busy, used_gib << 30, 80ULL << 30};
}

TopPicture full() {
  TopPicture picture;
  picture.records = 1'234'567;
  picture.synced = 1'234'000;
  picture.records_per_s = 54'321;
  picture.daemon = schema::Status{.daemon_pid = 4'194'303,
                                  .published = 123'456'789,
                                  .synced = 123'456'000,
                                  .ring_slots = 65'536,
                                  .chunk_count = 100,
                                  .chunks_in_use = 99,
                                  .disk_bytes = 900ULL << 30};
  picture.sync_ns_p50 = 59'999'000'000;
  picture.sync_ns_p99 = 59'999'000'000;
  TopWorker worker;
  worker.pid = 4'194'304;
  worker.user = "a user with a long name";
  worker.command = "a command with a long name";
  worker.study = "日本語の研究 with quite a long name";
  worker.trial = 1'234'567;
  worker.trial_age_us = 86'399'000'000;
  worker.records_per_s = 1'234'567.8;
  for (std::size_t i = 0; i < 8; ++i)
    worker.gpus.push_back({i, load("GPU-" + std::to_string(i), 100, 79)});
  picture.workers.push_back(worker);
  TopStudy study;
  study.name = std::string(300, 'n');
  study.best = -1.23456e-300;
  for (std::uint64_t& count : study.count_by_state) count = 999'999;
  picture.studies.push_back(study);
  return picture;
}

std::string line_with(const std::vector<TopLine>& lines, const std::string& text) {
  for (const TopLine& line : lines) {
    if (line.text.find(text) != std::string::npos) return line.text;
  }
  return "";
}

class TopScreen : public ::testing::Test {
 protected:
  void SetUp() override { std::setlocale(LC_CTYPE, "C.UTF-8"); }
};

TEST_F(TopScreen, HasAllThatIsNamedAt80Columns) {
  const auto lines = lines_of(full(), {.columns = 80, .rows = 24});
  for (const TopLine& line : lines) EXPECT_LE(width(line.text), 80u) << line.text;
  const std::string worker = line_with(lines, "4194304");
  EXPECT_EQ(width(worker), 80u) << worker;
  for (const char* wanted : {"a user …", "0-7 100% 632G", "#1234567", "23h59m", "1234568", "日本"})
    EXPECT_NE(worker.find(wanted), std::string::npos) << wanted << " in " << worker;
  const std::string heading = line_with(lines, "USER");
  for (const char* wanted : {"USER", "PID", "GPU", "COMMAND", "STUDY", "TRIAL", "AGE", "/s"})
    EXPECT_NE(heading.find(wanted), std::string::npos) << wanted;
  const std::string study = line_with(lines, "nnn");
  EXPECT_NE(study.find("-1.23456e-300"), std::string::npos) << study;
  for (const char* wanted : {"published 123,456,789", "synced 123,456,000", "lag 789"})
    EXPECT_NE(line_with(lines, "daemon").find(wanted), std::string::npos) << wanted;
  for (const char* wanted : {"p50", "p99", "ring", "pool 99.0 %", "disk 900 GiB"})
    EXPECT_NE(line_with(lines, "sync p50").find(wanted), std::string::npos) << wanted;
}

TEST_F(TopScreen, UsesTheRoomOfAWideTerminal) {
  const TopPicture picture = full();
  const std::string worker = line_with(lines_of(picture, {.columns = 200, .rows = 50}), "4194304");
  EXPECT_EQ(worker.find("…"), std::string::npos) << worker;
  for (const std::string& whole : {picture.workers[0].user, picture.workers[0].command,
                                   *picture.workers[0].study, std::string("0-7 100% 632/640G")})
    EXPECT_NE(worker.find(whole), std::string::npos) << whole << " in " << worker;
}

std::string gpu_cell(const TopWorker& worker) {
  TopPicture picture;
  picture.workers = {worker};
  const std::string line = line_with(lines_of(picture, {.columns = 300, .rows = 50}), " 77 ");
  const std::size_t at = line.find(" 77 ") + 4;
  return line.substr(at, line.find("  ", at) - at);
}

TEST_F(TopScreen, SaysWhichGpuAndWhatIsKnownOfIt) {
  TopWorker worker;
  worker.pid = 77;
  EXPECT_EQ(gpu_cell(worker), "-");
  worker.cuda_visible_devices = "";
  EXPECT_EQ(gpu_cell(worker), "-");
  worker.cuda_visible_devices = "3";
  EXPECT_EQ(gpu_cell(worker), "CUDA 3");
  worker.gpus = {{std::nullopt, {.gpu = {"GPU-1", "NVIDIA H200"}}}};
  EXPECT_EQ(gpu_cell(worker), "NVIDIA H200");
  worker.gpus = {{0, load("GPU-1", 40, 5)}};
  EXPECT_EQ(gpu_cell(worker), "0 40% 5.0/80G");
  worker.gpus = {{2, load("GPU-3", 41, 10)}, {0, load("GPU-1", 40, 5)}, {3, load("GPU-4", 0, 0)}};
  EXPECT_EQ(gpu_cell(worker), "0,2-3 27% 15/240G");
  worker.gpus = {{1, {.gpu = {"GPU-1", "NVIDIA T4"}}}};
  EXPECT_EQ(gpu_cell(worker), "1");
}

TEST_F(TopScreen, SaysThatTheDaemonDoesNotAnswerAndForHowLong) {
  TopPicture picture = full();
  picture.silent_us = 12'000'000;
  const auto lines = lines_of(picture, {.columns = 80, .rows = 24});
  EXPECT_EQ(lines[0].text.rfind("daemon 4194303 has not answered for 12.00 s", 0), 0u)
      << lines[0].text;
  EXPECT_NE(lines[1].text.find("published 1,234,567"), std::string::npos);
  EXPECT_NE(line_with(lines, "lag 567").size(), 0u);
}

TEST_F(TopScreen, ShowsNoEscapeOfOthers) {
  TopPicture picture = full();
  picture.workers[0].user = picture.workers[0].command = "\x1b[2J\x07";
  picture.workers[0].study = picture.studies[0].name = "a\x1b]0;title\x07\nb\u202e";
  picture.workers[0].gpus.clear();
  picture.workers[0].cuda_visible_devices = "\x1b[31m";
  picture.daemon->degraded = "\x1b[5m";
  for (const TopLine& line : lines_of(picture, {.columns = 120, .rows = 24, .filter = "\x1b"})) {
    for (const char c : line.text) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << line.text;
    EXPECT_EQ(line.text.find("\u202e"), std::string::npos) << line.text;
  }
}

}  // namespace
}  // namespace oj::cli
