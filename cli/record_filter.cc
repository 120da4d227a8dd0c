// SPDX-License-Identifier: MIT
#include "cli/record_filter.h"

#include <algorithm>

#include <fmt/format.h>

#include "cli/spelling.h"
#include "cli/text.h"

namespace oj::cli {
namespace {

constexpr const char* kTombstone = "tombstone";

template <class T>
bool among(const std::vector<T>& wanted, const T& found) {
  return wanted.empty() || std::find(wanted.begin(), wanted.end(), found) != wanted.end();
}

bool is_worker(const std::vector<std::string>& wanted, const WorkerName& worker) {
  const std::string pid = std::to_string(worker.pid);
  return std::any_of(wanted.begin(), wanted.end(), [&](const std::string& one) {
    return one == worker.command ||
           (worker.pid != 0 && (one == pid || one == fmt::format("{}[{}]", worker.command, pid)));
  });
}

// Who wrote the record, or whose end the operation tells.
bool of_worker(const std::vector<std::string>& wanted, const RecordText& text,
               const OperationText& op) {
  if (wanted.empty()) return true;
  if (op.ended && is_worker(wanted, *op.ended)) return true;
  if (text.header.session == 0) return is_worker(wanted, {"optjournald", 0});
  return text.session && is_worker(wanted, {text.session->command, text.session->pid});
}

}  // namespace

bool RecordFilter::empty() const {
  return !study && trials.empty() && operations.empty() && states.empty() && workers.empty() &&
         !since_us && !until_us;
}

bool RecordFilter::of_study(const RecordText& text) const {
  return !study || std::any_of(text.operations.begin(), text.operations.end(),
                               [&](const OperationText& op) { return op.study == study; });
}

bool RecordFilter::wants(const RecordText& text) const {
  const std::int64_t time_us = text.header.time_us;
  if ((since_us && time_us < *since_us) || (until_us && time_us >= *until_us)) return false;
  if (!text.bad.empty()) return true;
  return std::any_of(text.operations.begin(), text.operations.end(), [&](const OperationText& op) {
    if (op.operation == kTombstone) return true;
    if (study && op.study != study) return false;
    if (!trials.empty() && !(op.trial && among(trials, *op.trial))) return false;
    if (!states.empty() && !(op.state && among(states, *op.state))) return false;
    return among(operations, op.operation) && of_worker(workers, text, op);
  });
}

Result<void> check_operation_name(const std::string& name) {
  const auto every = schema::operation_names();
  static const std::vector<std::string> kNames(every.begin(), every.end());
  if (among(kNames, name)) return {};
  const std::vector<std::string> near = near_names(name, kNames);
  std::string all;
  for (const std::string& one : kNames) all += (all.empty() ? "" : ", ") + one;
  return Error{
      Code::kInvalid,
      fmt::format("\"{}\" is no operation{}", shown(name),
                  near.empty() ? ": " + all : fmt::format("; did you mean {}?", near.front()))};
}

}  // namespace oj::cli
