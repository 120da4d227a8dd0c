// SPDX-License-Identifier: MIT
#include "tests/verify/schedules/simulation.h"

#include <fcntl.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "shm/watermarks.h"
#include "tests/verify/schedules/actors.h"

namespace oj::schedules {
namespace {

constexpr std::int64_t kEndNs = 10'000'000'000;  // longer than any slice of a sleep
constexpr std::uint64_t kSuccessorsMax = 2;

template <class T>
T must(Result<T> result) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "%s\n", result.error().message.c_str());
  std::exit(2);
}

// What the kernel does when a process ends.
void let_locks_go(const shm::Region& region) {
  struct flock whole {};
  whole.l_type = F_UNLCK;
  whole.l_whence = SEEK_SET;
  fcntl(region.fd(), F_OFD_SETLK, &whole);
}

}  // namespace

Machine::Machine(const std::string& path, const shm::Sizes& size, std::uint64_t first)
    : sizes(size), first_seq(first), words(size) {
  shm::CreateOptions options;
  options.sizes = sizes;
  options.first_seq = first_seq;
  options.identity.generation = 1;
  mappings.push_back(must(shm::Region::create(path, options)));
  while (mappings.size() < kProcesses)
    mappings.push_back(must(shm::Region::attach(path, shm::Region::Access::kReadWrite, nullptr)));
  read_only = must(shm::Region::attach(path, shm::Region::Access::kReadOnly, nullptr));
  fresh_.assign(mappings[0]->base(), mappings[0]->base() + sizes.region_bytes());
}

void Machine::start_anew() {
  std::memcpy(mappings[0]->base(), fresh_.data(), fresh_.size());
  for (const auto& region : mappings) let_locks_go(*region);
}

Plan Simulation::plan_of(std::uint64_t seed) {
  Dice dice(seed);
  Plan plan;
  plan.seed = seed;
  plan.priorities = dice.one_in(2);
  plan.change_one_in = dice.pick<std::uint64_t>({1, 2, 4, 16, 64});
  const std::uint64_t horizon = dice.pick<std::uint64_t>({300, 1000, 3000});
  for (std::uint64_t n = dice.below(6); n > 0; --n)
    plan.change_steps.push_back(dice.below(horizon));
  std::sort(plan.change_steps.begin(), plan.change_steps.end());
  const auto halts = [&](std::uint64_t count, bool daemon) {
    for (; count > 0; --count)
      plan.halts.push_back({dice.below(horizon), daemon, dice.one_in(3), dice.one_in(2)});
  };
  halts(dice.pick<std::uint64_t>({0, 0, 1, 1, 2}), false);
  halts(dice.pick<std::uint64_t>({0, 0, 1, 2}), true);
  plan.false_wakes = dice.one_in(4);
  plan.wild_hints = dice.one_in(4);
  return plan;
}

Simulation::Simulation(Machine& machine, std::uint64_t seed, Fault fault, bool trace,
                       Counts& counts)
    : machine_(machine),
      counts_(counts),
      dice_(seed ^ 0xac7025),
      seen_(machine.mappings[0], machine.first_seq, disk_),
      scheduler_(*this, machine.words, plan_of(seed), fault, trace),
      holders_(machine.sizes.worker_slots) {
  machine_.start_anew();
  new_process("daemon", machine_.mappings[0]).is_daemon = true;
  shm::SlotTable slots(machine_.mappings[0]);
  start_daemon();
  const std::uint64_t workers = 2 + dice_.below(2);
  for (std::uint64_t i = 1; i <= workers; ++i) {
    const auto slot = slots.assign({i, 0, 0, 0, ""});
    start_worker(machine_.mappings[i], *slot);
  }
  if (dice_.one_in(3)) {
    Process& process = new_process("monitor", machine_.read_only);
    monitor_ = std::make_unique<Monitor>(*this, process);
    scheduler_.start(process, "monitor", [this] { monitor_->run(); });
  }
}

Simulation::~Simulation() = default;

Process& Simulation::new_process(std::string name, std::shared_ptr<shm::Region> region) {
  processes_.push_back(
      {std::move(name), std::move(region), false, ProcessState::kLiving, false, 0});
  return processes_.back();
}

void Simulation::start_daemon() {
  Process& process = daemons_.empty() ? processes_.front()
                                      : new_process("daemon" + std::to_string(daemons_.size() + 1),
                                                    machine_.mappings[0]);
  process.is_daemon = true;
  daemons_.push_back(
      std::make_unique<Daemon>(*this, process, daemons_.empty(), Dice(dice_.next())));
  Daemon* const daemon = daemons_.back().get();
  scheduler_.start(process, process.name + ".control", [daemon] { daemon->run(); });
}

void Simulation::start_worker(std::shared_ptr<shm::Region> region, shm::SlotRef slot) {
  const std::uint64_t author = ++authors_;
  Process& process = new_process("worker" + std::to_string(author), std::move(region));
  process.daemon_life = daemons_.size();
  holders_[slot.index] = {&process, slot.incarnation};
  workers_.push_back(std::make_unique<Worker>(*this, process, slot, author, Dice(dice_.next())));
  Worker* const worker = workers_.back().get();
  scheduler_.start(process, process.name, [worker] { worker->run(); });
}

bool Simulation::wants_successor() const {
  return !orphaned_.empty() && !ending_ && authors_ < 3 + kSuccessorsMax;
}

void Simulation::start_successor(shm::SlotRef slot) {
  start_worker(std::move(orphaned_.back()), slot);
  orphaned_.pop_back();
}

const Process* Simulation::holder_of(shm::SlotRef slot) const {
  const Holder& holder = holders_[slot.index];
  return holder.incarnation == slot.incarnation ? holder.process : nullptr;
}

void Simulation::tell_daemon() {
  if (Thread* const control = daemons_.back()->control(); control != nullptr)
    scheduler_.signal(*control);
}

void Simulation::require_disk(std::uint64_t seq) {
  const std::uint64_t index = seq - machine_.first_seq;
  scheduler_.require(index < disk_.synced && seen_.is(seq, disk_.written[index]),
                     "a reader is sent to the disk, which has not the record");
}

void Simulation::after(const shm::scheduled::Access& access, const Word& word, Thread& thread) {
  if (std::string wrong = seen_.after(access, word, thread); !wrong.empty())
    scheduler_.fail_later(thread, wrong);
}

void Simulation::on_halted(Process& process, const char* place) {
  ++counts_.halted_at[place];
  if (process.state == ProcessState::kStopped) {
    ++counts_.stops;
    if (scheduler_.fault() == Fault::kStoppedReaped) {
      let_locks_go(*process.region);  // as if its death had been proven
      tell_daemon();
    }
    return;
  }
  ++(process.is_daemon ? counts_.crashes : counts_.kills);
  let_locks_go(*process.region);
  if (process.is_daemon) return start_daemon();
  if (!process.region->writable()) return;  // a monitor leaves nothing
  orphaned_.push_back(process.region);
  tell_daemon();
}

bool Simulation::continue_daemon() {
  Process& process = daemons_.back()->process();
  if (process.state != ProcessState::kStopped) return false;
  scheduler_.resume(process);
  return true;
}

// Of those that live, who has not done what can be done without those that are halted?
std::string Simulation::unfinished() const {
  for (const auto& worker : workers_) {
    if (worker->process().state == ProcessState::kLiving && !worker->has_appended())
      return worker->process().name + " cannot append, and nobody runs";
    if (ending_ && worker->process().state == ProcessState::kLiving && !worker->ended())
      return worker->process().name + " does not end";
  }
  if (!ending_) return "";
  if (monitor_ && monitor_->process().state == ProcessState::kLiving && !monitor_->ended())
    return "the monitor does not end";
  return daemons_.back()->ended() ? "" : "the daemon does not end";
}

// Whoever died while there was a daemon to see it.
std::string Simulation::not_reaped() const {
  const shm::SlotTable slots(machine_.mappings[0]);
  for (std::uint32_t i = 0; i < slots.size(); ++i) {
    const shm::SlotTable::Snapshot seen = slots.snapshot(i);
    const Process* const holder = holder_of(seen.slot);
    if (seen.state == shm::SlotState::kLive && holder != nullptr &&
        holder->state == ProcessState::kDead)
      return holder->name + " is dead and was not reaped";
  }
  return "";
}

bool Simulation::go_on() {
  if (std::string wrong = unfinished(); !wrong.empty()) {
    scheduler_.fail_at_rest(wrong);
    return false;
  }
  bool continued = false;
  for (Process& process : processes_) {
    if (process.state != ProcessState::kStopped || process.left_stopped) continue;
    process.left_stopped = dice_.one_in(4);
    if (process.left_stopped) continue;
    scheduler_.resume(process);
    continued = true;
  }
  if (continued) return true;
  if (!ending_) {
    if (std::string wrong = not_reaped(); !wrong.empty()) scheduler_.fail_at_rest(wrong);
    ending_ = true;
    tell_daemon();
    scheduler_.pass_time(kEndNs);
    return true;
  }
  if (std::string wrong = seen_.at_end(); !wrong.empty()) scheduler_.fail_at_rest(wrong);
  return false;
}

std::string Simulation::run() {
  std::string wrong = scheduler_.run();
  ++counts_.schedules;
  counts_.steps += scheduler_.steps();
  const JournalSeen::Counts& seen = seen_.counts();
  counts_.seen.records += seen.records;
  counts_.seen.refilled += seen.refilled;
  counts_.seen.chunk_lives += seen.chunk_lives;
  counts_.seen.pins += seen.pins;
  return wrong;
}

}  // namespace oj::schedules
