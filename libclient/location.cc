// SPDX-License-Identifier: MIT
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <string_view>

#include "journal/format.h"
#include "libclient/session.h"
#include "schema/control.h"
#include "shm/layout.h"

namespace oj::client {
namespace {

constexpr std::string_view kServiceScheme = "optjournal://";
constexpr std::size_t kServiceNameBytesMax = 64;

std::string from_environment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

bool is_service_name(std::string_view name) {
  if (name.empty() || name.size() > kServiceNameBytesMax || name.front() == '.') return false;
  for (const char c : name) {
    const bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '_' || c == '.';
    if (!fine) return false;
  }
  return true;
}

// A folder is remembered as an absolute path, so that a later chdir() does not move it.
Result<std::string> absolute(const std::string& path) {
  if (path.front() == '/') return path;
  char buffer[PATH_MAX];
  if (::getcwd(buffer, sizeof buffer) == nullptr) {
    return io_error("location \"" + path + "\": the current folder has no name", errno);
  }
  return std::string(buffer) + "/" + path;
}

}  // namespace

Result<Location> parse_location(const std::string& text) {
  Location location;
  location.text = text;
  if (text.empty()) {
    return Error{Code::kInvalid, "location \"\": give a folder or optjournal://NAME"};
  }
  if (text.find('\0') != std::string::npos) {
    return Error{Code::kInvalid, "location \"" + text + "\": contains a NUL byte"};
  }
  if (text.starts_with(kServiceScheme)) {
    const std::string name = text.substr(kServiceScheme.size());
    if (!is_service_name(name)) {
      return Error{Code::kInvalid,
                   "location \"" + text + "\": the name of a service is 1 to " +
                       std::to_string(kServiceNameBytesMax) +
                       " letters, digits, '-', '_' and '.', and does not begin with '.'"};
    }
    location.service = true;
    location.folder = from_environment("OPTJOURNAL_STATE_ROOT", "/var/lib/optjournal") + "/" + name;
    location.runtime_folder =
        from_environment("OPTJOURNAL_RUNTIME_ROOT", "/run/optjournal") + "/" + name;
    return location;
  }
  if (const std::size_t scheme = text.find("://"); scheme != std::string::npos) {
    return Error{Code::kInvalid, "location \"" + text + "\": unknown scheme \"" +
                                     text.substr(0, scheme) +
                                     "\"; give a folder or optjournal://NAME"};
  }
  Result<std::string> folder = absolute(text);
  if (!folder) return folder.error();
  location.folder = std::move(*folder);
  return location;
}

const char* version() { return OPTJOURNAL_VERSION; }

Formats formats() {
  return {journal::kFormatMajor, journal::kFormatMinor, shm::kFormat, schema::kControlVersion};
}

}  // namespace oj::client
