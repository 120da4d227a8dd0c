// One schedule: a daemon, workers and a monitor over one small region, until all of them are done.
//
// What is drawn from the seed: the sizes, who there is and what he does, who is halted when, and
// the order of all their operations. When nobody can run, processes that were stopped are continued
// (or not), then the readers are told that nothing more comes, and the daemon ends as on SIGTERM.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "shm/region.h"
#include "shm/worker_slots.h"
#include "tests/verify/schedules/journal_seen.h"
#include "tests/verify/schedules/scheduler.h"

namespace oj::schedules {

class Daemon;
class Worker;
class Monitor;

// A region file with one mapping for each process, made once and filled anew for each schedule.
class Machine {
 public:
  static constexpr std::size_t kProcesses = 5;  // that write: the daemon and workers
  Machine(const std::string& path, const shm::Sizes& sizes, std::uint64_t first_seq);
  void start_anew();

  const shm::Sizes sizes;
  const std::uint64_t first_seq;
  const Words words;
  std::vector<std::shared_ptr<shm::Region>> mappings;
  std::shared_ptr<shm::Region> read_only;

 private:
  std::vector<std::byte> fresh_;
};

struct Counts {
  std::uint64_t schedules = 0, steps = 0, kills = 0, stops = 0, crashes = 0, reaped = 0,
                in_place = 0, copied = 0, from_disk = 0, waits_ring = 0, waits_pool = 0,
                waits_synced = 0, failed_syncs = 0;
  std::map<std::string, std::uint64_t> halted_at;
  JournalSeen::Counts seen;
};

class Simulation final : public Subject {
 public:
  Simulation(Machine& machine, std::uint64_t seed, Fault fault, bool trace, Counts& counts);
  ~Simulation() override;
  std::string run();  // "" or what was wrong

  // For the actors.
  Scheduler& scheduler() { return scheduler_; }
  Machine& machine() { return machine_; }
  JournalSeen& seen() { return seen_; }
  Disk& disk() { return disk_; }
  Counts& counts() { return counts_; }
  bool ending() const { return ending_; }
  const Process* holder_of(shm::SlotRef slot) const;
  // To the daemon that lives now: it was told which slot it has by that one.
  bool is_connected(const Process& worker) const { return worker.daemon_life == daemons_.size(); }
  void tell_daemon();            // something changed that it wants to know
  bool wants_successor() const;  // a worker in the place of a dead one
  void start_successor(shm::SlotRef slot);
  void require_disk(std::uint64_t seq);  // it is on disk, as it was published

  // Subject
  void after(const shm::scheduled::Access& access, const Word& word, Thread& thread) override;
  void on_halted(Process& process, const char* place) override;
  bool go_on() override;
  bool continue_daemon() override;

 private:
  static Plan plan_of(std::uint64_t seed);
  Process& new_process(std::string name, std::shared_ptr<shm::Region> region);
  void start_daemon();
  void start_worker(std::shared_ptr<shm::Region> region, shm::SlotRef slot);
  std::string unfinished() const;
  std::string not_reaped() const;

  Machine& machine_;
  Counts& counts_;
  Dice dice_;
  Disk disk_;
  JournalSeen seen_;
  Scheduler scheduler_;
  std::deque<Process> processes_;
  struct Holder {
    Process* process = nullptr;
    std::uint64_t incarnation = 0;
  };
  std::vector<Holder> holders_;  // of worker slots: the last worker in each
  std::vector<std::shared_ptr<shm::Region>> orphaned_;
  std::vector<std::unique_ptr<Daemon>> daemons_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<Monitor> monitor_;
  bool ending_ = false;
  std::uint64_t authors_ = 0;
};

}  // namespace oj::schedules
