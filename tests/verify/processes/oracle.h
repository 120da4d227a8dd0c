// Compares a journal with what its workers were told (diary.h).
//
// Goal    Nothing that a worker was told is published may be missing, torn, doubled or elsewhere in
//         the order than it was told; nothing may be there that nobody meant to write; and no
//         session may be called dead whose process lived.
// Method  The diaries are read once. A journal is then shown record by record, from whichever
//         source; each of the rules below counts what breaks it.
//
//   lost          a result without its record
//   doubled       a number, or a session's op_no, that comes twice
//   disordered    a worker's numbers not as it wrote them, or a record not where it was told
//   torn          bytes that are not what its worker wrote; a tombstone
//   uninvited     a record without an intent
//   overtaken     call A returned before call B began, yet B's record comes first
//   after_end     a session's record after its SessionEnded
//   false_death   SessionEnded{died} of a process that nobody had killed by then
//   displaced     a process that got another session in the same region
//   silent_death  a killed process without SessionEnded{died}
//   errors        calls that failed
//
// What the oracle does not count: a worker killed between its call and writing the result leaves an
// intent only. Its record may be there (`unanswered`) or not; both are right.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "schema/codec.h"
#include "schema/operation.h"
#include "tests/verify/processes/diary.h"

namespace oj::verify {

struct Call {
  static constexpr std::uint64_t kNoSeq = ~std::uint64_t{0};
  std::uint64_t seq = kNoSeq;  // as the worker was told
  std::int64_t called_ns = 0;
  std::int64_t returned_ns = 0;  // 0: no result
  std::int64_t wait_ns = 0;      // inside the call
  bool synced = false;           // it also waited for the disk
  bool believed = false;         // a lying worker's: said to be there, without a seq
};

struct History {  // of one process
  bool killed = false;
  bool closed = false;
  std::int64_t killed_us = 0;  // UTC
  std::vector<schema::SessionId> sessions;
  std::vector<Call> calls;  // of number 1, 2, 3, ...
  std::string error;
};
History read_history(const std::string& diary_path);

struct Verdict {
  std::uint64_t records = 0, others = 0;  // of workers; of Optuna, sessions and daemons
  std::uint64_t acknowledged = 0, unanswered = 0;
  std::map<std::string, std::uint64_t> broken;  // by rule
  std::string first_complaint;
  std::vector<double> death_ms;  // from kill to SessionEnded{died}
  bool clean() const { return broken.empty(); }
  std::uint64_t count(const std::string& rule) const {
    const auto found = broken.find(rule);
    return found == broken.end() ? 0 : found->second;
  }
  std::string text() const;  // "lost 1, torn 2", or "nothing"
};

class Oracle {
 public:
  explicit Oracle(const std::map<std::uint64_t, History>& histories);
  // In the order of the journal. Empty bytes: a tombstone's place.
  void see(std::uint64_t seq, std::span<const std::byte> record);
  Verdict finish();

 private:
  struct Placed {  // a record in the order, with the time of its call
    std::int64_t called_ns = 0, returned_ns = 0;
  };
  void complain(const std::string& rule, const std::string& text);
  void see_worker(std::uint64_t seq, std::uint64_t worker, std::uint64_t number);
  void see_session(std::uint64_t seq, const schema::DecodedRecord& record);
  void see_end(const schema::SessionEnded& ended, std::int64_t time_us);
  void judge_real_time();

  const std::map<std::uint64_t, History>& histories_;
  std::unordered_map<schema::SessionId, std::uint64_t> worker_of_;
  std::unordered_map<std::uint64_t, std::uint64_t> last_;     // by worker: its last number
  std::map<std::uint64_t, std::set<std::uint64_t>> missing_;  // by worker: numbers left out
  std::unordered_map<schema::SessionId, std::set<std::uint64_t>> op_nos_;
  std::set<schema::SessionId> ended_, died_;
  std::vector<Placed> order_;
  schema::Decoder decoder_;
  Verdict verdict_;
};

}  // namespace oj::verify
