// Goal: a process is called dead only if it is.
//
// SPDX-License-Identifier: MIT
#include "daemon/process_life.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "shm/region.h"

namespace oj::daemon {
namespace {

// As libclient fills it (libclient/process_identity.cc), written anew.
schema::ProcessBirth birth_of(pid_t pid) {
  schema::ProcessBirth birth;
  const auto boot = shm::this_boot_id();
  EXPECT_TRUE(boot);
  std::memcpy(&birth.boot_id_high, boot->data(), 8);
  std::memcpy(&birth.boot_id_low, boot->data() + 8, 8);
  struct stat info {};
  EXPECT_EQ(stat("/proc/self/ns/pid", &info), 0);
  birth.pid_namespace = info.st_ino;
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text{std::istreambuf_iterator<char>(file), {}};
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::string skipped;
  for (int i = 0; i < 19; ++i) fields >> skipped;
  fields >> birth.start_ticks;
  return birth;
}

class Child {
 public:
  explicit Child(void (*act)() = nullptr) : pid_(fork()) {
    if (pid_ != 0) return;
    if (act) act();
    for (;;) pause();
  }
  ~Child() { reap(); }
  void kill() const { ::kill(pid_, SIGKILL); }
  void reap() {
    if (pid_ <= 0) return;
    kill();
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
};

std::uint32_t number(pid_t pid) { return static_cast<std::uint32_t>(pid); }

TEST(ProcessLife, OfAProcessThatIsThere) {
  const ProcessWitness witness = ProcessWitness::of_this_machine();
  EXPECT_EQ(witness.life_of(number(getpid()), birth_of(getpid())), Life::kAlive);
  Child child;
  kill(child.pid(), SIGSTOP);
  EXPECT_EQ(witness.life_of(number(child.pid()), birth_of(child.pid())), Life::kAlive);
}

TEST(ProcessLife, EndsWithTheProcessAlsoWhileItIsAZombie) {
  const ProcessWitness witness = ProcessWitness::of_this_machine();
  Child child;
  const pid_t pid = child.pid();
  const schema::ProcessBirth birth = birth_of(pid);
  child.kill();
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(witness.life_of(number(pid), birth), Life::kDead);
  child.reap();
  EXPECT_EQ(witness.life_of(number(pid), birth), Life::kDead);
}

// What looks like a zombie, but for its other threads.
TEST(ProcessLife, IsNotThatOfItsFirstThread) {
  const ProcessWitness witness = ProcessWitness::of_this_machine();
  Child child([] {
    pthread_t thread{};
    pthread_create(
        &thread, nullptr,
        [](void*) -> void* {
          for (;;) pause();
        },
        nullptr);
    syscall(SYS_exit, 0);
  });
  const std::string stat = "/proc/" + std::to_string(child.pid()) + "/stat";
  for (std::string text; text.find(") Z") == std::string::npos;) {
    std::ifstream file(stat);
    ASSERT_TRUE(std::getline(file, text));
  }
  EXPECT_EQ(witness.life_of(number(child.pid()), birth_of(child.pid())), Life::kAlive);
}

// For want of descriptors nothing can be seen.
TEST(ProcessLife, IsUnknownWhereProcCannotBeRead) {
  const ProcessWitness witness = ProcessWitness::of_this_machine();
  const schema::ProcessBirth birth = birth_of(getpid());
  schema::ProcessBirth elsewhere = birth;
  elsewhere.pid_namespace = 1;
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const Life here = witness.life_of(number(getpid()), birth);
  const Life there = witness.life_of(number(getpid()), elsewhere);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(here, Life::kUnknown);
  EXPECT_EQ(there, Life::kUnknown);
}

TEST(ProcessLife, IsToldFromThatOfALaterProcessWithTheSameNumber) {
  schema::ProcessBirth earlier = birth_of(getpid());
  --earlier.start_ticks;
  EXPECT_EQ(ProcessWitness::of_this_machine().life_of(number(getpid()), earlier), Life::kDead);
}

TEST(ProcessLife, EndsWithTheBoot) {
  schema::ProcessBirth before = birth_of(getpid());
  ++before.boot_id_low;
  const ProcessWitness witness = ProcessWitness::of_this_machine();
  EXPECT_EQ(witness.life_of(number(getpid()), before), Life::kDead);
  before.start_ticks = before.pid_namespace = 0;
  EXPECT_EQ(witness.life_of(0, before), Life::kDead);
}

TEST(ProcessLife, IsUnknownOfOneThatDidNotSayWhoItIs) {
  const ProcessWitness witness = ProcessWitness::of_this_machine();
  EXPECT_EQ(witness.life_of(1, {}), Life::kUnknown);
  for (const auto part :
       {&schema::ProcessBirth::start_ticks, &schema::ProcessBirth::pid_namespace}) {
    schema::ProcessBirth birth = birth_of(getpid());
    birth.*part = 0;
    EXPECT_EQ(witness.life_of(number(getpid()), birth), Life::kUnknown);
  }
}

// A process of another pid namespace is looked for by number and start: by a witness that sees all.
TEST(ProcessLife, OfAnotherNamespaceIsNeverDeadWhileSuchAProcessIsThere) {
  const ProcessWitness witness = ProcessWitness::of_this_machine();
  schema::ProcessBirth elsewhere = birth_of(getpid());
  elsewhere.pid_namespace = 1;
  EXPECT_NE(witness.life_of(number(getpid()), elsewhere), Life::kDead);
}

TEST(ProcessLife, IsUnknownWhereProcIsNotOurs) {
  std::array<char, 32> folder{"/tmp/oj-proc-XXXXXX"};
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const ProcessWitness witness = ProcessWitness::of_this_machine(folder.data());
  EXPECT_EQ(witness.life_of(number(getpid()), birth_of(getpid())), Life::kUnknown);
  std::filesystem::remove_all(folder.data());
}

}  // namespace
}  // namespace oj::daemon
