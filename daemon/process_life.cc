// SPDX-License-Identifier: MIT
#include "daemon/process_life.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <optional>
#include <string_view>
#include <system_error>

#include "base/fd.h"
#include "shm/region.h"

namespace oj::daemon {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kFirstPidNamespace = 0xEFFFFFFC;  // PROC_PID_INIT_INO of the kernel
constexpr ino_t kFirstTimeNamespace = 0xEFFFFFFA;         // PROC_TIME_INIT_INO
constexpr int kFieldsToStartTime = 20;  // in /proc/PID/stat, behind the command's name

// What the kernel says when there is no such process (any more). Every other error, as for want of
// descriptors or memory, says nothing about it.
bool is_no_process(int error) { return error == ENOENT || error == ESRCH; }

// A file of /proc: its text, or errno.
struct Content {
  int error = 0;
  std::string text;
};
Content content(const fs::path& path) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return {errno, {}};
  Content all;
  std::array<char, 4096> part{};
  for (;;) {
    const ssize_t got = read(fd.get(), part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return {errno, {}};
    if (got == 0) return all;
    all.text.append(part.data(), static_cast<std::size_t>(got));
  }
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

struct Stat {
  char state = '?';
  std::uint64_t start_ticks = 0;
};
// The command's name may hold anything, also ")": what follows the last one the kernel wrote.
std::optional<Stat> parse_stat(const std::string& text) {
  std::size_t at = text.rfind(')');
  if (at == text.npos || at + 2 >= text.size()) return std::nullopt;
  Stat stat;
  stat.state = text[at + 2];
  for (int i = 0; i < kFieldsToStartTime && at != text.npos; ++i) at = text.find(' ', at + 1);
  if (at == text.npos) return std::nullopt;
  const auto ticks = number(std::string_view(text).substr(at + 1));
  if (!ticks) return std::nullopt;
  stat.start_ticks = *ticks;
  return stat;
}

// The process that was here and started then: kDead if nobody is here, or somebody else.
Life life_at(const fs::path& process, std::uint64_t start_ticks) {
  const Content seen = content(process / "stat");
  if (seen.error != 0) return is_no_process(seen.error) ? Life::kDead : Life::kUnknown;
  const auto stat = parse_stat(seen.text);
  if (!stat) return Life::kUnknown;
  if (stat->start_ticks != start_ticks) return Life::kDead;
  if (stat->state != 'Z' && stat->state != 'X') return Life::kAlive;
  // A zombie is dead, unless only its first thread has ended.
  std::error_code failed;
  std::size_t threads = 0;
  for (fs::directory_iterator at(process / "task", failed), end; !failed && at != end;
       at.increment(failed))
    ++threads;
  if (failed) return is_no_process(failed.value()) ? Life::kDead : Life::kUnknown;
  return threads > 1 ? Life::kAlive : Life::kDead;
}

// The process's number as it sees itself: the last of the line NSpid.
std::optional<std::uint64_t> innermost_pid(const std::string& status) {
  const std::size_t line = status.find("\nNSpid:");
  if (line == status.npos) return std::nullopt;
  const std::string_view numbers =
      std::string_view(status).substr(line + 1, status.find('\n', line + 1) - line - 1);
  return number(numbers.substr(numbers.find_last_of("\t ") + 1));
}

}  // namespace

ProcessWitness ProcessWitness::of_this_machine(const std::string& proc) {
  ProcessWitness witness;
  witness.proc_ = proc;
  if (const auto boot = shm::this_boot_id()) {
    std::memcpy(&witness.boot_id_high_, boot->data(), sizeof witness.boot_id_high_);
    std::memcpy(&witness.boot_id_low_, boot->data() + sizeof witness.boot_id_high_,
                sizeof witness.boot_id_low_);
  }
  struct stat info {};
  if (stat((proc + "/self/ns/pid").c_str(), &info) == 0) witness.pid_namespace_ = info.st_ino;
  // Start times are shown as the looker's time namespace counts; there is none before Linux 5.6.
  const bool first_time_namespace = stat((proc + "/self/ns/time").c_str(), &info) != 0
                                        ? errno == ENOENT
                                        : info.st_ino == kFirstTimeNamespace;
  std::error_code failed;
  witness.proc_is_ours_ =
      first_time_namespace &&
      fs::read_symlink(proc + "/self", failed).string() == std::to_string(getpid());
  witness.sees_all_ = witness.proc_is_ours_ && witness.pid_namespace_ == kFirstPidNamespace &&
                      access((proc + "/1/stat").c_str(), R_OK) == 0;  // else: mounted with hidepid
  return witness;
}

Life ProcessWitness::life_of(std::uint32_t pid, const schema::ProcessBirth& birth) const {
  const bool said = birth.boot_id_high != 0 || birth.boot_id_low != 0;
  const bool known = boot_id_high_ != 0 || boot_id_low_ != 0;
  if (!said || !known) return Life::kUnknown;
  if (birth.boot_id_high != boot_id_high_ || birth.boot_id_low != boot_id_low_) return Life::kDead;
  if (pid == 0 || birth.start_ticks == 0 || birth.pid_namespace == 0) return Life::kUnknown;
  if (birth.pid_namespace == pid_namespace_)
    return proc_is_ours_ ? look_here(pid, birth.start_ticks) : Life::kUnknown;
  return sees_all_ ? look_everywhere(pid, birth.start_ticks) : Life::kUnknown;
}

Life ProcessWitness::look_here(std::uint32_t pid, std::uint64_t start_ticks) const {
  const Life life = life_at(fs::path(proc_) / std::to_string(pid), start_ticks);
  // Where other users' processes are hidden, an absent one may be there.
  const bool hidden = access((proc_ + "/1/stat").c_str(), R_OK) != 0;
  return life == Life::kDead && hidden ? Life::kUnknown : life;
}

Life ProcessWitness::look_everywhere(std::uint32_t pid, std::uint64_t start_ticks) const {
  std::error_code failed;
  bool all_seen = true;
  for (fs::directory_iterator at(proc_, failed), end; !failed && at != end; at.increment(failed)) {
    if (!number(at->path().filename().string())) continue;
    const Life life = life_at(at->path(), start_ticks);
    if (life == Life::kDead) continue;
    const Content status = content(at->path() / "status");
    if (is_no_process(status.error)) continue;
    const auto shown = innermost_pid(status.text);
    if (life == Life::kAlive && shown == pid) return life;
    if (!shown || shown == pid) all_seen = false;
  }
  return failed || !all_seen ? Life::kUnknown : Life::kDead;
}

}  // namespace oj::daemon
