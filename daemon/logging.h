// Where spdlog's lines go, and how they look.
//
//   a terminal or pipe     stderr, with a time; colour on a terminal only
//   systemd                stderr without a time, "<priority>" in front, as its journal wants it
//   --embedded             DIR/optjournald.log, rotating: 2 files of 1 MiB
//
// Levels: error, data or the service are at risk; warning, someone should look; info, life events;
// debug, every batch.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/result.h"

namespace oj::daemon {

constexpr std::size_t kLogFileBytesMax = 1u << 20;

void start_logging_to_stderr(const std::string& level);
// `lines`, the last thing a daemon says that cannot serve, as they go to stderr: for systemd's
// journal each with the priority of an error.
std::string as_errors(const std::string& lines);
// Also sends whatever is written to file descriptor 2 there: what a failed check or a sanitizer
// says on its way out. `group`: whose the file is to be, also after a rotation; -1: leave.
Result<void> start_logging_to_file(const std::string& path, const std::string& level, gid_t group);

// Lets the first of a kind of message through and then one an interval, which says how many were
// left out.
class RepeatLimit {
 public:
  explicit RepeatLimit(std::int64_t interval_ns) : interval_ns_(interval_ns) {}
  bool allow(std::int64_t now_ns) {
    if (last_ns_ != 0 && now_ns - last_ns_ < interval_ns_) {
      ++left_out_;
      return false;
    }
    last_ns_ = now_ns;
    said_left_out_ = left_out_;
    left_out_ = 0;
    return true;
  }
  // How many were left out before the last one allowed.
  std::uint64_t left_out() const { return said_left_out_; }

 private:
  std::int64_t interval_ns_;
  std::int64_t last_ns_ = 0;
  std::uint64_t left_out_ = 0, said_left_out_ = 0;
};

}  // namespace oj::daemon
