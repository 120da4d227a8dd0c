// What optjournald is told, on the command line and in a configuration file.
//
//   command line  >  --config FILE, or /etc/optjournal/NAME.toml with --service NAME  >  default
//
// The options themselves, one entry each, are in option_table.cc: whoever adds one adds a member
// here and an entry there, and a paragraph to docs/man/optjournald.1; tests hold the page to it.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "schema/operation.h"

namespace oj::daemon {

constexpr std::int64_t kSyncWindowMsMax = 50;  // nothing published stays unsynced longer than this

// The initial values are the defaults that --help and --print-config show.
struct Options {
  std::string folder;
  bool embedded = false;
  std::optional<std::int64_t> idle_exit_ms;  // unset: never; --embedded sets it
  std::string runtime_folder;                // empty: chosen, see runtime_folder.h
  std::uint64_t pool_bytes = 0;              // 0: by what is free
  std::uint64_t segment_bytes_min = 1u << 20;
  std::uint64_t segment_bytes_max = 64u << 20;
  std::int64_t sync_window_ms = 20;
  schema::OrphanPolicy orphans{schema::OrphanPolicy::Kind::kFail};
  std::int64_t orphan_grace_ms = 0;
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

}  // namespace oj::daemon
