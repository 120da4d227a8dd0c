// The command line of optjournald.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace oj::daemon {

constexpr std::int64_t kSyncWindowMsMax = 50;  // nothing published stays unsynced longer than this

struct Options {
  std::string folder;
  bool embedded = false;
  std::optional<std::int64_t> idle_exit_ms;  // unset: never; --embedded sets it
  std::string runtime_folder;                // empty: chosen, see runtime_folder.h
  std::uint64_t pool_bytes = 0;              // 0: by what is free
  std::uint64_t segment_bytes_min = 1u << 20;
  std::uint64_t segment_bytes_max = 64u << 20;
  std::int64_t sync_window_ms = 20;
  std::string metrics;         // empty: off; else as parse_metrics_address() returns it
  std::string level = "info";  // spdlog's name
  std::string service;         // empty: none
};

// What to do instead of serving: print and end.
struct Printed {
  int exit_code = 0;
  std::string text;  // to stdout if exit_code is 0, else to stderr
};

struct Parsed {
  std::optional<Printed> instead;
  Options options;
};
Parsed parse_options(int argc, const char* const* argv);

// "64M" -> 67108864. Digits and one of K, M, G (powers of 1024), optionally followed by B or iB.
// kInvalid with the text that is wrong.
Result<std::uint64_t> parse_bytes(const std::string& text);

}  // namespace oj::daemon
