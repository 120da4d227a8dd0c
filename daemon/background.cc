// SPDX-License-Identifier: MIT
#include "daemon/background.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <string_view>
#include <utility>

#include "daemon/exit_codes.h"
#include "daemon/logging.h"

namespace oj::daemon {
namespace {

// On the pipe from child to parent: kServing alone, or the exit code as one byte and the text.
constexpr char kServing = 'R';
static_assert(kServing > kExitIncompatible);

void put_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = write(fd, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return;  // nobody listens
    text.remove_prefix(static_cast<std::size_t>(put));
  }
}

[[noreturn]] void wait_as_parent(pid_t child, const Fd& from_child) {
  std::string told;
  std::array<char, 4096> part;
  for (;;) {
    const ssize_t got = read(from_child.get(), part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    told.append(part.data(), static_cast<std::size_t>(got));
    if (told[0] == kServing) {
      put_all(STDOUT_FILENO, "READY\n");
      _exit(kExitOk);
    }
  }
  if (!told.empty()) {
    put_all(STDERR_FILENO, "optjournald: " + told.substr(1) + "\n");
    _exit(told[0]);
  }
  int status = 0;
  waitpid(child, &status, 0);
  put_all(STDERR_FILENO, WIFSIGNALED(status)
                             ? "optjournald: ended by signal " + std::to_string(WTERMSIG(status)) +
                                   " before it served\n"
                             : "optjournald: ended before it served\n");
  _exit(kExitFailed);
}

}  // namespace

Result<Announcement> Announcement::go_to_background() {
  close_range(STDERR_FILENO + 1, ~0U,
              0);  // a starter's descriptors must not live as long as this daemon
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return io_error("cannot make a pipe", errno);
  Fd from_child(ends[0]), to_parent(ends[1]);
  const pid_t child = fork();
  if (child < 0) return io_error("cannot fork", errno);
  if (child > 0) {
    to_parent.reset();
    wait_as_parent(child, from_child);
  }
  setsid();
  const Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return io_error("cannot open /dev/null", errno);
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (dup2(null.get(), standard) < 0) return io_error("cannot use /dev/null", errno);
  }
  Announcement announcement;
  announcement.background_ = true;
  announcement.to_parent_ = std::move(to_parent);
  return announcement;
}

void Announcement::ready() {
  if (to_parent_) put_all(to_parent_.get(), std::string_view(&kServing, 1));
  to_parent_.reset();
}

void Announcement::failed(int exit_code, const std::string& text) {
  if (to_parent_) {
    put_all(to_parent_.get(), std::string(1, static_cast<char>(exit_code)) + text);
  } else if (!background_) {
    put_all(STDERR_FILENO, as_errors("optjournald: " + text + "\n"));
  }
  to_parent_.reset();
}

}  // namespace oj::daemon
