// Optuna's distribution objects for the journal's distributions: one object for each that trials
// share.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <unordered_map>

#include "python/native/python_types.h"
#include "replay/state.h"

namespace oj::python {

class DistributionObjects {
 public:
  // The object, made at the first call for `distribution`, which is kept alive.
  nb::object get(const std::shared_ptr<const replay::Distribution>& distribution);

 private:
  struct Entry {
    std::shared_ptr<const replay::Distribution>
        distribution;  // keeps the key's address from being used again
    nb::object object;
  };
  std::unordered_map<const replay::Distribution*, Entry> entries_;
};

// A parameter's external representation: what `object`, made of `distribution`, makes of
// `internal`. None for what means nothing there (another program's).
nb::object external_value(double internal, const replay::Distribution& distribution,
                          nb::handle object);

}  // namespace oj::python
