// SPDX-License-Identifier: MIT
#include "tests/process/daemon/daemon_under_test.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <utility>

#include "base/clock.h"
#include "journal/reader.h"
#include "schema/codec.h"
#include "tests/quiet_fork.h"

namespace oj::testing {
namespace {

constexpr std::int64_t kPatienceMs = 60'000;

std::string fresh_folder(const std::string& pattern) {
  std::string path = pattern + "XXXXXX";
  EXPECT_NE(mkdtemp(path.data()), nullptr) << path << ": " << std::strerror(errno);
  return path;
}

std::string content_of(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

int exit_code_of(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

// stdout and stderr go to files.
pid_t spawn(const std::vector<std::string>& arguments, const std::string& out,
            const std::string& err) {
  std::vector<char*> words{const_cast<char*>(OJ_DAEMON)};
  for (const std::string& argument : arguments)
    words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  const pid_t pid = fork();
  if (pid != 0) return pid;
  const int out_fd = open(out.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  const int err_fd = open(err.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  dup2(out_fd, STDOUT_FILENO);
  dup2(err_fd, STDERR_FILENO);
  execv(words[0], words.data());
  _exit(127);
}

char state_of(pid_t pid) {
  const std::string stat = content_of("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t name_end = stat.rfind(')');
  return name_end == std::string::npos || name_end + 2 >= stat.size() ? '?' : stat[name_end + 2];
}

}  // namespace

bool eventually(const std::function<bool()>& is_so) {
  const Deadline patience = Deadline::in_ms(kPatienceMs);
  while (!is_so()) {
    if (patience.passed()) return false;
    usleep(2000);
  }
  return true;
}

Scratch::Scratch()
    : disk_(fresh_folder("/tmp/oj-daemon-")), memory_(fresh_folder("/dev/shm/oj-daemon-")) {}

Scratch::~Scratch() {
  umount2((disk_ + "/journal").c_str(), MNT_DETACH);  // of a test that mounted something there
  umount2((memory_ + "/run").c_str(), MNT_DETACH);
  remove_whole(disk_);
  remove_whole(memory_);
}

Daemon::Daemon(const Scratch& scratch, const std::vector<std::string>& options)
    : runtime_(scratch.runtime()) {
  static int count = 0;
  said_path_ = scratch.disk() + "/said-" + std::to_string(getpid()) + "-" + std::to_string(count++);
  std::vector<std::string> arguments = options;
  arguments.insert(arguments.end(), {"--runtime-folder", runtime_, scratch.folder()});
  pid_ = spawn(arguments, "/dev/null", said_path_);
}

Daemon::~Daemon() {
  if (!has_ended()) kill();
}

bool Daemon::serves() {
  const std::string path = runtime_ + "/control.sock";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  return eventually([&] {
           // Of a daemon that was killed before, the socket is left, but nobody listens.
           const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
           const bool connected =
               connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
           close(fd);
           return connected || has_ended();
         }) &&
         !has_ended();
}

void Daemon::signal(int number) const { ASSERT_EQ(::kill(pid_, number), 0); }

void Daemon::stop() const {
  signal(SIGSTOP);
  ASSERT_TRUE(eventually([&] {
    const std::filesystem::path threads = "/proc/" + std::to_string(pid_) + "/task";
    for (const auto& thread : std::filesystem::directory_iterator(threads)) {
      if (state_of(std::stoi(thread.path().filename())) != 'T') return false;
    }
    return true;
  }));
}

void Daemon::go_on() const { signal(SIGCONT); }

bool Daemon::has_ended() {
  if (ended_) return true;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return false;
  ended_ = exit_code_of(status);
  return true;
}

int Daemon::wait() {
  if (!eventually([&] { return has_ended(); })) {
    ADD_FAILURE() << "optjournald does not end; it said:\n" << said();
    kill();
  }
  return *ended_;
}

void Daemon::kill() {
  ::kill(pid_, SIGKILL);
  int status = 0;
  if (!ended_ && waitpid(pid_, &status, 0) == pid_) ended_ = exit_code_of(status);
}

std::string Daemon::said() const { return content_of(said_path_); }

Ran run_daemon(const std::vector<std::string>& arguments) {
  const std::string place = fresh_folder("/tmp/oj-run-");
  const pid_t pid = spawn(arguments, place + "/out", place + "/err");
  int status = 0;
  waitpid(pid, &status, 0);
  Ran ran{exit_code_of(status), content_of(place + "/out"), content_of(place + "/err")};
  std::filesystem::remove_all(place);
  return ran;
}

OnDisk read_all(const std::string& path) {
  OnDisk all;
  auto folder = journal::Folder::open(path, journal::Folder::IfAbsent::kRefuse);
  if (!folder) {
    ADD_FAILURE() << folder.error().message;
    return all;
  }
  auto end = journal::find_end(*folder);
  if (!end) {
    ADD_FAILURE() << end.error().message;
    return all;
  }
  journal::Reader reader(*folder, 0);
  schema::Decoder decoder;
  for (; all.records < *end; ++all.records) {
    auto bytes = reader.next(*end);
    if (!bytes) {
      ADD_FAILURE() << bytes.error().message;
      return all;
    }
    auto record = decoder.decode(*bytes);
    if (!record) {
      ADD_FAILURE() << "record " << all.records << ": " << record.error().message;
      return all;
    }
    for (const schema::Operation& operation : record->operations) {
      if (const auto* mark = std::get_if<schema::SetStudyUserAttr>(&operation)) {
        all.marks.emplace_back(mark->attr.key);
      } else if (const auto* ended = std::get_if<schema::SessionEnded>(&operation)) {
        const bool died = ended->reason == schema::SessionEnded::Reason::kDied;
        (died ? all.died : all.closed).push_back(ended->session);
      } else if (std::holds_alternative<schema::Tombstone>(operation)) {
        ++all.tombstones;
      }
    }
  }
  return all;
}

std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code absent;
  for (const auto& entry : std::filesystem::directory_iterator(folder, absent)) {
    names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::uint64_t generation_in(const std::string& runtime_folder) {
  std::vector<std::string> names = files_in(runtime_folder);
  std::erase_if(names, [](const std::string& name) { return !name.starts_with("region-"); });
  return names.size() == 1 ? std::stoull(names[0].substr(7)) : 0;
}

bool mount_tmpfs(const std::string& place, std::uint64_t bytes) {
  static const bool apart =
      unshare(CLONE_NEWNS) == 0 && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
  std::filesystem::create_directories(place);
  const std::string size = "size=" + std::to_string(bytes);
  if (apart && mount("tmpfs", place.c_str(), "tmpfs", 0, size.c_str()) == 0) return true;
  std::cout << "cannot mount a tmpfs here (" << std::strerror(errno) << "): needs root\n";
  return false;
}

}  // namespace oj::testing
