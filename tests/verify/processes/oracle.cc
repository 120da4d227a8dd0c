// SPDX-License-Identifier: MIT
#include "tests/verify/processes/oracle.h"

#include <algorithm>
#include <limits>
#include <variant>

#include "tests/verify/processes/content.h"

namespace oj::verify {
namespace {

constexpr std::size_t kOpNosKept = 64;

}  // namespace

History read_history(const std::string& diary_path) {
  History history;
  for (const Entry& entry : read_diary(diary_path)) {
    switch (entry.kind) {
      case Entry::Kind::kOpened: history.sessions.push_back(entry.value); break;
      case Entry::Kind::kIntent:
        history.calls.push_back({.called_ns = entry.at_ns, .synced = entry.synced != 0});
        break;
      case Entry::Kind::kResult: {
        Call& call = history.calls.back();
        call.seq = entry.value;
        call.returned_ns = entry.at_ns;
        call.wait_ns = entry.wait_ns;
        break;
      }
      case Entry::Kind::kBelief: history.calls.back().believed = true; break;
      case Entry::Kind::kClosed: history.closed = true; break;
      case Entry::Kind::kError:
      case Entry::Kind::kReady:
      case Entry::Kind::kSeen: break;
    }
  }
  history.error = read_error(diary_path);
  return history;
}

std::string Verdict::text() const {
  std::string text;
  for (const auto& [rule, times] : broken)
    text += (text.empty() ? "" : ", ") + rule + " " + std::to_string(times);
  return text.empty() ? "nothing" : text + " (first: " + first_complaint + ")";
}

Oracle::Oracle(const std::map<std::uint64_t, History>& histories) : histories_(histories) {
  for (const auto& [worker, history] : histories_) {
    for (const schema::SessionId session : history.sessions) worker_of_[session] = worker;
    if (!history.error.empty())
      complain("errors", "process " + std::to_string(worker) + ": " + history.error);
    for (std::size_t i = 1; i < history.sessions.size(); ++i) {
      if (history.sessions[i - 1] >> 32 == history.sessions[i] >> 32)
        complain("displaced", "worker " + std::to_string(worker) + " from session " +
                                  std::to_string(history.sessions[i - 1]) + " to " +
                                  std::to_string(history.sessions[i]));
    }
  }
}

void Oracle::complain(const std::string& rule, const std::string& text) {
  ++verdict_.broken[rule];
  if (verdict_.first_complaint.empty()) verdict_.first_complaint = rule + ": " + text;
}

void Oracle::see(std::uint64_t seq, std::span<const std::byte> record) {
  const std::string at = "seq " + std::to_string(seq);
  if (record.empty()) return complain("torn", at + " is a tombstone");
  const auto decoded = decoder_.decode(record);
  if (!decoded) return complain("torn", at + ": " + decoded.error().message);
  see_session(seq, *decoded);
  bool of_worker = false;
  for (const schema::Operation& operation : decoded->operations) {
    if (const auto name = name_in(operation)) {
      of_worker = true;
      if (!is_whole(operation, *name)) complain("torn", at + ": not what its worker wrote");
      see_worker(seq, name->worker, name->number);
    } else if (const auto* ended = std::get_if<schema::SessionEnded>(&operation)) {
      see_end(*ended, decoded->header.time_us);
    } else if (std::holds_alternative<schema::Tombstone>(operation)) {
      complain("torn", at + " is a tombstone");
    }
  }
  ++(of_worker ? verdict_.records : verdict_.others);
}

// What holds for every session, also those of Optuna's workers. Numbers of one session may come out
// of order by little: its keeper thread announces it, while the user's thread appends.
void Oracle::see_session(std::uint64_t seq, const schema::DecodedRecord& record) {
  const schema::SessionId session = record.header.session;
  if (session == 0) return;  // the daemon's
  const std::string who = "seq " + std::to_string(seq) + ", session " + std::to_string(session) +
                          " op " + std::to_string(record.header.op_no);
  std::set<std::uint64_t>& seen = op_nos_[session];
  if (!seen.insert(record.header.op_no).second || record.header.op_no + kOpNosKept < *seen.rbegin())
    complain("doubled", who);
  if (seen.size() > kOpNosKept) seen.erase(seen.begin());
  if (ended_.contains(session)) complain("after_end", who);
}

void Oracle::see_worker(std::uint64_t seq, std::uint64_t worker, std::uint64_t number) {
  const std::string who = "worker " + std::to_string(worker) + " record " + std::to_string(number) +
                          " at seq " + std::to_string(seq);
  const auto found = histories_.find(worker);
  if (found == histories_.end() || number == 0 || number > found->second.calls.size()) {
    return complain("uninvited", who);
  }
  // A worker goes on only after a result, so its numbers come without gaps.
  std::uint64_t& last = last_[worker];
  for (std::uint64_t missing = last + 1; missing < number; ++missing)
    missing_[worker].insert(missing);
  if (number <= last) {
    const bool late = missing_[worker].erase(number) > 0;
    complain(late ? "disordered" : "doubled", who + " after record " + std::to_string(last));
  }
  last = std::max(last, number);
  const Call& call = found->second.calls[number - 1];
  order_.push_back({call.called_ns, call.returned_ns});
  if (call.returned_ns == 0) {
    ++verdict_.unanswered;
  } else {
    ++verdict_.acknowledged;
    if (call.seq != seq) complain("disordered", who + ", told " + std::to_string(call.seq));
  }
}

void Oracle::see_end(const schema::SessionEnded& ended, std::int64_t time_us) {
  ended_.insert(ended.session);
  if (ended.reason != schema::SessionEnded::Reason::kDied) return;
  const auto worker = worker_of_.find(ended.session);
  if (!died_.insert(ended.session).second || worker == worker_of_.end()) return;
  const History& history = histories_.at(worker->second);
  if (!history.killed || time_us < history.killed_us) {
    complain("false_death", "session " + std::to_string(ended.session) + " of worker " +
                                std::to_string(worker->second) + ", which nobody had killed");
    return;
  }
  verdict_.death_ms.push_back(static_cast<double>(time_us - history.killed_us) / 1e3);
}

// From the end of the order: whoever was called after something later had returned was overtaken.
void Oracle::judge_real_time() {
  std::int64_t returned_min_ns = std::numeric_limits<std::int64_t>::max();
  for (auto record = order_.rbegin(); record != order_.rend(); ++record) {
    if (record->called_ns > returned_min_ns)
      complain("overtaken", std::to_string(record->called_ns - returned_min_ns) + " ns late");
    if (record->returned_ns != 0) returned_min_ns = std::min(returned_min_ns, record->returned_ns);
  }
}

Verdict Oracle::finish() {
  judge_real_time();
  for (const auto& [worker, numbers] : missing_) {
    for (const std::uint64_t number : numbers)
      complain("lost", "worker " + std::to_string(worker) + " record " + std::to_string(number));
  }
  for (const auto& [worker, history] : histories_) {
    for (std::uint64_t number = last_[worker] + 1; number <= history.calls.size(); ++number) {
      const Call& call = history.calls[number - 1];
      if (call.returned_ns == 0 && !call.believed) continue;
      complain("lost", "worker " + std::to_string(worker) + " record " + std::to_string(number) +
                           ", told that it is at seq " + std::to_string(call.seq));
    }
    if (!history.killed) continue;
    // All but the last session of a process were replaced by the next.
    if (!history.sessions.empty() && history.sessions.back() != 0 && !history.closed &&
        !died_.contains(history.sessions.back()) && !ended_.contains(history.sessions.back())) {
      complain("silent_death", "worker " + std::to_string(worker));
    }
  }
  return std::move(verdict_);
}

}  // namespace oj::verify
