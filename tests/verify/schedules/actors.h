// Who takes part in a schedule: each runs the shipped roles of shm/, and checks what they answer.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "daemon/flusher_orders.h"
#include "daemon/left_out_wakes.h"
#include "daemon/reaper.h"
#include "shm/chunk_keeper.h"
#include "shm/flush_source.h"
#include "shm/producer.h"
#include "shm/reader.h"
#include "shm/worker_slots.h"
#include "tests/verify/schedules/simulation.h"

namespace oj::schedules {

// Reads from a record on until nothing more comes: a worker in place, a monitor by copying.
class Reading {
 public:
  Reading(Simulation& simulation, shm::Reader reader, const shm::SlotRef* slot);
  void run(const std::shared_ptr<shm::Region>& region, std::uint64_t from);

 private:
  void check_record(std::uint64_t seq, std::span<const std::byte> bytes);

  Simulation& simulation_;
  shm::Reader reader_;
  const shm::SlotRef* slot_;
};

// A worker process: a thread that appends, one that reads, or both.
class Worker {
 public:
  Worker(Simulation& simulation, Process& process, shm::SlotRef slot, std::uint64_t author,
         Dice dice);
  void run();  // its first thread
  // Ended, or has appended all that it had to.
  bool has_appended() const { return appended_; }
  bool ended() const { return ended_; }
  const Process& process() const { return process_; }

 private:
  void append_all();
  void append_one();
  void read_all();
  void thread_ended();

  Simulation& simulation_;
  Process& process_;
  const shm::SlotRef slot_;
  const std::uint64_t author_;
  Dice dice_;
  std::uint64_t to_append_ = 0;
  bool reads_ = false, appended_ = false, ended_ = false;
  int threads_ = 1;
  Bytes record_;  // being appended
  std::optional<shm::Seat> seat_;
  std::optional<shm::Producer> producer_;
  std::optional<Reading> reading_;
};

class Monitor {
 public:
  Monitor(Simulation& simulation, Process& process) : simulation_(simulation), process_(process) {}
  void run();
  bool ended() const { return ended_; }
  const Process& process() const { return process_; }

 private:
  Simulation& simulation_;
  Process& process_;
  std::optional<Reading> reading_;
  bool ended_ = false;
};

// One life of optjournald: its control thread and its flusher thread. The Reaper and the hand-off
// between the threads are the shipped ones; what they do around shm/ is in the order of
// daemon/control.cc, flusher.cc and recovery.cc, without sockets, and with a disk in memory.
class Daemon {
 public:
  Daemon(Simulation& simulation, Process& process, bool first, Dice dice);
  ~Daemon();
  void run();  // its control thread
  Thread* control() { return control_; }
  bool ended() const { return ended_; }
  Process& process() { return process_; }

 private:
  struct Parts;  // made by the control thread, as what they look at may change
  void recover();
  void look_at_slots();
  void welcome();
  bool repeats_wakes() const;
  std::int64_t until_look_ns(const daemon::LeftOutWakes& wakes) const;
  void repeat_wakes(daemon::LeftOutWakes& wakes);
  void flush_all();
  void flush_round();
  bool sync();
  void gather_company();
  void be_quiet();
  void obey();
  void make_room();
  std::uint64_t published_end();

  Simulation& simulation_;
  Process& process_;
  const bool first_;
  Dice dice_;
  Thread* control_ = nullptr;
  std::unique_ptr<Parts> parts_;
  std::size_t batch_records_max_ = 4;
  std::int64_t window_ns_ = 0;
  bool attached_ = false, flusher_ended_ = false, ended_ = false;
};

}  // namespace oj::schedules
