// Runs a campaign, judges it, and says a line for each check.
//
//   harness [--workers N] [--kills K] [--seed S] [--seconds T] [--python N] [--heavy N]
//           [--rounds N] [--plant] [--lie] [--json FILE]
//
// --rounds  campaigns one after the other, each on a journal of its own with the next seed, until N
//           or, with --duration SECONDS, until that time has passed
// --lie     workers acknowledge before they append: a fault, to be found
// --plant   after a clean run, shows the oracle that journal with faults in it
//
// The environment has OPTJOURNALD, and for --python OJ_PYTHON, an interpreter with optjournal.
//
// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/clock.h"
#include "tests/verify/processes/campaign.h"
#include "tests/verify/processes/judgement.h"

namespace oj::verify {
namespace {

constexpr std::uint64_t kLieRoundsMax = 20;

struct Settings {
  Plan plan;
  double duration_s = 0;
  bool plant = false;
  std::string json;
};

bool line(bool good, const std::string& name, const std::string& figures) {
  std::printf("%s %s: %s\n", good ? "ok" : "FAILED", name.c_str(), figures.c_str());
  std::fflush(stdout);
  return good;
}

// What all rounds came to.
struct Sum {
  std::uint64_t rounds = 0, kills = 0, records = 0, acknowledged = 0, unanswered = 0, inside = 0;
  std::map<std::string, std::uint64_t> kills_by_kind, broken_by_rule;
  std::vector<double> waits_ms, served_again_ms, death_ms;
  std::uint64_t stops = 0;
  double seconds = 0;
};

std::string quantiles(std::vector<double>& values) {
  if (values.empty()) return "none";
  std::sort(values.begin(), values.end());
  char text[128];
  std::snprintf(text, sizeof text, "p50 %.4f, p99 %.3f, max %.3f ms", values[values.size() / 2],
                values[values.size() * 99 / 100], values.back());
  return text;
}

std::string by_kind(const std::map<std::string, std::uint64_t>& counts) {
  std::string text;
  for (const auto& [kind, times] : counts)
    text += (text.empty() ? "" : ", ") + kind + " " + std::to_string(times);
  return text;
}

class Scratch {
 public:
  Scratch() {
    char pattern[] = "/tmp/oj-verify-XXXXXX";
    if (::mkdtemp(pattern) == nullptr) std::exit(70);
    root_ = pattern;
  }
  ~Scratch() {
    if (!kept_) std::filesystem::remove_all(root_);
  }
  void keep() {  // as evidence
    kept_ = true;
    std::printf("  kept: %s\n", root_.c_str());
  }
  const std::string& root() const { return root_; }
  std::string journal() const { return root_ + "/journal"; }

 private:
  std::string root_;
  bool kept_ = false;
};

std::string judge_trials(const Fleet& fleet, const std::string& journal, bool plant) {
  std::string command = std::string(std::getenv("OJ_PYTHON")) + " " + OJ_SOURCES +
                        "/judge_trials.py " + (plant ? "--plant " : "") + journal;
  for (const auto& [id, member] : fleet.members()) {
    if (member.role != "python") continue;
    command += " " + fleet.diary_path(id) + "=" + std::to_string(id);
    if (member.killed) command += ":killed";
  }
  return command;
}

// Who was killed between an intent and its result.
std::uint64_t killed_inside(const std::map<std::uint64_t, History>& histories) {
  return static_cast<std::uint64_t>(
      std::count_if(histories.begin(), histories.end(), [](const auto& entry) {
        const History& history = entry.second;
        return history.killed && !history.calls.empty() && history.calls.back().returned_ns == 0;
      }));
}

// One campaign and its judgement; false: something was found.
bool round(const Settings& settings, std::uint64_t seed, Sum& sum) {
  Scratch scratch;
  Fleet fleet(scratch.root(), OJ_WORKER, scratch.journal());
  Plan plan = settings.plan;
  plan.seed = seed;
  const Tally tally = Campaign(plan, fleet, scratch.journal()).run();
  bool good = tally.ended || line(false, "end", "a process did not end when asked to");
  if (!tally.skipped_heavy.empty())
    std::printf("skipped heavy victims: tried: %s\n", tally.skipped_heavy.c_str());
  if (!wait_for_deaths(scratch.journal()))
    good = line(false, "deaths", "the daemon still has workers two minutes after the last ended");

  const auto histories = fleet.histories();
  Verdict live = judge(histories, scratch.journal(), Source::kLive);
  const bool stopped = stop_serving(scratch.journal());
  if (!stopped) good = line(false, "stop", "the daemon did not end when asked to");
  Verdict disk = judge(histories, scratch.journal(), Source::kDisk);
  if (plan.lie) {
    sum.kills += tally.total();
    ++sum.rounds;
    return disk.count("lost") == 0;  // not yet found out
  }
  const std::string seed_text = "seed " + std::to_string(seed) + ": ";
  if (!live.clean())
    good = line(false, "journal", seed_text + "through the library: " + live.text());
  if (!disk.clean()) good = line(false, "disk", seed_text + "from disk alone: " + disk.text());
  if (live.records != disk.records)
    good = line(false, "sources", seed_text + "the two readings differ in length");
  if (plan.python > 0 &&
      std::system(judge_trials(fleet, scratch.journal(), settings.plant).c_str()) != 0)
    good = false;
  if (settings.plant && good) good = find_planted(histories, scratch.journal(), seed);

  if (!good) scratch.keep();

  ++sum.rounds;
  sum.kills += tally.total();
  for (const auto& [kind, times] : tally.kills) sum.kills_by_kind[kind] += times;
  for (const auto& [rule, times] : disk.broken) sum.broken_by_rule[rule] += times;
  sum.stops += tally.stops;
  sum.records += disk.records;
  sum.acknowledged += disk.acknowledged;
  sum.unanswered += disk.unanswered;
  sum.seconds += tally.seconds;
  sum.inside += killed_inside(histories);
  for (const double ms : tally.served_again_ms) sum.served_again_ms.push_back(ms);
  for (const double ms : disk.death_ms) sum.death_ms.push_back(ms);
  for (const double ms : waits_ms(histories, fleet)) sum.waits_ms.push_back(ms);
  return good;
}

// Workers that acknowledge before they append are found out by kills, if these come at the moments
// that matter. As many campaigns as it takes.
int find_lie(const Settings& settings) {
  Sum sum;
  const std::uint64_t seed = settings.plan.seed;
  while (sum.rounds < kLieRoundsMax) {
    if (!round(settings, seed + sum.rounds, sum)) {
      line(true, "mutant lie",
           "found after " + std::to_string(sum.kills) + " kills, seed " +
               std::to_string(seed + sum.rounds - 1));
      return 0;
    }
  }
  line(false, "mutant lie", "not found in " + std::to_string(sum.kills) + " kills");
  return 1;
}

void write_json(const std::string& path, std::uint64_t seed, const Sum& sum) {
  if (path.empty()) return;
  std::ofstream file(path);
  file << "{\"seed\": " << seed << ", \"rounds\": " << sum.rounds << ", \"kills\": " << sum.kills
       << ", \"records\": " << sum.records << ", \"acknowledged\": " << sum.acknowledged
       << ", \"unanswered\": " << sum.unanswered << ", \"seconds\": " << sum.seconds
       << ", \"broken\": {";
  const char* between = "";
  for (const auto& [rule, times] : sum.broken_by_rule) {
    file << between << "\"" << rule << "\": " << times;
    between = ", ";
  }
  file << "}}\n";
}

int run(Settings settings) {
  const Deadline end = settings.duration_s > 0
                           ? Deadline::in_ms(static_cast<std::int64_t>(settings.duration_s * 1000))
                           : Deadline::at_once();
  const std::uint64_t seed = settings.plan.seed;
  Sum sum;
  bool good = true;
  do {
    std::printf("seed %llu\n", static_cast<unsigned long long>(seed) + sum.rounds);
    std::fflush(stdout);
    good = round(settings, seed + sum.rounds, sum) && good;
    if (settings.duration_s > 0) {
      std::printf(
          "round %llu: %llu kills, %llu records, %s\n", static_cast<unsigned long long>(sum.rounds),
          static_cast<unsigned long long>(sum.kills), static_cast<unsigned long long>(sum.records),
          good ? "nothing found" : "something was FOUND, see above");
      std::fflush(stdout);
    }
  } while (good && !end.passed());

  char bound[64];
  std::snprintf(bound, sizeof bound, "< %.5f a kill at 95 %%",
                3.0 / static_cast<double>(sum.kills));
  // In one line, good or not.
  line(good, "result",
       "seed " + std::to_string(seed) + (sum.rounds > 1 ? " and following" : "") + ": " +
           std::to_string(sum.kills) + " kills, " + std::to_string(sum.broken_by_rule["lost"]) +
           " losses, " + std::to_string(sum.broken_by_rule["doubled"]) +
           " duplicates; waits of a process in one append: " + quantiles(sum.waits_ms));
  if (good) {
    line(true, "kills",
         std::to_string(sum.kills) + " (" + by_kind(sum.kills_by_kind) + ") and " +
             std::to_string(sum.stops) + " stops in " +
             std::to_string(static_cast<int>(sum.seconds)) + " s; 0 losses in " +
             std::to_string(sum.kills) + ", " + bound);
    line(true, "journal",
         std::to_string(sum.acknowledged) + " acknowledged records, each once, whole, in order; " +
             std::to_string(sum.unanswered) + " more whose worker died before it was told; " +
             std::to_string(sum.inside) + " died inside a call");
    line(true, "waits",
         "of one published append, its process not stopped: " + quantiles(sum.waits_ms));
    line(true, "deaths", "from SIGKILL to SessionEnded{died}: " + quantiles(sum.death_ms));
    if (!sum.served_again_ms.empty())
      line(true, "daemon",
           "from its SIGKILL to the next one's answer: " + quantiles(sum.served_again_ms));
  }
  write_json(settings.json, seed, sum);
  return good ? 0 : 1;
}

Settings parse(int argc, char** argv) {
  Settings settings;
  const char* given = std::getenv("OJ_SEED");
  settings.plan.seed = given != nullptr ? std::strtoull(given, nullptr, 10)
                                        : static_cast<std::uint64_t>(utc_us()) % 1'000'000;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto value = [&] { return i + 1 < argc ? std::string(argv[++i]) : std::string(); };
    if (word == "--workers")
      settings.plan.workers = std::stoull(value());
    else if (word == "--kills")
      settings.plan.kills = std::stoull(value());
    else if (word == "--seed")
      settings.plan.seed = std::stoull(value());
    else if (word == "--seconds")
      settings.plan.seconds_max = std::stod(value());
    else if (word == "--python")
      settings.plan.python = std::stoull(value());
    else if (word == "--heavy")
      settings.plan.heavy = std::stoull(value());
    else if (word == "--duration")
      settings.duration_s = std::stod(value());
    else if (word == "--plant")
      settings.plant = true;
    else if (word == "--lie")
      settings.plan.lie = true;
    else if (word == "--json")
      settings.json = value();
    else {
      std::fprintf(stderr, "harness: unknown: %s\n", word.c_str());
      std::exit(2);
    }
  }
  if (const char* python = std::getenv("OJ_PYTHON")) settings.plan.python_program = python;
  settings.plan.zygote_program = std::string(OJ_SOURCES) + "/zygote.py";
  settings.plan.say = [](const std::string& text) {
    std::printf("  %s\n", text.c_str());
    std::fflush(stdout);
  };
  return settings;
}

}  // namespace
}  // namespace oj::verify

int main(int argc, char** argv) {
  const oj::verify::Settings settings = oj::verify::parse(argc, argv);
  return settings.plan.lie ? oj::verify::find_lie(settings) : oj::verify::run(settings);
}
