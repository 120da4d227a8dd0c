// SPDX-License-Identifier: MIT
#include "tests/verify/processes/fleet.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "base/check.h"
#include "base/clock.h"

namespace oj::verify {
namespace {

constexpr std::int64_t kWatchdogMs = 120'000;

Fd pidfd_of(pid_t pid) { return Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

pid_t spawn(const std::vector<std::string>& words, const posix_spawn_file_actions_t* actions) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  pid_t pid = 0;
  OJ_CHECK(::posix_spawn(&pid, arguments[0], actions, nullptr, arguments.data(), environ) == 0);
  return pid;
}

}  // namespace

void signal_through(const Fd& pidfd, int number) {
  (void)::syscall(SYS_pidfd_send_signal, pidfd.get(), number, nullptr, 0);
}

bool has_ended(const Fd& pidfd, std::int64_t wait_ms) {
  pollfd polled{pidfd.get(), POLLIN, 0};
  return ::poll(&polled, 1, static_cast<int>(wait_ms)) > 0;
}

Fleet::Fleet(std::string root, std::string worker, std::string journal)
    : root_(std::move(root)), worker_(std::move(worker)), journal_(std::move(journal)) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
}

Fleet::~Fleet() {
  for (auto& [id, member] : members_) {
    if (!member.ended) signal_through(member.pidfd, SIGKILL);
  }
  to_zygote_.reset();
  if (zygote_ != 0) ::kill(zygote_, SIGKILL);
  if (const auto pid = daemon()) {
    const Fd pidfd = pidfd_of(*pid);
    signal_through(pidfd, SIGCONT);
    signal_through(pidfd, SIGKILL);
  }
  while (::waitpid(-1, nullptr, 0) > 0) {}
}

std::string Fleet::diary_path(std::uint64_t id) const {
  return root_ + "/diary-" + std::to_string(id);
}

std::uint64_t Fleet::add(const std::string& role, pid_t pid, bool ours) {
  const std::uint64_t id = next_id_++;
  Member& member = members_[id];
  member.id = id;
  member.role = role;
  member.pid = pid;
  member.pidfd = pidfd_of(pid);
  member.ours = ours;
  OJ_CHECK(member.pidfd);
  if (ours)
    by_pid_[pid] = id;
  else
    forked_.insert(id);
  return id;
}

std::uint64_t Fleet::start(const std::string& role, const std::vector<std::string>& words) {
  std::vector<std::string> all = {worker_, role, journal_, diary_path(next_id_),
                                  std::to_string(next_id_)};
  all.insert(all.end(), words.begin(), words.end());
  return add(role, spawn(all, nullptr), true);
}

bool Fleet::start_python(const std::string& python, const std::string& program) {
  std::array<int, 2> in{}, out{};
  OJ_CHECK(::pipe2(in.data(), O_CLOEXEC) == 0 && ::pipe2(out.data(), O_CLOEXEC) == 0);
  const Fd their_in(in[0]), their_out(out[1]);
  to_zygote_.reset(in[1]);
  from_zygote_.reset(out[0]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, their_in.get(), 0);
  posix_spawn_file_actions_adddup2(&actions, their_out.get(), 1);
  zygote_ = spawn({python, program, journal_}, &actions);
  posix_spawn_file_actions_destroy(&actions);
  std::array<char, 64> ready{};
  return ::read(from_zygote_.get(), ready.data(), ready.size()) > 0;
}

std::uint64_t Fleet::fork_python() {
  const std::string order = diary_path(next_id_) + " " + std::to_string(next_id_) + "\n";
  OJ_CHECK(::write(to_zygote_.get(), order.data(), order.size()) ==
           static_cast<ssize_t>(order.size()));
  std::array<char, 64> answer{};
  OJ_CHECK(::read(from_zygote_.get(), answer.data(), answer.size() - 1) > 0);
  return add("python", std::atoi(answer.data()), false);
}

bool Fleet::says(std::uint64_t id, Entry::Kind kind) const {
  const std::vector<Entry> entries = read_diary(diary_path(id));
  return std::any_of(entries.begin(), entries.end(),
                     [kind](const Entry& entry) { return entry.kind == kind; });
}

void Fleet::kill(std::uint64_t id) {
  Member& member = members_.at(id);
  if (member.ended) return;
  member.killed = true;
  member.killed_us = utc_us();
  signal_through(member.pidfd, SIGKILL);
}

void Fleet::stop(std::uint64_t id) {
  Member& member = members_.at(id);
  if (member.ended || member.stopped) return;
  member.stopped = true;
  member.pauses.push_back({monotonic_ns(), 0});
  signal_through(member.pidfd, SIGSTOP);
}

void Fleet::go_on(std::uint64_t id) {
  Member& member = members_.at(id);
  if (!member.stopped) return;
  member.stopped = false;
  signal_through(member.pidfd, SIGCONT);
  member.pauses.back().end_ns = monotonic_ns();
}

void Fleet::reap() {
  int status = 0;
  for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    const auto found = by_pid_.find(pid);
    if (found == by_pid_.end()) continue;  // a daemon
    Member& member = members_.at(found->second);
    member.ended = true;
    member.status = status;
    member.pidfd.reset();
    by_pid_.erase(found);
  }
  std::erase_if(forked_, [this](std::uint64_t id) {
    Member& member = members_.at(id);
    if (!has_ended(member.pidfd)) return false;
    member.ended = true;
    member.pidfd.reset();
    return true;
  });
}

bool Fleet::end_all() {
  const Deadline watchdog = Deadline::in_ms(kWatchdogMs);
  for (auto& [id, member] : members_) {
    go_on(id);
    if (!member.ended && !member.killed) signal_through(member.pidfd, SIGTERM);
  }
  for (auto& [id, member] : members_) {
    while (!member.ended && !watchdog.passed()) {
      has_ended(member.pidfd, 100);
      reap();
    }
    if (!member.ended) return false;
  }
  to_zygote_.reset();  // it ends when nobody can order anything of it
  if (zygote_ != 0) ::waitpid(zygote_, nullptr, 0);
  zygote_ = 0;
  return true;
}

std::optional<pid_t> Fleet::daemon() const {
  const auto folder = journal::Folder::open(journal_, journal::Folder::IfAbsent::kRefuse);
  if (!folder) return std::nullopt;
  const auto holder = folder->holder();
  if (!holder || !holder->has_value()) return std::nullopt;
  return (*holder)->pid;
}

std::map<std::uint64_t, History> Fleet::histories() const {
  std::map<std::uint64_t, History> all;
  for (const auto& [id, member] : members_) {
    if (member.role == "python") continue;  // trials are judged in Python
    History& history = all[id] = read_history(diary_path(id));
    history.killed = member.killed;
    history.killed_us = member.killed_us;
    if (!member.killed && !history.closed && history.error.empty())
      history.error = "ended by itself, status " + std::to_string(member.status);
  }
  return all;
}

}  // namespace oj::verify
