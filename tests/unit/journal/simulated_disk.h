// A disk that can lose power, behind the seam of journal/: what was not synced may be gone, in
// part, and names that their folder's sync has not made durable may be the old ones.
//
// It passes every call on to the real file system, so readers see what they would see, and keeps
// beside it what is on stable storage: bytes of a file by inode after fsync or fdatasync, names
// after a sync of the folder. A failed fdatasync drops what was dirty, as ext4 does: a later one
// succeeds without having written it.
//
// Any call can be made to fail: fail(n, errno) fails the n-th mutating call from now, and all after
// it if `from_then_on`.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <map>

#include "tests/unit/journal/journal_fixture.h"

namespace oj::journal::testing {

class SimulatedDisk final : public FileSystem {
 public:
  static constexpr std::size_t kPage = 4096;

  struct File {
    Bytes durable;
    std::map<std::uint64_t, Bytes> dirty;  // pages that were written since, as they are now
  };
  using Names = std::map<std::string, ino_t>;

  void fail(std::uint64_t nth, int error, bool from_then_on = false) {
    fail_at_ = calls_ + nth;
    error_ = error;
    from_then_on_ = from_then_on;
  }
  void heal() { fail_at_ = 0; }
  void cut_writes_short(std::uint64_t every) { short_every_ = every; }
  std::uint64_t calls() const { return calls_; }
  bool failed() const { return failed_; }

  // The folder as it may be found after a power cut right now: each dirty page and each name that
  // is not durable is the new or the old one, or (pages) torn between 512-byte sectors, by
  // `random`.
  void materialise(const Folder& from, const std::string& to, std::mt19937_64& random) const {
    fs::create_directories(to + "/segments");
    fs::copy_file(from.path() + "/FORMAT", to + "/FORMAT");
    Names found = durable_names_;
    for (const auto& [name, inode] : names_) {
      if (!durable_names_.contains(name) && random() % 2 == 0) found[name] = inode;
    }
    for (const auto& [name, inode] : durable_names_) {
      if (!names_.contains(name) && random() % 2 == 0) found.erase(name);
    }
    for (const auto& [name, inode] : found)
      write_file(to + "/segments/" + name, image(files_.at(inode), random));
  }

  int open_at(int folder, const char* name, int flags, mode_t mode) override {
    if ((flags & O_CREAT) != 0 && fails()) return -1;
    const int fd = real_.open_at(folder, name, flags, mode);
    if (fd >= 0 && (flags & O_CREAT) != 0) {
      files_[inode_of(fd)] = {};
      names_[name] = inode_of(fd);
    }
    return fd;
  }
  ssize_t pread(int fd, void* bytes, std::size_t size, std::uint64_t offset) override {
    return real_.pread(fd, bytes, size, offset);
  }
  ssize_t pwrite(int fd, const void* bytes, std::size_t size, std::uint64_t offset) override {
    const bool dying = fails();
    if (dying && size > 1) size /= 2;  // a write that fails has often written something
    if (!dying && short_every_ != 0 && calls_ % short_every_ == 0 && size > 1) size = size * 2 / 3;
    const ssize_t put = real_.pwrite(fd, bytes, size, offset);
    if (put > 0) note_dirty(fd, offset, static_cast<std::uint64_t>(put));
    if (!dying) return put;
    errno = error_;
    return -1;
  }
  // Allocations beyond this fail, after a part of them as on ext4.
  void set_room(std::uint64_t bytes) { room_ = bytes; }
  int allocate(int fd, std::uint64_t size) override {
    if (fails()) return -1;
    if (size > room_) {
      EXPECT_EQ(real_.allocate(fd, room_), 0);
      errno = ENOSPC;
      return -1;
    }
    if (real_.allocate(fd, size) != 0) return -1;
    for (std::uint64_t page = 0; page < size / kPage; ++page)
      file(fd).dirty.try_emplace(page, Bytes(kPage));
    return 0;
  }
  int truncate(int fd, std::uint64_t size) override {
    if (fails() || real_.truncate(fd, size) != 0) return -1;
    EXPECT_EQ(size, 0u);
    file(fd) = {};
    return 0;
  }
  int punch(int fd, std::uint64_t offset, std::uint64_t size) override {
    return fails() ? -1 : real_.punch(fd, offset, size);  // what it frees is zeros before and after
  }
  int fdatasync(int fd) override {
    const bool dying = fails();
    File& synced = file(fd);
    if (dying) {
      synced.dirty.clear();
      errno = error_;
      return -1;
    }
    for (const auto& [page, bytes] : synced.dirty) {
      if (synced.durable.size() < (page + 1) * kPage) synced.durable.resize((page + 1) * kPage);
      std::copy(bytes.begin(), bytes.end(),
                synced.durable.begin() + static_cast<std::ptrdiff_t>(page * kPage));
    }
    synced.dirty.clear();
    return 0;
  }
  int fsync(int fd) override {
    if (files_.contains(inode_of(fd))) return fdatasync(fd);
    if (fails()) return -1;
    durable_names_ = names_;
    return 0;
  }
  int rename_at(int folder, const char* from, const char* to) override {
    if (fails() || real_.rename_at(folder, from, to) != 0) return -1;
    names_[to] = names_.at(from);
    names_.erase(from);
    return 0;
  }
  int unlink_at(int folder, const char* name) override {
    if (fails() || real_.unlink_at(folder, name) != 0) return -1;
    names_.erase(name);
    return 0;
  }
  int stat(int fd, struct stat* out) override { return real_.stat(fd, out); }
  std::int64_t next_data(int fd, std::uint64_t offset) override {
    return real_.next_data(fd, offset);
  }
  void forget_cached(int) override {}

 private:
  bool fails() {
    ++calls_;
    if (fail_at_ == 0 || calls_ < fail_at_ || (calls_ > fail_at_ && !from_then_on_)) return false;
    failed_ = true;
    errno = error_;
    return true;
  }
  static ino_t inode_of(int fd) {
    struct stat status {};
    EXPECT_EQ(::fstat(fd, &status), 0);
    return status.st_ino;
  }
  File& file(int fd) { return files_[inode_of(fd)]; }
  void note_dirty(int fd, std::uint64_t offset, std::uint64_t size) {
    for (std::uint64_t page = offset / kPage; page <= (offset + size - 1) / kPage; ++page) {
      Bytes bytes(kPage);
      EXPECT_GE(::pread(fd, bytes.data(), kPage, static_cast<off_t>(page * kPage)), 0);
      file(fd).dirty[page] = std::move(bytes);
    }
  }
  static Bytes image(const File& file, std::mt19937_64& random) {
    Bytes bytes = file.durable;
    for (const auto& [page, content] : file.dirty) {
      const std::uint64_t kind = random() % 4;
      if (kind == 0) continue;  // lost
      if (bytes.size() < (page + 1) * kPage) bytes.resize((page + 1) * kPage);
      for (std::size_t sector = 0; sector < kPage; sector += 512) {
        if (kind == 1 && random() % 2 == 0) continue;  // torn
        std::copy_n(content.begin() + static_cast<std::ptrdiff_t>(sector), 512,
                    bytes.begin() + static_cast<std::ptrdiff_t>(page * kPage + sector));
      }
    }
    return bytes;
  }

  FileSystem& real_ = real_file_system();
  std::map<ino_t, File> files_;
  Names names_, durable_names_;
  std::uint64_t calls_ = 0, fail_at_ = 0, short_every_ = 0;
  std::uint64_t room_ = ~std::uint64_t{0};
  int error_ = 0;
  bool from_then_on_ = false, failed_ = false;
};

}  // namespace oj::journal::testing
