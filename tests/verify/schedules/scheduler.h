// Runs fibres as the processes of one machine, one operation at a time, in an order drawn from a
// seed.
//
// Before every atomic operation of the code under test the scheduler may go on with another fibre,
// or halt the whole process: killed (what it held is let go by the kernel) or stopped (perhaps
// continued later). Two ways to choose: at random, or by priorities that change at a few points
// (PCT: Burckhardt et al., 2010), which finds a bug of depth d with a known probability.
//
// Time is virtual. It moves when nobody can run, to the end of the next sleep, and only as far as
// it must: a sleeper whose condition is true and who has no right to be late is a lost wake-up.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "shm/environment.h"
#include "shm/region.h"
#include "tests/verify/schedules/dice.h"
#include "tests/verify/schedules/faults.h"
#include "tests/verify/schedules/fibre.h"
#include "tests/verify/schedules/words.h"

namespace oj::schedules {

// The daemon repeats left-out wakes more than twice a second (daemon/left_out_wakes.h).
constexpr std::int64_t kLateAfterHaltNs = 500'000'000;

// What a fibre waits for while it may sleep, and how long after it became true the fibre may go on
// sleeping.
struct Waiting {
  std::function<bool()> until;
  std::int64_t late_ns_max = 0;
};

enum class ProcessState : std::uint8_t { kLiving, kStopped, kDead };

struct Process {
  std::string name;
  std::shared_ptr<shm::Region> region;  // its own mapping and descriptor
  bool is_daemon = false;
  ProcessState state = ProcessState::kLiving;
  bool left_stopped = false;    // nobody will continue it
  std::size_t daemon_life = 0;  // of a worker: which daemon gave it its slot
};

struct Thread {  // a fibre of a process
  enum class State : std::uint8_t { kReady, kAsleep, kWaiting, kEnded };
  std::string name;
  Process* process = nullptr;
  State state = State::kReady;
  std::uint64_t word = 0;      // asleep on: the offset in the region
  std::int64_t until_ns = 0;   // asleep or waiting: at most until
  std::uint64_t priority = 0;  // PCT
  const Waiting* waiting = nullptr;
  std::int64_t late_since_ns = -1;
  bool signalled = false;  // kWaiting: by signal()
  FaultState fault;
  std::span<const std::byte> in_flight;  // the record that it is publishing
  std::uint64_t author = 0, number = 0;  // of that record
  Fibre fibre;
};

// A process to be halted.
struct Halt {
  std::uint64_t step = 0;  // not before
  bool daemon = false;     // a worker otherwise
  bool stop = false;       // not killed
  bool at_place = false;   // at one of the places that the code names
};

struct Plan {
  std::uint64_t seed = 0;
  bool priorities = false;          // PCT
  std::uint64_t change_one_in = 2;  // at random: of the operations
  std::vector<std::uint64_t> change_steps;
  std::vector<Halt> halts;
  bool false_wakes = false;  // sleeps end, and weak CASes fail, without reason
  bool wild_hints = false;   // somebody stores anything into the words that may be anything
};

// What is run: says what follows when nobody can run, and looks at every operation.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual void after(const shm::scheduled::Access& access, const Word& word, Thread& thread) = 0;
  virtual void on_halted(Process& process, const char* place) = 0;
  // Nobody can run: true if somebody was continued or signalled, false: it is over.
  virtual bool go_on() = 0;
  // Nobody may be held responsible for being late before this one has run.
  virtual bool continue_daemon() = 0;
};

class Scheduler {
 public:
  Scheduler(Subject& subject, const Words& words, const Plan& plan, Fault fault, bool trace);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  static Scheduler* active();

  Thread& start(Process& process, std::string name, std::function<void()> body);
  // Runs everything to its end. "": nothing was wrong.
  std::string run();

  // In a fibre.
  Thread& self() { return *current_; }
  void point();  // the scheduler may do something here
  [[noreturn]] void fail(const std::string& why);
  void require(bool condition, const char* why) {
    if (!condition) fail(why);
  }
  void fail_later(const Thread& thread, const std::string& why);  // once the operation is traced
  void fail_at_rest(const std::string& why);                      // nobody runs
  void wait_signal(std::int64_t timeout_ns);                      // until signal(), or the timeout
  void note(const std::string& text);                             // a line of the trace

  // Anywhere.
  void signal(Thread& thread);
  void resume(Process& process);
  void pass_time(std::int64_t ns);  // ends every sleep that ends until then
  Dice& dice() { return dice_; }
  Fault fault() const { return fault_; }
  std::int64_t now_ns() const { return now_ns_; }
  std::uint64_t steps() const { return steps_; }
  std::uint64_t halted() const { return halted_; }
  bool in_fibre() const { return current_ != nullptr; }

  // For the environment.
  void perform(shm::scheduled::Access& access);
  void at_place(const char* place);
  void sleep(const void* word, std::uint32_t expected, std::int64_t timeout_ns);
  void wake_all(const void* word);

 private:
  void halt_current(bool stop, const char* place);
  bool halt_due(const char* place);  // nullptr: between two operations
  Thread* choose();
  void leave();  // goes on with another fibre; returns when this one is chosen again
  bool late_or_time_passes();
  void change_to(Thread* next);
  std::uint64_t offset_of(const void* word) const;
  void spoil_hints();

  Subject& subject_;
  const Words& words_;
  Plan plan_;
  Fault fault_;
  bool trace_;
  Dice dice_;
  std::deque<std::unique_ptr<Thread>> threads_;
  Thread* current_ = nullptr;
  Fibre main_;
  std::string failure_;
  bool woken_ = false;
  std::uint64_t steps_ = 0, next_change_ = 0, low_priority_ = 1u << 20, halted_ = 0;
  std::int64_t now_ns_ = 1'000'000'000'000;
};

// Says, while it lives, what the running fibre waits for.
class WaitingFor {
 public:
  WaitingFor(Scheduler& scheduler, std::int64_t late_ns_max, std::function<bool()> until)
      : thread_(scheduler.self()), waiting_{std::move(until), late_ns_max} {
    thread_.waiting = &waiting_;
    thread_.late_since_ns = -1;
  }
  ~WaitingFor() { thread_.waiting = nullptr; }
  WaitingFor(const WaitingFor&) = delete;
  WaitingFor& operator=(const WaitingFor&) = delete;

 private:
  Thread& thread_;
  Waiting waiting_;
};

}  // namespace oj::schedules
