// SPDX-License-Identifier: MIT
#include "python/native/errors.h"

#include "libclient/storage.h"
#include "python/native/values.h"

namespace oj::python {
namespace {

// Optuna's sentence for two distributions that differ in kind, in `log` or in their choices.
const char* incompatibility(const schema::Distribution& distribution) {
  using Kind = schema::Distribution::Kind;
  switch (distribution.kind) {
    case Kind::kCategorical: return "CategoricalDistribution does not support dynamic value space.";
    case Kind::kFloat:
    case Kind::kInt: return "Cannot set different log configuration to the same parameter name.";
    case Kind::kJson: break;
  }
  return "Cannot set different distribution kind to the same parameter name.";
}

std::string without_surrogates(std::string_view text) {
  return nb::cast<std::string>(nb::str(nb::repr(text_to_python(text))));
}

}  // namespace

void raise(nb::handle exception_class, const std::string& message) {
  nb::object text = text_to_python(message);
  PyErr_SetObject(exception_class.ptr(), text.ptr());
  throw nb::python_error();
}

void raise_error(const Error& error) {
  nb::object exception = python_types().journal_errors[static_cast<std::size_t>(error.code)](
      text_to_python(error.message), error.os_error);
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())), exception.ptr());
  throw nb::python_error();
}

void raise_no_study(std::uint64_t study_id) {
  const std::string id = study_id == UINT64_MAX ? "that" : std::to_string(study_id);
  raise(PyExc_KeyError, "No study with study_id " + id + " exists.");
}

void raise_no_trial(std::uint64_t trial_id) {
  const std::string id = trial_id == UINT64_MAX ? "that" : std::to_string(trial_id);
  raise(PyExc_KeyError, "No trial with trial_id " + id + " exists.");
}

void raise_outcome(const replay::Outcome& outcome, const schema::Operation& operation) {
  using replay::OutcomeCode;
  switch (outcome.code) {
    case OutcomeCode::kTrialFinished:
      raise(
          python_types().update_finished_error,
          "Trial#" + std::to_string(outcome.id) + " has already finished and can not be updated.");
    case OutcomeCode::kStudyExists: {
      const auto* create = std::get_if<schema::CreateStudy>(&operation);
      raise(python_types().duplicated_study_error,
            "Another study with name " + without_surrogates(create == nullptr ? "" : create->name) +
                " already exists. Please specify a different name, or reuse the existing one by "
                "setting "
                "`load_if_exists` (for Python API) or `--skip-if-exists` flag (for CLI).");
    }
    case OutcomeCode::kIncompatible: {
      const auto* set = std::get_if<schema::SetTrialParam>(&operation);
      raise(PyExc_ValueError,
            set == nullptr ? "Cannot set different distribution kind to the same parameter name."
                           : incompatibility(set->param.distribution));
    }
    case OutcomeCode::kDone:
    case OutcomeCode::kUnchanged:
    case OutcomeCode::kNoSuchStudy:
    case OutcomeCode::kNoSuchTrial: break;
  }
  const Error error = client::outcome_error(outcome, operation);
  raise(PyExc_KeyError, error.message);
}

}  // namespace oj::python
