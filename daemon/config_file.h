// The daemon's configuration file: TOML, one key an option, all at the top.
//
//   pool = "512M"
//   sync-window-ms = 5
//
// What is unknown or wrong is refused with file, line and reason, all of it at once: a service with
// a misspelt limit must not run without it.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "base/result.h"
#include "daemon/option_table.h"

namespace oj::daemon {

enum class IfAbsent { kRefuse, kNothing };

// kInvalid: one line a complaint. kIo: it cannot be read.
Result<GivenOptions> read_config(const std::string& path, IfAbsent if_absent);

// A file that says what `options` say: each option with its explanation; those that are not in
// `given`, and so have their defaults, commented out.
std::string config_text(const Options& options, const GivenOptions& given);

}  // namespace oj::daemon
