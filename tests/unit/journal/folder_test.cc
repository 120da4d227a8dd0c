// SPDX-License-Identifier: MIT
#include "journal/folder.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "tests/unit/journal/journal_fixture.h"

namespace oj::journal::testing {
namespace {

using If = Folder::IfAbsent;

void put(const fs::path& path, const std::string& text) {
  write_file(path, std::as_bytes(std::span(text)));
}

// Runs `body` in a child process; what it returns is the child's exit code.
template <class Body>
int in_child(Body body) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(body());
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Folder, IsCreatedOnceAndOpenedAgain) {
  const TemporaryFolder temporary;
  const auto made = Folder::open(temporary.at("j"), If::kCreate);
  ASSERT_TRUE(is_ok(made));
  const auto again = Folder::open(temporary.at("j") + "/", If::kRefuse);
  ASSERT_TRUE(is_ok(again));
  EXPECT_EQ(made->journal_id(), again->journal_id());
  EXPECT_EQ(made->key(), again->key());
  EXPECT_EQ(made->path(), fs::canonical(temporary.at("j")).string());
  EXPECT_GT(*made->available_bytes(), 0u);
  fs::create_symlink(temporary.at("j"), temporary.at("link"));
  EXPECT_EQ(Folder::open(temporary.at("link"), If::kRefuse)->path(), made->path());
  fs::copy(made->path(), temporary.at("copy"), fs::copy_options::recursive);
  const auto copy = Folder::open(temporary.at("copy"), If::kRefuse);
  EXPECT_EQ(copy->journal_id(), made->journal_id());
  EXPECT_NE(copy->key(), made->key());
}

TEST(Folder, GrantsOnItsFilesWhatItGrantsItself) {
  const TemporaryFolder temporary;
  fs::create_directory(temporary.at("j"));
  fs::permissions(temporary.at("j"), fs::perms(0770));
  const mode_t before = ::umask(077);
  const Folder folder = must_open(temporary.at("j"));
  const auto lock = folder.lock_for_serving("/run/x");
  (void)must_write(folder);
  ::umask(before);
  ASSERT_TRUE(is_ok(lock));
  EXPECT_EQ(fs::status(temporary.at("j/FORMAT")).permissions(), fs::perms(0660));
  EXPECT_EQ(fs::status(temporary.at("j/LOCK")).permissions(), fs::perms(0660));
  EXPECT_EQ(fs::status(temporary.at("j/segments")).permissions(), fs::perms(02770));
  EXPECT_EQ(fs::status(segment_paths(folder).at(0)).permissions(), fs::perms(0660));
}

// Who shares it may have any group as his own.
TEST(Folder, KeepsItsGroupForWhatIsMadeInIt) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to use other groups";
  for (const unsigned mode : {0770u, 02770u, 02750u, 0750u}) {
    const TemporaryFolder temporary;
    fs::create_directory(temporary.at("j"));
    ASSERT_EQ(::chown(temporary.at("j").c_str(), 0, 4242), 0);
    ASSERT_EQ(::chmod(temporary.at("j").c_str(), mode), 0);
    const Folder folder = must_open(temporary.at("j"));
    ASSERT_TRUE(is_ok(folder.lock_for_serving("/run/x")));
    (void)must_write(folder);
    const auto status_of = [](const fs::path& path) {
      struct stat status {};
      EXPECT_EQ(::stat(path.c_str(), &status), 0);
      return status;
    };
    const unsigned shared = (mode & 0020) != 0 ? 0660 : 0640;
    for (const fs::path& path : {fs::path(temporary.at("j/FORMAT")),
                                 fs::path(temporary.at("j/LOCK")), segment_paths(folder).at(0)}) {
      EXPECT_EQ(status_of(path).st_gid, 4242u) << path;
      EXPECT_EQ(status_of(path).st_mode & 07777, shared) << path;
    }
    const auto segments = status_of(temporary.at("j/segments"));
    EXPECT_EQ(segments.st_gid, 4242u);
    EXPECT_EQ(segments.st_mode & 07777, mode == 0770 ? 02770u : mode);
  }
}

TEST(Folder, GivesNoRightsToAnotherGroupThanItsOwn) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become another user in a child";
  const TemporaryFolder temporary;
  fs::permissions(temporary.path(), fs::perms(0755));
  fs::create_directory(temporary.at("j"));
  ASSERT_EQ(::chmod(temporary.at("j").c_str(), 0770), 0);
  ASSERT_EQ(::chown(temporary.at("j").c_str(), 4242, 4343), 0);
  EXPECT_EQ(in_child([&] {
              if (::setgroups(0, nullptr) != 0) return 1;
              if (::setresgid(4242, 4242, 4242) != 0 || ::setresuid(4242, 4242, 4242) != 0)
                return 2;
              const Folder folder = must_open(temporary.at("j"));
              (void)must_write(folder);
              return ::testing::Test::HasFailure() ? 3 : 0;
            }),
            0);
  EXPECT_EQ(fs::status(temporary.at("j/FORMAT")).permissions(), fs::perms(0600));
  EXPECT_EQ(fs::status(temporary.at("j/segments")).permissions() & fs::perms(0777),
            fs::perms(0700));
}

TEST(Folder, SaysWhatIsWrongWithAPath) {
  const TemporaryFolder temporary;
  EXPECT_TRUE(fails_with(Folder::open("", If::kCreate), Code::kInvalid, "empty"));
  EXPECT_TRUE(
      fails_with(Folder::open(temporary.at("a"), If::kRefuse), Code::kInvalid, "no such folder"));
  EXPECT_TRUE(fails_with(Folder::open(temporary.at("a/b"), If::kCreate), Code::kInvalid,
                         "its parent folder " + temporary.at("a") + " does not exist"));
  put(temporary.path() / "file", "x");
  EXPECT_TRUE(
      fails_with(Folder::open(temporary.at("file"), If::kCreate), Code::kInvalid, "not a folder"));
  EXPECT_TRUE(fails_with(Folder::open(temporary.at("file/j"), If::kCreate), Code::kInvalid,
                         "not a folder"));
  EXPECT_TRUE(fails_with(Folder::open(std::string("a\0b", 3), If::kCreate), Code::kInvalid, "NUL"));
  EXPECT_TRUE(fails_with(Folder::open(temporary.at(std::string(300, 'n')), If::kCreate), Code::kIo,
                         "too long"));
}

TEST(Folder, NeverTouchesOneOfSomethingElse) {
  const TemporaryFolder temporary;
  fs::create_directory(temporary.at("photos"));
  EXPECT_TRUE(
      fails_with(Folder::open(temporary.at("photos"), If::kRefuse), Code::kInvalid, "no journal"));
  put(temporary.path() / "photos/cat.jpg", "x");
  for (const If how : {If::kCreate, If::kRefuse}) {
    EXPECT_TRUE(fails_with(Folder::open(temporary.at("photos"), how), Code::kInvalid, "cat.jpg"));
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(temporary.at("photos")), {}), 1);
  fs::create_directory(temporary.at("other"));
  put(temporary.path() / "other/FORMAT", "a disk label\n");
  EXPECT_TRUE(fails_with(Folder::open(temporary.at("other"), If::kCreate), Code::kInvalid,
                         "something else"));
}

TEST(Folder, TellsANewerFormatFromADamagedOne) {
  const TemporaryFolder temporary;
  const Folder folder = must_open(temporary.at("j"));
  const fs::path format = temporary.path() / "j/FORMAT";
  const std::string id = "journal: " + to_string(folder.journal_id()) + "\n";
  const auto opens_as = [&](const std::string& text, Code code) {
    put(format, text);
    return fails_with(Folder::open(temporary.at("j"), If::kCreate), code, "FORMAT");
  };
  EXPECT_TRUE(opens_as("optjournal\nformat: 2\n" + id, Code::kIncompatible));
  EXPECT_TRUE(opens_as("", Code::kCorrupt));
  EXPECT_TRUE(opens_as(std::string(60, '\0'), Code::kCorrupt));
  EXPECT_TRUE(opens_as("optjournal\n", Code::kCorrupt));
  EXPECT_TRUE(opens_as("optjournal\nformat: x\n" + id, Code::kCorrupt));
  EXPECT_TRUE(opens_as("optjournal\nformat: 0\n" + id, Code::kCorrupt));
  EXPECT_TRUE(opens_as("optjournal\nformat: 1\njournal: 123\n", Code::kCorrupt));
  EXPECT_TRUE(opens_as("optjournal\nformat: 1\n" + id.substr(0, 20), Code::kCorrupt));
  put(format, "optjournal\nformat: 1\n" + id + "since: ignored\n");
  EXPECT_TRUE(is_ok(Folder::open(temporary.at("j"), If::kRefuse)));
  (void)must_write(folder);
  fs::remove(format);
  EXPECT_TRUE(fails_with(Folder::open(temporary.at("j"), If::kCreate), Code::kCorrupt, "missing"));
  EXPECT_FALSE(fs::exists(format))
      << "a journal that lost its FORMAT must not get another identity";
}

TEST(Folder, SaysWhoMayNot) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become another user in a child";
  const TemporaryFolder temporary;
  fs::permissions(temporary.path(), fs::perms(0755));
  (void)must_open(temporary.at("mine"));
  fs::permissions(temporary.at("mine"), fs::perms(0700));
  const Folder shown = must_open(temporary.at("shown"));
  fs::permissions(temporary.at("shown"), fs::perms(0755));
  EXPECT_EQ(
      in_child([&] {
        if (::setresgid(4242, 4242, 4242) != 0 || ::setresuid(4242, 4242, 4242) != 0) return 1;
        const auto refused = Folder::open(temporary.at("mine"), If::kCreate);
        if (refused || refused.error().code != Code::kIo || refused.error().os_error != EACCES)
          return 2;
        if (refused.error().message.find(temporary.at("mine")) == std::string::npos) return 3;
        const auto created = Folder::open(temporary.at("new"), If::kCreate);
        if (created || created.error().os_error != EACCES) return 4;
        const auto read = Folder::open(temporary.at("shown"), If::kRefuse);
        if (!read || !find_end(*read)) return 5;
        const auto lock = read->lock_for_serving("/run/x");
        if (lock || lock.error().os_error != EACCES) return 6;
        return read->holder() ? 0 : 7;
      }),
      0);
}

TEST(Folder, IsServedByOneAtATime) {
  const TemporaryFolder temporary;
  const Folder folder = must_open(temporary.at("j"));
  EXPECT_FALSE(folder.holder()->has_value());
  {
    const auto lock = folder.lock_for_serving("/run/some where");
    ASSERT_TRUE(is_ok(lock));
    const auto holder = folder.holder();
    ASSERT_TRUE(is_ok(holder));
    ASSERT_TRUE(holder->has_value());
    EXPECT_EQ((*holder)->pid, ::getpid());
    EXPECT_EQ((*holder)->runtime_folder, "/run/some where");
    const std::string pid = std::to_string(::getpid());
    EXPECT_EQ(in_child([&] {
                const auto second =
                    Folder::open(temporary.at("j"), If::kRefuse)->lock_for_serving("/run/y");
                return !second && second.error().code == Code::kRefused &&
                               second.error().message.find("pid " + pid) != std::string::npos
                           ? 0
                           : 1;
              }),
              0);
    put(temporary.path() / "j/LOCK", "");
    EXPECT_TRUE(fails_with(folder.holder(), Code::kBusy, "try again"));
    put(temporary.path() / "j/LOCK", "pid: 12x\nruntime: /\n");
    EXPECT_TRUE(fails_with(folder.holder(), Code::kBusy));
  }
  EXPECT_FALSE(folder.holder()->has_value());
  // A shorter text over a longer one.
  ASSERT_TRUE(is_ok(folder.lock_for_serving("/run/a/much/longer/folder")));
  const auto lock = folder.lock_for_serving("/r");
  ASSERT_TRUE(is_ok(lock));
  EXPECT_EQ((*folder.holder())->runtime_folder, "/r");
}

TEST(Folder, IsFreeAgainWhenItsHolderIsKilled) {
  const TemporaryFolder temporary;
  const Folder folder = must_open(temporary.at("j"));
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    const auto lock = folder.lock_for_serving("/run/x");
    (void)!::write(ready[1], "x", 1);
    for (;;) ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ASSERT_TRUE(folder.holder()->has_value());
  EXPECT_EQ((**folder.holder()).pid, pid);
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  EXPECT_FALSE(folder.holder()->has_value());
  EXPECT_TRUE(is_ok(folder.lock_for_serving("/run/x")));
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST(Folder, LetsOneProcessStartADaemon) {
  const TemporaryFolder temporary;
  const Folder folder = must_open(temporary.at("j"));
  auto starting = folder.try_lock_for_starting();
  ASSERT_TRUE(is_ok(starting));
  ASSERT_TRUE(starting->has_value());
  EXPECT_FALSE(folder.try_lock_for_starting()->has_value());
  EXPECT_TRUE(is_ok(folder.lock_for_serving("/run/x"))) << "another byte";
  starting->reset();
  EXPECT_TRUE(folder.try_lock_for_starting()->has_value());
}

TEST(Folder, IsOneJournalForSixtyFourProcessesThatCreateItAtOnce) {
  for (int round = 0; round < 5; ++round) {
    const TemporaryFolder temporary;
    int go[2], ids[2];
    ASSERT_EQ(::pipe(go), 0);
    ASSERT_EQ(::pipe(ids), 0);
    std::vector<pid_t> children;
    for (int i = 0; i < 64; ++i) {
      const pid_t pid = ::fork();
      if (pid == 0) {
        ::close(go[1]);
        char byte = 0;
        (void)!::read(go[0], &byte, 1);  // until the parent closes its end
        const auto folder = Folder::open(temporary.at("j"), If::kCreate);
        const std::string said =
            folder ? to_string(folder->journal_id()) : "failed: " + folder.error().message;
        (void)!::write(
            ids[1],
            said.substr(0, 36).append(36 - std::min<std::size_t>(36, said.size()), '.').c_str(),
            36);
        ::_exit(folder ? 0 : 1);
      }
      children.push_back(pid);
    }
    ::close(go[1]);
    ::close(ids[1]);
    std::set<std::string> seen;
    char id[37] = {};
    while (::read(ids[0], id, 36) == 36) seen.insert(id);
    for (const pid_t pid : children) {
      int status = 0;
      ::waitpid(pid, &status, 0);
      EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    ::close(go[0]);
    ::close(ids[0]);
    EXPECT_EQ(seen.size(), 1u) << *seen.begin() << " ... " << *seen.rbegin();
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(temporary.at("j")))
      names.insert(entry.path().filename());
    EXPECT_EQ(names, (std::set<std::string>{"FORMAT", "segments"}));
  }
}

TEST(Folder, KnowsNetworkFileSystems) {
  EXPECT_STREQ(network_file_system_name(0x6969), "NFS");
  EXPECT_STREQ(network_file_system_name(0xff534d42), "CIFS");
  EXPECT_EQ(network_file_system_name(0xef53), nullptr);      // ext4
  EXPECT_EQ(network_file_system_name(0x01021994), nullptr);  // tmpfs
}

}  // namespace
}  // namespace oj::journal::testing
