// An operation to be killed and stopped in: what is prepared for it, and what of it is traced.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "daemon/reaper.h"
#include "journal/writer.h"
#include "shm/chunk_keeper.h"
#include "shm/flush_source.h"
#include "shm/producer.h"
#include "shm/reader.h"
#include "tests/verify/instructions/world.h"

namespace oj::verify {

// The victim's process: what it has of the region, made before the tracing begins. It ends with
// _exit, so nothing here is ever destroyed but by the operation.
struct Victim {
  World* world = nullptr;
  std::shared_ptr<shm::Region> region;
  std::optional<shm::Seat> seat;
  std::optional<shm::Producer> producer;
  std::optional<shm::Reader> reader;
  // Of a daemon.
  std::optional<shm::FlushSource> source;
  std::optional<shm::ChunkKeeper> keeper;
  std::optional<daemon::FlusherOrders> orders;
  std::optional<daemon::Reaper> reaper;
  std::optional<journal::Writer> writer;

  void attach();                    // maps the region; forks of this process have it, too
  void attach_as_worker();          // and takes the victim's slot; a producer and a reader
  void publish(std::size_t bytes);  // one record that is not traced
  std::string next_record(std::size_t bytes);
  void answer(Report::Answer answer, const std::string& text = {});
  void append(const std::string& record);  // and answers
};

enum class Kind {
  kAppend,  // may publish one record of the victim's
  kWorker,  // anything else that a worker does: publishes nothing
  kDaemon,  // while it is killed or stopped there is no daemon
  kFlush,   // likewise, and the journal is on disk
};

struct Operation {
  std::string name;
  Kind kind = Kind::kAppend;
  // Before the victim starts, in the checker.
  std::function<void(World&)> prepare = [](World&) {};
  // In the victim: what must be done before, and, returned, what is traced. It ends with answer().
  std::function<std::function<void()>(Victim&)> stage;
  // A new process for every instruction, so that the lock byte of its slot is its own. Costs n^2
  // traps: for short ones.
  bool fresh = false;
  // A planted fault of the daemon's: it takes a stopped worker for dead.
  bool reaps_the_stopped = false;
  std::size_t daemonless_records = 6;  // that must find room without a daemon
};

std::vector<Operation> operations();
// With faults planted, each to be found by a kill, or by a stop.
struct Mutant {
  Operation operation;
  bool by_stop = false;
};
std::vector<Mutant> mutants();

// Parts that operations and mutants share.
std::function<void()> flush_once(Victim& victim, bool synced_too_early);
void prepare_dead_worker(World& world);
void stage_reaper(Victim& victim);

}  // namespace oj::verify
