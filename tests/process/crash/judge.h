// Compares a journal with what the workers were told (board.h).
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "tests/process/crash/board.h"

namespace oj::crash {

struct Verdict {
  std::uint64_t records = 0;  // of workers, in the journal
  std::uint64_t lost = 0;     // acknowledged, not there, or there under another seq
  std::uint64_t doubled = 0;  // a number seen twice
  std::uint64_t out_of_order = 0;
  std::uint64_t torn = 0;  // undecodable, wrong content, or a tombstone
  std::uint64_t unacknowledged =
      0;  // there although nobody was told: at most one for each worker that was killed
  std::string first_complaint;
  bool clean() const { return lost + doubled + out_of_order + torn == 0; }
};

// Replays `location` from record 0 (opening a session of its own, or offline) and judges all
// workers in `boards`.
Verdict judge(const std::string& location, bool offline,
              const std::map<std::uint64_t, const Board*>& boards);

// The judging itself, apart from where the records come from: also fed by the test that the judge
// can find faults.
class Judge {
 public:
  explicit Judge(const std::map<std::uint64_t, const Board*>& boards) : boards_(boards) {}
  void see(std::uint64_t seq, std::span<const std::byte> record);
  Verdict finish();

 private:
  void complain(const std::string& text);
  void see_numbered(std::uint64_t seq, std::uint64_t worker, std::uint64_t number);

  const std::map<std::uint64_t, const Board*>& boards_;
  std::map<std::uint64_t, std::uint64_t> last_number_;  // by worker
  Verdict verdict_;
};

}  // namespace oj::crash
