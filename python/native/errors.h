// From our errors to Python's: what each outcome and each Code becomes in Optuna's terms.
//
//   no such study or trial     KeyError
//   the name is taken          optuna.exceptions.DuplicatedStudyError
//   the trial is finished      optuna.exceptions.UpdateFinishedTrialError, and RuntimeError where
//                              Optuna does not have it (before 4.3)
//   incompatible distribution  ValueError, in Optuna's words
//   any other Error            optjournal.JournalError's subclass for its code
//
// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "base/result.h"
#include "python/native/python_types.h"
#include "replay/state.h"
#include "schema/operation.h"

namespace oj::python {

[[noreturn]] void raise(nb::handle exception_class, const std::string& message);
[[noreturn]] void raise_error(const Error& error);
[[noreturn]] void raise_no_study(std::uint64_t study_id);
[[noreturn]] void raise_no_trial(std::uint64_t trial_id);
// REQUIRES: `outcome` is no success.
[[noreturn]] void raise_outcome(const replay::Outcome& outcome, const schema::Operation& operation);

template <class T>
T value_or_raise(Result<T> result) {
  if (!result) raise_error(result.error());
  return std::move(*result);
}
inline void check_or_raise(const Result<void>& result) {
  if (!result) raise_error(result.error());
}

}  // namespace oj::python
