// What surrounds the victim: a small region, a bystander who appends and reads, the daemon that
// comes afterwards, and the checks that all of them must pass.
//
// Every check throws Violation, which says what does not hold.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "shm/region.h"
#include "shm/worker_slots.h"
#include "tests/unit/shm/region_fixture.h"

namespace oj::verify {

struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};
void require(bool holds, const std::string& what);

// Sessions, and whose records they are. A record says whose it is and the how-manieth, and all its
// bytes follow from that and its length.
constexpr std::uint64_t kBystander = 1, kVictim = 2, kDead = 3;
std::string record_of(std::uint64_t session, std::uint64_t op_no, std::size_t bytes);

// What the victim tells; in memory that outlives it.
struct Report {
  enum Answer : std::uint32_t { kNone, kPublished, kFull, kRight, kWrong };
  std::atomic<std::uint32_t> answer{kNone};
  std::atomic<std::uint64_t> seq{0};
  std::atomic<std::uint64_t> appended{0};  // before the operation that is traced
  char text[256] = {};
};

// A region in a folder of its own on tmpfs, as a daemon would have made it, with a journal's
// folder beside it.
class World {
 public:
  explicit World(const shm::Sizes& sizes);
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World();

  const std::shared_ptr<shm::Region>& region() const { return region_; }
  std::string journal_folder() const { return folder_ + "/journal"; }
  std::string runtime_folder() const { return folder_ + "/run"; }
  std::string copied_folder() const { return folder_ + "/copy"; }
  shm::SlotRef bystander() const { return seat_->slot(); }
  shm::SlotRef victim() const { return victim_; }
  Report& report() const { return *report_; }

  // Gives the next free slot to `session`, as the daemon does at Hello.
  shm::SlotRef assign(std::uint64_t session);
  void make_victims_slot() { victim_ = assign(kVictim); }
  // Appends of the bystander; they must find room.
  void publish(std::size_t records, std::size_t bytes);
  std::uint64_t& appended(std::uint64_t session) { return appended_[session]; }

  // The region's bytes.
  using Image = std::vector<std::byte>;
  void save(Image& image) const;
  void restore(const Image& image);

 private:
  std::string folder_;
  std::shared_ptr<shm::Region> region_;
  std::optional<shm::Seat> seat_;  // the bystander's
  shm::SlotRef victim_;
  Report* report_ = nullptr;
  std::map<std::uint64_t, std::uint64_t> appended_;
};

// Everything that must hold at every moment: watermarks in order (M1), filled slots a contiguous
// prefix (I1), owner words, slot words and hazards legal, every record that may be read in place
// whole and in a chunk that is not free (C2). Returns the first op_no of each session that is not
// yet synced.
std::map<std::uint64_t, std::uint64_t> check_state(const World& world);

// The bystander appends and reads `records` records; every append must succeed at once, if
// `flusher` is given with its help, else with nobody's.
void go_on(World& world, shm::MemoryFlusher* flusher, std::size_t records, std::size_t bytes);

// Is `record` the daemon's SessionEnded{died} of `session`?
bool tells_death(const std::string& record, std::uint64_t session);

// The journal from the first unsynced record on: nobody's record is torn, missing or there twice.
// `first`: as check_state() gave; `published`: how many of the victim's traced appends must be in.
void check_journal(World& world, const std::vector<std::string>& journal,
                   std::map<std::uint64_t, std::uint64_t> first, std::uint64_t published);

// A daemon that finds everybody but the bystander dead: reaps with the daemon's own Reaper, flushes
// all and frees all. Afterwards no chunk may be in use and no slot but the bystander's be taken.
void reap_and_drain(World& world, shm::MemoryFlusher& flusher);

}  // namespace oj::verify
