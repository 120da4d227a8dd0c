// The system calls that journal/ makes on segments, behind one seam, so that tests can fail any of
// them at the n-th call, cut writes short, or watch their order.
//
// Production uses real_file_system(): one indirect call before each system call, which nobody can
// measure. Every function is the system call of its name: -1 and errno on failure.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace oj::journal {

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  virtual int open_at(int folder, const char* name, int flags, mode_t mode) = 0;
  virtual ssize_t pread(int fd, void* bytes, std::size_t size, std::uint64_t offset) = 0;
  virtual ssize_t pwrite(int fd, const void* bytes, std::size_t size, std::uint64_t offset) = 0;
  // posix_fallocate from offset 0, but failing as the others do. A file system may have allocated
  // part of it then, and made the file that long.
  virtual int allocate(int fd, std::uint64_t size) = 0;
  virtual int truncate(int fd, std::uint64_t size) = 0;
  // Gives blocks back to the file system; they read as zeros, the size stays.
  virtual int punch(int fd, std::uint64_t offset, std::uint64_t size) = 0;
  virtual int fdatasync(int fd) = 0;
  virtual int fsync(int fd) = 0;  // of files and of folders
  virtual int rename_at(int folder, const char* from, const char* to) = 0;
  virtual int unlink_at(int folder, const char* name) = 0;
  virtual int stat(int fd, struct stat* out) = 0;
  // Where the next byte that is not in a hole lies, at or after offset; -1 with ENXIO: nowhere.
  virtual std::int64_t next_data(int fd, std::uint64_t offset) = 0;
  // Drops clean cached pages, so that what is read next comes from the disk. Best effort.
  virtual void forget_cached(int fd) = 0;
};

FileSystem& real_file_system();

// pread until `size` bytes or the end of the file; how many were read, or -1 and errno. Repeats on
// EINTR.
std::int64_t read_fully(FileSystem& fs, int fd, void* bytes, std::size_t size,
                        std::uint64_t offset);
// pwrite until all is written: 0, or errno. Short writes are continued, EINTR repeated.
int write_fully(FileSystem& fs, int fd, const void* bytes, std::size_t size, std::uint64_t offset);

}  // namespace oj::journal
