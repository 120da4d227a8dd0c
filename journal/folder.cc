// SPDX-License-Identifier: MIT
#include "journal/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>

namespace oj::journal {
namespace {

constexpr const char* kFormatName = "FORMAT";
constexpr const char* kLockName = "LOCK";
constexpr off_t kServingByte = 0;
constexpr off_t kStartingByte = 1;
constexpr std::size_t kTextBytesMax = 8192;  // of FORMAT and of LOCK
constexpr int kCreateAttempts = 100;

Error invalid(std::string message, int os_error = 0) {
  return Error{Code::kInvalid, std::move(message), os_error};
}

std::string parent_of(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// The rest of the line that starts with `key`; none if there is no such line that is complete.
std::optional<std::string> value_of(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view line = text.substr(0, end);
    if (line.starts_with(key)) return std::string(line.substr(key.size()));
    text.remove_prefix(end + 1);
  }
  return std::nullopt;
}

// The content of a small file: kIo with ENOENT if it is not there.
Result<std::string> read_text(int folder, const char* name, const std::string& path) {
  const Fd fd(::openat(folder, name, O_RDONLY | O_CLOEXEC));
  if (!fd) return io_error(path + "/" + name + ": cannot open", errno);
  std::string text(kTextBytesMax, '\0');
  ssize_t got = 0;
  do got = ::pread(fd.get(), text.data(), text.size(), 0);
  while (got < 0 && errno == EINTR);
  if (got < 0) return io_error(path + "/" + name + ": cannot read", errno);
  text.resize(static_cast<std::size_t>(got));
  return text;
}

Result<Uuid> parse_format(const std::string& text, const std::string& path) {
  const std::string file = path + "/" + kFormatName;
  if (!text.starts_with("optjournal\n")) {
    // Only our own first line makes it ours; an empty or zeroed file is ours, damaged.
    const bool damaged = text.find_first_not_of('\0') == std::string::npos;
    return Error{
        damaged ? Code::kCorrupt : Code::kInvalid,
        file + (damaged ? ": empty or zeroed: damaged"
                        : ": not written by optjournal: the folder belongs to something else")};
  }
  const std::optional<std::string> format = value_of(text, "format: ");
  std::uint32_t number = 0;
  if (!format ||
      std::from_chars(format->data(), format->data() + format->size(), number).ptr !=
          format->data() + format->size() ||
      number == 0) {
    return Error{Code::kCorrupt, file + ": no line \"format: <number>\": damaged"};
  }
  if (number > kJournalFormat) {
    return Error{Code::kIncompatible, file + ": format " + *format +
                                          "; this program knows up to format " +
                                          std::to_string(kJournalFormat) + ": upgrade optjournal"};
  }
  const std::optional<std::string> id = value_of(text, "journal: ");
  const std::optional<Uuid> uuid = id ? parse_uuid(*id) : std::nullopt;
  if (!uuid) return Error{Code::kCorrupt, file + ": no line \"journal: <uuid>\": damaged"};
  return *uuid;
}

bool is_ours_before_format(std::string_view name) {
  return name == "." || name == ".." || name == "segments" ||
         (name.starts_with("FORMAT.") && name.ends_with(".tmp"));
}

bool exists_in(int folder, const char* name) {
  struct stat status {};
  return ::fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

// The first entry that `ignore` does not know, or "".
template <class Ignore>
Result<std::string> first_entry(int folder, const char* name, const std::string& path,
                                Ignore ignore) {
  Fd fd(::openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd)
    return errno == ENOENT ? Result<std::string>(std::string())
                           : io_error(path + ": cannot list", errno);
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(fd.get()), ::closedir);
  if (!stream) return io_error(path + ": cannot list", errno);
  (void)fd.release();  // the stream's now
  while (const dirent* entry = ::readdir(stream.get())) {
    if (!ignore(std::string_view(entry->d_name))) return std::string(entry->d_name);
  }
  return std::string();
}

// A folder without FORMAT: may it become a journal? No for a folder of something else, and for a
// journal that has lost its FORMAT. Another process may have made it one since: then there is a
// FORMAT now, and the answer is yes.
Result<void> check_may_become_journal(int folder, const std::string& path) {
  const auto other = first_entry(folder, ".", path, is_ours_before_format);
  if (!other) return other.error();
  const auto segment =
      first_entry(folder, "segments", path + "/segments",
                  [](std::string_view name) { return name == "." || name == ".."; });
  if (!segment) return segment.error();
  if (exists_in(folder, kFormatName)) return {};
  if (!segment->empty()) {
    return Error{Code::kCorrupt, path + "/" + kFormatName + ": missing, though segments/ has '" +
                                     *segment + "': the folder is damaged, or only partly copied"};
  }
  if (!other->empty()) {
    return invalid(path + ": not a journal (there is no FORMAT in it) and not empty (it has '" +
                   *other + "'): choose a new or empty folder");
  }
  return {};
}

int link_without_replacing(int folder, const char* from, const char* to) {
  if (::linkat(folder, from, folder, to, 0) == 0) return 0;
  if (errno != EPERM && errno != EOPNOTSUPP) return errno;
  // A file system without hard links.
  return ::renameat2(folder, from, folder, to, RENAME_NOREPLACE) == 0 ? 0 : errno;
}

Error cannot_create(const std::string& path, int failure) {
  return io_error(path + ": cannot create a journal here", failure);
}

// Puts FORMAT there unless another process did, whole and durable or not at all.
Result<void> create_format(int folder, const std::string& path, const Grants& grants) {
  const std::string name = "FORMAT." + to_string(random_uuid()) + ".tmp";
  const std::string text = "optjournal\nformat: " + std::to_string(kJournalFormat) +
                           "\njournal: " + to_string(random_uuid()) + "\n";
  const Fd fd(
      ::openat(folder, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, grants.file_mode));
  if (!fd) return cannot_create(path, errno);
  int failure = 0;
  grants.give(fd.get(), grants.file_mode);
  const ssize_t put = ::write(fd.get(), text.data(), text.size());
  if (put != static_cast<ssize_t>(text.size())) failure = put < 0 ? errno : ENOSPC;
  if (failure == 0 && ::fsync(fd.get()) != 0) failure = errno;
  if (failure == 0) failure = link_without_replacing(folder, name.c_str(), kFormatName);
  (void)::unlinkat(folder, name.c_str(), 0);
  if (failure == EEXIST) failure = 0;  // another process was faster
  if (failure == 0 && ::fsync(folder) != 0) failure = errno;
  if (failure != 0) return cannot_create(path, failure);
  return {};
}

Result<void> create_in(int folder, const std::string& path, const Grants& grants) {
  if (const auto may = check_may_become_journal(folder, path); !may) return may.error();
  if (::mkdirat(folder, "segments", grants.folder_mode) == 0) {
    const Fd made(::openat(folder, "segments", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (made) grants.give(made.get(), grants.folder_mode);
  } else if (errno != EEXIST) {
    return cannot_create(path, errno);
  }
  return create_format(folder, path, grants);
}

Result<void> make_folder(const std::string& path) {
  const std::string parent = parent_of(path);
  if (::mkdir(path.c_str(), 0777) != 0) {
    const int failure = errno;
    if (failure == EEXIST) return {};
    if (failure == ENOENT) {
      return invalid(path + ": cannot be created: its parent folder " + parent + " does not exist",
                     failure);
    }
    if (failure == ENOTDIR) {
      return invalid(path + ": cannot be created: " + parent + " is not a folder", failure);
    }
    return io_error(path + ": cannot create this folder", failure);
  }
  const Fd fd(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return {};  // a parent that may be written but not read: its name cannot be synced by us
  if (::fsync(fd.get()) != 0) return io_error(parent + ": cannot sync this folder", errno);
  return {};
}

Result<Fd> open_folder(const std::string& path, Folder::IfAbsent if_absent) {
  const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  Fd fd(::open(path.c_str(), flags));
  if (!fd && errno == ENOENT && if_absent == Folder::IfAbsent::kCreate) {
    if (const auto made = make_folder(path); !made) return made.error();
    fd.reset(::open(path.c_str(), flags));
  }
  if (fd) return fd;
  const int failure = errno;
  if (failure == ENOENT) return invalid(path + ": no such folder", failure);
  if (failure == ENOTDIR) return invalid(path + ": not a folder (a file is in the way)", failure);
  return io_error(path + ": cannot open this folder", failure);
}

struct flock lock_of(off_t byte) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return lock;
}

// 0, EAGAIN if another has it, or an errno.
int try_lock(int fd, off_t byte) {
  struct flock lock = lock_of(byte);
  if (::fcntl(fd, F_OFD_SETLK, &lock) == 0) return 0;
  return errno == EACCES ? EAGAIN : errno;
}

Result<Holder> parse_holder(const std::string& text, const std::string& path) {
  const std::optional<std::string> pid = value_of(text, "pid: ");
  const std::optional<std::string> runtime = value_of(text, "runtime: ");
  Holder holder;
  if (!pid || !runtime ||
      std::from_chars(pid->data(), pid->data() + pid->size(), holder.pid).ptr !=
          pid->data() + pid->size()) {
    return Error{Code::kBusy,
                 path + "/" + kLockName + ": locked, but does not say yet by whom: try again"};
  }
  holder.runtime_folder = *runtime;
  return holder;
}

Result<void> refuse_network_file_system(int folder, const std::string& path) {
  struct statfs status {};
  if (::fstatfs(folder, &status) != 0) return io_error(path + ": statfs", errno);
  const char* name = network_file_system_name(static_cast<std::uint32_t>(status.f_type));
  if (name == nullptr) return {};
  return invalid(
      path + ": on a network file system (" + std::string(name) +
      "): a journal's workers share memory, so its folder must be on a disk of their own machine");
}

}  // namespace

const char* network_file_system_name(std::uint64_t type) {
  struct Known {
    std::uint64_t type;
    const char* name;
  };
  // linux/magic.h and the file systems' own sources.
  static constexpr Known kKnown[] = {
      {0x6969, "NFS"},        {0x517b, "SMB"},          {0xff534d42, "CIFS"},
      {0xfe534d42, "SMB2"},   {0x5346414f, "AFS"},      {0x6b414653, "AFS"},
      {0x00c36400, "Ceph"},   {0x73757245, "Coda"},     {0x564c, "NCP"},
      {0x0bd00bd0, "Lustre"}, {0x47504653, "GPFS"},     {0x19830326, "BeeGFS"},
      {0xaad7aaea, "PanFS"},  {0x7461636f, "OCFS2"},    {0x01161970, "GFS2"},
      {0x01021997, "9P"},     {0x20030528, "OrangeFS"}, {0x013111a8, "GPFS"},
  };
  for (const Known& known : kKnown) {
    if (known.type == type) return known.name;
  }
  return nullptr;
}

Grants Grants::of(const struct stat& folder) {
  Grants grants;
  grants.file_mode = folder.st_mode & 0666;
  grants.folder_mode =
      grants.file_mode | ((grants.file_mode & 0444) >> 2);  // who may read may enter
  if ((folder.st_mode & (S_ISGID | S_IWGRP)) != 0) grants.folder_mode |= S_ISGID;
  grants.group = folder.st_gid;
  return grants;
}

void Grants::give(int fd, mode_t mode) const {
  struct stat made {};
  const bool groups = ::fstat(fd, &made) == 0 && made.st_gid == group;
  const bool given = groups || ::fchown(fd, static_cast<uid_t>(-1), group) == 0;
  (void)::fchmod(fd, given ? mode : mode & ~static_cast<mode_t>(S_IRWXG));
}

Result<Folder> Folder::open(const std::string& path, IfAbsent if_absent) {
  if (path.empty()) return invalid("the path of a journal's folder is empty");
  if (path.find('\0') != std::string::npos)
    return invalid("the path of a journal's folder has a NUL in it");
  Folder folder;
  auto fd = open_folder(path, if_absent);
  if (!fd) return fd.error();
  folder.fd_ = std::move(*fd);
  const std::unique_ptr<char, void (*)(void*)> resolved(::realpath(path.c_str(), nullptr),
                                                        std::free);
  if (!resolved) return io_error(path + ": cannot resolve this path", errno);
  folder.path_ = resolved.get();
  struct stat status {};
  if (::fstat(folder.fd_.get(), &status) != 0)
    return io_error(folder.path_ + ": cannot stat", errno);
  folder.grants_ = Grants::of(status);
  if (if_absent == IfAbsent::kCreate) {
    const auto local = refuse_network_file_system(folder.fd_.get(), folder.path_);
    if (!local) return local.error();
  }
  for (int attempt = 0; attempt < kCreateAttempts; ++attempt) {
    const auto text = read_text(folder.fd_.get(), kFormatName, folder.path_);
    if (text) {
      const auto id = parse_format(*text, folder.path_);
      if (!id) return id.error();
      folder.journal_id_ = *id;
      return folder;
    }
    if (text.error().os_error != ENOENT) return text.error();
    if (if_absent == IfAbsent::kRefuse) {
      const auto may = check_may_become_journal(folder.fd_.get(), folder.path_);
      if (!may) return may.error();
      if (exists_in(folder.fd_.get(), kFormatName)) continue;  // made a moment ago
      return invalid(folder.path_ + ": an empty folder, no journal");
    }
    const auto created = create_in(folder.fd_.get(), folder.path_, folder.grants_);
    if (!created && created.error().os_error != ENOENT) return created.error();
  }
  return Error{Code::kBusy, folder.path_ + ": other processes keep removing what is created there"};
}

std::string Folder::key() const {
  struct stat status {};
  OJ_CHECK(::fstat(fd_.get(), &status) == 0);  // cannot fail on an open folder
  return key_of(status);
}

std::string Folder::key_of(const struct stat& status) {
  char text[64];
  std::snprintf(text, sizeof text, "%llx-%llx", static_cast<unsigned long long>(status.st_dev),
                static_cast<unsigned long long>(status.st_ino));
  return text;
}

Result<std::uint64_t> Folder::available_bytes() const {
  struct statvfs status {};
  if (::fstatvfs(fd_.get(), &status) != 0) return io_error(path_ + ": statvfs", errno);
  return std::uint64_t{status.f_bavail} * status.f_frsize;
}

namespace {

Result<Fd> open_lock_file(int folder, const std::string& path, const Grants& grants) {
  const mode_t mode = grants.file_mode;
  Fd fd(::openat(folder, kLockName, O_RDWR | O_CREAT | O_CLOEXEC, mode));
  if (!fd) return io_error(path + "/" + kLockName + ": cannot open for locking", errno);
  struct stat status {};
  const bool looked = ::fstat(fd.get(), &status) == 0;
  if (looked && status.st_uid == ::geteuid() &&
      ((status.st_mode & 0666) != mode || status.st_gid != grants.group)) {
    grants.give(fd.get(), mode);
  }
  return fd;
}

}  // namespace

Result<Fd> Folder::lock_for_serving(const std::string& runtime_folder) const {
  OJ_CHECK(runtime_folder.find('\n') == std::string::npos && runtime_folder.size() <= PATH_MAX);
  if (const auto local = refuse_network_file_system(fd_.get(), path_); !local) return local.error();
  auto fd = open_lock_file(fd_.get(), path_, grants_);
  if (!fd) return fd.error();
  if (const int failure = try_lock(fd->get(), kServingByte); failure == EAGAIN) {
    const auto other = holder();
    std::string who = "another process";
    if (other && other->has_value()) who = "the process with pid " + std::to_string((*other)->pid);
    return Error{Code::kRefused, path_ + ": already served by " + who};
  } else if (failure != 0) {
    return io_error(path_ + "/" + kLockName + ": cannot lock", failure);
  }
  const std::string text =
      "pid: " + std::to_string(::getpid()) + "\nruntime: " + runtime_folder + "\n";
  const ssize_t put = ::pwrite(fd->get(), text.data(), text.size(), 0);
  if (put != static_cast<ssize_t>(text.size()) || ::ftruncate(fd->get(), put) != 0) {
    return io_error(path_ + "/" + kLockName + ": cannot write", put < 0 ? errno : ENOSPC);
  }
  return fd;
}

Result<std::optional<Holder>> Folder::holder() const {
  const Fd fd(::openat(fd_.get(), kLockName, O_RDONLY | O_CLOEXEC));
  if (!fd && errno == ENOENT) return std::optional<Holder>();
  if (!fd) return io_error(path_ + "/" + kLockName + ": cannot open", errno);
  struct flock lock = lock_of(kServingByte);
  if (::fcntl(fd.get(), F_OFD_GETLK, &lock) != 0) {
    return io_error(path_ + "/" + kLockName + ": cannot ask for its lock", errno);
  }
  if (lock.l_type == F_UNLCK) return std::optional<Holder>();
  const auto text = read_text(fd_.get(), kLockName, path_);
  if (!text) return text.error();
  auto parsed = parse_holder(*text, path_);
  if (!parsed) return parsed.error();
  return std::optional<Holder>(std::move(*parsed));
}

Result<std::optional<Fd>> Folder::try_lock_for_starting() const {
  auto fd = open_lock_file(fd_.get(), path_, grants_);
  if (!fd) return fd.error();
  const int failure = try_lock(fd->get(), kStartingByte);
  if (failure == EAGAIN) return std::optional<Fd>();
  if (failure != 0) return io_error(path_ + "/" + kLockName + ": cannot lock", failure);
  return std::optional<Fd>(std::move(*fd));
}

}  // namespace oj::journal
