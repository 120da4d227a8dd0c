// SPDX-License-Identifier: MIT
#include "daemon/metrics_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/fd.h"

namespace oj::daemon {
namespace {

constexpr const char* kWanted = ": give [ADDRESS:]PORT, as 9464, 0.0.0.0:9464 or [::1]:9464";
constexpr std::size_t kPortDigitsMax = 5;
constexpr unsigned long kPortMax = 65535;

struct Parts {
  std::string host, port;  // host without brackets
};

Parts split(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return {"127.0.0.1", text};
  std::string host = text.substr(0, colon);
  if (host == "localhost") host = "127.0.0.1";
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != std::string::npos)
    host.clear();  // an IPv6 address wants brackets
  return {host, text.substr(colon + 1)};
}

bool is_ipv6(const std::string& host) { return host.find(':') != std::string::npos; }

}  // namespace

Result<std::string> parse_metrics_address(const std::string& text) {
  const Parts parts = split(text);
  const bool digits = !parts.port.empty() && parts.port.size() <= kPortDigitsMax &&
                      std::all_of(parts.port.begin(), parts.port.end(),
                                  [](char c) { return c >= '0' && c <= '9'; });
  if (!digits || std::stoul(parts.port) > kPortMax) {
    return Error{Code::kInvalid,
                 "'" + text + "' has no port of 0 .. " + std::to_string(kPortMax) + kWanted};
  }
  in6_addr scratch{};
  if (inet_pton(is_ipv6(parts.host) ? AF_INET6 : AF_INET, parts.host.c_str(), &scratch) != 1)
    return Error{Code::kInvalid, "'" + text + "' has no address before the port" + kWanted};
  const std::string host = is_ipv6(parts.host) ? "[" + parts.host + "]" : parts.host;
  return host + ":" + std::to_string(std::stoul(parts.port));
}

Result<void> check_listening(const std::string& address) {
  const Parts parts = split(address);
  sockaddr_storage where{};
  socklen_t size = 0;
  const in_port_t port = htons(static_cast<std::uint16_t>(std::stoul(parts.port)));
  if (is_ipv6(parts.host)) {
    auto* in6 = reinterpret_cast<sockaddr_in6*>(&where);
    in6->sin6_family = AF_INET6;
    in6->sin6_port = port;
    inet_pton(AF_INET6, parts.host.c_str(), &in6->sin6_addr);
    size = sizeof *in6;
  } else {
    auto* in4 = reinterpret_cast<sockaddr_in*>(&where);
    in4->sin_family = AF_INET;
    in4->sin_port = port;
    inet_pton(AF_INET, parts.host.c_str(), &in4->sin_addr);
    size = sizeof *in4;
  }
  const Fd probe(socket(where.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;  // as the server does: a port just left may be taken again
  if (!probe || setsockopt(probe.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      bind(probe.get(), reinterpret_cast<const sockaddr*>(&where), size) != 0 ||
      listen(probe.get(), 1) != 0) {
    return io_error("cannot serve metrics on " + address, errno);
  }
  return {};
}

}  // namespace oj::daemon
