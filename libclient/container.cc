// SPDX-License-Identifier: MIT
#include "libclient/container.h"

#include <algorithm>
#include <optional>

namespace oj::client {
namespace {

constexpr std::size_t kIdDigits = 64, kIdDigitsShown = 12;  // as `docker ps` shows them

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

// The last run of exactly 64 hex digits that `before` and `after` enclose: the innermost container.
std::string last_id(std::string_view text, bool in_folder) {
  std::string found;
  for (std::size_t at = 0; at < text.size();) {
    if (!is_hex(text[at])) {
      ++at;
      continue;
    }
    const std::size_t begin = at;
    while (at < text.size() && is_hex(text[at])) ++at;
    if (at - begin != kIdDigits) continue;
    // "/docker/<id>", "docker-<id>.scope", "/kubepods/.../<id>"; mounted: ".../containers/<id>/..."
    const std::string_view before = text.substr(0, begin);
    const bool fits = in_folder ? before.ends_with("containers/")
                                : before.ends_with('/') || before.ends_with('-');
    if (fits) found = text.substr(begin, kIdDigitsShown);
  }
  return found;
}

// systemd's names: "\x2d" is "-".
std::string unescaped(std::string_view name) {
  std::string out;
  while (!name.empty()) {
    if (name.starts_with("\\x2d")) {
      out += '-';
      name.remove_prefix(4);
    } else {
      out += name.front();
      name.remove_prefix(1);
    }
  }
  return out;
}

// What stands between `before` and `after` in a path, within one component of it.
std::optional<std::string_view> between(std::string_view text, std::string_view before,
                                        std::string_view after) {
  std::size_t at = text.rfind(before);
  if (at == text.npos) return std::nullopt;
  text.remove_prefix(at + before.size());
  text = text.substr(0, text.find_first_of("/\n"));
  if (!text.ends_with(after)) return std::nullopt;
  text.remove_suffix(after.size());
  return text;
}

}  // namespace

std::string container_of(std::string_view cgroup, std::string_view mountinfo) {
  if (std::string id = last_id(cgroup, false); !id.empty()) return id;
  if (const auto machine = between(cgroup, "/machine-", ".scope")) return unescaped(*machine);
  if (const auto nspawn = between(cgroup, "/systemd-nspawn@", ".service"))
    return unescaped(*nspawn);
  if (const auto lxc = between(cgroup, "/lxc.payload.", "")) return std::string(*lxc);
  if (const auto lxc = between(cgroup, "/lxc/", "")) return std::string(*lxc);
  return last_id(mountinfo, true);
}

}  // namespace oj::client
