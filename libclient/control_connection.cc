// SPDX-License-Identifier: MIT
#include "libclient/control_connection.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace oj::client {
namespace {

constexpr std::int64_t kRetryMs = 5;  // between tries to connect to a full backlog

int poll_ms(Deadline deadline) {
  if (deadline.is_never()) return -1;
  const std::int64_t ms = (deadline.left_ns() + kNsPerMs - 1) / kNsPerMs;
  return static_cast<int>(std::min<std::int64_t>(ms, 60'000));
}

enum class Ready { kYes, kDeadline, kCancelled };

Ready wait_ready(int fd, short events, int cancel_fd, Deadline deadline) {
  for (;;) {
    pollfd polled[2] = {{fd, events, 0}, {cancel_fd, POLLIN, 0}};
    const int count = ::poll(polled, 2, poll_ms(deadline));
    if (count > 0 && polled[1].revents != 0) return Ready::kCancelled;
    if (count > 0 && polled[0].revents != 0) return Ready::kYes;
    if (deadline.passed()) return Ready::kDeadline;
  }
}

// A pidfd of this process: the proof of its death that the daemon keeps. -1 where the kernel or a
// sandbox has none.
int own_pidfd() { return static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)); }

// The address of `path`. Paths longer than an address goes through a descriptor of their folder.
struct Address {
  sockaddr_un un{};
  Fd folder;
};
Result<Address> address_of(const std::string& runtime_folder) {
  Address address;
  address.un.sun_family = AF_UNIX;
  std::string path = runtime_folder + "/control.sock";
  if (path.size() >= sizeof address.un.sun_path) {
    address.folder = Fd(::open(runtime_folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!address.folder) {
      if (errno == ENOENT) return Error{Code::kGone, "nobody listens at " + path, ENOENT};
      return io_error("open " + runtime_folder, errno);
    }
    path = "/proc/self/fd/" + std::to_string(address.folder.get()) + "/control.sock";
  }
  std::memcpy(address.un.sun_path, path.c_str(), path.size() + 1);
  return address;
}

}  // namespace

bool sleep_unless_cancelled(int cancel_fd, Deadline deadline) {
  return wait_ready(-1, 0, cancel_fd, deadline) != Ready::kCancelled;
}

Error cancelled() { return Error{Code::kGone, "cancelled"}; }

Result<void> ControlConnection::connect(const std::string& runtime_folder, Deadline deadline,
                                        int cancel_fd) {
  close();
  peer_ = runtime_folder + "/control.sock";
  Result<Address> address = address_of(runtime_folder);
  if (!address) return address.error();
  {
    ForkGuard guard;
    socket_.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    guard.add(*this);
  }
  if (!socket_) {
    const int os_error = errno;
    ForkGuard().remove(*this);
    return io_error("socket for " + peer_, os_error);
  }
  for (;;) {
    const auto* generic = reinterpret_cast<const sockaddr*>(&address->un);
    if (::connect(socket_.get(), generic, sizeof address->un) == 0) return {};
    const int os_error = errno;
    if (os_error == EAGAIN || os_error == EINTR) {  // the backlog is full
      if (deadline.passed()) {
        return Error{Code::kBusy, "connect " + peer_ + ": the daemon accepts nobody", os_error};
      }
      if (!sleep_unless_cancelled(cancel_fd, Deadline::in_ms(kRetryMs))) return cancelled();
      continue;
    }
    close();
    if (os_error == ENOENT || os_error == ECONNREFUSED || os_error == ENOTDIR) {
      return Error{Code::kGone, "nobody listens at " + peer_, os_error};
    }
    return io_error("connect " + peer_, os_error);
  }
}

Result<void> ControlConnection::send(const schema::ControlMessage& message, Pass pass,
                                     Deadline deadline, int cancel_fd) {
  std::vector<std::byte> bytes = schema::encode_control(message);
  iovec part{bytes.data(), bytes.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) std::byte control[CMSG_SPACE(sizeof(int))]{};
  const Fd pidfd(pass == Pass::kOwnPidfd ? own_pidfd() : -1);
  if (pidfd) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = pidfd.get();
    std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  }
  for (;;) {
    if (::sendmsg(socket_.get(), &header, MSG_NOSIGNAL) >= 0) return {};
    if (errno == EINTR) continue;
    if (errno == EPIPE || errno == ECONNRESET) {
      return Error{Code::kGone, "the daemon at " + peer_ + " has ended", errno};
    }
    if (errno != EAGAIN) return io_error("send to " + peer_, errno);
    switch (wait_ready(socket_.get(), POLLOUT, cancel_fd, deadline)) {
      case Ready::kYes: break;
      case Ready::kCancelled: return cancelled();
      case Ready::kDeadline:
        return Error{Code::kBusy, "send to " + peer_ + ": the daemon takes nothing", EAGAIN};
    }
  }
}

Result<schema::ControlMessage> ControlConnection::receive(Deadline deadline, int cancel_fd) {
  buffer_.resize(schema::kControlMessageBytesMax);
  bool reset = false;
  for (;;) {
    const ssize_t got = ::recv(socket_.get(), buffer_.data(), buffer_.size(), 0);
    if (got < 0 && errno == ECONNRESET && !std::exchange(reset, true)) {
      continue;  // it closed before it read all: what it had said before is still there
    }
    if (got > 0) {
      auto message =
          schema::decode_control(std::span(buffer_).first(static_cast<std::size_t>(got)));
      buffer_ = {};  // a session keeps its connection for hours and receives once
      return message;
    }
    if (got == 0 || errno == ECONNRESET) {
      return Error{Code::kGone, "the daemon at " + peer_ + " has ended", got == 0 ? 0 : errno};
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return io_error("receive from " + peer_, errno);
    switch (wait_ready(socket_.get(), POLLIN, cancel_fd, deadline)) {
      case Ready::kYes: break;
      case Ready::kCancelled: return cancelled();
      case Ready::kDeadline:
        return Error{Code::kBusy, "the daemon at " + peer_ + " does not answer (stopped?)"};
    }
  }
}

bool ControlConnection::alive() {
  if (!socket_) return false;
  for (;;) {
    std::byte dropped[64];
    const ssize_t got = ::recv(socket_.get(), dropped, sizeof dropped, MSG_DONTWAIT);
    if (got == 0) return false;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno == EAGAIN;
  }
}

void ControlConnection::close() {
  if (!socket_) return;
  ForkGuard guard;
  guard.remove(*this);
  socket_.reset();
}

ForkAware::Then ControlConnection::after_fork_in_child() noexcept {
  socket_.reset();
  return Then::kForget;
}

}  // namespace oj::client
