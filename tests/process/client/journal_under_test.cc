// SPDX-License-Identifier: MIT
#include "tests/process/client/journal_under_test.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <span>
#include <variant>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "journal/folder.h"
#include "schema/codec.h"
#include "tests/quiet_fork.h"

#if defined(__SANITIZE_THREAD__)
// Children of a process with threads start threads here: that is what is tested.
extern "C" const char* __tsan_default_options();
extern "C" const char* __tsan_default_options() { return "die_after_fork=0"; }
#endif

namespace oj::client {
namespace {

constexpr std::int64_t kPatienceMs = 60'000;  // a watchdog, not an expectation

void pause_ms(int ms) { ::usleep(static_cast<useconds_t>(ms) * 1000); }

}  // namespace

JournalUnderTest::JournalUnderTest() {
  char name[] = "/tmp/oj-client-XXXXXX";
  base_ = ::mkdtemp(name);
  path_ = base_ + "/runs";
}

JournalUnderTest::~JournalUnderTest() {
  if (daemon() != 0) {
    signal_daemon(SIGCONT);
    end_daemon();
  }
  testing::remove_whole(base_);
}

OpenOptions JournalUnderTest::options() const {
  OpenOptions options;
  options.daemon_path = OJ_DAEMON;
  options.pool_bytes = 4u << 20;
  return options;
}

std::shared_ptr<Session> JournalUnderTest::open(OpenOptions::Mode mode) const {
  OpenOptions how = options();
  how.mode = mode;
  auto session = Session::open(path_, how);
  if (!session) {
    ADD_FAILURE() << session.error().message;
    return nullptr;
  }
  return *session;
}

std::shared_ptr<Storage> JournalUnderTest::storage() const {
  auto storage = Storage::open(path_, options());
  if (!storage) {
    ADD_FAILURE() << storage.error().message;
    return nullptr;
  }
  return *storage;
}

namespace {

std::optional<journal::Holder> holder_of(const std::string& path) {
  auto folder = journal::Folder::open(path, journal::Folder::IfAbsent::kRefuse);
  if (!folder) return std::nullopt;
  for (;;) {
    auto holder = folder->holder();
    if (holder) return *holder;
    pause_ms(1);  // it is being written
  }
}

}  // namespace

pid_t JournalUnderTest::daemon() const {
  const auto holder = holder_of(path_);
  return holder ? holder->pid : 0;
}

std::string JournalUnderTest::runtime_folder() const {
  const auto holder = holder_of(path_);
  return holder ? holder->runtime_folder : "";
}

namespace {

// SIGSTOP takes effect a moment after kill() returned, on one thread after the other.
bool all_threads_stopped(pid_t pid) {
  std::error_code failed;
  const std::filesystem::path threads = "/proc/" + std::to_string(pid) + "/task";
  for (const auto& thread : std::filesystem::directory_iterator(threads, failed)) {
    std::ifstream status(thread.path() / "stat");
    std::string text;
    std::getline(status, text);
    const std::size_t name_end = text.rfind(')');
    if (name_end == std::string::npos || text.compare(name_end, 3, ") T") != 0) return false;
  }
  return !failed;
}

}  // namespace

void JournalUnderTest::signal_daemon(int signal) const {
  const pid_t pid = daemon();
  if (pid <= 1 || ::kill(pid, signal) != 0 || signal != SIGSTOP) return;
  const Deadline deadline = Deadline::in_ms(kPatienceMs);
  while (!all_threads_stopped(pid) && !deadline.passed()) pause_ms(1);
  EXPECT_TRUE(all_threads_stopped(pid));
}

void JournalUnderTest::end_daemon() const {
  signal_daemon(SIGTERM);
  const Deadline deadline = Deadline::in_ms(kPatienceMs);
  while (daemon() != 0 && !deadline.passed()) pause_ms(5);
  EXPECT_EQ(daemon(), 0);
}

std::vector<int> in_processes(int count, const std::function<int(int)>& body, Moment moment) {
  std::vector<pid_t> children;
  for (int index = 0; index < count; ++index) {
    const pid_t pid = moment == Moment::kQuiet ? testing::quiet_fork() : ::fork();
    if (pid == 0) ::_exit(body(index));
    children.push_back(pid);
  }
  std::vector<int> statuses;
  for (const pid_t pid : children) {
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    statuses.push_back(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  }
  return statuses;
}

Result<Appended> append_number(Session& session, std::int64_t number, Durability durability,
                               Deadline deadline) {
  thread_local schema::Encoder encoder;
  schema::Value value;
  value.kind = schema::Value::Kind::kInt64;
  value.int64 = number;
  const schema::Operation operation = schema::SetStudyUserAttr{7, {"number", value}};
  return session.append(encoder.encode(operation), durability, deadline);
}

std::vector<std::int64_t> read_numbers(Session& session, std::uint64_t from, Error* error) {
  std::vector<std::int64_t> numbers;
  schema::Decoder decoder;
  std::uint64_t expected = from;
  auto read = session.read(from, [&](std::uint64_t seq, std::span<const std::byte> bytes) {
    EXPECT_EQ(seq, expected++);
    auto record = decoder.decode(bytes);
    if (!record) return true;
    for (const schema::Operation& operation : record->operations) {
      if (const auto* set = std::get_if<schema::SetStudyUserAttr>(&operation)) {
        numbers.push_back(set->attr.value.int64);
      }
    }
    return true;
  });
  if (!read && error != nullptr) *error = read.error();
  if (!read && error == nullptr) ADD_FAILURE() << read.error().message;
  return numbers;
}

}  // namespace oj::client
