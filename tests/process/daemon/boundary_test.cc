// Goal: docs/security.md is true, line by line. Method: a service with a folder for a group; other
// users, with and without the group, try what the page says they can and cannot do. A test's name
// begins with the number of its line; the last test holds the page to the tests.
//
// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <variant>
#include <vector>

#include "base/fd.h"
#include "tests/process/daemon/daemon_under_test.h"
#include "tests/process/daemon/raw_client.h"

namespace oj::testing {
namespace {

constexpr gid_t kGroup = 61000;                                   // who may use the service
constexpr uid_t kAnna = 61001, kBert = 61002, kOutsider = 61003;  // no users of any system

// What `act` returns, 0 to 125, in a process of that user; 126: it could not be tried.
int as(uid_t user, gid_t group, const std::function<int()>& act) {
  const pid_t child = fork();
  if (child == 0) {
    if (setgroups(1, &group) != 0 || setgid(user) != 0 || setuid(user) != 0) _exit(126);
    _exit(act());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}
int as_member(const std::function<int()>& act) { return as(kAnna, kGroup, act); }
int as_outsider(const std::function<int()>& act) { return as(kOutsider, kOutsider, act); }

int errno_of(long result) { return result < 0 ? errno : 0; }
int opened(const std::string& path, int flags) {
  return errno_of(Fd(open(path.c_str(), flags)).get());
}

class Boundary : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "only root can become other users";
    std::filesystem::create_directory(scratch_.folder());
    ASSERT_EQ(chown(scratch_.folder().c_str(), 0, kGroup), 0);
    ASSERT_EQ(chmod(scratch_.folder().c_str(), 0750), 0);
    for (const std::string& above : {scratch_.disk(), scratch_.memory()})
      ASSERT_EQ(chmod(above.c_str(), 0711), 0);
    // As the unit has it: the group is the daemon's own, and new files are not for others.
    umask(0027);
    ASSERT_EQ(setegid(kGroup), 0);
    daemon_.emplace(scratch_, std::vector<std::string>{"--service", "boundary"});
    ASSERT_TRUE(daemon_->serves()) << daemon_->said();
    RawWorker worker(scratch_.runtime(), scratch_.folder());
    worker.mark("synced");
    worker.wait_synced();
    worker.close();
  }
  void TearDown() override {
    (void)!setegid(getgid());
    umask(0022);
  }
  std::string segment() const {
    return std::filesystem::directory_iterator(scratch_.folder() + "/segments")->path();
  }
  std::string region() const { return scratch_.runtime() + "/region-1"; }
  std::string socket_path() const { return scratch_.runtime() + "/control.sock"; }

  const Scratch scratch_;
  std::optional<Daemon> daemon_;
};

TEST_F(Boundary, S1OutsidersCannotReadTheJournal) {
  const std::string path = segment();
  EXPECT_EQ(as_outsider([&] { return opened(path, O_RDONLY); }), EACCES);
  EXPECT_EQ(as_outsider([&] { return opened(scratch_.folder(), O_RDONLY | O_DIRECTORY); }), EACCES);
}

TEST_F(Boundary, S2OutsidersCannotConnectNorOpenTheRegion) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socket_path().copy(address.sun_path, sizeof address.sun_path - 1);
  const auto connects = [&] {
    const Fd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    return errno_of(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
  };
  EXPECT_EQ(as_outsider(connects), EACCES);
  EXPECT_EQ(as_outsider([&] { return opened(region(), O_RDONLY); }), EACCES);
  EXPECT_EQ(as_member(connects), 0);
}

TEST_F(Boundary, S3MembersReadAndPublish) {
  const std::string path = segment();
  EXPECT_EQ(as_member([&] { return opened(path, O_RDONLY); }), 0);
  EXPECT_EQ(as_member([&] {
              RawWorker worker(scratch_.runtime(), scratch_.folder());
              worker.mark("of anna");
              worker.wait_synced();
              worker.close();
              return ::testing::Test::HasFailure() ? 1 : 0;
            }),
            0);
  daemon_->signal(SIGTERM);
  EXPECT_EQ(daemon_->wait(), 0);
  EXPECT_EQ(read_all(scratch_.folder()).marks, (std::vector<std::string>{"synced", "of anna"}));
}

TEST_F(Boundary, S4MembersCannotChangeTheDisk) {
  for (const std::string& path :
       {segment(), scratch_.folder() + "/FORMAT", scratch_.folder() + "/LOCK"}) {
    EXPECT_EQ(as_member([&] { return opened(path, O_WRONLY); }), EACCES) << path;
    EXPECT_EQ(as_member([&] { return errno_of(unlink(path.c_str())); }), EACCES) << path;
    EXPECT_EQ(as_member([&] { return errno_of(rename(path.c_str(), (path + ".x").c_str())); }),
              EACCES);
  }
  EXPECT_EQ(
      as_member([&] { return opened(scratch_.folder() + "/segments/new", O_CREAT | O_WRONLY); }),
      EACCES);
}

TEST_F(Boundary, S5MembersCannotReplaceSocketNorRegion) {
  for (const std::string& path : {socket_path(), region()}) {
    EXPECT_EQ(as_member([&] { return errno_of(unlink(path.c_str())); }), EACCES) << path;
    EXPECT_EQ(as_member([&] { return errno_of(rename(path.c_str(), (path + ".x").c_str())); }),
              EACCES);
  }
  EXPECT_EQ(as_member([&] { return opened(scratch_.runtime() + "/region-2", O_CREAT | O_WRONLY); }),
            EACCES);
}

TEST_F(Boundary, S6MembersCanCutTheRegionWhichCostsNothingThatIsSynced) {
  ASSERT_EQ(as_member([&] { return errno_of(truncate(region().c_str(), 4096)); }), 0);
  EXPECT_TRUE(eventually([&] {
    const auto status = status_of(scratch_.runtime());
    return status && status->generation == 2;
  })) << daemon_->said();
  RawWorker worker(scratch_.runtime(), scratch_.folder());
  worker.mark("after");
  worker.wait_synced();
  worker.close();
  daemon_->signal(SIGTERM);
  EXPECT_EQ(daemon_->wait(), 0);
  EXPECT_EQ(read_all(scratch_.folder()).marks, (std::vector<std::string>{"synced", "after"}));
}

// The slot that a Hello is answered with which asks for that of `victim`; none: another one.
bool gets_the_seat_of(const schema::Welcome& victim, const std::string& runtime) {
  schema::Hello hello;
  hello.rejoin = true;
  hello.slot = victim.slot;
  hello.incarnation = victim.incarnation;
  hello.session = victim.session;
  ControlClient client(runtime);
  const auto answer = client.hello(hello);
  const auto* welcome = answer ? std::get_if<schema::Welcome>(&*answer) : nullptr;
  return welcome == nullptr || welcome->session == victim.session;
}

TEST_F(Boundary, S7MembersCannotTakeOverAnotherUsersSession) {
  RawWorker victim(scratch_.runtime(), scratch_.folder());  // of root
  EXPECT_EQ(as_member([&] { return gets_the_seat_of(victim.welcome(), scratch_.runtime()); }), 0);
  // Its own user may: that is how a worker goes on with the next daemon.
  EXPECT_TRUE(gets_the_seat_of(victim.welcome(), scratch_.runtime()));
  const pid_t daemon = daemon_->pid();
  EXPECT_EQ(as_member([&] {
              const Fd of_another(static_cast<int>(syscall(SYS_pidfd_open, daemon, 0)));
              const int number = of_another.get();
              schema::Hello hello;
              hello.command = "attacker";
              ControlClient client(scratch_.runtime());
              if (!client.send(hello, {&number, 1})) return 1;
              const auto answer = client.receive();
              return answer && std::holds_alternative<schema::Refusal>(*answer) ? 0 : 2;
            }),
            0);
}

TEST_F(Boundary, S8MembersCannotSignalNorTraceOthers) {
  const pid_t daemon = daemon_->pid();
  EXPECT_EQ(as_member([&] { return errno_of(kill(daemon, SIGTERM)); }), EPERM);
  EXPECT_EQ(as_member([&] { return errno_of(ptrace(PTRACE_SEIZE, daemon, nullptr, nullptr)); }),
            EPERM);
  const pid_t worker = fork();
  if (worker == 0) {
    if (setuid(kBert) != 0) _exit(1);
    for (;;) pause();
  }
  // Before setuid() it is root's, which nobody else may signal either.
  EXPECT_EQ(as_member([&] { return errno_of(kill(worker, SIGKILL)); }), EPERM);
  kill(worker, SIGKILL);
  waitpid(worker, nullptr, 0);
}

TEST_F(Boundary, S9MembersCanStopADaemonThatNobodyUses) {
  const auto asks = [&] {
    ControlClient client(scratch_.runtime());
    if (!client.send(schema::StopRequest{})) return 1;
    const auto answer = client.receive();
    return answer && std::holds_alternative<schema::Stopping>(*answer) ? 0 : 2;
  };
  {
    RawWorker worker(scratch_.runtime(), scratch_.folder());
    EXPECT_EQ(as_member(asks), 2);
    worker.close();
  }
  EXPECT_TRUE(eventually([&] { return status_of(scratch_.runtime())->workers.empty(); }));
  EXPECT_EQ(as_member(asks), 0);
  EXPECT_EQ(daemon_->wait(), 0);
}

TEST_F(Boundary, S10MembersCanHoldUpTheNextDaemonAndAreNamedInTheStatus) {
  const WorkerProcess other(scratch_.runtime(), scratch_.folder(), [](RawWorker&) {});
  const auto status = status_of(scratch_.runtime());
  ASSERT_TRUE(status);
  ASSERT_EQ(status->workers.size(), 1u);
  EXPECT_EQ(status->workers[0].pid, static_cast<std::uint32_t>(other.pid()));
  // One who keeps LOCK locked for reading: nobody can serve until he ends.
  daemon_->kill();
  const std::string path = scratch_.folder() + "/LOCK";
  std::array<int, 2> held{};
  ASSERT_EQ(pipe2(held.data(), O_CLOEXEC), 0);
  const pid_t holder = fork();
  if (holder == 0) {
    struct flock lock {};
    lock.l_type = F_RDLCK;
    lock.l_len = 1;
    const gid_t group = kGroup;
    if (setgroups(1, &group) != 0 || setgid(kAnna) != 0 || setuid(kAnna) != 0) _exit(1);
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fcntl(fd, F_OFD_SETLK, &lock) != 0 || write(held[1], "x", 1) != 1) _exit(1);
    for (;;) pause();
  }
  close(held[1]);
  char locked = 0;
  EXPECT_EQ(read(held[0], &locked, 1), 1);
  close(held[0]);
  Daemon kept_out(scratch_, {"--service", "boundary"});
  EXPECT_FALSE(kept_out.serves());
  kill(holder, SIGKILL);
  waitpid(holder, nullptr, 0);
  Daemon next(scratch_, {"--service", "boundary"});
  EXPECT_TRUE(next.serves()) << next.said();
}

TEST(SecurityPage, HasATestForEachOfItsLines) {
  std::ostringstream page;
  page << std::ifstream(OJ_SOURCE_ROOT "/docs/security.md").rdbuf();
  std::set<std::string> lines, tests;
  const std::string text = page.str();
  for (std::size_t at = 0; (at = text.find("- **S", at)) != std::string::npos; ++at)
    lines.insert(text.substr(at + 4, text.find("**", at + 4) - at - 4));
  const auto* suite = [] {
    const auto& all = *::testing::UnitTest::GetInstance();
    for (int i = 0; i < all.total_test_suite_count(); ++i)
      if (std::string(all.GetTestSuite(i)->name()) == "Boundary") return all.GetTestSuite(i);
    return static_cast<const ::testing::TestSuite*>(nullptr);
  }();
  ASSERT_NE(suite, nullptr);
  for (int i = 0; i < suite->total_test_count(); ++i) {
    const std::string name = suite->GetTestInfo(i)->name();
    tests.insert(name.substr(0, name.find_first_not_of("0123456789", 1)));
  }
  EXPECT_FALSE(lines.empty());
  EXPECT_EQ(lines, tests);
}

}  // namespace
}  // namespace oj::testing
