// The folder of a journal: DIR/FORMAT says what it is, DIR/LOCK who serves it, DIR/segments/ holds the records.
//
//   DIR/FORMAT     text: "optjournal\nformat: 1\njournal: <uuid>\n"; written once, under a temporary name
//   DIR/LOCK       OFD write lock on byte 0: held by the daemon that serves the folder, for its life
//                  OFD write lock on byte 1: held by who is starting an embedded daemon, for a moment
//                  content, for who finds byte 0 locked: "pid: <n>\nruntime: <folder>\n"
//   DIR/segments/  see segment.h and docs/journal-format.md
//
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace oj::journal {

constexpr std::uint32_t kJournalFormat = 1;

using Uuid = std::array<std::byte, 16>;
std::string to_string(const Uuid& uuid);
Uuid random_uuid();

struct Holder {  // of DIR/LOCK
  pid_t pid = 0;
  std::string runtime_folder;
};

class Folder {
 public:
  // What to do with a folder that is absent, or empty and without FORMAT.
  enum class IfAbsent { kRefuse, kCreate };

  // Opens and checks DIR. Errors name DIR and say what is wrong: missing; a file; not readable; other things in it
  // and no FORMAT (kInvalid: a folder of something else is never touched); a newer format (kIncompatible).
  // With kCreate, a missing last path component and FORMAT are created, safely against other processes doing the same.
  static Result<Folder> open(const std::string& path, IfAbsent if_absent);

  const std::string& path() const { return path_; }  // absolute, symbolic links resolved
  const Uuid& journal_id() const { return journal_id_; }
  std::string segments_path() const { return path_ + "/segments"; }
  // Distinguishes folders on this machine, also copies of one journal: made of device and inode. File-name safe.
  std::string key() const;
  int fd() const { return fd_.get(); }  // of the folder itself, for fsync
  // Bytes that DIR's file system can still take.
  Result<std::uint64_t> available_bytes() const;

  // For the daemon: takes byte 0 and writes the holder's content. kRefused, naming the pid that has it, if taken.
  // The lock goes with the returned descriptor (and survives fork: use O_CLOEXEC, do not fork while serving).
  Result<Fd> lock_for_serving(const std::string& runtime_folder) const;
  // Who serves the folder now, if anybody: byte 0 is locked. Content that cannot be read is an error.
  Result<std::optional<Holder>> holder() const;
  // Tries byte 1 without waiting: a descriptor if it was free, none if another process is starting a daemon.
  Result<std::optional<Fd>> try_lock_for_starting() const;

 private:
  Folder() = default;
  std::string path_;
  Uuid journal_id_{};
  Fd fd_;
};

}  // namespace oj::journal
