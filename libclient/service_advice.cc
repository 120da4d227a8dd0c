// SPDX-License-Identifier: MIT
#include "libclient/service_advice.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace oj::client {
namespace {

constexpr gid_t kUnknownGroup = 65534;  // what a user namespace shows of a group of outside
constexpr std::size_t kEntryBytesMax = 64 * 1024;  // of a group with very many members

std::string unit_of(const Location& location) {
  return "optjournald@" + location.folder.substr(location.folder.rfind('/') + 1);
}

std::string own_name() {
  std::vector<char> buffer(kEntryBytesMax);
  passwd entry{};
  passwd* found = nullptr;
  const uid_t uid = ::geteuid();
  const bool known = ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0;
  return known && found != nullptr ? entry.pw_name : std::to_string(uid);
}

struct Group {
  std::string name;
  bool has_us = false;       // by the system's list of members
  bool process_has = false;  // since this login
};

Group group_of(gid_t id, const std::string& user) {
  std::vector<char> buffer(kEntryBytesMax);
  group entry{};
  group* found = nullptr;
  Group out{std::to_string(id), false, false};
  if (::getgrgid_r(id, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
    out.name = entry.gr_name;
    for (char** member = entry.gr_mem; *member != nullptr; ++member) out.has_us |= user == *member;
  }
  std::array<gid_t, 1024> own{};
  const int count = ::getgroups(static_cast<int>(own.size()), own.data());
  out.process_has = ::getegid() == id || std::find(own.begin(), own.begin() + std::max(0, count),
                                                   id) != own.begin() + std::max(0, count);
  return out;
}

// Of a service that is there, and does not let us in.
std::string about_group(const Location& location) {
  struct stat info {};
  if (::stat(location.folder.c_str(), &info) != 0 &&
      ::stat(location.runtime_folder.c_str(), &info) != 0)
    return {};
  if (info.st_gid == kUnknownGroup) {
    return location.text +
           " is for members of a group of the host that this container was not given; start it "
           "with that group (docker run --group-add GROUP, podman run --group-add keep-groups)";
  }
  const std::string user = own_name();
  const Group group = group_of(info.st_gid, user);
  if ((info.st_mode & S_IRGRP) == 0 || group.process_has) return {};  // no group would help
  if (group.has_us) {
    return location.text + " is for members of group " + group.name + ": user " + user +
           " is one now, but was not at this login; log in again, or type: newgrp " + group.name;
  }
  return location.text + " is for members of group " + group.name + ": user " + user +
         " is not one; type: sudo usermod -aG " + group.name + " " + user + " and log in again";
}

}  // namespace

Error with_advice(const Location& location, const Error& error) {
  if (!location.service) return error;
  const auto with = [&error](std::string advice) {
    if (advice.empty()) return error;
    advice.append(" (").append(error.message).append(")");
    return Error{error.code, std::move(advice), error.os_error};
  };
  if (error.os_error == EACCES || error.os_error == EPERM) return with(about_group(location));
  const std::string unit = unit_of(location);
  if (error.os_error == ENOENT && ::access(location.folder.c_str(), F_OK) != 0 && errno == ENOENT) {
    return with("there is no service " + location.text +
                " on this machine; to make it, type: sudo systemctl enable --now " + unit);
  }
  const bool nobody_listens =
      error.os_error == ENOENT || error.os_error == ECONNREFUSED || error.os_error == ENOTDIR;
  if (error.code == Code::kGone && nobody_listens) {
    return with("the service " + location.text + " does not run; type: sudo systemctl start " +
                unit + "; what it said last: journalctl -u " + unit);
  }
  return error;
}

std::string group_advice(const Location& location) {
  return ::access(location.folder.c_str(), R_OK | X_OK) == 0 ? std::string()
                                                             : about_group(location);
}

bool has_traces(const Location& location) {
  std::error_code failed;
  const std::filesystem::directory_iterator entries(location.runtime_folder, failed);
  if (failed) return failed != std::errc::no_such_file_or_directory;
  return entries != std::filesystem::directory_iterator();
}

}  // namespace oj::client
