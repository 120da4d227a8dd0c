// The storage over real daemons, in one process and in many.
//
// SPDX-License-Identifier: MIT
#include "libclient/storage.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/measured.h"
#include "tests/process/client/journal_under_test.h"

namespace oj::client {
namespace {

constexpr std::array kMinimize = {schema::Direction::kMinimize};
const WriteOptions kFast{Durability::kPublished, Deadline::never()};

schema::TrialId create_trial(Storage& storage, schema::StudyId study,
                             schema::TrialState state = schema::TrialState::kRunning) {
  schema::CreateTrial create;
  create.study = study;
  create.state = state;
  auto outcome = storage.write(create, kFast);
  EXPECT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(outcome->code, replay::OutcomeCode::kDone);
  return outcome->id;
}

std::int64_t thread_cpu_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * kNsPerS + now.tv_nsec;
}

std::string digest(Storage& storage) {
  std::string text;
  auto done = storage.read([&](const replay::State& state) { text = state.digest(); });
  EXPECT_TRUE(done) << done.error().message;
  return text;
}

TEST(Storage, CreatesAStudyOnce) {
  JournalUnderTest journal;
  auto storage = journal.storage();
  ASSERT_TRUE(storage);
  auto study = storage->create_study("s", kMinimize, false);
  ASSERT_TRUE(study) << study.error().message;
  EXPECT_GE(storage->session().synced_end(), 2u);  // it waited for that
  auto again = storage->create_study("s", kMinimize, true);
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, *study);
  auto taken = storage->create_study("s", kMinimize, false);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, Code::kInvalid);
  EXPECT_TRUE(taken.error().message.starts_with("Another study with name 's' already exists."));
}

TEST(Storage, SaysWhatTheOrderDecided) {
  JournalUnderTest journal;
  auto one = journal.storage();
  auto other = journal.storage();
  ASSERT_TRUE(one && other);
  auto study = one->create_study("s", kMinimize, false);
  ASSERT_TRUE(study);
  const schema::TrialId trial = create_trial(*one, *study);
  const std::array values = {0.5};
  const schema::Operation finish = schema::SetTrialStateValues{
      trial, schema::TrialState::kComplete, std::span<const double>(values), utc_us()};
  auto first = other->write(finish);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first->code, replay::OutcomeCode::kDone);
  auto second = one->try_write(finish, {});
  ASSERT_TRUE(second);
  EXPECT_EQ(second->outcome.code, replay::OutcomeCode::kTrialFinished);
  EXPECT_EQ(second->seq, UINT64_MAX);
  EXPECT_EQ(outcome_error(second->outcome, finish).message,
            "Trial#0 has already finished and can not be updated.");
  EXPECT_EQ(digest(*one), digest(*other));
}

TEST(Storage, TryWriteNeverWaits) {
  JournalUnderTest journal;
  OpenOptions options = journal.options();
  options.pool_bytes = 256 * 1024;
  auto storage = Storage::open(journal.path(), options);
  ASSERT_TRUE(storage) << storage.error().message;
  auto study = (*storage)->create_study("s", kMinimize, false);
  ASSERT_TRUE(study);
  journal.signal_daemon(SIGSTOP);
  const schema::Operation create = schema::CreateTrial{.study = *study};
  for (;;) {
    auto written = (*storage)->try_write(create, {});
    if (written) continue;
    EXPECT_EQ(written.error().code, Code::kBusy) << written.error().message;
    break;
  }
  ASSERT_TRUE((*storage)->wait_for_room(Deadline::in_ms(20)));  // come again
  ASSERT_FALSE((*storage)->try_write(create, {}));
  auto full = (*storage)->wait_for_room(Deadline::at_once());
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, Code::kBusy);
  journal.signal_daemon(SIGCONT);
  auto written = (*storage)->write(create);
  EXPECT_TRUE(written) << written.error().message;
}

TEST(Storage, SixtyFourProcessesOpenAnAbsentFolderAtOnce) {
  JournalUnderTest journal;
  const auto statuses = in_processes(64, [&](int) {
    auto storage = Storage::open(journal.path(), journal.options());
    if (!storage) {
      std::fprintf(stderr, "%s\n", storage.error().message.c_str());
      return 1;
    }
    auto study = (*storage)->create_study("the one", kMinimize, true);
    if (!study) std::fprintf(stderr, "%s\n", study.error().message.c_str());
    return study && *study == 0 ? 0 : 2;
  });
  EXPECT_EQ(statuses, std::vector<int>(64, 0));
  auto storage = journal.storage();
  ASSERT_TRUE(storage);
  std::uint64_t sessions = 0;
  ASSERT_TRUE(storage->read([&](const replay::State& state) {
    EXPECT_EQ(state.studies().size(), 1u);
    EXPECT_EQ(state.study_id_count(), 1u);
    sessions = state.sessions().size();
  }));
  EXPECT_EQ(sessions, 1u);  // all 64 were ended by the daemon or by themselves, ours is there
  auto status = storage->session().status();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->generation, 1u);  // one daemon, one region
}

#if defined(__SANITIZE_ADDRESS__)
constexpr Moment kForkMoment = Moment::kQuiet;
#else
constexpr Moment kForkMoment = Moment::kAtAnyMoment;
#endif

TEST(Storage, ForkChildrenGoOnWithTheirOwnSessions) {
  JournalUnderTest journal;
  auto storage = journal.storage();
  ASSERT_TRUE(storage);
  auto study = storage->create_study("s", kMinimize, false);
  ASSERT_TRUE(study);
  constexpr int kRounds = 3, kChildren = 6, kEach = 250;
  const schema::SessionId parent = storage->session().id();
  for (int round = 0; round < kRounds; ++round) {
    std::atomic<bool> stop{false};
    // Holds the locks at random moments of the forks. Not under AddressSanitizer, whose allocator
    // takes no care of a fork: the child of a moment when somebody allocates could never allocate.
    std::thread busy([&] {
      schema::TrialId newest = 0;
      while (!stop.load(std::memory_order_relaxed)) {
        EXPECT_TRUE(storage->read([&](const replay::State& state) {
          for (const replay::Trial* trial : state.study(*study)->trials)
            newest = std::max(newest, trial->id);
        }));
        if (kForkMoment == Moment::kQuiet) ::usleep(30'000);
      }
    });
    const auto create = [&](int) {
      if (storage->session().id() == parent || storage->session().id() == 0) return 1;
      for (int i = 0; i < kEach; ++i) {
        auto outcome = storage->write(schema::CreateTrial{.study = *study}, kFast);
        if (!outcome || outcome->code != replay::OutcomeCode::kDone) return 2;
      }
      return 0;
    };
    const auto statuses = in_processes(kChildren, create, kForkMoment);
    stop.store(true, std::memory_order_relaxed);
    busy.join();
    EXPECT_EQ(statuses, std::vector<int>(kChildren, 0));
  }
  EXPECT_EQ(storage->session().id(), parent);
  std::map<schema::SessionId, int> created;
  ASSERT_TRUE(storage->read([&](const replay::State& state) {
    const replay::Study* found = state.study(*study);
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->trials.size(), static_cast<std::size_t>(kRounds * kChildren * kEach));
    for (const replay::Trial* trial : found->trials) ++created[trial->session];
  }));
  EXPECT_EQ(created.size(), static_cast<std::size_t>(kRounds * kChildren));
  for (const auto& [session, count] : created) EXPECT_EQ(count, kEach) << "session " << session;
}

TEST(Storage, EachWaitingTrialIsPoppedExactlyOnce) {
  JournalUnderTest journal;
  auto storage = journal.storage();
  ASSERT_TRUE(storage);
  auto study = storage->create_study("s", kMinimize, false);
  ASSERT_TRUE(study);
  constexpr int kWaiting = 200;
  for (int i = 0; i < kWaiting; ++i) {
    create_trial(*storage, *study, schema::TrialState::kWaiting);
  }
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  const auto statuses = in_processes(16, [&](int) {
    for (;;) {
      auto popped = storage->pop_waiting(*study);
      if (!popped) return 1;
      if (!*popped) return 0;
      const schema::TrialId id = **popped;
      if (::write(pipe_ends[1], &id, sizeof id) != sizeof id) return 2;
    }
  });
  EXPECT_EQ(statuses, std::vector<int>(16, 0));
  ::close(pipe_ends[1]);
  std::multiset<schema::TrialId> popped;
  for (schema::TrialId id = 0; ::read(pipe_ends[0], &id, sizeof id) == sizeof id;)
    popped.insert(id);
  ::close(pipe_ends[0]);
  EXPECT_EQ(popped.size(), static_cast<std::size_t>(kWaiting));
  EXPECT_EQ(std::set<schema::TrialId>(popped.begin(), popped.end()).size(), popped.size());
}

TEST(Storage, DigestsAreEqualInAWorkerAMonitorAndFromDisk) {
  JournalUnderTest journal;
  auto storage = journal.storage();
  ASSERT_TRUE(storage);
  auto study = storage->create_study("s", kMinimize, false);
  ASSERT_TRUE(study);
  const auto statuses = in_processes(8, [&](int index) {
    for (int i = 0; i < 50; ++i) {
      auto trial = storage->write(schema::CreateTrial{.study = *study}, kFast);
      if (!trial) return 1;
      for (std::int64_t step = 0; step < 5; ++step) {
        if (!storage->write(schema::SetTrialIntermediateValue{trial->id, {step, index + 0.5}},
                            kFast))
          return 2;
      }
      const std::array values = {static_cast<double>(i)};
      if (!storage->write(schema::SetTrialStateValues{trial->id, schema::TrialState::kComplete,
                                                      std::span<const double>(values), 1},
                          kFast)) {
        return 3;
      }
    }
    return 0;
  });
  EXPECT_EQ(statuses, std::vector<int>(8, 0));
  // The sessions of the children end when their deaths are seen; then nothing more comes.
  std::size_t open = 0;
  do {
    ASSERT_TRUE(storage->read([&](const replay::State& state) { open = state.sessions().size(); }));
  } while (open > 1);
  const std::string mine = digest(*storage);
  ASSERT_TRUE(
      storage->session().wait_synced(storage->session().published_end(), Deadline::never()));
  OpenOptions offline = journal.options();
  offline.mode = OpenOptions::Mode::kOffline;
  auto disk = Storage::open(journal.path(), offline);
  ASSERT_TRUE(disk) << disk.error().message;
  EXPECT_EQ(digest(**disk), mine);
  OpenOptions watching = journal.options();
  watching.mode = OpenOptions::Mode::kMonitor;
  auto monitor = Storage::open(journal.path(), watching);
  ASSERT_TRUE(monitor) << monitor.error().message;
  EXPECT_EQ(digest(**monitor), mine);
}

// Not an expectation: what one published write costs is printed for who looks.
TEST(Storage, PrintsWhatAWriteCosts) {
  JournalUnderTest journal;
  auto storage = journal.storage();
  ASSERT_TRUE(storage);
  auto study = storage->create_study("s", kMinimize, false);
  ASSERT_TRUE(study);
  const schema::TrialId trial = create_trial(*storage, *study);
  constexpr int kWrites = 20'000;
  const std::int64_t began_ns = monotonic_ns(), busy_before_ns = thread_cpu_ns();
  for (int i = 0; i < kWrites; ++i) {
    ASSERT_TRUE(storage->write(schema::SetTrialIntermediateValue{trial, {i % 10, 0.5}}, kFast));
  }
  const std::int64_t each_ns = (monotonic_ns() - began_ns) / kWrites;
  const std::int64_t busy_ns = (thread_cpu_ns() - busy_before_ns) / kWrites;
  testing::measured("a published write in C++", "%lld ns, %lld ns of them on a processor",
                    static_cast<long long>(each_ns), static_cast<long long>(busy_ns));
  std::uint64_t applied = 0;
  ASSERT_TRUE(storage->read([&](const replay::State& state) { applied = state.next_seq(); }));
  EXPECT_GE(applied, static_cast<std::uint64_t>(kWrites));
}

}  // namespace
}  // namespace oj::client
