// SPDX-License-Identifier: MIT
#include "libclient/daemon_process.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "libclient/control_connection.h"

namespace oj::client {
namespace {

constexpr std::size_t kSaidBytesMax = 16 * 1024;   // of what the daemon says before it serves
constexpr std::int64_t kLastWordsMs = 1'000;       // for reading stderr after stdout has ended
constexpr std::int64_t kExitAfterReadyMs = 1'000;  // then the first process is no longer needed

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

std::string own_program() {
  char buffer[PATH_MAX];
  const ssize_t got = ::readlink("/proc/self/exe", buffer, sizeof buffer);
  return got > 0 ? std::string(buffer, static_cast<std::size_t>(got)) : "";
}

// The file that this code lies in: liboptjournal.so, a Python module, or the program itself.
std::string own_library() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&find_daemon_program), &info) == 0) return "";
  if (info.dli_fname == nullptr || info.dli_fname[0] != '/') return "";  // the program: argv[0]
  return info.dli_fname;
}

bool is_program(const std::string& path) { return ::access(path.c_str(), X_OK) == 0; }

std::vector<std::string> places() {
  std::vector<std::string> all;
  for (const std::string& file : {own_library(), own_program()}) {
    if (file.empty()) continue;
    const std::string folder = folder_of(file);
    for (const char* beside : {"/optjournald", "/../bin/optjournald", "/bin/optjournald"}) {
      all.push_back(folder + beside);
    }
  }
  const char* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const std::size_t colon = std::min(rest.find(':'), rest.size());
    if (colon > 0) all.push_back(std::string(rest.substr(0, colon)) + "/optjournald");
    rest.remove_prefix(std::min(colon + 1, rest.size()));
  }
  return all;
}

struct Pipe {
  Fd read, write;
};
Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return io_error("pipe for optjournald", errno);
  Pipe made{Fd(ends[0]), Fd(ends[1])};
  // The spawned process gets them as descriptors 1 and 2 by dup2, which clears close-on-exec; if
  // the host program has closed its standard descriptors, an end could already *be* 1 or 2 and
  // would keep the flag.
  for (Fd* end : {&made.read, &made.write}) {
    if (end->get() > 2) continue;
    const int moved = ::fcntl(end->get(), F_DUPFD_CLOEXEC, 3);
    if (moved < 0) return io_error("pipe for optjournald", errno);
    end->reset(moved);
  }
  return made;
}

Result<pid_t> spawn(const std::vector<std::string>& words, const Pipe& out, const Pipe& err) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out.write.get(), 1);
  posix_spawn_file_actions_adddup2(&actions, err.write.get(), 2);
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);  // also what the host forgot to mark
#endif
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);  // an ignored SIGCHLD would be inherited
  posix_spawnattr_setflags(
      &attributes,
      static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID));
  pid_t pid = -1;
  const int failed =
      ::posix_spawn(&pid, words[0].c_str(), &actions, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return io_error("start " + words[0], failed);
  return pid;
}

// Takes the exit status of the process that we spawned, ending it if it will not end by itself: it
// has no duty left. Through its pidfd, since with SIGCHLD ignored the number may already be
// somebody else's. The status, or -1 if it is not to be had.
int reap(pid_t pid, const Fd& pidfd, std::int64_t patience_ms) {
  if (pidfd) {
    pollfd ended{pidfd.get(), POLLIN, 0};
    const Deadline deadline = Deadline::in_ms(patience_ms);
    while (::poll(&ended, 1, static_cast<int>(deadline.left_ns() / kNsPerMs)) < 0) {
      if (errno != EINTR) break;
    }
    if ((ended.revents & POLLIN) == 0) {
      (void)::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
    }
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return -1;  // ECHILD: the host ignores SIGCHLD, or its handler was faster
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// As documented by optjournald --help.
Code code_of_exit_status(int status) {
  switch (status) {
    case 2: return Code::kInvalid;
    case 3: return Code::kRefused;
    case 4: return Code::kBusy;
    case 5: return Code::kCorrupt;
    case 6: return Code::kIncompatible;
    default: return Code::kIo;
  }
}

enum class Heard { kReady, kEnded, kDeadline, kCancelled };

// Reads both pipes until stdout says READY or has ended.
Heard listen(const Pipe& out, const Pipe& err, std::string& said, Deadline deadline,
             int cancel_fd) {
  std::string ready;
  bool out_open = true, err_open = true;
  while (out_open || err_open) {
    pollfd polled[3] = {{out_open ? out.read.get() : -1, POLLIN, 0},
                        {err_open ? err.read.get() : -1, POLLIN, 0},
                        {cancel_fd, POLLIN, 0}};
    const std::int64_t left_ms =
        deadline.is_never() ? 60'000
                            : std::min<std::int64_t>(deadline.left_ns() / kNsPerMs + 1, 60'000);
    const int count = ::poll(polled, 3, static_cast<int>(left_ms));
    if (count > 0 && polled[2].revents != 0) return Heard::kCancelled;
    std::array<char, 4096> buffer;
    if (count > 0 && polled[0].revents != 0) {
      const ssize_t got = ::read(out.read.get(), buffer.data(), buffer.size());
      if (got > 0 && ready.size() < kSaidBytesMax)
        ready.append(buffer.data(), static_cast<std::size_t>(got));
      if (ready.starts_with("READY\n")) return Heard::kReady;
      if (got == 0) {
        out_open = false;
        deadline = Deadline::in_ms(kLastWordsMs);
      }
    }
    if (count > 0 && polled[1].revents != 0) {
      const ssize_t got = ::read(err.read.get(), buffer.data(), buffer.size());
      if (got > 0 && said.size() < kSaidBytesMax)
        said.append(buffer.data(), static_cast<std::size_t>(got));
      if (got == 0) err_open = false;
    }
    if (deadline.passed()) return out_open ? Heard::kDeadline : Heard::kEnded;
  }
  return Heard::kEnded;
}

}  // namespace

Result<std::string> find_daemon_program(const std::string& wish) {
  if (!wish.empty()) {
    if (is_program(wish)) return wish;
    return Error{Code::kInvalid, "daemon_path " + wish + ": no program there", errno};
  }
  const char* variable = std::getenv("OPTJOURNALD");
  if (variable != nullptr && *variable != '\0') {
    if (is_program(variable)) return std::string(variable);
    return Error{Code::kInvalid, std::string("$OPTJOURNALD is ") + variable + ": no program there",
                 errno};
  }
  std::string tried;
  for (const std::string& place : places()) {
    if (is_program(place)) return place;
    tried += "\n  " + place;
  }
  return Error{Code::kInvalid,
               "optjournald not found; set $OPTJOURNALD, or install it at one of:" + tried};
}

Result<void> start_embedded_daemon(const DaemonStart& start, Deadline deadline, int cancel_fd) {
  Result<std::string> program = find_daemon_program(start.program);
  if (!program) return program.error();
  std::vector<std::string> words = {*program, "--embedded"};
  if (start.pool_bytes != 0) words.push_back("--pool=" + std::to_string(start.pool_bytes));
  if (start.idle_exit_ms >= 0) {
    words.push_back("--idle-exit=" + std::to_string(start.idle_exit_ms));
  }
  words.push_back("--");
  words.push_back(start.folder);

  Result<Pipe> out = make_pipe();
  if (!out) return out.error();
  Result<Pipe> err = make_pipe();
  if (!err) return err.error();
  Result<pid_t> pid = spawn(words, *out, *err);
  if (!pid) return pid.error();
  const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, *pid, 0)));
  out->write.reset();
  err->write.reset();

  std::string said;
  const Heard heard = listen(*out, *err, said, deadline, cancel_fd);
  const int status =
      reap(*pid, pidfd, heard == Heard::kReady || heard == Heard::kEnded ? kExitAfterReadyMs : 0);
  while (!said.empty() && (said.back() == '\n' || said.back() == ' ')) said.pop_back();
  switch (heard) {
    case Heard::kReady: return {};
    case Heard::kCancelled: return cancelled();
    case Heard::kDeadline:
      return Error{Code::kBusy, *program + " --embedded " + start.folder + " does not serve yet" +
                                    (said.empty() ? "" : ": " + said)};
    case Heard::kEnded: break;
  }
  if (said.empty()) said = *program + " --embedded " + start.folder + " ended without a word";
  return Error{code_of_exit_status(status), said};
}

}  // namespace oj::client
