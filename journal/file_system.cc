// SPDX-License-Identifier: MIT
#include "journal/file_system.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace oj::journal {
namespace {

class RealFileSystem final : public FileSystem {
 public:
  int open_at(int folder, const char* name, int flags, mode_t mode) override {
    return ::openat(folder, name, flags, mode);
  }
  ssize_t pread(int fd, void* bytes, std::size_t size, std::uint64_t offset) override {
    return ::pread(fd, bytes, size, static_cast<off_t>(offset));
  }
  ssize_t pwrite(int fd, const void* bytes, std::size_t size, std::uint64_t offset) override {
    return ::pwrite(fd, bytes, size, static_cast<off_t>(offset));
  }
  int allocate(int fd, std::uint64_t size) override {
    const int failure = ::posix_fallocate(fd, 0, static_cast<off_t>(size));
    if (failure == 0) return 0;
    errno = failure;
    return -1;
  }
  int truncate(int fd, std::uint64_t size) override {
    return ::ftruncate(fd, static_cast<off_t>(size));
  }
  int punch(int fd, std::uint64_t offset, std::uint64_t size) override {
    return ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                       static_cast<off_t>(size));
  }
  int fdatasync(int fd) override { return ::fdatasync(fd); }
  int fsync(int fd) override { return ::fsync(fd); }
  int rename_at(int folder, const char* from, const char* to) override {
    return ::renameat(folder, from, folder, to);
  }
  int unlink_at(int folder, const char* name) override { return ::unlinkat(folder, name, 0); }
  int stat(int fd, struct stat* out) override { return ::fstat(fd, out); }
  std::int64_t next_data(int fd, std::uint64_t offset) override {
    return ::lseek(fd, static_cast<off_t>(offset), SEEK_DATA);
  }
  void forget_cached(int fd) override { (void)::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); }
};

}  // namespace

FileSystem& real_file_system() {
  static RealFileSystem real;
  return real;
}

std::int64_t read_fully(FileSystem& fs, int fd, void* bytes, std::size_t size,
                        std::uint64_t offset) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got =
        fs.pread(fd, static_cast<std::byte*>(bytes) + done, size - done, offset + done);
    if (got == 0) break;
    if (got > 0) {
      done += static_cast<std::size_t>(got);
    } else if (errno != EINTR) {
      return -1;
    }
  }
  return static_cast<std::int64_t>(done);
}

int write_fully(FileSystem& fs, int fd, const void* bytes, std::size_t size, std::uint64_t offset) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t put =
        fs.pwrite(fd, static_cast<const std::byte*>(bytes) + done, size - done, offset + done);
    if (put > 0) {
      done += static_cast<std::size_t>(put);
    } else if (put == 0) {
      return EIO;  // a file that takes nothing and says nothing
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace oj::journal
