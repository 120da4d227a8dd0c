// What must be so: the order as the ring's own words make it, and the disk, held against everything
// that the code under test does and says.
//
// A record joins the order at the moment of its CAS. From then on its bytes are known, and readers,
// monitors, the disk and the answer of its append are compared with them.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "shm/region.h"
#include "tests/verify/schedules/scheduler.h"
#include "tests/verify/schedules/words.h"

namespace oj::schedules {

using Bytes = std::vector<std::byte>;

// What survives the daemon: what it wrote, and how much of it was synced.
struct Disk {
  std::vector<Bytes> written;
  std::size_t synced = 0;
  bool slow = false;  // at present: a sync takes seconds
};

class JournalSeen {
 public:
  JournalSeen(std::shared_ptr<shm::Region> region, std::uint64_t first_seq, const Disk& disk)
      : region_(std::move(region)),
        first_seq_(first_seq),
        disk_(disk),
        synced_(first_seq),
        retained_(first_seq) {}

  // "" or what the operation broke.
  std::string after(const shm::scheduled::Access& access, const Word& word, const Thread& thread);

  std::uint64_t first() const { return first_seq_; }
  std::uint64_t end() const { return first_seq_ + records_.size(); }
  bool is(std::uint64_t seq, std::span<const std::byte> bytes) const;
  bool acknowledge(std::uint64_t seq, std::span<const std::byte> bytes);
  std::string at_end() const;

  struct Counts {
    std::uint64_t records = 0, refilled = 0, chunk_lives = 0, pins = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  struct Record {
    Bytes bytes;
    std::uint64_t chunk = 0, chunks = 0;
    bool acknowledged = false;
  };
  std::string on_ticket(std::uint64_t slot, std::uint64_t ticket, const Thread& thread);
  std::string on_owner(std::uint64_t chunk, std::uint64_t before, std::uint64_t word);
  std::string on_slot(std::uint64_t slot, std::uint64_t before, std::uint64_t word) const;
  std::string on_mark(const Word& word, std::uint64_t value);

  std::shared_ptr<shm::Region> region_;
  std::uint64_t first_seq_;
  const Disk& disk_;
  std::vector<Record> records_;
  std::map<std::uint64_t, std::uint64_t> last_number_;  // by author
  std::uint64_t synced_, retained_;
  Counts counts_;
};

}  // namespace oj::schedules
