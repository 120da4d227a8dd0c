// Sessions with real daemons: opening, appending, waiting, reading, ending.
//
// SPDX-License-Identifier: MIT
#include "libclient/session.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <thread>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "schema/codec.h"
#include "tests/process/client/journal_under_test.h"

namespace oj::client {
namespace {

std::vector<std::int64_t> first_numbers(std::int64_t count) {
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

TEST(Session, OpensAnAbsentFolderAndStartsADaemon) {
  JournalUnderTest journal;
  auto session = journal.open();
  ASSERT_TRUE(session);
  EXPECT_GT(journal.daemon(), 1);
  EXPECT_NE(session->id(), 0u);
  auto status = session->status();
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_TRUE(status->embedded);
  EXPECT_EQ(status->workers.size(), 1u);
}

TEST(Session, ReadsWhatItAppendedInOrder) {
  JournalUnderTest journal;
  auto session = journal.open();
  ASSERT_TRUE(session);
  std::uint64_t last_op_no = 0;
  for (std::int64_t i = 0; i < 1000; ++i) {
    auto appended = append_number(*session, i, Durability::kPublished, Deadline::never());
    ASSERT_TRUE(appended) << appended.error().message;
    EXPECT_GT(appended->op_no, last_op_no);
    EXPECT_EQ(appended->session, session->id());
    EXPECT_GE(session->published_end(), appended->seq + 1);
    last_op_no = appended->op_no;
  }
  EXPECT_EQ(read_numbers(*session, 0), first_numbers(1000));
}

TEST(Session, ReadsFromDiskWhatTheRingNoLongerHas) {
  JournalUnderTest journal;
  OpenOptions options = journal.options();
  options.pool_bytes = 256 * 1024;
  auto session = Session::open(journal.path(), options);
  ASSERT_TRUE(session) << session.error().message;
  for (std::int64_t i = 0; i < 20'000; ++i) {  // some 2 MB
    auto appended = append_number(**session, i, Durability::kPublished, Deadline::never());
    ASSERT_TRUE(appended) << appended.error().message;
  }
  EXPECT_EQ(read_numbers(**session, 0), first_numbers(20'000));
}

TEST(Session, WaitsUntilARecordIsSynced) {
  JournalUnderTest journal;
  auto session = journal.open();
  ASSERT_TRUE(session);
  auto appended = append_number(*session, 1, Durability::kSynced, Deadline::never());
  ASSERT_TRUE(appended) << appended.error().message;
  EXPECT_GT(session->synced_end(), appended->seq);
}

TEST(Session, SaysThatARecordIsPublishedButNotSyncedUntilTheDeadline) {
  JournalUnderTest journal;
  auto session = journal.open();
  ASSERT_TRUE(session);
  journal.signal_daemon(SIGSTOP);
  auto appended = append_number(*session, 1, Durability::kSynced, Deadline::in_ms(50));
  ASSERT_FALSE(appended);
  EXPECT_EQ(appended.error().code, Code::kPublished);  // kBusy would mean: not applied
  EXPECT_TRUE(appended.error().message.starts_with("published as record "))
      << appended.error().message;
  EXPECT_NE(appended.error().message.find("by daemon " + std::to_string(journal.daemon())),
            std::string::npos)
      << appended.error().message;
  journal.signal_daemon(SIGCONT);
  EXPECT_TRUE(session->wait_synced(session->published_end(), Deadline::never()));
}

TEST(Session, SaysWhichIsFullAndGoesOnWhenThereIsRoom) {
  JournalUnderTest journal;
  OpenOptions options = journal.options();
  options.pool_bytes = 256 * 1024;
  auto session = Session::open(journal.path(), options);
  ASSERT_TRUE(session) << session.error().message;
  journal.signal_daemon(SIGSTOP);
  std::int64_t published = 0;
  for (;; ++published) {
    auto appended =
        append_number(**session, published, Durability::kPublished, Deadline::in_ms(50));
    if (appended) continue;
    EXPECT_EQ(appended.error().code, Code::kBusy);
    const std::string& message = appended.error().message;
    // For how long, and whom it waits for.
    EXPECT_NE(message.find("the order ring is full: "), std::string::npos) << message;
    EXPECT_NE(message.find("synced stands at 0 for "), std::string::npos) << message;
    EXPECT_NE(message.find(" s for daemon " + std::to_string(journal.daemon())), std::string::npos)
        << message;
    break;
  }
  EXPECT_GT(published, 100);
  journal.signal_daemon(SIGCONT);
  auto appended = append_number(**session, published, Durability::kPublished, Deadline::never());
  ASSERT_TRUE(appended) << appended.error().message;
  EXPECT_EQ(read_numbers(**session, 0), first_numbers(published + 1));
}

TEST(Session, SaysWhoHoldsTheChunkPoolWhenItIsFull) {
  JournalUnderTest journal;
  OpenOptions options = journal.options();
  options.pool_bytes = 256 * 1024;
  auto session = Session::open(journal.path(), options);
  auto reader = Session::open(journal.path(), options);
  ASSERT_TRUE(session && reader);
  ASSERT_TRUE(append_number(**session, 0, Durability::kPublished, Deadline::never()));
  EXPECT_EQ(read_numbers(**reader, 0), first_numbers(1));  // keeps a chunk in hand
  journal.signal_daemon(SIGSTOP);
  const std::string text(3000, 'x');
  schema::Value value;
  value.kind = schema::Value::Kind::kText;
  value.text = text;
  schema::Encoder encoder;
  Result<Appended> appended = Appended{};
  while (appended) {
    appended = (*session)->append(encoder.encode(schema::SetStudyUserAttr{7, {"text", value}}),
                                  Durability::kPublished, Deadline::in_ms(50));
  }
  journal.signal_daemon(SIGCONT);
  EXPECT_EQ(appended.error().code, Code::kBusy);
  const std::string& message = appended.error().message;
  EXPECT_NE(message.find("the chunk pool is "), std::string::npos) << message;
  EXPECT_NE(message.find(" s; session "), std::string::npos) << message;
  EXPECT_NE(message.find("; session " + std::to_string((*reader)->id()) + " (pid " +
                         std::to_string(::getpid()) + ", uid " + std::to_string(::getuid())),
            std::string::npos)
      << message;
  EXPECT_NE(message.find(" s for daemon " + std::to_string(journal.daemon())), std::string::npos)
      << message;
}

TEST(Session, RefusesARecordThatIsTooLong) {
  JournalUnderTest journal;
  OpenOptions options = journal.options();
  options.pool_bytes = 256 * 1024;
  auto session = Session::open(journal.path(), options);
  ASSERT_TRUE(session) << session.error().message;
  std::vector<std::byte> record(1 << 20);
  auto appended = (*session)->append(record, Durability::kPublished, Deadline::never());
  ASSERT_FALSE(appended);
  EXPECT_EQ(appended.error().code, Code::kInvalid);
  EXPECT_NE(appended.error().message.find("1048576"), std::string::npos)
      << appended.error().message;
  auto empty = (*session)->append({}, Durability::kPublished, Deadline::never());
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error().code, Code::kInvalid);
}

TEST(Session, EndsWithARecordThatSaysClosed) {
  JournalUnderTest journal;
  auto session = journal.open();
  ASSERT_TRUE(session);
  const schema::SessionId id = session->id();
  session.reset();
  auto reader = journal.open(OpenOptions::Mode::kMonitor);
  ASSERT_TRUE(reader);
  int started = 0, closed = 0, died = 0;
  schema::Decoder decoder;
  auto read = reader->read(0, [&](std::uint64_t, std::span<const std::byte> bytes) {
    auto record = decoder.decode(bytes);
    EXPECT_TRUE(record);
    for (const auto& operation : record->operations) {
      if (std::holds_alternative<schema::SessionStarted>(operation)) ++started;
      const auto* ended = std::get_if<schema::SessionEnded>(&operation);
      if (ended == nullptr || ended->session != id) continue;
      ++(ended->reason == schema::SessionEnded::Reason::kClosed ? closed : died);
    }
    return true;
  });
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(started, 1);
  EXPECT_EQ(closed, 1);
  EXPECT_EQ(died, 0);
}

TEST(Session, MonitorReadsAndRefusesToWrite) {
  JournalUnderTest journal;
  auto session = journal.open();
  ASSERT_TRUE(session);
  auto monitor = journal.open(OpenOptions::Mode::kMonitor);
  ASSERT_TRUE(monitor);
  EXPECT_TRUE(monitor->read_only());
  for (std::int64_t i = 0; i < 10; ++i) {
    ASSERT_TRUE(append_number(*session, i, Durability::kPublished, Deadline::never()));
  }
  EXPECT_EQ(read_numbers(*monitor, 0), first_numbers(10));
  auto refused = append_number(*monitor, 1, Durability::kPublished, Deadline::never());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kRefused);
}

TEST(Session, MonitorWaitsForTheNextRecord) {
  JournalUnderTest journal;
  auto session = journal.open();
  ASSERT_TRUE(session);
  auto monitor = journal.open(OpenOptions::Mode::kMonitor);
  ASSERT_TRUE(monitor);
  const std::uint64_t next = monitor->published_end();
  auto none = monitor->wait_published(next, Deadline::in_ms(20));
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
  std::thread later(
      [&] { EXPECT_TRUE(append_number(*session, 1, Durability::kPublished, Deadline::never())); });
  auto reached = monitor->wait_published(next, Deadline::in_ms(60'000));
  later.join();
  ASSERT_TRUE(reached);
  EXPECT_TRUE(*reached);
}

TEST(Session, MonitorFollowsFromOfflineToADaemonAndBack) {
  JournalUnderTest journal;
  auto session = journal.open();
  ASSERT_TRUE(session);
  ASSERT_TRUE(append_number(*session, 0, Durability::kPublished, Deadline::never()));
  session.reset();
  journal.end_daemon();
  auto monitor = journal.open(OpenOptions::Mode::kMonitor);
  ASSERT_TRUE(monitor);
  EXPECT_EQ(journal.daemon(), 0);  // a monitor starts nothing
  EXPECT_EQ(read_numbers(*monitor, 0), first_numbers(1));
  const std::uint64_t next = monitor->published_end();

  session = journal.open();
  ASSERT_TRUE(session);
  ASSERT_TRUE(append_number(*session, 1, Durability::kPublished, Deadline::never()));
  auto reached = monitor->wait_published(next, Deadline::in_ms(60'000));
  ASSERT_TRUE(reached) << reached.error().message;
  EXPECT_TRUE(*reached);
  session.reset();
  journal.end_daemon();
  EXPECT_EQ(read_numbers(*monitor, 0), first_numbers(2));
}

TEST(Session, OfflineReadsWhatIsOnDisk) {
  JournalUnderTest journal;
  auto session = journal.open();
  ASSERT_TRUE(session);
  for (std::int64_t i = 0; i < 10; ++i) {
    ASSERT_TRUE(append_number(*session, i, Durability::kSynced, Deadline::never()));
  }
  auto offline = journal.open(OpenOptions::Mode::kOffline);
  ASSERT_TRUE(offline);
  EXPECT_EQ(read_numbers(*offline, 0), first_numbers(10));
  EXPECT_GE(offline->published_end(), 10u);
}

TEST(Session, RefusesWhatIsNoJournal) {
  JournalUnderTest journal;
  std::filesystem::create_directory(journal.path());
  std::ofstream(journal.path() + "/thesis.tex") << "important";
  auto other = Session::open(journal.path(), journal.options());
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Code::kInvalid);
  auto file = Session::open(journal.path() + "/thesis.tex", journal.options());
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, Code::kInvalid);
  OpenOptions monitor = journal.options();
  monitor.mode = OpenOptions::Mode::kMonitor;
  EXPECT_FALSE(Session::open(journal.path() + "/absent", monitor));
  EXPECT_FALSE(std::filesystem::exists(journal.path() + "/absent"));
}

TEST(Session, PassesOnWhyTheDaemonCouldNotServe) {
  JournalUnderTest journal;
  OpenOptions options = journal.options();
  options.pool_bytes = 1;  // below the daemon's limit
  auto session = Session::open(journal.path(), options);
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().code, Code::kInvalid);
  EXPECT_NE(session.error().message.find("--pool"), std::string::npos) << session.error().message;
}

TEST(Session, StartsADaemonThatInheritsNothingAndLeavesNoZombie) {
  JournalUnderTest journal;
  const std::string secret = journal.path() + "-secret";
  const int inherited = ::open(secret.c_str(), O_CREAT | O_RDWR, 0600);  // no O_CLOEXEC
  ASSERT_GE(inherited, 0);
  struct sigaction ignore {
  }, before{};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGCHLD, &ignore, &before);
  auto session = journal.open();
  ::sigaction(SIGCHLD, &before, nullptr);
  ASSERT_TRUE(session);
  const std::string fds = "/proc/" + std::to_string(journal.daemon()) + "/fd";
  for (const auto& entry : std::filesystem::directory_iterator(fds)) {
    std::error_code gone;
    EXPECT_NE(std::filesystem::read_symlink(entry.path(), gone).string(), secret);
  }
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);  // no child at all
  ::close(inherited);
}

TEST(Session, ThreadsAppendAtOnce) {
  JournalUnderTest journal;
  auto session = journal.open();
  ASSERT_TRUE(session);
  constexpr int kThreads = 12, kEach = 500;  // more threads than lanes
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::uint64_t last = 0;
      for (int i = 0; i < kEach; ++i) {
        auto appended =
            append_number(*session, t * kEach + i, Durability::kPublished, Deadline::never());
        ASSERT_TRUE(appended) << appended.error().message;
        EXPECT_GT(appended->op_no, last);
        last = appended->op_no;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  auto numbers = read_numbers(*session, 0);
  std::sort(numbers.begin(), numbers.end());
  EXPECT_EQ(numbers, first_numbers(kThreads * kEach));
}

TEST(Session, StopsADaemonOnlyWithoutWorkers) {
  JournalUnderTest journal;
  auto session = journal.open();
  ASSERT_TRUE(session);
  auto refused = stop_daemon(journal.path(), Deadline::in_ms(10'000));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kRefused) << refused.error().message;
  session.reset();
  auto stopped = stop_daemon(journal.path(), Deadline::in_ms(60'000));
  EXPECT_TRUE(stopped) << stopped.error().message;
  EXPECT_EQ(journal.daemon(), 0);
  auto none = daemon_status(journal.path());
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::kGone);
}

}  // namespace
}  // namespace oj::client
