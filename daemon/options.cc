// SPDX-License-Identifier: MIT
#include "daemon/options.h"

#include <cctype>
#include <cstdlib>
#include <limits>
#include <vector>

#include <CLI/CLI.hpp>

#include "daemon/exit_codes.h"
#include "daemon/metrics_address.h"

namespace oj::daemon {
namespace {

constexpr const char* kFooter =
    "Examples:\n"
    "  optjournald ./runs                   serve the folder ./runs until SIGTERM or Ctrl-C\n"
    "  optjournald --pool 512M ./runs       with room for more unsynced records\n"
    "  optjournald --sync-window-ms 0 DIR   sync every record at once\n"
    "  optjournald --metrics 9464 DIR       with metrics at http://127.0.0.1:9464/metrics\n"
    "  optjournald --embedded ./runs        in the background, until its last client has gone\n"
    "\n"
    "Exit status:\n"
    "  0  ended as asked, everything published is synced\n"
    "  1  the system said no, or not everything could be synced\n"
    "  2  a wrong option, or DIR is no journal\n"
    "  3  another daemon serves DIR\n"
    "  4  not enough shared memory or disk\n"
    "  5  the journal is damaged; nothing was changed\n"
    "  6  the journal was written by another version\n"
    "\n"
    "SIGTERM or SIGINT: syncs what is published, then ends. Workers may stay; the next daemon "
    "takes them over.";

constexpr std::uint64_t kKiB = 1024, kMiB = 1024 * kKiB, kGiB = 1024 * kMiB;
constexpr std::int64_t kIdleExitMsMax = 24 * 3600 * 1000;

struct Range {
  std::uint64_t low, high;
  const char* unit;
};

std::string written(std::uint64_t value, const Range& range) {
  if (std::string(range.unit) != "bytes") return std::to_string(value);
  if (value >= kGiB && value % kGiB == 0) return std::to_string(value / kGiB) + "G";
  if (value >= kMiB && value % kMiB == 0) return std::to_string(value / kMiB) + "M";
  if (value >= kKiB && value % kKiB == 0) return std::to_string(value / kKiB) + "K";
  return std::to_string(value);
}

// The complaint about `text`, or nothing and the value in `out`.
std::string parse_in(const Range& range, const std::string& text, std::uint64_t& out) {
  const bool bytes = std::string(range.unit) == "bytes";
  const std::string wanted =
      "give " + written(range.low, range) + " .. " + written(range.high, range) + " " + range.unit;
  Result<std::uint64_t> value = parse_bytes(text);
  if (!value || (!bytes && !std::isdigit(static_cast<unsigned char>(text.back())))) {
    return "'" + text + "' is not a number" + (bytes ? " with K, M or G" : "") + ": " + wanted;
  }
  if (*value < range.low || *value > range.high) return text + " is out of range: " + wanted;
  out = *value;
  return {};
}

// Adds an option whose value lies in `range`; a wrong one is an error that names option, value and
// range.
void add_number(CLI::App& app, const std::string& name, const std::string& what, const Range& range,
                std::uint64_t& out) {
  app.add_option_function<std::string>(
         name,
         [name, range, &out](const std::string& text) {
           std::string complaint = parse_in(range, text, out);
           if (!complaint.empty()) throw CLI::ValidationError(name, complaint);
         },
         what)
      ->type_name(std::string(range.unit) == "bytes" ? "BYTES" : "MS");
}

std::string or_root(const char* variable, const char* otherwise) {
  const char* root = std::getenv(variable);
  return root != nullptr && *root != '\0' ? root : otherwise;
}

// A service's places, unless they were given. Returns a complaint or "".
std::string apply_service(Options& options) {
  if (options.service.empty()) return {};
  for (const char c : options.service) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '-' && c != '_' && c != '.') {
      return "--service: '" + options.service +
             "' is no name: use letters, digits, '-', '_' and '.'";
    }
  }
  if (options.service.front() == '.' || options.service.size() > 64) {
    return "--service: '" + options.service +
           "' is no name: at most 64 characters, the first not '.'";
  }
  if (options.folder.empty()) {
    options.folder =
        or_root("OPTJOURNAL_STATE_ROOT", "/var/lib/optjournal") + "/" + options.service;
  }
  if (options.runtime_folder.empty()) {
    options.runtime_folder =
        or_root("OPTJOURNAL_RUNTIME_ROOT", "/run/optjournal") + "/" + options.service;
  }
  return {};
}

Parsed usage_error(const std::string& complaint) {
  return {Printed{kExitUsage, "optjournald: " + complaint + "\nTry 'optjournald --help'.\n"}, {}};
}

}  // namespace

Result<std::uint64_t> parse_bytes(const std::string& text) {
  const Error wrong{Code::kInvalid, "'" + text + "' is not a number with K, M or G"};
  std::size_t at = 0;
  std::uint64_t value = 0;
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
    const auto digit = static_cast<std::uint64_t>(text[at] - '0');
    if (value > (kMax - digit) / 10) return wrong;
    value = value * 10 + digit;
  }
  if (at == 0) return wrong;
  if (at == text.size()) return value;
  std::uint64_t unit = 0;
  switch (std::toupper(static_cast<unsigned char>(text[at]))) {
    case 'K': unit = kKiB; break;
    case 'M': unit = kMiB; break;
    case 'G': unit = kGiB; break;
    default: return wrong;
  }
  const std::string rest = text.substr(at + 1);
  if (!rest.empty() && rest != "B" && rest != "iB") return wrong;
  if (value > kMax / unit) return wrong;
  return value * unit;
}

Parsed parse_options(int argc, const char* const* argv) {
  Parsed parsed;
  Options& options = parsed.options;
  CLI::App app{"optjournald: serves the journal in DIR, which is created if absent.",
               "optjournald"};
  app.footer(kFooter);
  app.set_version_flag("--version", std::string("optjournald " OPTJOURNAL_VERSION));
  app.add_option("DIR", options.folder, "the journal's folder")->type_name("");
  app.add_flag("--embedded", options.embedded,
               "go to the background, print READY once serving, write to DIR/optjournald.log, and "
               "end when idle");
  std::uint64_t idle_exit = 0, window = static_cast<std::uint64_t>(options.sync_window_ms);
  add_number(app, "--idle-exit",
             "end this long after the last client has gone (--embedded: 2000; else never)",
             {0, kIdleExitMsMax, "ms"}, idle_exit);
  app.add_option("--runtime-folder", options.runtime_folder,
                 "where socket and region lie: a folder on a tmpfs (default: in the user's runtime "
                 "folder, else under "
                 "/dev/shm)")
      ->type_name("PATH");
  add_number(app, "--pool",
             "shared memory for records (default: 128M, or what a third of the free tmpfs allows)",
             {256 * kKiB, 16 * kGiB, "bytes"}, options.pool_bytes);
  add_number(app, "--segment-min", "size of the first segment file (default: 1M)",
             {64 * kKiB, kGiB, "bytes"}, options.segment_bytes_min);
  add_number(app, "--segment-max", "size up to which segment files grow (default: 64M)",
             {64 * kKiB, 4 * kGiB, "bytes"}, options.segment_bytes_max);
  add_number(app, "--sync-window-ms",
             "how long a record may wait for others to be synced with (default: 20); a worker that "
             "waits for the disk "
             "ends the wait",
             {0, static_cast<std::uint64_t>(kSyncWindowMsMax), "ms"}, window);
  app.add_option("--log-level", options.level, "what is told (default: info)")
      ->type_name("LEVEL")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}));
  app.add_option_function<std::string>(
         "--metrics",
         [&options](const std::string& text) {
           const Result<std::string> address = parse_metrics_address(text);
           if (!address) throw CLI::ValidationError("--metrics", address.error().message);
           options.metrics = *address;
         },
         "serve Prometheus metrics at http://ADDRESS:PORT/metrics (default: off; ADDRESS: "
         "127.0.0.1)")
      ->type_name("[ADDRESS:]PORT");
  app.add_option("--service", options.service,
                 "serve optjournal://NAME: DIR is /var/lib/optjournal/NAME, the runtime folder "
                 "/run/optjournal/NAME, "
                 "unless given")
      ->type_name("NAME");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return {Printed{kExitOk, app.help()}, {}};
  } catch (const CLI::CallForVersion&) {
    return {Printed{kExitOk, "optjournald " OPTJOURNAL_VERSION "\n"}, {}};
  } catch (const CLI::Error& error) {
    return usage_error(error.what());
  }
  if (std::string complaint = apply_service(options); !complaint.empty())
    return usage_error(complaint);
  if (options.folder.empty()) return usage_error("DIR is missing: which folder?");
  if (options.segment_bytes_min > options.segment_bytes_max) {
    return usage_error("--segment-min: " + std::to_string(options.segment_bytes_min) +
                       " bytes is more than --segment-max, " +
                       std::to_string(options.segment_bytes_max) + " bytes");
  }
  options.sync_window_ms = static_cast<std::int64_t>(window);
  if (app.count("--idle-exit") > 0) {
    options.idle_exit_ms = static_cast<std::int64_t>(idle_exit);
  } else if (options.embedded) {
    options.idle_exit_ms = 2000;
  }
  return parsed;
}

}  // namespace oj::daemon
