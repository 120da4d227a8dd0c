// SPDX-License-Identifier: MIT
#include "tests/verify/namespaces/stage.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <sstream>

#include "base/check.h"

namespace oj::verify {
namespace {

constexpr std::size_t kOrderBytesMax = 4096;

int exit_status_of(pid_t number) {
  int status = 0;
  while (::waitpid(number, &status, 0) < 0 && errno == EINTR) {}
  return status;
}

// The next process of this namespace gets `number`, unless somebody forks in between.
bool want_next(pid_t number) {
  const Fd fd(::open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC));
  const std::string last = std::to_string(number - 1);
  return fd && ::write(fd.get(), last.data(), last.size()) == static_cast<ssize_t>(last.size());
}

std::string start_here(pid_t number, const std::vector<std::string>& words) {
  if (!want_next(number)) return std::string("ns_last_pid: ") + std::strerror(errno);
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  pid_t pid = 0;
  if (::posix_spawn(&pid, arguments[0], nullptr, nullptr, arguments.data(), environ) != 0)
    return "posix_spawn";
  if (pid == number) return "1";
  ::kill(pid, SIGKILL);
  exit_status_of(pid);
  return "0";
}

std::string obey(const std::string& order) {
  std::istringstream text(order);
  std::string verb, word;
  pid_t number = 0;
  text >> verb >> number;
  if (verb == "number") return ::kill(number, 0) == 0 ? "1" : "0";
  if (verb == "start") {
    std::vector<std::string> words;
    while (text >> word) words.push_back(word);
    return start_here(number, words);
  }
  ::kill(number, verb == "kill" ? SIGKILL : SIGTERM);
  return std::to_string(exit_status_of(number));
}

// The life of process 1. Orphans come to it: daemons, and whom they leave.
[[noreturn]] void serve(int orders, Proc proc) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::string ready = "ready";
  if (proc == Proc::kOwn && (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
                             ::mount("proc", "/proc", "proc", 0, nullptr) != 0))
    ready = std::string("mount /proc: ") + std::strerror(errno);
  (void)!::write(orders, ready.data(), ready.size());
  std::array<char, kOrderBytesMax> order{};
  for (ssize_t got; (got = ::read(orders, order.data(), order.size())) > 0;) {
    const std::string answer = obey({order.data(), static_cast<std::size_t>(got)});
    if (::write(orders, answer.data(), answer.size()) < 0) break;
  }
  ::_exit(0);  // and with it, by the kernel, everything in the namespace
}

}  // namespace

std::unique_ptr<Stage> Stage::make(Proc proc, std::string& reason) {
  std::array<int, 2> ends{};
  OJ_CHECK(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
  Fd ours(ends[0]);
  const Fd theirs(ends[1]);
  const long flags = CLONE_NEWPID | SIGCHLD | (proc == Proc::kOwn ? CLONE_NEWNS : 0);
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone, flags, nullptr, nullptr, nullptr, 0));
  if (pid < 0) {
    reason = std::string("a PID namespace cannot be made: ") + std::strerror(errno);
    return nullptr;
  }
  if (pid == 0) serve(theirs.get(), proc);
  std::unique_ptr<Stage> stage(new Stage);
  stage->first_ = pid;
  stage->orders_ = std::move(ours);
  std::array<char, kOrderBytesMax> ready{};
  const ssize_t got = ::read(stage->orders_.get(), ready.data(), ready.size() - 1);
  if (got <= 0 || std::string(ready.data()) != "ready") {
    reason = ready.data();
    return nullptr;
  }
  return stage;
}

Stage::~Stage() {
  orders_.reset();
  ::kill(first_, SIGKILL);
  exit_status_of(first_);
}

std::string Stage::ask(const std::string& order) {
  std::array<char, kOrderBytesMax> answer{};
  OJ_CHECK(order.size() < kOrderBytesMax);
  OJ_CHECK(::write(orders_.get(), order.data(), order.size()) > 0);
  OJ_CHECK(::read(orders_.get(), answer.data(), answer.size() - 1) > 0);
  return answer.data();
}

bool Stage::start(pid_t number, const std::vector<std::string>& words) {
  std::string order = "start " + std::to_string(number);
  for (const std::string& word : words) order += " " + word;
  return ask(order) == "1";
}

void Stage::kill(pid_t number) { ask("kill " + std::to_string(number)); }
int Stage::end(pid_t number) { return std::stoi(ask("end " + std::to_string(number))); }
bool Stage::number_is_taken(pid_t number) { return ask("number " + std::to_string(number)) == "1"; }

}  // namespace oj::verify
