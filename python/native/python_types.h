// The Python objects that this extension is about: Optuna's classes, our exceptions, interned
// names.
//
// Looked up once, at import, and kept for the process's life: a module that is unloaded at exit
// must not pull them away from a storage that is closed later.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <Python.h>

#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include "base/result.h"

namespace oj::python {

namespace nb = nanobind;

// What a FrozenTrial is made of. `kCount` is no field.
enum class TrialField {
  kNumber,
  kState,
  kValues,
  kDatetimeStart,
  kDatetimeComplete,
  kParams,
  kUserAttrs,
  kSystemAttrs,
  kIntermediateValues,
  kDistributions,
  kTrialId,
  kCount,
};
constexpr std::size_t kTrialFieldCount = static_cast<std::size_t>(TrialField::kCount);

struct PythonTypes {
  PythonTypes();  // imports Optuna and optjournal._errors

  nb::object frozen_trial;                 // the class
  std::array<nb::object, 5> trial_states;  // by number
  std::array<nb::object, 3> directions;    // by number
  nb::object base_distribution, float_distribution, int_distribution, categorical_distribution;
  nb::object distribution_to_json, json_to_distribution, convert_old_distribution;
  nb::object json_encode, json_decode;  // str <-> anything, as the json module does it
  nb::object journal_errors[8];         // by oj::Code
  nb::object update_finished_error, duplicated_study_error;
  nb::object empty_tuple;

  // The attributes of a FrozenTrial in the order in which its constructor sets them (hash() and
  // repr() follow it). Empty when this Optuna's FrozenTrial has others than we know: then the
  // constructor is called.
  std::vector<std::pair<nb::object, TrialField>> trial_attributes;
  // Whether the distributions' attributes are the ones we know; else their constructors are called.
  bool plain_distributions = false;

  // Interned attribute names.
  nb::object low, high, step, log, choices, q, to_internal_repr, to_external_repr;
};

// Made at the first call, which is at import. The GIL is held.
const PythonTypes& python_types();

}  // namespace oj::python
