// Which records `optjournal tail` prints.
//
// A record is wanted if one of its operations fits all of study, trial, op, state and worker, and
// the record the time. A damaged record, and the tombstone that stands for one, may have been
// anything: it fits whatever is asked for but the time, so that no filter hides that something is
// missing.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/record_line.h"
#include "schema/operation.h"

namespace oj::cli {

struct RecordFilter {
  std::optional<std::string> study;        // its name
  std::vector<std::uint64_t> trials;       // numbers in their study; empty: all
  std::vector<std::string> operations;     // names of union arms; empty: all
  std::vector<schema::TrialState> states;  // into which a trial came; empty: all operations
  std::vector<std::string> workers;        // "4711", "train.py" or "train.py[4711]"; empty: all
  // Of the record's own time, its writer's clock: since <= time < until.
  std::optional<std::int64_t> since_us, until_us;

  bool empty() const;
  bool wants(const RecordText& text) const;

  // Does any operation of the record concern the study that is asked for? True without one.
  bool of_study(const RecordText& text) const;
};

// Is there an operation of this name? kInvalid with those that come near.
Result<void> check_operation_name(const std::string& name);

}  // namespace oj::cli
