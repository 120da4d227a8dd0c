// The control socket: packets of schema/control.h with at most one descriptor beside them. Nothing
// here waits.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "daemon/runtime_folder.h"
#include "schema/control.h"

namespace oj::daemon {

constexpr const char* kControlSocketName = "control.sock";

// The longest name of a runtime folder whose socket still has a name that fits.
constexpr std::size_t kRuntimeFolderBytesMax = 90;

// Listens on `runtime_folder`/control.sock: made under another name, given its rights, then
// renamed, so that whoever finds it can connect.
// REQUIRES: the folder's name has at most kRuntimeFolderBytesMax bytes.
Result<Fd> listen_in(const std::string& runtime_folder, const Rights& rights);

struct Peer {  // as the kernel says, at the time of connect(); for people only
  std::uint32_t pid = 0, uid = 0;
};

struct Accepted {
  Fd fd;
  Peer peer;
};
// None: nobody is waiting any more.
Result<std::optional<Accepted>> accept_one(int listener);

struct Packet {
  enum class Kind : std::uint8_t { kNone, kMessage, kEnd, kBad };
  Kind kind = Kind::kNone;
  std::vector<std::byte> bytes;
  // The first that came with it; others are closed. None, too, if we may not open another.
  Fd descriptor;
  std::string why;  // of kBad
};
Packet receive(int connection);

// False: the peer is gone, or does not take what is sent to it.
bool send(int connection, const schema::ControlMessage& message);

// Before closing: takes what the peer has sent and nobody will read. Else the kernel gives the peer
// an error in place of the answer that waits for it.
void forget_unread(int connection);

// Has the process of this pidfd ended? Only a pidfd that is readable says so.
bool has_ended(int pidfd);

// Is this a pidfd? The process's number as /proc shows it (-1: it is dead already, 0: of another
// pid namespace), or none for any other descriptor. kIo: it cannot be told. /proc may be that of
// another pid namespace than ours (unshare --pid --fork leaves it), so compare it with nothing but
// shown_pid().
Result<std::optional<std::int64_t>> pid_of_pidfd(int fd);
// Likewise of the process that has this number in our own pid namespace. None: there is none.
Result<std::optional<std::int64_t>> shown_pid(std::uint32_t pid);

}  // namespace oj::daemon
