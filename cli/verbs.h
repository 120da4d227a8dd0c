// What each verb of `optjournal` is asked for, and the function that does it.
//
// All of them only look, but for `stop`, `orphans` with a policy and what people write in the
// `dashboard`; none creates a journal. An error is shown to the user as it is.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/exit_code.h"
#include "cli/output.h"
#include "cli/record_filter.h"
#include "schema/operation.h"

namespace oj::cli {

struct TailOptions {
  std::string location;
  bool follow = false;
  bool json = false;
  RecordFilter filter;
  enum class From : std::uint8_t { kLast, kStart, kNow, kSeq };
  From from = From::kLast;
  std::uint64_t seq = 0;     // of kSeq
  std::uint64_t lines = 10;  // of kLast
};
Result<void> tail(const TailOptions& options, Output& out);

struct TopOptions {
  std::string location;
  bool once = false, json = false;
  double interval_s = 1;
};
Result<void> top(const TopOptions& options, Output& out);

struct StatusOptions {
  std::string location;
  bool json = false;
};
Result<void> status(const StatusOptions& options, Output& out);

struct StudiesOptions {
  std::string location;
  bool json = false;
};
Result<void> studies(const StudiesOptions& options, Output& out);

struct TrialsOptions {
  std::string location;
  std::optional<std::string> study;  // unset: the only one
  bool json = false, csv = false;
  bool attrs = false;
  std::vector<schema::TrialState> states;  // empty: all
  std::optional<std::uint64_t> limit;      // the newest so many
};
Result<void> trials(const TrialsOptions& options, Output& out);

struct OrphansOptions {
  std::string location;
  std::optional<std::string> study;  // unset: all
  bool json = false;
  std::optional<schema::OrphanPolicy> policy;  // to set, of `study`; kUnset: none
};
Result<void> orphans(const OrphansOptions& options, Output& out);

struct StopOptions {
  std::string location;
  double timeout_s = 30;
};
Result<void> stop(const StopOptions& options, Output& out);

struct DashboardOptions {
  std::string location;
  std::string host = "127.0.0.1", port = "8080";
};
// Returns only if it failed: else this process is a Python.
Result<void> dashboard(const DashboardOptions& options);

struct DoctorOptions {
  std::string location;
  bool json = false;
};
// By the worst of its findings: kOk, kWarning or kProblem.
Result<Exit> doctor(const DoctorOptions& options, Output& out);

Result<void> version(Output& out);

}  // namespace oj::cli
