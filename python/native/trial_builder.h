// From a copied trial to Optuna's FrozenTrial.
//
// SPDX-License-Identifier: MIT
#pragma once

#include "python/native/distribution_objects.h"
#include "python/native/python_types.h"
#include "python/native/trial_copies.h"

namespace oj::python {

// A plain FrozenTrial with exactly the attributes that Optuna's constructor gives it. All its dicts
// are its own; the distributions are those of `distributions`. Python code may run in here.
nb::object build_trial(const TrialCopies& copies, const TrialCopies::Trial& trial,
                       DistributionObjects& distributions);

nb::object build_attrs(const TrialCopies& copies, TrialCopies::Range attrs);

}  // namespace oj::python
