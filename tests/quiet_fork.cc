// SPDX-License-Identifier: MIT
#include "tests/quiet_fork.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <system_error>

namespace oj::testing {
namespace {

constexpr int kPatience = 60'000;  // looks of a millisecond

std::string content_of(const std::string& path) {
  std::string text;
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return text;
  std::array<char, 4096> piece{};
  for (ssize_t got = 0; (got = ::read(file, piece.data(), piece.size())) > 0;) {
    text.append(piece.data(), static_cast<std::size_t>(got));
  }
  ::close(file);
  return text;
}

// What /proc says of the other threads: how often each was switched away from. None while one runs.
std::optional<std::map<std::string, std::string>> switches_of_sleepers() {
  std::map<std::string, std::string> switches;
  const std::string self = std::to_string(::syscall(SYS_gettid));
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task", failed)) {
    const std::string thread = entry.path().filename();
    if (thread == self) continue;
    const std::string status = content_of(entry.path() / "status");
    if (status.find("\nState:\tS") == std::string::npos) return std::nullopt;
    const std::size_t counts = status.find("\nvoluntary_ctxt_switches");
    if (counts == std::string::npos) return std::nullopt;
    switches[thread] = status.substr(counts);
  }
  if (failed) return std::nullopt;
  return switches;
}

}  // namespace

pid_t quiet_fork() {
  for (int look = 0; look < kPatience; ++look, ::usleep(1000)) {
    const auto before = switches_of_sleepers();
    if (!before) continue;
    std::array<int, 2> word{};
    if (::pipe2(word.data(), O_CLOEXEC) != 0) break;
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(word[1]);
      char go_on = 0;
      if (::read(word[0], &go_on, 1) != 1) ::_exit(0);
      ::close(word[0]);
      return 0;
    }
    ::close(word[0]);
    const bool quiet = child > 0 && switches_of_sleepers() == before;
    const bool told = quiet && ::write(word[1], "g", 1) == 1;
    ::close(word[1]);
    if (told) return child;
    if (child < 0) break;
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  std::perror("quiet_fork: the other threads do not sleep, or");
  std::abort();
}

void remove_whole(const std::string& folder) {
  for (int look = 0; look < kPatience; ++look, ::usleep(1000)) {
    std::error_code failed;
    std::filesystem::remove_all(folder, failed);
    if (!failed) return;
  }
  std::fprintf(stderr, "remove_whole: %s cannot be removed\n", folder.c_str());
  std::abort();
}

}  // namespace oj::testing
