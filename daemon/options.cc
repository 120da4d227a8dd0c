// SPDX-License-Identifier: MIT
#include "daemon/options.h"

#include <cctype>
#include <cstdlib>
#include <utility>

#include <CLI/CLI.hpp>

#include "base/result.h"
#include "daemon/config_file.h"
#include "daemon/exit_codes.h"
#include "daemon/option_table.h"

namespace oj::daemon {
namespace {

constexpr const char* kFooter =
    "Examples:\n"
    "  optjournald ./runs                   serve the folder ./runs until SIGTERM or Ctrl-C\n"
    "  optjournald --pool 512M ./runs       with room for more unsynced records\n"
    "  optjournald --sync-window-ms 0 DIR   sync every record at once\n"
    "  optjournald --metrics 9464 DIR       with metrics at http://127.0.0.1:9464/metrics\n"
    "  optjournald --embedded ./runs        in the background, until its last client has gone\n"
    "  optjournald --service hpo            serve optjournal://hpo\n"
    "  optjournald --print-config           a configuration file to start from\n"
    "  optjournald --orphans retry:2 DIR    trials of killed workers are tried again, twice\n"
    "\n"
    "Exit status:\n"
    "  0  ended as asked, everything published is synced\n"
    "  1  the system said no, or not everything could be synced\n"
    "  2  a wrong option, here or in a file, or DIR is no journal\n"
    "  3  another daemon serves DIR\n"
    "  4  not enough shared memory or disk\n"
    "  5  the journal is damaged; nothing was changed\n"
    "  6  the journal was written by another version\n"
    "\n"
    "SIGTERM or SIGINT: syncs what is published, then ends. Workers may stay; the next daemon "
    "takes them over.";

constexpr std::int64_t kEmbeddedIdleExitMs = 2000;

std::string or_root(const char* variable, const char* otherwise) {
  const char* root = std::getenv(variable);
  return root != nullptr && *root != '\0' ? root : otherwise;
}

// A complaint or "".
std::string check_service(const std::string& name) {
  for (const char c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '-' && c != '_' && c != '.')
      return "--service: '" + name + "' is no name: use letters, digits, '-', '_' and '.'";
  }
  if (!name.empty() && (name.front() == '.' || name.size() > 64))
    return "--service: '" + name + "' is no name: at most 64 characters, the first not '.'";
  return {};
}

std::string state_place(const std::string& service) {
  return or_root("OPTJOURNAL_STATE_ROOT", "/var/lib/optjournal") + "/" + service;
}
std::string runtime_place(const std::string& service) {
  return or_root("OPTJOURNAL_RUNTIME_ROOT", "/run/optjournal") + "/" + service;
}

// A service's places, unless they were given.
void apply_service(Options& options) {
  if (options.service.empty()) return;
  if (options.folder.empty()) options.folder = state_place(options.service);
  if (options.runtime_folder.empty()) options.runtime_folder = runtime_place(options.service);
}

// Workers know a service by its name alone: a file that moves its folders would hide it from them.
// A complaint or "".
std::string check_places(const std::string& service, const GivenOptions& from_file) {
  std::string complaints;
  const auto check = [&](const char* name, const std::string& place, const char* otherwise) {
    const auto found = from_file.find(name);
    if (found == from_file.end() || found->second.text == place) return;
    complaints.append(complaints.empty() ? "" : "\n").append(found->second.origin);
    complaints.append(": '").append(found->second.text).append("' is not where workers of ");
    complaints.append("optjournal://").append(service).append(" look; that is ").append(place);
    complaints.append(otherwise);
  };
  check("folder", state_place(service), ": mount the other disk there");
  check("runtime-folder", runtime_place(service), "");
  return complaints;
}

Parsed usage_error(const std::string& complaint) {
  return {Printed{kExitUsage, "optjournald: " + complaint + "\nTry 'optjournald --help'.\n"}, {}};
}

std::string help_of(const OptionEntry& entry) {
  const std::string otherwise = entry.shown(Options{});
  std::string help = entry.help;
  if (!otherwise.empty()) help.append(" (default: ").append(otherwise).append(")");
  return help;
}

// What the command line says beside the options of the table.
struct Orders {
  std::string config;  // a file; empty: none was named
  bool print_config = false;
};

void describe(CLI::App& app, Options& options, Orders& orders, GivenOptions& given) {
  for (const OptionEntry& entry : option_table()) {
    const bool is_argument = entry.places.empty();
    const std::string name = is_argument ? "DIR" : "--" + entry.name;
    app.add_option_function<std::string>(
           name,
           [&given, &entry, name](const std::string& text) {
             given[entry.name] = {text, name};
           },
           help_of(entry))
        ->type_name(entry.places);
  }
  app.add_flag("--embedded", options.embedded,
               "go to the background, print READY once serving, write to DIR/optjournald.log, and "
               "end when idle");
  app.add_option("--service", options.service,
                 "serve optjournal://NAME: DIR is /var/lib/optjournal/NAME, the runtime folder "
                 "/run/optjournal/NAME, and options are read from /etc/optjournal/NAME.toml if "
                 "that is there, unless given")
      ->type_name("NAME");
  app.add_option("--config", orders.config, "read options from FILE; those given here beat it")
      ->type_name("FILE");
  app.add_flag("--print-config", orders.print_config,
               "print a commented configuration file with what would hold, and end");
}

// What the file says and the command line does not.
Result<void> add_from_file(const Options& options, const Orders& orders, GivenOptions& given) {
  if (orders.config.empty() && options.service.empty()) return {};
  auto from_file = orders.config.empty()
                       ? read_config(or_root("OPTJOURNAL_CONFIG_ROOT", "/etc/optjournal") + "/" +
                                         options.service + ".toml",
                                     IfAbsent::kNothing)
                       : read_config(orders.config, IfAbsent::kRefuse);
  if (!from_file) return from_file.error();
  if (!options.service.empty()) {
    if (std::string complaints = check_places(options.service, *from_file); !complaints.empty())
      return Error{Code::kInvalid, std::move(complaints)};
  }
  given.merge(*from_file);  // keeps what is there
  return {};
}

// Takes over all that is given, and looks at what one option says of another. A complaint or "".
std::string take_over(const GivenOptions& given, Options& options) {
  for (const auto& [name, value] : given) {
    const std::string complaint = find_option(name)->set(value.text, options);
    if (!complaint.empty()) return value.origin + ": " + complaint;
  }
  if (options.segment_bytes_min > options.segment_bytes_max) {
    const auto named = [&given](const std::string& name) {
      const auto found = given.find(name);
      return found == given.end() ? "the default of --" + name : found->second.origin;
    };
    return named("segment-min") + ": " + std::to_string(options.segment_bytes_min) +
           " bytes is more than " + std::to_string(options.segment_bytes_max) + " bytes, " +
           named("segment-max");
  }
  if (options.embedded && !given.contains("idle-exit")) options.idle_exit_ms = kEmbeddedIdleExitMs;
  return {};
}

}  // namespace

Parsed parse_options(int argc, const char* const* argv) {
  Parsed parsed;
  Options& options = parsed.options;
  Orders orders;
  GivenOptions given;
  CLI::App app{"optjournald: serves the journal in DIR, which is created if absent.",
               "optjournald"};
  app.footer(kFooter);
  app.set_version_flag("--version", std::string("optjournald " OPTJOURNAL_VERSION));
  describe(app, options, orders, given);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return {Printed{kExitOk, app.help()}, {}};
  } catch (const CLI::CallForVersion&) {
    return {Printed{kExitOk, "optjournald " OPTJOURNAL_VERSION "\n"}, {}};
  } catch (const CLI::Error& error) {
    return usage_error(error.what());
  }
  if (app.count("--config") > 0 && orders.config.empty())
    return usage_error("--config: '' is no file");
  if (std::string complaint = check_service(options.service); !complaint.empty())
    return usage_error(complaint);
  if (Result<void> read = add_from_file(options, orders, given); !read)
    return usage_error(read.error().message);
  if (std::string complaint = take_over(given, options); !complaint.empty())
    return usage_error(complaint);
  apply_service(options);
  if (orders.print_config) return {Printed{kExitOk, config_text(options, given)}, {}};
  if (options.folder.empty()) return usage_error("DIR is missing: which folder?");
  return parsed;
}

}  // namespace oj::daemon
