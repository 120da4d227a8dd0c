// Goal: the trials of a worker that died are ended once, by the policy that counts, whatever else
// dies meanwhile; those of one that lives, is stopped or has closed are nobody's business.
//
// Method: real workers that are killed, real daemons that are killed, a region that is removed.
// What the journal says is read from it, record by record.
//
// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "journal/recovery.h"
#include "journal/writer.h"
#include "libclient/storage.h"
#include "schema/orphan_policy.h"
#include "tests/process/client/journal_under_test.h"
#include "tests/quiet_fork.h"

namespace oj::client {
namespace {

using schema::OrphanPolicy;
using schema::TrialState;
using Kind = OrphanPolicy::Kind;

constexpr std::array kMinimize = {schema::Direction::kMinimize};
constexpr std::int64_t kPatienceMs = 60'000;  // a watchdog, not an expectation

bool eventually(const std::function<bool()>& is_so) {
  const Deadline deadline = Deadline::in_ms(kPatienceMs);
  while (!is_so()) {
    if (deadline.passed()) return false;
    ::usleep(2000);
  }
  return true;
}

void expect(const Result<void>& done) { EXPECT_TRUE(done) << done.error().message; }

schema::TrialId ask(Storage& storage, schema::StudyId study) {
  if (const auto popped = storage.pop_waiting(study); popped && *popped) return **popped;
  const auto outcome =
      storage.write(schema::CreateTrial{.study = study, .start_us = utc_us()}, WriteOptions{});
  EXPECT_TRUE(outcome) << outcome.error().message;
  return outcome ? outcome->id : replay::kNoTrial;
}

// A process that opens the journal, runs `act`, and waits for its death.
class Worker {
 public:
  Worker(const JournalUnderTest& journal, const std::function<void(Storage&)>& act,
         OrphanPolicy orphans = {}) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe(ends.data()), 0);
    pid_ = testing::quiet_fork();
    if (pid_ == 0) {
      OpenOptions options = journal.options();
      options.orphans = orphans;
      auto storage = Storage::open(journal.path(), options);
      if (!storage) ::_exit(1);
      act(**storage);
      (void)!::write(ends[1], "r", 1);
      for (;;) ::pause();
    }
    ::close(ends[1]);
    char byte = 0;
    EXPECT_EQ(::read(ends[0], &byte, 1), 1) << "the worker could not begin";
    ::close(ends[0]);
  }
  ~Worker() { kill(); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  void signal(int number) const { ::kill(pid_, number); }
  void join_group_of(const Worker& first) const { EXPECT_EQ(::setpgid(pid_, first.pid_), 0); }
  void kill_group() const { EXPECT_EQ(::kill(-pid_, SIGKILL), 0); }

 private:
  pid_t pid_ = -1;
};

Worker asking(const JournalUnderTest& journal, schema::StudyId study, OrphanPolicy orphans = {}) {
  return Worker(
      journal, [study](Storage& storage) { ask(storage, study); }, orphans);
}

schema::StudyId create_study(Storage& storage, OrphanPolicy policy = {}) {
  const auto study = storage.create_study("s", kMinimize, true);
  EXPECT_TRUE(study) << study.error().message;
  if (policy.kind != Kind::kUnset) expect(storage.set_orphan_policy(*study, policy));
  return *study;
}

// "F W R": the states of the study's trials, by number.
std::string states(Storage& storage, schema::StudyId study) {
  std::string text;
  auto done = storage.read([&](const replay::State& state) {
    for (const replay::Trial* trial : state.study(study)->trials)
      text += "RCPFW"[static_cast<std::size_t>(trial->state)];
  });
  EXPECT_TRUE(done) << done.error().message;
  return text;
}

// How often the journal says that a session died, by session; and how many ends of orphans.
struct Said {
  std::map<schema::SessionId, int> died;
  int ends = 0, sessions_left = 0;
};
Said said(const JournalUnderTest& journal) {
  Said said;
  const auto session = journal.open(OpenOptions::Mode::kOffline);
  schema::Decoder decoder;
  auto read = session->read(0, [&](std::uint64_t, std::span<const std::byte> bytes) {
    const auto record = decoder.decode(bytes);
    if (!record) return true;
    for (const schema::Operation& operation : record->operations) {
      if (const auto* end = std::get_if<schema::SessionEnded>(&operation))
        said.died[end->session] += end->reason == schema::SessionEnded::Reason::kDied;
      said.ends += std::holds_alternative<schema::EndOrphan>(operation);
    }
    return true;
  });
  EXPECT_TRUE(read) << read.error().message;
  return said;
}

// The path of the region's file.
std::filesystem::path region_of(const JournalUnderTest& journal) {
  for (const auto& entry : std::filesystem::directory_iterator(journal.runtime_folder())) {
    if (entry.path().filename().string().starts_with("region-")) return entry.path();
  }
  return {};
}

TEST(Orphans, FailAlsoWhenNobodyElseIsThere) {
  JournalUnderTest journal;
  schema::StudyId study = 0;
  {
    OpenOptions options = journal.options();
    options.idle_exit_ms = 0;  // the daemon ends as soon as it may
    auto opened = Storage::open(journal.path(), options);
    ASSERT_TRUE(opened) << opened.error().message;
    std::shared_ptr<Storage> storage = std::move(*opened);
    study = create_study(*storage);
    Worker worker = asking(journal, study);
    storage.reset();
    worker.kill();
  }
  // The daemon has no client any more, and ends by itself: after it did what is to be done.
  ASSERT_TRUE(eventually([&] { return journal.daemon() == 0; }));
  OpenOptions offline = journal.options();
  offline.mode = OpenOptions::Mode::kOffline;
  auto storage = Storage::open(journal.path(), offline);
  ASSERT_TRUE(storage) << storage.error().message;
  EXPECT_EQ(states(**storage, study), "F");
  auto done = (*storage)->read([&](const replay::State& state) {
    EXPECT_TRUE(state.sessions().empty());
    EXPECT_TRUE(state.study(study)->trials[0]->complete_us.has_value());
  });
  expect(done);
  EXPECT_EQ(said(journal).ends, 1);
}

TEST(Orphans, AreTriedAgainAtMostAsOftenAsTheStudySays) {
  JournalUnderTest journal;
  auto storage = journal.storage();
  const schema::StudyId study = create_study(*storage, {Kind::kRetry, 2});
  for (const char* expected : {"FW", "FFW", "FFF"}) {
    Worker worker(journal, [&](Storage& mine) {
      const schema::TrialId trial = ask(mine, study);
      const schema::Distribution distribution{.low = 0, .high = 1};
      (void)mine.write(schema::SetTrialParam{trial, {"x", 0.25, distribution}});
      (void)mine.write(schema::SetTrialUserAttr{trial, {"note", {}}});
      (void)mine.write(schema::SetTrialIntermediateValue{trial, {0, 1.5}});
    });
    worker.kill();
    ASSERT_TRUE(eventually([&] { return states(*storage, study) == expected; }))
        << states(*storage, study);
  }
  expect(storage->read([&](const replay::State& state) {
    const replay::Trial& last = *state.study(study)->trials[2];
    ASSERT_EQ(last.params.size(), 1u);
    EXPECT_EQ(last.params[0].internal, 0.25);
    EXPECT_NE(last.user_attrs.find("note"), nullptr);
    EXPECT_EQ(last.intermediate_values.size(), 1u);  // its own
    EXPECT_EQ(last.system_attrs.find("failed_trial")->int64, 0);
    EXPECT_EQ(last.system_attrs.find("retry_history")->text, "[0, 1]");
  }));
}

TEST(Orphans, AreWhatTheSessionSaysBeforeTheStudyBeforeTheDaemon) {
  JournalUnderTest journal;
  auto storage = journal.storage();
  const schema::StudyId study = create_study(*storage, {Kind::kKeep});
  asking(journal, study).kill();                     // 0: kept, by the study
  asking(journal, study, {Kind::kFail}).kill();      // 1: fails, by the session
  asking(journal, study, {Kind::kOptuna}).kill();    // 2: left to Optuna
  asking(journal, study, {Kind::kRetry, 1}).kill();  // 3: fails, 4 is its copy
  ASSERT_TRUE(eventually([&] { return states(*storage, study) == "RFRFW"; }))
      << states(*storage, study);
  // Without a policy of the study's own the daemon's counts: for deaths to come.
  expect(storage->set_orphan_policy(study, {}));
  asking(journal, study).kill();  // takes 4
  ASSERT_TRUE(eventually([&] { return states(*storage, study) == "RFRFF"; }))
      << states(*storage, study);
}

TEST(Orphans, AreNotLeftByAProcessThatClosesOrIsStopped) {
  JournalUnderTest journal;
  constexpr schema::StudyId study = 0;
  // Before this process has threads: ThreadSanitizer does not bear all that a child may do after.
  EXPECT_EQ(in_processes(1,
                         [&](int) {
                           auto mine = Storage::open(journal.path(), journal.options());
                           if (!mine || create_study(**mine) != study) return 1;
                           ask(**mine, study);
                           mine->reset();
                           return 0;
                         }),
            std::vector<int>{0});
  auto storage = journal.storage();
  Worker stopped = asking(journal, study);
  stopped.signal(SIGSTOP);
  asking(journal, study).kill();
  ASSERT_TRUE(eventually([&] { return states(*storage, study) == "RRF"; }))
      << states(*storage, study);
  const std::array values = {1.0};
  auto told = storage->write(schema::SetTrialStateValues{
      0, TrialState::kComplete, std::span<const double>(values), utc_us()});
  ASSERT_TRUE(told && told->code == replay::OutcomeCode::kDone);
  EXPECT_EQ(states(*storage, study), "CRF");
  stopped.kill();
  EXPECT_TRUE(eventually([&] { return states(*storage, study) == "CFF"; }));
}

// A daemon in the foreground, with options.
class ServingDaemon {
 public:
  ServingDaemon(const JournalUnderTest& journal, std::vector<std::string> options) {
    options.insert(options.begin(), OJ_DAEMON);
    if (std::find(options.begin(), options.end(), "--pool") == options.end())
      options.insert(options.end(), {"--pool", "4M"});
    options.insert(options.end(), {"--log-level", "error", journal.path()});
    std::vector<char*> words;
    for (std::string& option : options) words.push_back(option.data());
    words.push_back(nullptr);
    pid_ = testing::quiet_fork();
    if (pid_ == 0) {
      ::execv(words[0], words.data());
      ::_exit(127);
    }
    EXPECT_TRUE(eventually([&] { return daemon_status(journal.path()).ok(); }));
  }
  ~ServingDaemon() { end(SIGTERM); }
  void end(int signal) {
    if (pid_ <= 0) return;
    ::kill(pid_, signal);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
};

// From a session's death to the end of its orphan, by the daemon's clock.
std::vector<std::int64_t> graces_ms(const JournalUnderTest& journal) {
  std::map<schema::SessionId, std::int64_t> died_us;
  std::vector<std::int64_t> graces;
  const auto session = journal.open(OpenOptions::Mode::kOffline);
  schema::Decoder decoder;
  auto read = session->read(0, [&](std::uint64_t, std::span<const std::byte> bytes) {
    const auto record = decoder.decode(bytes);
    if (!record) return true;
    for (const schema::Operation& operation : record->operations) {
      if (const auto* ended = std::get_if<schema::SessionEnded>(&operation))
        died_us.emplace(ended->session, record->header.time_us);  // a second one says nothing
      if (const auto* end = std::get_if<schema::EndOrphan>(&operation))
        graces.push_back((record->header.time_us - died_us[end->session]) / 1000);
    }
    return true;
  });
  EXPECT_TRUE(read) << read.error().message;
  return graces;
}

// Also when the daemon is replaced in the middle of it.
TEST(Orphans, WaitForTheGraceThatTheDaemonWasToldOf) {
  const std::vector<std::string> options = {"--orphans", "retry:1", "--orphan-grace-ms", "400"};
  JournalUnderTest journal;
  std::optional<ServingDaemon> daemon;
  daemon.emplace(journal, options);
  auto storage = journal.storage();
  const schema::StudyId study = create_study(*storage);
  asking(journal, study).kill();
  ASSERT_TRUE(eventually([&] { return states(*storage, study) == "FW"; }));
  asking(journal, study).kill();  // the copy
  ASSERT_TRUE(eventually([&] { return said(journal).died.size() == 2; }));
  storage.reset();  // else it would start a daemon of its own, which was told nothing
  daemon->end(SIGKILL);
  daemon.reset();
  daemon.emplace(journal, options);
  storage = journal.storage();
  ASSERT_TRUE(eventually([&] { return states(*storage, study) == "FF"; }));
  expect(storage->session().wait_synced(storage->session().published_end(), Deadline::never()));
  const std::vector<std::int64_t> graces = graces_ms(journal);
  EXPECT_EQ(graces.size(), 2u);
  for (const std::int64_t grace : graces) EXPECT_GE(grace, 400);
  storage.reset();
}

// The daemon comes to a death when the study has long changed its mind, and daemon.
TEST(Orphans, AreJudgedByWhatWasSaidBeforeTheDeath) {
  const std::vector<std::string> options = {"--orphan-grace-ms", "300"};
  JournalUnderTest journal;
  std::optional<ServingDaemon> daemon;
  daemon.emplace(journal, options);
  auto storage = journal.storage();
  const schema::StudyId study = create_study(*storage, {Kind::kRetry, 1});
  asking(journal, study).kill();
  ASSERT_TRUE(eventually([&] { return said(journal).died.size() == 1; }));
  expect(storage->set_orphan_policy(study, {Kind::kKeep}));
  asking(journal, study).kill();
  ASSERT_TRUE(eventually([&] { return said(journal).died.size() == 2; }));
  expect(storage->set_orphan_policy(study, {Kind::kFail}));
  expect(storage->session().wait_synced(storage->session().published_end(), Deadline::never()));
  storage.reset();
  daemon->end(SIGKILL);
  daemon.emplace(journal, options);
  storage = journal.storage();
  ASSERT_TRUE(eventually([&] { return states(*storage, study).starts_with("F"); }));
  asking(journal, study).kill();
  ASSERT_TRUE(eventually([&] { return states(*storage, study) == "FRF"; }))
      << states(*storage, study);
  storage.reset();
}

// The daemon is killed at any moment around the death, and so is the one after it.
TEST(Orphans, AreEndedOnceOverDaemonsThatAreKilled) {
  const char* const wanted = std::getenv("OJ_ROUNDS");
  const int rounds = wanted ? std::atoi(wanted) : 50;
  JournalUnderTest journal;
  auto storage = journal.storage();
  const schema::StudyId study = create_study(*storage, {Kind::kRetry, 1'000});
  const char* const seed = std::getenv("OJ_SEED");
  std::mt19937 random(seed ? static_cast<unsigned>(std::atoi(seed)) : 42);
  for (int round = 0; round < rounds; ++round) {
    Worker worker = asking(journal, study);  // takes the copy that the last round left
    if (round % 2 == 0) worker.kill();
    ::usleep(static_cast<useconds_t>(random() % 40'000));
    journal.signal_daemon(SIGKILL);
    worker.kill();
    if (random() % 2 == 0) {
      ::usleep(static_cast<useconds_t>(random() % 20'000));
      journal.signal_daemon(SIGKILL);  // the next one, if it is there already
    }
    const std::string expected = std::string(static_cast<std::size_t>(round) + 1, 'F') + "W";
    ASSERT_TRUE(eventually([&] { return states(*storage, study) == expected; }))
        << "round " << round << ": " << states(*storage, study);
  }
  storage.reset();
  ASSERT_TRUE(eventually([&] { return journal.daemon() == 0; }));
  const Said journal_said = said(journal);
  std::printf("%d rounds, %d ends of orphans published\n", rounds, journal_said.ends);
}

// More than one record of ends holds, in a region as small as there is.
TEST(Orphans, OfOneWorkerMayBeMany) {
  constexpr std::size_t kTrials = 600;
  JournalUnderTest journal;
  ServingDaemon daemon(journal, {"--pool", "1M"});
  auto storage = journal.storage();
  const schema::StudyId study = create_study(*storage, {Kind::kRetry, 1});
  Worker worker(journal, [&](Storage& mine) {
    for (std::size_t i = 0; i < kTrials; ++i) ask(mine, study);
  });
  worker.kill();
  const std::string expected = std::string(kTrials, 'F') + std::string(kTrials, 'W');
  ASSERT_TRUE(eventually([&] { return states(*storage, study) == expected; }));
  expect(storage->session().wait_synced(storage->session().published_end(), Deadline::never()));
  EXPECT_EQ(said(journal).ends, static_cast<int>(kTrials));
  storage.reset();
}

TEST(Orphans, OfManySessionsThatDieAtOnce) {
  constexpr std::size_t kSessions = 300;
  JournalUnderTest journal;
  ServingDaemon daemon(journal, {"--pool", "32M"});  // each has a chunk
  auto storage = journal.storage();
  const schema::StudyId study = create_study(*storage);
  Worker worker(journal, [&](Storage& mine) {
    ask(mine, study);
    std::vector<std::shared_ptr<Storage>> others;
    for (std::size_t i = 1; i < kSessions; ++i) {
      auto other = Storage::open(journal.path(), journal.options());
      if (!other) ::_exit(1);
      ask(**other, study);
      others.push_back(std::move(*other));
    }
    // They stay open until the death.
    static std::vector<std::shared_ptr<Storage>> kept;
    kept = std::move(others);
  });
  worker.kill();
  const std::string expected(kSessions, 'F');
  ASSERT_TRUE(eventually([&] { return states(*storage, study) == expected; }))
      << states(*storage, study);
  expect(storage->session().wait_synced(storage->session().published_end(), Deadline::never()));
  const Said all = said(journal);
  EXPECT_EQ(all.ends, static_cast<int>(kSessions));
  EXPECT_EQ(all.died.size(), kSessions);
  for (const auto& [session, died] : all.died) EXPECT_EQ(died, 1) << session;
  storage.reset();
}

// They share a process group, so that one call kills all.
TEST(Orphans, OfManyProcessesThatAreKilledInOneMoment) {
  constexpr int kWorkers = 16, kTrials = 5;
  JournalUnderTest journal;
  ServingDaemon daemon(journal, {});
  auto storage = journal.storage();
  const schema::StudyId study = create_study(*storage, {Kind::kRetry, 1});
  std::vector<std::unique_ptr<Worker>> workers;
  for (int i = 0; i < kWorkers; ++i) {
    workers.push_back(std::make_unique<Worker>(journal, [&](Storage& mine) {
      for (int n = 0; n < kTrials; ++n) ask(mine, study);
    }));
    workers.back()->join_group_of(*workers.front());
  }
  workers.front()->kill_group();
  const std::size_t all = std::size_t{kWorkers} * kTrials;
  const std::string expected = std::string(all, 'F') + std::string(all, 'W');
  ASSERT_TRUE(eventually([&] { return states(*storage, study) == expected; }))
      << states(*storage, study);
  workers.clear();
  expect(storage->session().wait_synced(storage->session().published_end(), Deadline::never()));
  const Said journal_said = said(journal);
  EXPECT_EQ(journal_said.ends, static_cast<int>(all));
  EXPECT_EQ(journal_said.died.size(), std::size_t{kWorkers});
  storage.reset();
}

// Killed where it hurts: as soon as the death, or a part of the ends, can be seen.
TEST(Orphans, AreEndedOnceByDaemonsKilledAtEachStep) {
  constexpr std::size_t kTrials = 300;  // two records of ends
  constexpr int kSteps = 3, kRounds = 4;
  JournalUnderTest journal;
  auto storage = journal.storage();
  const schema::StudyId study = create_study(*storage, {Kind::kRetry, 1'000});
  std::size_t failed = 0;
  for (int round = 0; round < kSteps * kRounds; ++round) {
    Worker worker(journal, [&](Storage& mine) {
      for (std::size_t i = 0; i < kTrials; ++i) ask(mine, study);  // the last round's copies
    });
    const std::uint64_t before = storage->session().published_end();
    worker.kill();
    const auto step = static_cast<std::uint64_t>(round % kSteps) + 1;
    const Deadline watchdog = Deadline::in_ms(kPatienceMs);
    while (storage->session().published_end() < before + step) ASSERT_FALSE(watchdog.passed());
    journal.signal_daemon(SIGKILL);
    failed += kTrials;
    const std::string expected = std::string(failed, 'F') + std::string(kTrials, 'W');
    ASSERT_TRUE(eventually([&] { return states(*storage, study) == expected; }))
        << "round " << round << ": " << states(*storage, study);
  }
  storage.reset();
  ASSERT_TRUE(eventually([&] { return journal.daemon() == 0; }));
}

TEST(Orphans, OfARegionThatIsGoneAreFoundByTheNextDaemon) {
  JournalUnderTest journal;
  schema::StudyId study = 0;
  {
    auto storage = journal.storage();
    study = create_study(*storage);
    Worker worker = asking(journal, study);
    expect(storage->session().wait_synced(storage->session().published_end(), Deadline::never()));
    const std::filesystem::path region = region_of(journal);
    worker.signal(SIGSTOP);                 // else it would start the next daemon
    Worker other = asking(journal, study);  // dies with the region, too
    expect(storage->session().wait_synced(storage->session().published_end(), Deadline::never()));
    storage.reset();
    other.signal(SIGSTOP);
    journal.signal_daemon(SIGKILL);
    worker.kill();
    other.kill();
    std::filesystem::remove(region);
  }
  for (int restart = 0; restart < 3; ++restart) {
    auto storage = journal.storage();
    ASSERT_TRUE(storage);
    ASSERT_TRUE(eventually([&] { return states(*storage, study) == "FF"; }))
        << states(*storage, study);
    expect(storage->session().wait_synced(storage->session().published_end(), Deadline::never()));
    journal.signal_daemon(SIGKILL);
    storage.reset();
    if (journal.daemon() != 0) journal.end_daemon();
  }
  journal.storage().reset();
  journal.end_daemon();  // else its region would stay
  const Said journal_said = said(journal);
  EXPECT_EQ(journal_said.ends, 2);
  int deaths = 0;
  for (const auto& [session, died] : journal_said.died) {
    EXPECT_LE(died, 1) << session;
    deaths += died;
  }
  EXPECT_EQ(deaths, 2);
}

// The worker lives, and goes on in the next region as another session: its trials go with it.
TEST(Orphans, AreNotMadeByARegionThatIsReplacedAndAreFoundAfterIt) {
  JournalUnderTest journal;
  auto storage = journal.storage();
  const schema::StudyId study = create_study(*storage);
  Worker worker = asking(journal, study);
  const std::uint64_t generation = storage->session().generation();
  expect(storage->session().wait_synced(storage->session().published_end(), Deadline::never()));
  std::filesystem::remove(region_of(journal));
  ASSERT_TRUE(eventually([&] {
    const auto status = daemon_status(journal.path());
    return status && status->generation > generation && status->workers.size() == 2;
  }));
  asking(journal, study).kill();
  ASSERT_TRUE(eventually([&] { return states(*storage, study) == "RF"; }))
      << states(*storage, study);
  worker.kill();
  EXPECT_TRUE(eventually([&] { return states(*storage, study) == "FF"; }))
      << states(*storage, study);
}

// A journal as a machine leaves it that went down: its sessions never ended.
TEST(Orphans, OfTheTimeBeforeAReboot) {
  JournalUnderTest journal;
  const schema::SessionId session = std::uint64_t{1} << 32 | 1;
  {
    auto folder = journal::Folder::open(journal.path(), journal::Folder::IfAbsent::kCreate);
    ASSERT_TRUE(folder);
    auto lock = folder->lock_for_serving("/nowhere");
    ASSERT_TRUE(lock);
    ASSERT_TRUE(journal::recover(*folder, std::nullopt));
    auto writer = journal::Writer::open(*folder, 0, 1, {64 << 10, 64 << 10});
    ASSERT_TRUE(writer);
    schema::SessionStarted started{static_cast<std::uint32_t>(::getpid()), 0, "h", "c"};
    started.birth = {1, 2, 3, 4};
    schema::SessionStarted silent{1, 0, "h", "did not say who it is"};
    const std::array<std::pair<schema::SessionId, schema::Operation>, 5> records = {
        {{session, started},
         {session, schema::CreateStudy{"s", kMinimize}},
         {session, schema::CreateTrial{.study = 0, .start_us = 1}},
         {session + 1, silent},
         {session + 1, schema::CreateTrial{.study = 0, .start_us = 1}}}};
    schema::Encoder encoder;
    for (const auto& [by, operation] : records) {
      const auto bytes = encoder.encode(operation);
      schema::stamp(bytes, {by, 1, 1});
      const journal::RecordBytes record{bytes};
      ASSERT_TRUE(writer->write_batch({&record, 1}, 1));
    }
    ASSERT_TRUE(writer->sync());
  }
  auto storage = journal.storage();
  ASSERT_TRUE(eventually([&] { return states(*storage, 0) == "FR"; })) << states(*storage, 0);
  expect(storage->read([&](const replay::State& state) {
    EXPECT_FALSE(state.sessions().contains(session));
    EXPECT_TRUE(state.sessions().contains(session + 1));  // nothing is proven of it
  }));
}

}  // namespace
}  // namespace oj::client
