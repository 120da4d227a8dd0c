// SPDX-License-Identifier: MIT
#include "daemon/supervisor.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace oj::daemon {
namespace {

// 0 if `text` is no positive number.
std::int64_t number_in(const char* text) {
  if (text == nullptr) return 0;
  const std::string_view digits = text;
  std::int64_t value = 0;
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return failed == std::errc() && end == digits.data() + digits.size() && value > 0 ? value : 0;
}

}  // namespace

Supervisor Supervisor::from_environment() {
  Supervisor supervisor;
  const char* address = std::getenv("NOTIFY_SOCKET");
  if (address != nullptr && (*address == '/' || *address == '@') &&
      std::strlen(address) < sizeof(sockaddr_un::sun_path)) {
    supervisor.address_ = address;
    if (*address == '@') supervisor.address_[0] = '\0';
    supervisor.socket_ = Fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const char* whose = std::getenv("WATCHDOG_PID");
    if (whose == nullptr || number_in(whose) == getpid())
      supervisor.patience_ns_ = number_in(std::getenv("WATCHDOG_USEC")) * 1000;
  }
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"}) unsetenv(name);
  return supervisor;
}

void Supervisor::tell(const std::string& lines) const {
  if (!socket_) return;
  sockaddr_un un{};
  un.sun_family = AF_UNIX;
  std::memcpy(un.sun_path, address_.data(), address_.size());
  const std::size_t size = offsetof(sockaddr_un, sun_path) + address_.size();
  (void)sendto(socket_.get(), lines.data(), lines.size(), MSG_NOSIGNAL,
               reinterpret_cast<const sockaddr*>(&un), static_cast<socklen_t>(size));
}

}  // namespace oj::daemon
