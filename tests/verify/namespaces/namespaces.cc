// Life and death of workers whose process numbers say nothing.
//
// Goal    No living worker is taken for dead and no dead one for alive, whatever the numbers are:
//         used again at once, the same in two namespaces, not to be seen from the daemon's.
// Method  Three PID namespaces (one with the outer /proc) beside that of this program. In each a
//         witness that lives throughout and a victim, under the same two numbers everywhere. A
//         cycle kills a victim, reaps it, and starts another one under its very number, while the
//         daemon runs, is stopped, or is dead (the next one is started by some worker, in whichever
//         namespace that is). Then the daemon's status must lose the dead and keep the living. At
//         the end the oracle (section 4) judges the journal: SessionEnded{died} for all who were
//         killed, for nobody else, and no record after it.
//
//   namespaces [--cycles N]      $OJ_SEED, $OPTJOURNALD
//
// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <sstream>
#include <string>

#include "base/check.h"
#include "base/clock.h"
#include "libclient/session.h"
#include "tests/verify/namespaces/stage.h"
#include "tests/verify/processes/judgement.h"

namespace oj::verify {
namespace {

constexpr pid_t kWitness = 1000;  // the numbers, in every namespace
constexpr pid_t kVictim = 2000;
constexpr std::int64_t kWatchdogMs = 60'000;

bool line(bool good, const std::string& name, const std::string& figures) {
  std::printf("%s %s: %s\n", good ? "ok" : "FAILED", name.c_str(), figures.c_str());
  std::fflush(stdout);
  return good;
}

bool eventually(const std::function<bool()>& is_so) {
  const Deadline watchdog = Deadline::in_ms(kWatchdogMs);
  while (!is_so()) {
    if (watchdog.passed()) return false;
    ::usleep(500);
  }
  return true;
}

// The daemon of `journal`, as this namespace numbers it: it sees all the others.
std::optional<pid_t> find_daemon(const std::string& journal) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ostringstream words;
    words << std::ifstream(entry.path() / "cmdline", std::ios::binary).rdbuf();
    const std::string text = words.str();
    if (text.find("--embedded") != std::string::npos && text.find(journal) != std::string::npos)
      return std::stoi(name);
  }
  return std::nullopt;
}

struct Figures {
  std::uint64_t cycles = 0, exact = 0, stopped = 0, daemon_kills = 0;
  std::uint64_t wrong_alive = 0, wrong_dead = 0;  // of the judge by number
  std::set<std::string> daemon_places;            // namespaces in which a daemon ran
  std::vector<double> noticed_ms;                 // from the kill until status has lost it
};

class Play {
 public:
  Play(std::uint64_t seed, std::string root)
      : random_(seed), root_(std::move(root)), journal_(root_ + "/journal") {}

  // False: not allowed here, `reason` says why.
  bool set_up(std::string& reason);
  bool cycle();
  bool close();
  const Figures& figures() const { return figures_; }

 private:
  struct Worker {
    schema::SessionId session = 0;
    std::uint64_t id = 0;
  };
  struct Place {
    std::unique_ptr<Stage> stage;
    Worker witness, victim;
  };
  std::string diary(std::uint64_t id) const { return root_ + "/diary-" + std::to_string(id); }
  std::uint64_t start(Stage& stage, pid_t number);
  bool wait_ready(Worker& worker);
  std::optional<std::set<schema::SessionId>> attached() const;
  bool says(std::uint64_t id, Entry::Kind kind) const;
  void ask_judge_by_number(const Place& place);

  std::mt19937_64 random_;
  const std::string root_, journal_;
  std::vector<Place> places_;
  std::map<std::uint64_t, std::int64_t> killed_us_;  // by worker
  std::uint64_t next_id_ = 1;
  Figures figures_;
};

bool Play::set_up(std::string& reason) {
  for (const Proc proc : {Proc::kOwn, Proc::kOwn, Proc::kShared}) {
    auto stage = Stage::make(proc, reason);
    if (!stage) return false;
    places_.push_back({std::move(stage), {}, {}});
  }
  if (!places_[0].stage->start(kVictim, {"/bin/true"})) {
    reason = "ns_last_pid cannot be written";
    return false;
  }
  places_[0].stage->kill(kVictim);
  return true;
}

std::uint64_t Play::start(Stage& stage, pid_t number) {
  for (;;) {
    const std::uint64_t id = next_id_++;
    if (stage.start(number, {OJ_WORKER, "append", journal_, diary(id), std::to_string(id),
                             "pool=4194304", "burst=4", "pause=20000", "sync=0"})) {
      ++figures_.exact;
      return id;
    }
    killed_us_[id] = utc_us();
  }
}

bool Play::says(std::uint64_t id, Entry::Kind kind) const {
  const auto entries = read_diary(diary(id));
  return std::any_of(entries.begin(), entries.end(),
                     [kind](const Entry& entry) { return entry.kind == kind; });
}

bool Play::wait_ready(Worker& worker) {
  const bool ready = eventually([&] {
    return says(worker.id, Entry::Kind::kResult) || says(worker.id, Entry::Kind::kError);
  });
  const History history = read_history(diary(worker.id));
  if (!ready || history.sessions.empty() || !history.error.empty())
    return line(false, "attach", "a worker did not get to append: " + history.error);
  worker.session = history.sessions.back();
  return true;
}

// Sessions that the daemon has; none: nobody serves at this moment.
std::optional<std::set<schema::SessionId>> Play::attached() const {
  const auto status = client::daemon_status(journal_);
  if (!status) return std::nullopt;
  std::set<schema::SessionId> sessions;
  for (const auto& worker : status->workers) sessions.insert(worker.session);
  return sessions;
}

// A planted fault: whoever asks for the number that the status shows is told about somebody else.
void Play::ask_judge_by_number(const Place& place) {
  if (place.stage->number_is_taken(kVictim)) ++figures_.wrong_alive;  // its session is dead
  const auto status = client::daemon_status(journal_);
  if (!status) return;
  for (const auto& worker : status->workers) {
    const bool lives = worker.session == place.witness.session;
    if (lives && ::kill(static_cast<pid_t>(worker.pid), 0) != 0) ++figures_.wrong_dead;
  }
}

bool Play::cycle() {
  ++figures_.cycles;
  Place& place = places_[random_() % places_.size()];
  for (Worker* worker : {&place.witness, &place.victim}) {
    if (worker->id != 0) continue;
    worker->id = start(*place.stage, worker == &place.witness ? kWitness : kVictim);
    if (!wait_ready(*worker)) return false;
  }
  const std::uint64_t what = random_() % 8;  // 0: the daemon dies, too; 1 to 3: it is stopped
  const auto daemon = find_daemon(journal_);
  if (!daemon) return line(false, "daemon", "there are workers, but no daemon");
  figures_.daemon_places.insert(
      std::filesystem::read_symlink("/proc/" + std::to_string(*daemon) + "/ns/pid"));
  if (what == 0) {
    ::kill(*daemon, SIGKILL);
    ++figures_.daemon_kills;
  } else if (what <= 3) {
    ::kill(*daemon, SIGSTOP);
    ++figures_.stopped;
  }
  const Worker dead = place.victim;
  killed_us_[dead.id] = utc_us();
  const std::int64_t killed_ns = monotonic_ns();
  place.stage->kill(kVictim);
  place.victim = {0, start(*place.stage, kVictim)};
  ::kill(*daemon, SIGCONT);
  if (!wait_ready(place.victim)) return false;
  ask_judge_by_number(place);
  const bool noticed = eventually([&] {
    const auto sessions = attached();
    return sessions && !sessions->contains(dead.session);
  });
  if (!noticed) return line(false, "dead for alive", "session " + std::to_string(dead.session));
  figures_.noticed_ms.push_back(static_cast<double>(monotonic_ns() - killed_ns) / kNsPerMs);
  const auto sessions = attached();
  for (const Place& each : places_) {
    for (const Worker& worker : {each.witness, each.victim}) {
      if (worker.id != 0 && sessions && !sessions->contains(worker.session))
        return line(false, "alive for dead", "session " + std::to_string(worker.session));
    }
  }
  return true;
}

bool Play::close() {
  bool good = true;
  std::map<std::uint64_t, History> histories;
  for (Place& place : places_) {
    for (const pid_t number : {kVictim, kWitness}) {
      const Worker& worker = number == kVictim ? place.victim : place.witness;
      if (worker.id != 0 && place.stage->end(number) != 0)
        good = line(false, "end", "worker " + std::to_string(worker.id) + " did not end cleanly");
    }
  }
  if (!wait_for_deaths(journal_)) good = line(false, "end", "sessions are left in the daemon");
  if (!stop_serving(journal_)) good = line(false, "end", "the daemon did not end");
  for (std::uint64_t id = 1; id < next_id_; ++id) {
    History& history = histories[id] = read_history(diary(id));
    history.killed = killed_us_.contains(id);
    history.killed_us = history.killed ? killed_us_[id] : 0;
  }
  const Verdict verdict = judge(histories, journal_, Source::kDisk);
  if (!verdict.clean()) return line(false, "journal", verdict.text());
  return good && line(true, "journal",
                      std::to_string(verdict.acknowledged) +
                          " acknowledged records, each there; SessionEnded{died} of " +
                          std::to_string(verdict.death_ms.size()) + " sessions, all killed; " +
                          "of none that lived, and no record after it");
}

int run(std::uint64_t cycles, std::uint64_t seed) {
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  char pattern[] = "/tmp/oj-verify-XXXXXX";
  OJ_CHECK(::mkdtemp(pattern) != nullptr);
  const std::string root = pattern;
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  bool good = true;
  {
    Play play(seed, root);
    std::string reason;
    if (!play.set_up(reason)) {
      std::printf("skipped namespaces: %s%s\n",
                  ::geteuid() == 0 ? "tried: " : "needs root: or CAP_SYS_ADMIN: ", reason.c_str());
    } else {
      while (good && play.figures().cycles < cycles) good = play.cycle();
      good = play.close() && good;
      Figures figures = play.figures();
      std::sort(figures.noticed_ms.begin(), figures.noticed_ms.end());
      if (good) {
        char noticed[96];
        std::snprintf(noticed, sizeof noticed, "p50 %.1f, max %.1f ms",
                      figures.noticed_ms[figures.noticed_ms.size() / 2], figures.noticed_ms.back());
        line(true, "numbers",
             std::to_string(figures.cycles) + " deaths with the number used again at once (" +
                 std::to_string(figures.stopped) + " with the daemon stopped, " +
                 std::to_string(figures.daemon_kills) + " with it killed; daemons in " +
                 std::to_string(figures.daemon_places.size()) +
                 " namespaces): 0 dead taken for alive, 0 alive for dead; status has lost the dead "
                 "after " +
                 noticed);
        good = line(figures.wrong_alive > 0 && figures.wrong_dead > 0, "mutant judge by number",
                    "wrong " + std::to_string(figures.wrong_alive) + " times about the dead, " +
                        std::to_string(figures.wrong_dead) + " times about the living");
      }
    }
  }
  if (const auto daemon = find_daemon(root)) ::kill(*daemon, SIGKILL);
  while (::waitpid(-1, nullptr, 0) > 0) {}
  std::filesystem::remove_all(root);
  return good ? 0 : 1;
}

}  // namespace
}  // namespace oj::verify

int main(int argc, char** argv) {
  const char* given = std::getenv("OJ_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10)
                                              : static_cast<std::uint64_t>(oj::utc_us()) % 1000000;
  const bool has_cycles = argc == 3 && std::string(argv[1]) == "--cycles";
  return oj::verify::run(has_cycles ? std::stoull(argv[2]) : 100, seed);
}
