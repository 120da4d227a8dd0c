// The options of optjournald that have a value, each described once: for the command line, for
// configuration files and for --print-config.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "daemon/options.h"

namespace oj::daemon {

struct OptionEntry {
  std::string name;      // --name on the command line, name in a file
  std::string places;    // in --help, for what to write: BYTES, MS, LEVEL; "" for the argument DIR
  std::string help;      // a phrase; --help and --print-config add range and default
  std::string wanted;    // what may be given: "0 .. 50 ms"; "" for any text
  bool is_text = false;  // in a file: in quotes, never a number
  // Takes over the value in `text`. A complaint, or "".
  std::function<std::string(const std::string& text, Options&)> set;
  // The value in a form that `set` takes.
  std::function<std::string(const Options&)> shown;
};

const std::vector<OptionEntry>& option_table();
const OptionEntry* find_option(const std::string& name);  // null: there is none

// Values by the names of their options, as somebody wrote them.
struct Given {
  std::string text;
  std::string origin;  // "--pool", or "FILE, line 3: pool": what a complaint begins with
};
using GivenOptions = std::map<std::string, Given>;

// "64M" -> 67108864. Digits and one of K, M, G (powers of 1024), optionally followed by B or iB.
// kInvalid with the text that is wrong.
Result<std::uint64_t> parse_bytes(const std::string& text);

}  // namespace oj::daemon
