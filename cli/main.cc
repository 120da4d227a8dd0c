// The program `optjournal`: looks into a journal, live or at rest.
//
// SPDX-License-Identifier: MIT
#include <clocale>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/clock.h"
#include "cli/exit_code.h"
#include "cli/output.h"
#include "cli/point_in_time.h"
#include "cli/spelling.h"
#include "cli/text.h"
#include "cli/values.h"
#include "cli/verbs.h"
#include "libclient/session.h"
#include "schema/orphan_policy.h"

namespace {

using oj::Result;
using oj::cli::Exit;
using oj::cli::Output;
using oj::cli::When;

constexpr const char* kLocationHelp = "The journal: a folder, or optjournal://NAME for a service";

constexpr double kTimeoutSecondsMax = 86'400;

constexpr const char* kProgramFooter = R"(
Examples:
  optjournal status ./runs              who is attached, how full, how far
  optjournal tail -f ./runs             watch every record as it is published
  optjournal top ./runs                 workers, studies and daemon, live
  optjournal studies ./runs             what studies there are
  optjournal trials ./runs digits       the trials of study "digits"
  optjournal orphans ./runs digits      what becomes of trials of workers that died
  optjournal dashboard ./runs           optuna-dashboard, in a browser
  optjournal doctor ./runs              look for the usual troubles
  optjournal stop ./runs                sync everything and end the daemon
  optjournal VERB --help                options and examples of a verb

Exit codes:
  0  done                               4  not within the time given: try again
  1  the system said no (I/O, rights)   5  refused: workers are attached
  2  wrong flags or arguments           6  written by a newer version
  3  no journal, study or daemon there  7  damaged data
  8  doctor: something is strange       9  doctor: something is wrong

Nothing but `stop`, `orphans` with a POLICY and what is written in the `dashboard` changes
anything; no journal is ever created.
Colour: on a terminal, unless NO_COLOR is set; see --color.)";

struct Parsed {
  oj::cli::TailOptions tail;
  oj::cli::TopOptions top;
  oj::cli::StatusOptions status;
  oj::cli::StudiesOptions studies;
  oj::cli::TrialsOptions trials;
  oj::cli::OrphansOptions orphans;
  oj::cli::StopOptions stop;
  oj::cli::DoctorOptions doctor;
  Exit verdict = Exit::kOk;  // of doctor
  oj::cli::DashboardOptions dashboard;
  std::string from, study, states, policy, numbers, operations, since, until;  // as typed
  std::uint64_t limit = 0;
  When color = When::kAuto;
  std::optional<std::string> location;  // of whatever verb
  std::function<Result<void>(Output&)> run;
};

// Options as "--from SEQ" alone: what CLI11 adds of its own (types, "REQUIRED", "Excludes: ...") is
// in our texts.
class HelpFormat : public CLI::Formatter {
 public:
  HelpFormat() {
    column_width(28);
    label("SUBCOMMAND", "VERB");
    label("Positionals", "Arguments");
  }
  std::string make_option_opts(const CLI::Option* option) const override {
    const std::string value = option->get_type_name();
    return option->get_positional() || value.empty() ? "" : " " + value;
  }
};

bool is_count(const std::string& text) {
  return !text.empty() && text.size() <= 18 &&
         text.find_first_not_of("0123456789") == std::string::npos;
}

std::string check_seconds(const std::string& text) {
  double seconds = 0;
  const bool fits =
      CLI::detail::lexical_cast(text, seconds) && seconds >= 0 && seconds <= kTimeoutSecondsMax;
  return fits ? ""
              : fmt::format("\"{}\" is no number of seconds from 0 to {}", oj::cli::shown(text),
                            kTimeoutSecondsMax);
}

std::string check_interval(const std::string& text) {
  double seconds = 0;
  const bool fits = CLI::detail::lexical_cast(text, seconds) && seconds >= 0.1 && seconds <= 3600;
  return fits
             ? ""
             : fmt::format("\"{}\" is no number of seconds from 0.1 to 3600", oj::cli::shown(text));
}

std::string check_color(const std::string& text) {
  if (text == "auto" || text == "always" || text == "never") return {};
  return fmt::format("\"{}\" is neither auto, nor always, nor never", oj::cli::shown(text));
}

std::string check_count(const std::string& text) {
  return is_count(text) ? "" : fmt::format("\"{}\" is no count", oj::cli::shown(text));
}

std::string check_from(const std::string& text) {
  if (text == "start" || text == "now" || is_count(text)) return {};
  return fmt::format("\"{}\" is neither a record's number, nor start, nor now",
                     oj::cli::shown(text));
}

std::string check_port(const std::string& text) {
  if (is_count(text) && text.size() <= 5 && std::stoul(text) <= 65535) return {};
  return fmt::format("\"{}\" is no port from 0 to 65535", oj::cli::shown(text));
}

CLI::App* add_verb(CLI::App& app, const char* name, const char* what) {
  return app.add_subcommand(name, what)->group("Verbs");
}

void add_location(CLI::App& verb, std::string& location) {
  verb.add_option("LOCATION", location, kLocationHelp)->type_name("")->required();
}

// "complete,pruned" -> states; throws CLI::ValidationError naming the word that is none.
std::vector<oj::schema::TrialState> parse_states(const std::string& text) {
  std::vector<oj::schema::TrialState> states;
  for (const std::string& word : CLI::detail::split(text, ',')) {
    const auto state = oj::cli::state_of_name(word);
    if (!state) {
      throw CLI::ValidationError(
          "--state", fmt::format("\"{}\" is no state: RUNNING, COMPLETE, PRUNED, FAIL, WAITING",
                                 oj::cli::shown(word)));
    }
    states.push_back(*state);
  }
  return states;
}

// Throws CLI::ValidationError naming the word that is wrong.
void parse_filter(const Parsed& parsed, const CLI::App& verb, oj::cli::RecordFilter& filter) {
  if (verb.count("--state") > 0) filter.states = parse_states(parsed.states);
  if (verb.count("--trial") > 0) {
    for (const std::string& word : CLI::detail::split(parsed.numbers, ',')) {
      if (!is_count(word)) throw CLI::ValidationError("--trial", check_count(word));
      filter.trials.push_back(std::stoull(word));
    }
  }
  if (verb.count("--op") > 0) {
    filter.operations = CLI::detail::split(parsed.operations, ',');
    for (const std::string& name : filter.operations) {
      if (auto known = oj::cli::check_operation_name(name); !known)
        throw CLI::ValidationError("--op", known.error().message);
    }
  }
  const std::int64_t now_us = oj::utc_us();
  const auto point = [&](const char* option, const std::string& text) {
    auto time_us = oj::cli::point_in_time(text, now_us);
    if (!time_us) throw CLI::ValidationError(option, time_us.error().message);
    return *time_us;
  };
  if (verb.count("--since") > 0) filter.since_us = point("--since", parsed.since);
  if (verb.count("--until") > 0) filter.until_us = point("--until", parsed.until);
  if (filter.since_us && filter.until_us && *filter.since_us >= *filter.until_us)
    throw CLI::ValidationError(
        "--until", fmt::format("\"{}\" is not after --since", oj::cli::shown(parsed.until)));
}

void add_tail(CLI::App& app, Parsed& parsed) {
  CLI::App* verb = add_verb(app, "tail", "Print records, one line each; with -f live");
  auto& options = parsed.tail;
  verb->add_flag("-f,--follow", options.follow,
                 "Go on: print records as they are published, across restarts of the daemon");
  CLI::Option* lines =
      verb->add_option("-n,--lines", options.lines, "The last N records (default 10)")
          ->type_name("N")
          ->check(CLI::Validator(check_count, ""));
  verb->add_option("--from", parsed.from,
                   "From record SEQ on, from the start, or only what is new (now)")
      ->type_name("SEQ|start|now")
      ->check(CLI::Validator(check_from, ""))
      ->excludes(lines);
  verb->add_option("--study", parsed.study, "Only records of this study")->type_name("NAME");
  verb->add_option("--trial", parsed.numbers, "Only of trials with these numbers in their study")
      ->type_name("NUMBER[,NUMBER...]");
  verb->add_option("--op", parsed.operations, "Only these operations, for instance createTrial")
      ->type_name("NAME[,NAME...]");
  verb->add_option("--state", parsed.states,
                   "Only what brings a trial into one of these states, for instance fail,pruned")
      ->type_name("STATE[,STATE...]");
  verb->add_option("--worker", options.filter.workers,
                   "Only of this worker: pid, command, or command[pid]; may be repeated")
      ->type_name("WORKER")
      ->allow_extra_args(false);
  verb->add_option("--since", parsed.since, "Only records written at this time or later")
      ->type_name("TIME");
  verb->add_option("--until", parsed.until, "Only records written before; -f ends then")
      ->type_name("TIME");
  verb->add_flag("--json", options.json, "One JSON object a line");
  add_location(*verb, options.location);
  verb->footer(R"(
Examples:
  optjournal tail ./runs                     the last 10 records
  optjournal tail -f ./runs                  the same, then live, until Ctrl-C
  optjournal tail --from start --study digits ./runs
  optjournal tail -f --from now --json ./runs | jq -c '.operations[].operation'
  optjournal tail -f --state fail,pruned ./runs
  optjournal tail --since 10m --worker train.py[4711] ./runs

A record is printed if one of its operations fits all filters. TIME: 2026-11-23T18:10 (local, or
with Z or +01:00 behind), 18:10 (today), 10m (ago; s, m, h, d); it is held against the time that
the record shows, its writer's clock. --since alone begins at the start.

Without a daemon the folder is read as it is on disk; with -f, until one serves it.
In JSON, NaN and infinities are the strings "NaN", "Infinity" and "-Infinity".)");
  verb->callback([&parsed, verb] {
    auto& o = parsed.tail;
    if (verb->count("--study") > 0) o.filter.study = parsed.study;
    parse_filter(parsed, *verb, o.filter);
    if (parsed.from == "start" ||
        (parsed.from.empty() && o.filter.since_us && verb->count("-n") == 0))
      o.from = oj::cli::TailOptions::From::kStart;
    else if (parsed.from == "now")
      o.from = oj::cli::TailOptions::From::kNow;
    else if (!parsed.from.empty()) {
      o.from = oj::cli::TailOptions::From::kSeq;
      o.seq = std::stoull(parsed.from);
    }
    parsed.location = o.location;
    parsed.run = [&o](Output& out) { return oj::cli::tail(o, out); };
  });
}

void add_top(CLI::App& app, Parsed& parsed) {
  CLI::App* verb = add_verb(app, "top", "Workers, studies and daemon on one screen, live");
  auto& options = parsed.top;
  verb->add_flag("--once", options.once, "Print it once, with rates of one interval, and end");
  verb->add_flag("--json", options.json, "One JSON object a line, each interval");
  verb->add_option("--interval", options.interval_s, "Seconds between looks (default 1)")
      ->type_name("SECONDS")
      ->check(CLI::Validator(check_interval, ""));
  add_location(*verb, options.location);
  verb->footer(R"(
Examples:
  optjournal top ./runs
  optjournal top --once ./runs
  optjournal top --json --interval 5 optjournal://shared

Keys: q quit, s sort, / filter, h help.)");
  verb->callback([&parsed] {
    parsed.location = parsed.top.location;
    parsed.run = [&parsed](Output& out) { return oj::cli::top(parsed.top, out); };
  });
}

void add_status(CLI::App& app, Parsed& parsed) {
  CLI::App* verb =
      add_verb(app, "status", "Who serves and uses a journal, how full and how far it is");
  verb->add_flag("--json", parsed.status.json, "One JSON object");
  add_location(*verb, parsed.status.location);
  verb->footer(R"(
Examples:
  optjournal status ./runs
  optjournal status optjournal://shared
  optjournal status --json ./runs | jq '.workers[].pid'

If no daemon serves the journal, this says so, shows what is on disk, and exits with 0.)");
  verb->callback([&parsed] {
    parsed.location = parsed.status.location;
    parsed.run = [&parsed](Output& out) { return oj::cli::status(parsed.status, out); };
  });
}

void add_studies(CLI::App& app, Parsed& parsed) {
  CLI::App* verb =
      add_verb(app, "studies", "The studies of a journal: trials by state, best value");
  verb->add_flag("--json", parsed.studies.json, "A JSON array, one study a line");
  add_location(*verb, parsed.studies.location);
  verb->footer(R"(
Examples:
  optjournal studies ./runs
  optjournal studies --json ./runs | jq -r '.[].name')");
  verb->callback([&parsed] {
    parsed.location = parsed.studies.location;
    parsed.run = [&parsed](Output& out) { return oj::cli::studies(parsed.studies, out); };
  });
}

void add_trials(CLI::App& app, Parsed& parsed) {
  CLI::App* verb = add_verb(app, "trials", "The trials of a study as a table, JSON or CSV");
  auto& options = parsed.trials;
  CLI::Option* json = verb->add_flag("--json", options.json,
                                     "A JSON array, one trial a line, with everything it has");
  verb->add_flag("--csv", options.csv, "CSV (RFC 4180), times in UTC, numbers exact")
      ->excludes(json);
  verb->add_flag("--attrs", options.attrs, "Also the user attributes (table and CSV)");
  verb->add_option("--state", parsed.states,
                   "Only trials in these states, for instance complete,pruned")
      ->type_name("STATE[,STATE...]");
  verb->add_option("--limit", parsed.limit, "The newest N trials only")
      ->type_name("N")
      ->check(CLI::Validator(check_count, ""));
  add_location(*verb, options.location);
  verb->add_option("STUDY", parsed.study,
                   "The study's name; may be left out if the journal has one study")
      ->type_name("");
  verb->footer(R"(
Examples:
  optjournal trials ./runs digits
  optjournal trials --state running,waiting ./runs digits
  optjournal trials --csv ./runs digits > digits.csv
  optjournal trials --json ./runs digits | jq '.[] | select(.orphan)'

An orphan is a RUNNING trial whose worker died.)");
  verb->callback([&parsed, verb] {
    auto& o = parsed.trials;
    if (verb->count("STUDY") > 0) o.study = parsed.study;
    if (verb->count("--limit") > 0) o.limit = parsed.limit;
    if (verb->count("--state") > 0) o.states = parse_states(parsed.states);
    parsed.location = o.location;
    parsed.run = [&o](Output& out) { return oj::cli::trials(o, out); };
  });
}

void add_orphans(CLI::App& app, Parsed& parsed) {
  CLI::App* verb = add_verb(app, "orphans", "What becomes of a study's trials whose workers died");
  auto& options = parsed.orphans;
  verb->add_flag("--json", options.json, "A JSON array, one study a line");
  add_location(*verb, options.location);
  verb->add_option("STUDY", parsed.study, "The study's name; left out: all studies")->type_name("");
  verb->add_option("POLICY", parsed.policy,
                   "To set: keep, fail, retry:N, optuna; or unset: the daemon's counts")
      ->type_name("");
  verb->footer(R"(
Examples:
  optjournal orphans ./runs                  what counts for each study, and what orphans there are
  optjournal orphans ./runs digits           the study's policy, and what orphans there are
  optjournal orphans ./runs digits retry:3   fail them, and enqueue copies, at most 3 in a row
  optjournal orphans ./runs digits unset     as the daemon was told, which is fail by default

keep leaves them RUNNING; optuna leaves them to optimize() of a storage with a heartbeat_interval.
What a worker said of its own trials when it opened the journal counts more.)");
  verb->callback([&parsed, verb] {
    auto& o = parsed.orphans;
    if (verb->count("STUDY") > 0) o.study = parsed.study;
    if (parsed.policy == "unset") {
      o.policy = oj::schema::OrphanPolicy();
    } else if (verb->count("POLICY") > 0) {
      const auto policy = oj::schema::parse_orphan_policy(parsed.policy);
      if (!policy) throw CLI::ValidationError("POLICY", policy.error().message);
      o.policy = *policy;
    }
    parsed.location = o.location;
    parsed.run = [&o](Output& out) { return oj::cli::orphans(o, out); };
  });
}

void add_stop(CLI::App& app, Parsed& parsed) {
  CLI::App* verb = add_verb(app, "stop", "Ask the daemon to sync everything and end");
  verb->add_option("--timeout", parsed.stop.timeout_s, "Seconds to wait for its end (default 30)")
      ->type_name("SECONDS")
      ->check(CLI::Validator(check_seconds, ""));
  add_location(*verb, parsed.stop.location);
  verb->footer(R"(
Examples:
  optjournal stop ./runs
  optjournal stop --timeout 5 ./runs

Refused, with exit code 5 and their list, while workers are attached.)");
  verb->callback([&parsed] {
    parsed.location = parsed.stop.location;
    parsed.run = [&parsed](Output& out) { return oj::cli::stop(parsed.stop, out); };
  });
}

void add_dashboard(CLI::App& app, Parsed& parsed) {
  CLI::App* verb = add_verb(app, "dashboard", "Serve optuna-dashboard over the journal");
  auto& options = parsed.dashboard;
  verb->add_option("--host", options.host, "Address to listen on (default 127.0.0.1)")
      ->type_name("ADDRESS");
  verb->add_option("--port", options.port, "Port to listen on, 0 for any (default 8080)")
      ->type_name("PORT")
      ->check(CLI::Validator(check_port, ""));
  add_location(*verb, options.location);
  verb->footer(R"(
Examples:
  optjournal dashboard ./runs
  optjournal dashboard --port 9000 ./runs

Prints its address and serves until Ctrl-C; whoever reaches the port may also write. It takes the
Python that $OPTJOURNAL_PYTHON names (set where pip installed this program), or that of
$VIRTUAL_ENV, or python3, which needs: pip install 'optjournal[dashboard]')");
  verb->callback([&parsed] {
    parsed.location = parsed.dashboard.location;
    parsed.run = [&parsed](Output&) { return oj::cli::dashboard(parsed.dashboard); };
  });
}

void add_doctor(CLI::App& app, Parsed& parsed) {
  CLI::App* verb = add_verb(app, "doctor", "Look for the usual troubles, and say what to type");
  verb->add_flag("--json", parsed.doctor.json, "One JSON object");
  add_location(*verb, parsed.doctor.location);
  verb->footer(R"(
Examples:
  optjournal doctor ./runs
  optjournal doctor optjournal://shared
  optjournal doctor --json ./runs | jq -r '.findings[] | select(.verdict != "ok") | .what'

Looks at rights, file system, free space, daemon, shared memory, limits and clock, and reads every
record on disk. Changes nothing. Exits with 0, 8 (a warning) or 9 (a problem), by the worst.)");
  verb->callback([&parsed] {
    parsed.location = parsed.doctor.location;
    parsed.run = [&parsed](Output& out) -> Result<void> {
      auto verdict = oj::cli::doctor(parsed.doctor, out);
      if (!verdict) return verdict.error();
      parsed.verdict = *verdict;
      return {};
    };
  });
}

void add_version(CLI::App& app, Parsed& parsed) {
  CLI::App* verb = add_verb(app, "version", "Versions of program, library and formats");
  verb->footer("\nExamples:\n  optjournal version");
  verb->callback([&parsed] { parsed.run = [](Output& out) { return oj::cli::version(out); }; });
}

int complain(const std::string& message, Exit code) {
  (void)std::fprintf(stderr, "optjournal: %s\n", oj::cli::shown_lines(message).c_str());
  return static_cast<int>(code);
}

int complain_of_verb(const CLI::App& app, const std::string& word) {
  std::vector<std::string> names;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(verb->get_name());
  const std::vector<std::string> near = oj::cli::near_names(word, names);
  return complain(
      fmt::format("there is no verb \"{}\"{}\nTry `optjournal --help`.", word,
                  near.empty() ? "" : fmt::format("; did you mean `{}`?", near.front())),
      Exit::kUsage);
}

int run(const Parsed& parsed) {
  if (parsed.location) {
    if (auto location = oj::client::parse_location(*parsed.location); !location) {
      return complain(location.error().message, Exit::kUsage);
    }
  }
  Output out(parsed.color);
  Result<void> done = parsed.run(out);
  // What was printed before a failure is part of the answer.
  Result<void> flushed = out.flush();
  if (out.reader_gone()) return static_cast<int>(Exit::kReaderGone);
  if (done && !flushed) done = flushed.error();
  return done ? static_cast<int>(parsed.verdict)
              : complain(done.error().message, oj::cli::exit_of(done.error()));
}

int parse_and_run(int argc, char** argv) {
  CLI::App app(
      "Looks into an optjournal: a journal of Optuna studies in shared memory and on disk.",
      "optjournal");
  Parsed parsed;
  bool version_wanted = false;
  std::string color = "auto";
  app.fallthrough();
  app.footer(kProgramFooter);
  app.formatter(std::make_shared<HelpFormat>());
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.add_flag("--version", version_wanted, "Print the versions, as the verb does, and exit");
  app.add_option("--color", color, "Colour: auto (default), always or never")
      ->type_name("WHEN")
      ->check(CLI::Validator(check_color, ""));
  add_tail(app, parsed);
  add_top(app, parsed);
  add_status(app, parsed);
  add_studies(app, parsed);
  add_trials(app, parsed);
  add_orphans(app, parsed);
  add_stop(app, parsed);
  add_dashboard(app, parsed);
  add_doctor(app, parsed);
  add_version(app, parsed);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    // CLI11 would ask the verb that was named; fallthrough makes that this app's business.
    const auto verbs = app.get_subcommands();
    (void)std::fputs(verbs.empty() ? app.help().c_str() : verbs.front()->help("optjournal").c_str(),
                     stdout);
    return 0;
  } catch (const CLI::ParseError& error) {
    const auto verbs = app.get_subcommands();
    if (verbs.empty() && argc > 1 && argv[1][0] != '-') return complain_of_verb(app, argv[1]);
    const std::string hint = verbs.empty() ? "" : " " + verbs.front()->get_name();
    return complain(fmt::format("{}\nTry `optjournal{} --help`.", error.what(), hint),
                    Exit::kUsage);
  }
  parsed.color = color == "always" ? When::kAlways : color == "never" ? When::kNever : When::kAuto;
  if (version_wanted) parsed.run = [](Output& out) { return oj::cli::version(out); };
  if (!parsed.run) return complain("which verb? Try `optjournal --help`.", Exit::kUsage);
  return run(parsed);
}

}  // namespace

int main(int argc, char** argv) {
  // For the width of characters only; numbers are never written by a locale's rules.
  (void)std::setlocale(LC_CTYPE, "C.UTF-8");
  try {
    return parse_and_run(argc, argv);
  } catch (const std::exception& error) {
    return complain(error.what(), Exit::kWorld);
  }
}
