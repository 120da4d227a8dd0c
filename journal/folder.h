// The folder of a journal: DIR/FORMAT says what it is, DIR/LOCK who serves it, DIR/segments/ holds
// the records.
//
//   DIR/FORMAT     text: "optjournal\nformat: 1\njournal: <uuid>\n"; written once, under a
//                  temporary name
//   DIR/LOCK       OFD write lock on byte 0: held by the daemon that serves the folder, for its
//                  life OFD write lock on byte 1: held by who is starting an embedded daemon, for a
//                  moment content, for who finds byte 0 locked: "pid: <n>\nruntime: <folder>\n"
//   DIR/segments/  see segment_files.h and docs/journal-format.md
//
// LOCK is never unlinked. Its content is written after byte 0 is taken, in one write: who finds
// byte 0 locked and the content not there yet gets kBusy, and asks again.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "journal/uuid.h"

namespace oj::journal {

constexpr std::uint32_t kJournalFormat = 1;

struct Holder {  // of DIR/LOCK
  pid_t pid = 0;
  std::string runtime_folder;
};

// What is made in DIR is granted as DIR itself is: to owner, DIR's group and others, whatever the
// umask and the maker's own group.
struct Grants {
  mode_t file_mode = 0600;
  mode_t folder_mode = 0700;  // with the setgid bit if DIR has it, or is writable for its group
  gid_t group = static_cast<gid_t>(-1);

  static Grants of(const struct stat& folder);
  // To a file or folder that this process made: `mode` is one of the above. Best effort; if it
  // cannot be given to DIR's group no other group gets that group's rights.
  void give(int fd, mode_t mode) const;
};

class Folder {
 public:
  // What to do with a folder that is absent, or empty and without FORMAT.
  enum class IfAbsent { kRefuse, kCreate };

  // Opens and checks DIR. Errors name DIR and say what is wrong: missing; a file; not readable;
  // other things in it and no FORMAT (kInvalid: a folder of something else is never touched); a
  // newer format (kIncompatible). With kCreate, a missing last path component and FORMAT are
  // created, safely against other processes doing the same; a folder on a network file system is
  // refused (kInvalid), since locks and shared memory join one machine only.
  static Result<Folder> open(const std::string& path, IfAbsent if_absent);

  const std::string& path() const { return path_; }  // absolute, symbolic links resolved
  const Uuid& journal_id() const { return journal_id_; }
  std::string segments_path() const { return path_ + "/segments"; }
  // Distinguishes folders on this machine, also copies of one journal: made of device and inode.
  // File-name safe.
  std::string key() const;
  static std::string key_of(const struct stat& folder);
  int fd() const { return fd_.get(); }  // of the folder itself, for fsync
  const Grants& grants() const { return grants_; }
  // Bytes that DIR's file system can still take.
  Result<std::uint64_t> available_bytes() const;

  // For the daemon: takes byte 0 and writes the holder's content. kRefused, naming the pid that has
  // it, if taken. The lock goes with the returned descriptor (and survives fork: use O_CLOEXEC, do
  // not fork while serving).
  Result<Fd> lock_for_serving(const std::string& runtime_folder) const;
  // Who serves the folder now, if anybody: byte 0 is locked. Content that cannot be read is an
  // error; kBusy: the holder has only just taken it and has not written its content yet.
  Result<std::optional<Holder>> holder() const;
  // Tries byte 1 without waiting: a descriptor if it was free, none if another process is starting
  // a daemon.
  Result<std::optional<Fd>> try_lock_for_starting() const;

 private:
  Folder() = default;
  std::string path_;
  Uuid journal_id_{};
  Fd fd_;
  Grants grants_;
};

// "NFS", "CIFS", ... for the f_type of statfs(2) of a file system that other machines may share;
// else nullptr.
const char* network_file_system_name(std::uint64_t type);

}  // namespace oj::journal
