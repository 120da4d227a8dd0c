// SPDX-License-Identifier: MIT
#include "daemon/control_socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "base/check.h"

namespace oj::daemon {
namespace {

static_assert(kRuntimeFolderBytesMax + sizeof("/control.sock.new") <=
              sizeof(sockaddr_un::sun_path));

constexpr int kBacklog = 1024;              // the kernel cuts it to net.core.somaxconn
constexpr std::size_t kDescriptorsMax = 4;  // received; all but the first are closed
constexpr int kForgottenMax = 256;          // unread packets of a connection that is closed

// A packet of the largest size must fit; without the right to more, the kernel gives what it has.
void widen(int fd) {
  const int bytes = static_cast<int>(2 * schema::kControlMessageBytesMax);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

}  // namespace

Result<Fd> listen_in(const std::string& runtime_folder, const Rights& rights) {
  const std::string path = runtime_folder + "/" + kControlSocketName;
  const std::string made = path + ".new";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  OJ_CHECK(made.size() < sizeof address.sun_path);
  std::memcpy(address.sun_path, made.c_str(), made.size() + 1);
  Fd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return io_error("cannot make a socket", errno);
  unlink(made.c_str());
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return io_error("cannot bind " + made, errno);
  }
  if (rights.group != static_cast<gid_t>(-1) &&
      chown(made.c_str(), static_cast<uid_t>(-1), rights.group) != 0) {
    return io_error("cannot give " + made + " to group " + std::to_string(rights.group), errno);
  }
  if (chmod(made.c_str(), rights.file_mode) != 0)
    return io_error("cannot set the rights of " + made, errno);
  if (listen(fd.get(), kBacklog) != 0) return io_error("cannot listen on " + made, errno);
  if (rename(made.c_str(), path.c_str()) != 0) return io_error("cannot rename " + made, errno);
  return fd;
}

Result<std::optional<Accepted>> accept_one(int listener) {
  Fd fd(accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd) {
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ECONNABORTED) {
      return std::optional<Accepted>();
    }
    return io_error("cannot accept a connection", errno);
  }
  Accepted accepted;
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0) {
    accepted.peer = {static_cast<std::uint32_t>(peer.pid), peer.uid};
  }
  widen(fd.get());
  accepted.fd = std::move(fd);
  return std::optional<Accepted>(std::move(accepted));
}

Packet receive(int connection) {
  Packet packet;
  packet.bytes.resize(schema::kControlMessageBytesMax);
  iovec part{packet.bytes.data(), packet.bytes.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kDescriptorsMax)> beside{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = beside.data();
  message.msg_controllen = beside.size();
  const ssize_t got = recvmsg(connection, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0) {
    packet.kind = errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? Packet::Kind::kNone
                                                                            : Packet::Kind::kEnd;
    return packet;
  }
  for (cmsghdr* item = CMSG_FIRSTHDR(&message); item != nullptr;
       item = CMSG_NXTHDR(&message, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(item) + i * sizeof(int), sizeof number);
      Fd fd(number);
      if (!packet.descriptor) packet.descriptor = std::move(fd);
    }
  }
  if (got == 0) {
    packet.kind = Packet::Kind::kEnd;
    return packet;
  }
  packet.kind = Packet::Kind::kMessage;
  packet.bytes.resize(static_cast<std::size_t>(got));
  if ((message.msg_flags & MSG_TRUNC) != 0) {
    packet.kind = Packet::Kind::kBad;
    packet.why =
        "a packet is longer than " + std::to_string(schema::kControlMessageBytesMax) + " bytes";
  } else if ((message.msg_flags & MSG_CTRUNC) != 0 && packet.descriptor) {
    packet.kind = Packet::Kind::kBad;
    packet.why = "more than " + std::to_string(kDescriptorsMax) + " descriptors beside a packet";
  }
  return packet;
}

bool send(int connection, const schema::ControlMessage& message) {
  const std::vector<std::byte> bytes = schema::encode_control(message);
  return ::send(connection, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) ==
         static_cast<ssize_t>(bytes.size());
}

void forget_unread(int connection) {
  std::array<std::byte, 1> rest{};  // of each packet; descriptors beside it are not received
  for (int i = 0; i < kForgottenMax; ++i) {
    if (recv(connection, rest.data(), rest.size(), MSG_DONTWAIT) <= 0) return;
  }
}

bool has_ended(int pidfd) {
  pollfd polled{pidfd, POLLIN, 0};
  return poll(&polled, 1, 0) > 0 && (polled.revents & POLLIN) != 0;
}

Result<std::optional<std::int64_t>> pid_of_pidfd(int fd) {
  constexpr std::string_view kPid = "\nPid:\t";
  const std::string path = "/proc/self/fdinfo/" + std::to_string(fd);
  const Fd info(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!info) return io_error("cannot open " + path, errno);
  std::array<char, 4096> part{};
  ssize_t got = 0;
  do got = read(info.get(), part.data(), part.size());
  while (got < 0 && errno == EINTR);
  if (got <= 0) return io_error("cannot read " + path, got < 0 ? errno : ENODATA);
  const std::string_view text(part.data(), static_cast<std::size_t>(got));
  const std::size_t at = text.find(kPid);
  if (at == text.npos) return std::optional<std::int64_t>();
  std::int64_t pid = 0;
  const auto [end, failed] =
      std::from_chars(text.data() + at + kPid.size(), text.data() + text.size(), pid);
  if (failed != std::errc()) return io_error("cannot read " + path, EINVAL);
  return std::optional(pid);
}

Result<std::optional<std::int64_t>> shown_pid(std::uint32_t pid) {
  const Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0)));
  if (pidfd) return pid_of_pidfd(pidfd.get());
  if (errno == ESRCH) return std::optional<std::int64_t>();
  return io_error("cannot open a pidfd of process " + std::to_string(pid), errno);
}

}  // namespace oj::daemon
