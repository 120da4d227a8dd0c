// Daemons that die and regions that vanish under working sessions.
//
// SPDX-License-Identifier: MIT
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <map>
#include <numeric>
#include <set>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "libclient/session.h"
#include "libclient/storage.h"
#include "schema/codec.h"
#include "tests/process/client/journal_under_test.h"

namespace oj::client {
namespace {

void remove_region(const JournalUnderTest& journal) {
  for (const auto& entry : std::filesystem::directory_iterator(journal.runtime_folder())) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("region-")) std::filesystem::remove(entry.path());
  }
}

TEST(ReplacedDaemon, WorkersSeeNoErrorAndNothingPublishedIsLost) {
  JournalUnderTest journal;
  auto session = journal.open();
  ASSERT_TRUE(session);
  constexpr int kWorkers = 3, kEach = 3000, kKills = 5;
  std::vector<std::thread> workers;
  std::atomic<int> working{kWorkers};
  for (int w = 0; w < kWorkers; ++w) {
    workers.emplace_back([&, w] {
      auto own = journal.open();
      ASSERT_TRUE(own);
      for (int i = 0; i < kEach; ++i) {
        const Durability durability = i % 100 == 0 ? Durability::kSynced : Durability::kPublished;
        auto appended = append_number(*own, w * kEach + i, durability, Deadline::never());
        ASSERT_TRUE(appended) << appended.error().message;
      }
      --working;
    });
  }
  int kills = 0;
  for (; kills < kKills && working.load() > 0; ++kills) {
    const pid_t killed = journal.daemon();
    if (killed > 1) ::kill(killed, SIGKILL);
    const std::int64_t began_ns = monotonic_ns();
    pid_t next = 0;
    while (next == 0 || next == killed) next = journal.daemon();
    std::printf("the next daemon holds the folder after %lld ms\n",
                static_cast<long long>((monotonic_ns() - began_ns) / kNsPerMs));
    EXPECT_TRUE(session->wait_synced(session->published_end(), Deadline::never()));
  }
  for (auto& worker : workers) worker.join();
  EXPECT_GT(kills, 0);
  auto numbers = read_numbers(*session, 0);
  std::sort(numbers.begin(), numbers.end());
  std::vector<std::int64_t> expected(kWorkers * kEach);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(numbers, expected);
  auto status = session->status();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->generation, 1u);  // the same region all the time
}

TEST(ReplacedDaemon, AnIdleSessionStartsTheNextOneAtOnce) {
  JournalUnderTest journal;
  auto session = journal.open();
  ASSERT_TRUE(session);
  const schema::SessionId id = session->id();
  journal.signal_daemon(SIGSTOP);
  ASSERT_TRUE(append_number(*session, 1, Durability::kPublished, Deadline::never()));
  const std::uint64_t end = session->published_end();
  journal.signal_daemon(SIGKILL);
  EXPECT_TRUE(session->wait_synced(end, Deadline::in_ms(60'000)));
  EXPECT_EQ(session->id(), id);
}

TEST(ReplacedRegion, SaysHowManyRecordsWereLostAndGoesOn) {
  JournalUnderTest journal;
  auto session = journal.open();
  ASSERT_TRUE(session);
  auto kept = append_number(*session, 0, Durability::kSynced, Deadline::never());
  ASSERT_TRUE(kept);
  journal.signal_daemon(SIGSTOP);
  Appended lost;
  for (std::int64_t i = 1; i <= 5; ++i) {
    auto appended = append_number(*session, i, Durability::kPublished, Deadline::never());
    ASSERT_TRUE(appended);
    lost = *appended;
  }
  const std::uint64_t position = session->published_end();
  const schema::SessionId before = session->id();
  remove_region(journal);
  journal.signal_daemon(SIGKILL);
  auto waited = session->wait_synced(lost, Deadline::never());
  ASSERT_FALSE(waited);
  EXPECT_EQ(waited.error().code, Code::kGone);
  EXPECT_NE(session->id(), before);

  Error gone;
  (void)read_numbers(*session, position, &gone);
  EXPECT_EQ(gone.code, Code::kGone);
  EXPECT_NE(gone.message.find("5 published records"), std::string::npos) << gone.message;
  EXPECT_EQ(read_numbers(*session, 0), std::vector<std::int64_t>{0});
  ASSERT_TRUE(append_number(*session, 6, Durability::kSynced, Deadline::never()));
  EXPECT_EQ(read_numbers(*session, 0), (std::vector<std::int64_t>{0, 6}));
  EXPECT_TRUE(session->wait_synced(*kept, Deadline::never()));
}

// Method: threads append without a pause while the region vanishes with its daemon. What their
// appends said is held against the journal afterwards.
TEST(ReplacedRegion, WhatThreadsAppendMeanwhileIsKeptOrToldAndComesAfterTheAnnouncement) {
  constexpr int kThreads = 3, kRounds = 3;
  JournalUnderTest journal;
  auto session = journal.open();
  ASSERT_TRUE(session);
  std::atomic<bool> done{false};
  std::vector<std::vector<Appended>> said(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      while (!done.load()) {
        auto appended = append_number(*session, 1, Durability::kPublished, Deadline::never());
        ASSERT_TRUE(appended) << appended.error().message;
        said[t].push_back(*appended);
        ::usleep(20);
      }
    });
  }
  for (int round = 0; round < kRounds; ++round) {
    const std::uint64_t generation = session->generation();
    remove_region(journal);
    journal.signal_daemon(SIGKILL);
    while (session->generation() == generation) ::usleep(1000);
    EXPECT_TRUE(session->wait_synced(session->published_end(), Deadline::never()));
  }
  done.store(true);
  for (auto& thread : threads) thread.join();
  ASSERT_TRUE(session->wait_synced(session->published_end(), Deadline::never()));

  std::map<std::uint64_t, std::pair<std::uint64_t, std::uint64_t>> names;  // by seq
  std::set<std::uint64_t> sessions;
  schema::Decoder decoder;
  ASSERT_TRUE(session->read(0, [&](std::uint64_t seq, std::span<const std::byte> bytes) {
    auto record = decoder.decode(bytes);
    EXPECT_TRUE(record);
    if (!record) return true;
    names[seq] = {record->header.session, record->header.op_no};
    if (record->header.session != 0 && sessions.insert(record->header.session).second) {
      EXPECT_TRUE(std::holds_alternative<schema::SessionStarted>(record->operations.front()))
          << "record " << seq << ", the first of session " << record->header.session;
    }
    return true;
  }));
  std::size_t kept = 0, told = 0;
  for (const auto& of_thread : said) {
    for (const Appended& appended : of_thread) {
      const auto found = names.find(appended.seq);
      if (found != names.end() && found->second == std::pair(appended.session, appended.op_no)) {
        ++kept;
        continue;
      }
      ++told;
      auto waited = session->wait_synced(appended, Deadline::never());
      ASSERT_FALSE(waited) << "record " << appended.seq << " of session " << appended.session
                           << " is lost in silence";
      EXPECT_EQ(waited.error().code, Code::kGone);
    }
  }
  std::printf("measured appends of %d threads over %d vanished regions: %zu kept, %zu told lost\n",
              kThreads, kRounds, kept, told);
}

TEST(ReplacedRegion, NothingIsLostWhenItIsRemovedUnderALivingDaemon) {
  JournalUnderTest journal;
  auto writer = journal.open();
  auto reader = journal.open();
  auto monitor = journal.open(OpenOptions::Mode::kMonitor);
  ASSERT_TRUE(writer && reader && monitor);
  for (std::int64_t i = 0; i < 100; ++i) {
    ASSERT_TRUE(append_number(*writer, i, Durability::kPublished, Deadline::never()));
    if (i != 50) continue;
    remove_region(journal);
    while (writer->generation() == 1) {
      ASSERT_TRUE(append_number(*writer, -1, Durability::kPublished, Deadline::never()));
      ::usleep(1000);
    }
  }
  std::vector<std::int64_t> expected(100);
  std::iota(expected.begin(), expected.end(), 0);
  for (Session* each : {writer.get(), reader.get(), monitor.get()}) {
    std::vector<std::int64_t> numbers;
    do {  // a monitor looks for its next daemon now and then only
      numbers = read_numbers(*each, 0);
      std::erase(numbers, -1);
    } while (each == monitor.get() && numbers.size() < expected.size());
    EXPECT_EQ(numbers, expected);
  }
}

TEST(ReplacedRegion, StorageSaysItOnceAndReadsAnew) {
  JournalUnderTest journal;
  auto storage = journal.storage();
  ASSERT_TRUE(storage);
  const std::array directions = {schema::Direction::kMinimize};
  ASSERT_TRUE(storage->create_study("kept", directions, false));
  journal.signal_daemon(SIGSTOP);
  ASSERT_TRUE(storage->create_study("lost", directions, false,
                                    {Durability::kPublished, Deadline::never()}));
  const std::uint64_t generation = storage->session().generation();
  remove_region(journal);
  journal.signal_daemon(SIGKILL);
  while (storage->session().generation() == generation) ::usleep(1000);
  const auto nothing = [](const replay::State&) {};
  auto said = storage->read(nothing);
  ASSERT_FALSE(said);
  EXPECT_EQ(said.error().code, Code::kGone);
  ASSERT_TRUE(storage->read([](const replay::State& state) {
    EXPECT_NE(state.study("kept"), nullptr);
    EXPECT_EQ(state.study("lost"), nullptr);
  }));
}

}  // namespace
}  // namespace oj::client
