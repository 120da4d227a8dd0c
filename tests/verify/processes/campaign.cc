// SPDX-License-Identifier: MIT
#include "tests/verify/processes/campaign.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <utility>

#include "base/check.h"
#include "base/clock.h"
#include "libclient/session.h"

namespace oj::verify {
namespace {

constexpr const char* kPool = "pool=16777216";  // small enough that the ring goes round
constexpr std::uint64_t kBystanderEvery = 15;   // kills of victims
constexpr std::uint64_t kDaemonEvery = 40;
constexpr std::int64_t kWatchdogMs = 120'000;

void sleep_ns(std::int64_t ns) {
  const timespec time{ns / kNsPerS, ns % kNsPerS};
  ::nanosleep(&time, nullptr);
}

// Asks every millisecond; a run in which it never comes true ends with the place.
template <class Condition>
void wait_until(const Condition& condition) {
  const Deadline watchdog = Deadline::in_ms(kWatchdogMs);
  while (!condition()) {
    OJ_CHECK(!watchdog.passed());
    sleep_ns(kNsPerMs);
  }
}

std::uint64_t available_bytes() {
  std::ifstream info("/proc/meminfo");
  for (std::string word; info >> word;) {
    std::uint64_t kib = 0;
    if (word == "MemAvailable:" && info >> kib) return kib * 1024;
  }
  return 0;
}

}  // namespace

Campaign::Campaign(const Plan& plan, Fleet& fleet, std::string journal)
    : plan_(plan),
      fleet_(fleet),
      journal_(std::move(journal)),
      random_(plan.seed),
      places_(std::max<std::uint64_t>(1, plan.workers / 2)) {}

std::int64_t Campaign::within_ms(double low, double high) {
  return static_cast<std::int64_t>(
      std::uniform_real_distribution<double>(low * kNsPerMs, high * kNsPerMs)(random_));
}

std::uint64_t Campaign::below(std::uint64_t end) {
  return std::uniform_int_distribution<std::uint64_t>(0, end - 1)(random_);
}

std::uint64_t Campaign::start_bystander(const std::string& role) {
  if (role == "python") return fleet_.fork_python();
  return fleet_.start(role, {kPool, "burst=16", "pause=8000"});
}

void Campaign::start_victim(Place& place) {
  std::vector<std::string> words = {kPool, "burst=16", "pause=400"};
  if (plan_.lie) words.emplace_back("lie=1");
  place.victim = fleet_.start("append", words);
  place.kill_at_ns = monotonic_ns() + within_ms(0, 30);
}

void Campaign::kill(std::uint64_t id, const std::string& kind) {
  fleet_.kill(id);
  ++tally_.kills[kind];
}

// Alone when its time has come, or, one time in eight, with all the others.
void Campaign::kill_due_victims(std::int64_t now_ns) {
  const bool due = std::any_of(places_.begin(), places_.end(),
                               [&](const Place& place) { return place.kill_at_ns <= now_ns; });
  if (!due) return;
  const bool all = below(8) == 0;
  for (Place& place : places_) {
    if (!all && place.kill_at_ns > now_ns) continue;
    kill(place.victim, "appender");
    place.victim = 0;
    if (below(kBystanderEvery) == 0) kill_a_bystander();
    if (plan_.daemon_too && below(kDaemonEvery) == 0) kill_daemon();
  }
  for (Place& place : places_) {
    if (place.victim == 0) start_victim(place);
  }
}

void Campaign::kill_a_bystander() {
  std::uint64_t& id = bystanders_[below(bystanders_.size())];
  const std::string role = fleet_.at(id).role;
  kill(id, role == "append" ? "bystander" : role);
  id = start_bystander(role);
}

void Campaign::continue_daemon() {
  if (stopped_daemon_ != 0) ::kill(stopped_daemon_, SIGCONT);
  stopped_daemon_ = 0;
}

void Campaign::kill_daemon() {
  if (killed_daemon_ != 0) return;
  const auto pid = fleet_.daemon();
  if (!pid) return;
  killed_daemon_ = *pid;
  killed_daemon_ns_ = monotonic_ns();
  stopped_daemon_ = 0;
  ::kill(*pid, SIGKILL);
  ++tally_.kills["daemon"];
}

// The next daemon serves once it answers; asked every millisecond.
void Campaign::look_for_daemon(std::int64_t now_ns) {
  if (killed_daemon_ == 0) return;
  const auto pid = fleet_.daemon();
  if (!pid || *pid == killed_daemon_ || !client::daemon_status(journal_)) return;
  tally_.served_again_ms.push_back(static_cast<double>(now_ns - killed_daemon_ns_) / kNsPerMs);
  killed_daemon_ = 0;
}

void Campaign::stop_somebody(std::int64_t now_ns) {
  if (!plan_.stops || now_ns < next_stop_ns_) return;
  next_stop_ns_ = now_ns + within_ms(5, 60);
  ++tally_.stops;
  const std::uint64_t choice = below(bystanders_.size() + places_.size() + 1);
  if (choice == bystanders_.size() + places_.size()) {
    const auto pid = killed_daemon_ == 0 ? fleet_.daemon() : std::nullopt;
    if (!pid || stopped_daemon_ != 0) return;
    stopped_daemon_ = *pid;
    ::kill(*pid, SIGSTOP);
    continue_at_.emplace(now_ns + within_ms(1, 150), 0);
    return;
  }
  const std::uint64_t id = choice < bystanders_.size()
                               ? bystanders_[choice]
                               : places_[choice - bystanders_.size()].victim;
  fleet_.stop(id);
  continue_at_.emplace(now_ns + within_ms(1, 100), id);
}

void Campaign::continue_due(std::int64_t now_ns) {
  while (!continue_at_.empty() && continue_at_.begin()->first <= now_ns) {
    const std::uint64_t id = continue_at_.begin()->second;
    continue_at_.erase(continue_at_.begin());
    if (id == 0)
      continue_daemon();
    else
      fleet_.go_on(id);
  }
}

// One at a time; it touches its memory before its first record, and is killed soon after that.
void Campaign::heavy_victims() {
  if (heavy_ != 0) {
    if (!fleet_.says(heavy_, Entry::Kind::kResult)) return;
    sleep_ns(within_ms(0, 5));
    kill(heavy_, "heavy");
    heavy_ = 0;
  }
  if (heavy_begun_ >= plan_.heavy) return;
  if (tally_.workers() < plan_.kills * (heavy_begun_ + 1) / (plan_.heavy + 1)) return;
  ++heavy_begun_;
  if (available_bytes() < plan_.heavy_bytes * 3 / 2) {
    tally_.skipped_heavy = "only " + std::to_string(available_bytes() >> 20) + " MiB of memory";
    return;
  }
  heavy_ = fleet_.start(
      "append", {kPool, "burst=16", "pause=400", "touch=" + std::to_string(plan_.heavy_bytes)});
}

// Victims are there to be killed; the others end by themselves, once they are on their way.
void Campaign::end_of_kills() {
  continue_daemon();
  for (const auto& [at_ns, id] : continue_at_) {
    if (id != 0) fleet_.go_on(id);
  }
  wait_until([&] { return look_for_daemon(monotonic_ns()), killed_daemon_ == 0; });
  for (const Place& place : places_) kill(place.victim, "appender");
  if (heavy_ != 0) kill(heavy_, "heavy");
  for (const std::uint64_t id : bystanders_) {
    if (fleet_.at(id).role != "python")
      wait_until([&] { return fleet_.says(id, Entry::Kind::kReady) || fleet_.at(id).ended; });
  }
}

Tally Campaign::run() {
  const std::int64_t began_ns = monotonic_ns();
  const std::uint64_t first = start_bystander("append");
  wait_until([&] { return fleet_.says(first, Entry::Kind::kReady); });
  bystanders_.push_back(first);
  while (bystanders_.size() < std::max<std::uint64_t>(1, plan_.workers / 2))
    bystanders_.push_back(start_bystander("append"));
  bystanders_.push_back(start_bystander("read"));
  bystanders_.push_back(start_bystander("monitor"));
  if (plan_.python > 0) OJ_CHECK(fleet_.start_python(plan_.python_program, plan_.zygote_program));
  for (std::uint64_t i = 0; i < plan_.python; ++i) bystanders_.push_back(start_bystander("python"));
  for (Place& place : places_) start_victim(place);

  std::int64_t next_say_ns = began_ns + 10 * kNsPerS;
  for (;;) {
    const std::int64_t now_ns = monotonic_ns();
    tally_.seconds = static_cast<double>(now_ns - began_ns) / kNsPerS;
    const bool enough = tally_.workers() >= plan_.kills && heavy_ == 0;
    if (enough || tally_.seconds > plan_.seconds_max) break;
    kill_due_victims(now_ns);
    stop_somebody(now_ns);
    continue_due(now_ns);
    look_for_daemon(now_ns);
    fleet_.reap();
    heavy_victims();
    if (now_ns >= next_say_ns && plan_.say) {
      next_say_ns = now_ns + 10 * kNsPerS;
      plan_.say(std::to_string(tally_.workers()) + " of " + std::to_string(plan_.kills) +
                " kills in " + std::to_string(static_cast<int>(tally_.seconds)) + " s");
    }
    sleep_ns(kNsPerMs / 2);
  }
  end_of_kills();
  tally_.ended = fleet_.end_all();
  return std::move(tally_);
}

}  // namespace oj::verify
