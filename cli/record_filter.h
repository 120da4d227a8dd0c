// Which records `optjournal tail` prints.
//
// Conditions of one kind (two trials, two operations) are alternatives; kinds must all hold. What
// concerns an operation (study, trial, operation, state) must hold for one operation of the record;
// the record is then printed whole, for it is atomic.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/record_line.h"
#include "schema/operation.h"

namespace oj::cli {

struct RecordFilter {
  std::optional<std::string> study = {};        // its name
  std::vector<std::uint64_t> trials = {};       // numbers
  std::vector<std::string> operations = {};     // "setTrialParam"
  std::vector<schema::TrialState> states = {};  // that a trial is created in or goes to
  std::vector<std::string> workers =
      {};  // pids, commands or users; also of a worker whose end is told
  std::optional<std::int64_t> since_us = {},
                              until_us = {};  // when it was written; until is exclusive

  bool takes_all() const;
  bool takes(const RecordText& record) const;

 private:
  bool takes(const OperationText& operation) const;
  bool takes_worker(const RecordText& record) const;
};

}  // namespace oj::cli
