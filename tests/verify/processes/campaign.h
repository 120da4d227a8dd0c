// One run: processes on one journal, killed, stopped, continued and started again at random.
//
// Goal    Put every kind of process at every moment of its life under SIGKILL and SIGSTOP, with
//         others at work, and write down what they were told.
// Method  Appenders that stay (bystanders), a reader, a monitor, Python workers; beside them places
//         for victims, each of which gets a fresh worker that is killed 0 to 30 ms after its start,
//         alone or with all others at once. Now and then any of the rest, or the daemon. All
//         choices come from one seed; when the kernel runs whom does not.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/verify/processes/fleet.h"

namespace oj::verify {

struct Plan {
  std::uint64_t workers = 6;  // of which half are bystanders and half are places for victims
  std::uint64_t kills = 300;  // of workers
  std::uint64_t seed = 1;
  double seconds_max = 240;  // then it ends with the kills that it has
  std::uint64_t python = 0;  // workers in Python
  std::uint64_t heavy = 0;   // victims that have touched heavy_bytes of memory
  std::uint64_t heavy_bytes = 4ull << 30;
  bool daemon_too = true;
  bool stops = true;
  bool lie = false;  // victims say that a record is appended before it is
  std::string python_program, zygote_program;
  std::function<void(const std::string&)> say;  // progress and reasons
};

struct Tally {
  std::map<std::string, std::uint64_t> kills;  // by kind of process
  std::uint64_t stops = 0;
  std::vector<double> served_again_ms;  // from the kill of a daemon to the next one's answer
  std::string skipped_heavy;            // the reason
  double seconds = 0;
  bool ended = false;  // all processes that were asked to end did
  // Of all processes, and of the workers among them.
  std::uint64_t total() const {
    std::uint64_t sum = 0;
    for (const auto& [kind, times] : kills) sum += times;
    return sum;
  }
  std::uint64_t workers() const {
    std::uint64_t others = 0;
    for (const char* kind : {"daemon", "monitor"}) {
      const auto found = kills.find(kind);
      if (found != kills.end()) others += found->second;
    }
    return total() - others;
  }
};

class Campaign {
 public:
  Campaign(const Plan& plan, Fleet& fleet, std::string journal);
  Tally run();

 private:
  struct Place {  // for victims, one after the other
    std::uint64_t victim = 0;
    std::int64_t kill_at_ns = 0;
  };
  std::int64_t within_ms(double low, double high);
  std::uint64_t below(std::uint64_t end);
  std::uint64_t start_bystander(const std::string& role);
  void start_victim(Place& place);
  void kill(std::uint64_t id, const std::string& kind);
  void kill_due_victims(std::int64_t now_ns);
  void kill_a_bystander();
  void kill_daemon();
  void look_for_daemon(std::int64_t now_ns);
  void stop_somebody(std::int64_t now_ns);
  void continue_due(std::int64_t now_ns);
  void heavy_victims();
  void continue_daemon();
  void end_of_kills();

  const Plan plan_;
  Fleet& fleet_;
  const std::string journal_;
  std::mt19937_64 random_;
  std::vector<Place> places_;
  std::vector<std::uint64_t> bystanders_;                   // of all roles
  std::multimap<std::int64_t, std::uint64_t> continue_at_;  // id of a member; 0: the daemon
  pid_t stopped_daemon_ = 0, killed_daemon_ = 0;
  std::int64_t killed_daemon_ns_ = 0, next_stop_ns_ = 0;
  std::uint64_t heavy_ = 0, heavy_begun_ = 0;  // the one at work; how many so far
  Tally tally_;
};

}  // namespace oj::verify
