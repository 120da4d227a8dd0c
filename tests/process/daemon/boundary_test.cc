// Goal: docs/security.md is true, line by line. Method: a service with a folder for a group; other
// users, with and without the group, try what the page says they can and cannot do. A test's name
// begins with the number of its line; what needs a systemd or a container is a check of
// tests/verify/boot or tests/verify/containers whose name does. The last test holds the page to
// them.
//
// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
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
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <variant>
#include <vector>

#include "base/fd.h"
#include "journal/reader.h"
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

// What a program says on stdout and stderr, at its end.
std::string output_of(const std::string& command) {
  std::string text;
  FILE* program = popen((command + " 2>&1").c_str(), "r");
  for (int c = 0; program != nullptr && (c = std::fgetc(program)) != EOF;)
    text += static_cast<char>(c);
  if (program != nullptr) pclose(program);
  return text;
}

mode_t mode_of(const std::string& path) {
  struct stat info {};
  EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
  return info.st_mode & 0777;
}

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
    daemon_.emplace(scratch_, std::vector<std::string>{"--service", "boundary", "--pool", "4M"});
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

TEST_F(Boundary, S4MembersReadAndPublish) {
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

TEST_F(Boundary, S5MembersCannotChangeTheDisk) {
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

TEST_F(Boundary, S6MembersCannotReplaceSocketNorRegion) {
  for (const std::string& path : {socket_path(), region()}) {
    EXPECT_EQ(as_member([&] { return errno_of(unlink(path.c_str())); }), EACCES) << path;
    EXPECT_EQ(as_member([&] { return errno_of(rename(path.c_str(), (path + ".x").c_str())); }),
              EACCES);
  }
  EXPECT_EQ(as_member([&] { return opened(scratch_.runtime() + "/region-2", O_CREAT | O_WRONLY); }),
            EACCES);
}

// The sessions that records with this mark name.
std::vector<schema::SessionId> sessions_of(const std::string& mark, const std::string& path) {
  std::vector<schema::SessionId> sessions;
  auto folder = journal::Folder::open(path, journal::Folder::IfAbsent::kRefuse);
  if (!folder) return sessions;
  const auto end = journal::find_end(*folder);
  journal::Reader reader(*folder, 0);
  schema::Decoder decoder;
  while (end && reader.next_seq() < *end) {
    const auto bytes = reader.next(*end);
    if (!bytes) break;
    const auto record = decoder.decode(*bytes);
    if (!record) continue;
    for (const schema::Operation& operation : record->operations) {
      const auto* attr = std::get_if<schema::SetStudyUserAttr>(&operation);
      if (attr != nullptr && attr->attr.key == mark) sessions.push_back(record->header.session);
    }
  }
  return sessions;
}

TEST_F(Boundary, S7MembersCanCutTheRegionWhichCostsNothingThatIsSynced) {
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

// The offset of a text in a file.
std::optional<off_t> offset_of(const std::string& text, const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  const std::size_t at = content.str().find(text);
  return at == std::string::npos ? std::nullopt : std::optional<off_t>(static_cast<off_t>(at));
}

TEST_F(Boundary, S8MembersCanPublishInAnothersName) {
  RawWorker victim(scratch_.runtime(), scratch_.folder());
  const schema::SessionId name = victim.welcome().session;
  EXPECT_EQ(as_member([&] {
              RawWorker worker(scratch_.runtime(), scratch_.folder());
              shm::Producer forger(worker.region(),
                                   {worker.welcome().slot, worker.welcome().incarnation});
              schema::Encoder encoder;
              const auto record = encoder.encode(schema::SetStudyUserAttr{0, {"forged", {}}});
              schema::stamp(record, {name, 1, 0});
              const auto attempt = forger.try_append(record);
              worker.wait_synced();
              worker.close();
              return attempt && attempt->full == shm::Full::kNo ? 0 : 1;
            }),
            0);
  victim.close();
  daemon_->signal(SIGTERM);
  EXPECT_EQ(daemon_->wait(), 0);
  EXPECT_EQ(sessions_of("forged", scratch_.folder()), std::vector<schema::SessionId>{name});
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

TEST_F(Boundary, S9MembersCannotTakeOverAnotherUsersSession) {
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

TEST_F(Boundary, S10MembersCannotSignalNorTraceOthers) {
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

TEST_F(Boundary, S11MembersCanStopADaemonThatNobodyUses) {
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

TEST_F(Boundary, S12MembersCanHoldUpTheNextDaemonAndAreNamedInTheStatus) {
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

TEST_F(Boundary, S13ProcessesOfOneUserAreOne) {
  std::array<int, 2> ready{};
  ASSERT_EQ(pipe2(ready.data(), O_CLOEXEC), 0);
  const pid_t worker = fork();
  if (worker == 0) {
    const gid_t group = kGroup;
    if (setgroups(1, &group) != 0 || setgid(kAnna) != 0 || setuid(kAnna) != 0) _exit(1);
    RawWorker victim(scratch_.runtime(), scratch_.folder());
    const schema::Welcome& seat = victim.welcome();
    const std::array<std::uint64_t, 3> told{seat.slot, seat.incarnation, seat.session};
    if (write(ready[1], told.data(), sizeof told) != static_cast<ssize_t>(sizeof told)) _exit(1);
    for (;;) pause();
  }
  std::array<std::uint64_t, 3> told{};
  ASSERT_EQ(read(ready[0], told.data(), sizeof told), static_cast<ssize_t>(sizeof told));
  close(ready[0]);
  close(ready[1]);
  schema::Welcome seat;
  seat.slot = static_cast<std::uint32_t>(told[0]);
  seat.incarnation = told[1];
  seat.session = told[2];
  EXPECT_EQ(as_member([&] { return gets_the_seat_of(seat, scratch_.runtime()); }), 1);
  EXPECT_EQ(as_member([&] { return errno_of(kill(worker, SIGKILL)); }), 0);
  waitpid(worker, nullptr, 0);
}

TEST_F(Boundary, S14AFolderOfOnesOwnIsReadByOthersAsTheUmaskSaysAndNoMore) {
  for (const mode_t mask : {0022u, 0077u}) {
    umask(mask);
    const Scratch scratch;
    for (const std::string& above : {scratch.disk(), scratch.memory()})
      ASSERT_EQ(chmod(above.c_str(), 0711), 0);
    Daemon daemon(scratch);
    ASSERT_TRUE(daemon.serves()) << daemon.said();
    EXPECT_EQ(mode_of(scratch.folder()), 0777u & ~mask);
    EXPECT_EQ(mode_of(scratch.runtime()), 0700u);
    EXPECT_EQ(mode_of(scratch.runtime() + "/region-1"), 0600u);
    const std::string segments = scratch.folder() + "/segments";
    for (const std::string& path :
         {scratch.folder() + "/FORMAT", segments + "/" + files_in(segments).at(0)}) {
      EXPECT_EQ(as_member([&] { return opened(path, O_RDONLY); }), mask == 0022 ? 0 : EACCES);
      EXPECT_EQ(as_member([&] { return opened(path, O_WRONLY); }), EACCES) << path;
      EXPECT_EQ(as_member([&] { return errno_of(unlink(path.c_str())); }), EACCES) << path;
    }
    EXPECT_EQ(as_member([&] { return ControlClient(scratch.runtime()).connected() ? 1 : 0; }), 0);
    const std::string shared = scratch.runtime() + "/region-1";
    EXPECT_EQ(as_member([&] { return opened(shared, O_RDONLY); }), EACCES);
  }
}

TEST_F(Boundary, S15AFolderThatAGroupMayWriteIsTheGroupsInAll) {
  umask(0022);
  const Scratch scratch;
  for (const std::string& above : {scratch.disk(), scratch.memory()})
    ASSERT_EQ(chmod(above.c_str(), 0711), 0);
  std::filesystem::create_directory(scratch.folder());
  ASSERT_EQ(chown(scratch.folder().c_str(), 0, kGroup), 0);
  ASSERT_EQ(chmod(scratch.folder().c_str(), 0770), 0);
  {
    Daemon daemon(scratch);
    ASSERT_TRUE(daemon.serves()) << daemon.said();
    EXPECT_EQ(mode_of(scratch.runtime()), 0770u);
    EXPECT_EQ(mode_of(scratch.runtime() + "/region-1"), 0660u);
    EXPECT_EQ(as_outsider([&] { return opened(scratch.folder(), O_RDONLY); }), EACCES);
    daemon.signal(SIGTERM);
    EXPECT_EQ(daemon.wait(), 0);
  }
  // A member may serve it as well: what another user's daemon wrote is his to go on with.
  const std::string place = scratch.disk() + "/of-anna";
  ASSERT_EQ(mkdir(place.c_str(), 0700), 0);
  ASSERT_EQ(chown(place.c_str(), kAnna, kGroup), 0);
  EXPECT_EQ(as_member([&] {
              execl(OJ_DAEMON, OJ_DAEMON, "--idle-exit", "0", "--runtime-folder",
                    (place + "/run").c_str(), scratch.folder().c_str(), nullptr);
              return 127;
            }),
            0);
}

TEST_F(Boundary, S16NobodyCanMakeTheRuntimeFolderOfAnother) {
  const Scratch scratch;
  std::filesystem::create_directory(scratch.runtime());
  ASSERT_EQ(chown(scratch.runtime().c_str(), kBert, kBert), 0);
  Daemon of_bert(scratch);
  EXPECT_FALSE(of_bert.serves());
  EXPECT_NE(of_bert.said().find("belongs to user " + std::to_string(kBert)), std::string::npos)
      << of_bert.said();
  ASSERT_EQ(chown(scratch.runtime().c_str(), 0, 0), 0);
  ASSERT_EQ(chmod(scratch.runtime().c_str(), 0777), 0);
  Daemon of_everybody(scratch);
  EXPECT_FALSE(of_everybody.serves());
  EXPECT_NE(of_everybody.said().find("every user may change"), std::string::npos)
      << of_everybody.said();
}

// While the daemon is stopped one member changes a byte of what another one published.
TEST_F(Boundary, S17ARecordThatFailsItsChecksBecomesATombstone) {
  RawWorker worker(scratch_.runtime(), scratch_.folder());
  daemon_->stop();
  worker.mark("to be damaged");
  worker.mark("behind it");
  const std::optional<off_t> at = offset_of("to be damaged", region());
  ASSERT_TRUE(at);
  EXPECT_EQ(as_member([&] {
              const Fd file(open(region().c_str(), O_RDWR | O_CLOEXEC));
              return pwrite(file.get(), "?", 1, *at) == 1 ? 0 : 1;
            }),
            0);
  daemon_->go_on();
  worker.wait_synced();
  worker.close();
  daemon_->signal(SIGTERM);
  EXPECT_EQ(daemon_->wait(), 0) << daemon_->said();
  const OnDisk all = read_all(scratch_.folder());
  EXPECT_EQ(all.marks, (std::vector<std::string>{"synced", "behind it"}));
  EXPECT_EQ(all.tombstones, 1u);
}

TEST_F(Boundary, S18APacketThatIsNoMessageEndsItsConnectionOnly) {
  RawWorker other(scratch_.runtime(), scratch_.folder());
  EXPECT_EQ(as_member([&] {
              ControlClient client(scratch_.runtime());
              const std::vector<std::byte> packet(1000, std::byte{0xa5});
              if (!client.send(packet)) return 1;
              const auto answer = client.receive();
              if (!answer || !std::holds_alternative<schema::Refusal>(*answer)) return 2;
              return client.receive() ? 3 : 0;
            }),
            0);
  EXPECT_FALSE(daemon_->has_ended()) << daemon_->said();
  other.mark("goes on");
  other.wait_synced();
  EXPECT_TRUE(other.held());
  other.close();
}

TEST_F(Boundary, S19DescriptorsOfOthersAreClosed) {
  const std::string open_files = "/proc/" + std::to_string(daemon_->pid()) + "/fd";
  ASSERT_TRUE(status_of(scratch_.runtime()));
  const std::size_t before = files_in(open_files).size();
  EXPECT_EQ(as_member([&] {
              const Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
              const std::vector<int> numbers(100, null.get());
              for (int i = 0; i < 20; ++i) {
                ControlClient client(scratch_.runtime());
                if (!client.send(schema::StatusRequest{}, numbers)) return 1;
                client.receive();
              }
              return 0;
            }),
            0);
  EXPECT_TRUE(eventually([&] { return files_in(open_files).size() <= before; }));
}

TEST_F(Boundary, S20TextOfOthersIsShownInOneLineAndMovesNoCursor) {
  schema::Hello hello;
  hello.command =
      "x\n<3>forged \x1b[2J\xc2\x9b"
      "2J";
  ControlClient client(scratch_.runtime());
  const auto answer = client.hello(hello);
  ASSERT_TRUE(answer && std::holds_alternative<schema::Welcome>(*answer));
  EXPECT_TRUE(eventually([&] {
    return daemon_->said().find("(x\\n<3>forged \\x1b[2J\\x9b2J)") != std::string::npos;
  })) << daemon_->said();
  const std::string status = output_of(OJ_COMMAND " status " + scratch_.folder());
  EXPECT_NE(status.find("x\\n<3>forged"), std::string::npos) << status;
  for (const std::string& text : {daemon_->said(), status}) {
    EXPECT_EQ(text.find("\n<3>"), std::string::npos) << text;
    EXPECT_EQ(text.find('\x1b'), std::string::npos) << text;
    EXPECT_EQ(text.find("\xc2\x9b"), std::string::npos) << text;
  }
}

TEST_F(Boundary, S21ADamagedFileIsRefusedAndNotChanged) {
  daemon_->signal(SIGTERM);
  ASSERT_EQ(daemon_->wait(), 0);
  const auto content = [&] {
    std::ostringstream text;
    text << std::ifstream(segment(), std::ios::binary).rdbuf();
    return text.str();
  };
  const std::optional<off_t> at = offset_of("synced", segment());  // the mark of SetUp
  ASSERT_TRUE(at);
  const Fd file(open(segment().c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(pwrite(file.get(), "?", 1, *at), 1);
  const std::string before = content();
  Daemon next(scratch_, {"--service", "boundary"});
  EXPECT_FALSE(next.serves());
  EXPECT_EQ(next.wait(), 5) << next.said();
  EXPECT_TRUE(content() == before);
}

// Inodes of the TCP sockets that listen, with address and port as the kernel writes them.
std::string listening(pid_t pid) {
  std::set<std::string> own;
  for (const std::string& fd : files_in("/proc/" + std::to_string(pid) + "/fd")) {
    std::error_code closed;
    const std::string target =
        std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/fd/" + fd, closed);
    if (target.starts_with("socket:[")) own.insert(target.substr(8, target.size() - 9));
  }
  std::string found;
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp"}) {
    std::ifstream lines(table);
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      std::vector<std::string> word{std::istream_iterator<std::string>(words), {}};
      if (word.size() > 9 && own.contains(word[9])) found += word[1] + " ";
    }
  }
  return found;
}

TEST_F(Boundary, S27MetricsAreOffUnlessAskedForAndNameNobody) {
  EXPECT_EQ(listening(daemon_->pid()), "");
  const Scratch scratch;
  Daemon daemon(scratch, {"--metrics", "0"});
  ASSERT_TRUE(daemon.serves()) << daemon.said();
  RawWorker worker(scratch.runtime(), scratch.folder());
  worker.mark("secret-mark");
  worker.wait_synced();
  const std::string place = listening(daemon.pid());
  EXPECT_TRUE(place.starts_with("0100007F:")) << place;  // 127.0.0.1
  const auto port = static_cast<std::uint16_t>(std::stoul(place.substr(9, 4), nullptr, 16));
  std::string page;
  EXPECT_TRUE(eventually([&] {
    const Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const std::string ask = "GET /metrics HTTP/1.0\r\n\r\n";
    if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        write(fd.get(), ask.data(), ask.size()) < 0)
      return false;
    page.clear();
    std::array<char, 4096> some{};
    for (ssize_t got = 0; (got = read(fd.get(), some.data(), some.size())) > 0;)
      page.append(some.data(), static_cast<std::size_t>(got));
    return page.find("\noptjournal_records_total ") != std::string::npos;
  })) << page;
  EXPECT_EQ(page.find("secret"), std::string::npos) << page;
  EXPECT_EQ(page.find("daemon_test"), std::string::npos) << page;  // the worker's command
  worker.close();
}

// Numbers of lines, "S1", that come behind `prefix` in a file.
std::set<std::string> numbers_in(const std::string& file, const std::string& prefix) {
  std::ostringstream text;
  text << std::ifstream(OJ_SOURCE_ROOT "/" + file).rdbuf();
  const std::string content = text.str();
  const std::regex pattern("(^|\\n)" + prefix + "(S[0-9]+)[^0-9]");
  std::set<std::string> found;
  for (std::sregex_iterator it(content.begin(), content.end(), pattern), end; it != end; ++it)
    found.insert((*it)[2]);
  return found;
}

TEST(SecurityPage, HasATestForEachOfItsLines) {
  const std::set<std::string> lines = numbers_in("docs/security.md", "- \\*\\*");
  std::set<std::string> tests = numbers_in("tests/verify/boot/run.sh", "check ");
  tests.merge(numbers_in("tests/verify/containers/run.sh", "check "));
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
