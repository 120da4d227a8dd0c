// From Python's objects to the views that an operation is made of, and the owner of what they
// borrow.
//
// Everything is converted before anything is written: an object that cannot be stored raises
// TypeError here. The views are valid as long as this lives and the Python objects handed in do.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "python/native/python_types.h"
#include "schema/operation.h"

namespace oj::python {

class Borrowed {
 public:
  // `object` must be a str; `what` names it in the TypeError.
  std::string_view text(nb::handle object, const char* what);
  // None, bool, int, float and str are typed; an int beyond 64 bits and anything else becomes JSON
  // text.
  schema::Value value(nb::handle object);
  // Optuna's distributions. The deprecated classes are converted as Optuna does.
  schema::Distribution distribution(nb::handle object);
  // A sequence of anything that float() takes.
  std::span<const double> doubles(nb::handle sequence);
  // A dict of attributes, and of steps and values.
  std::span<const schema::Attr> attrs(nb::handle dict);
  std::span<const schema::IntermediateValue> intermediate_values(nb::handle dict);
  // A template's parameters, in internal representation.
  std::span<const schema::Param> params(nb::handle params, nb::handle distributions);

 private:
  std::string_view utf8(nb::handle str);
  std::string_view json(nb::handle object);
  schema::Distribution numeric(nb::handle object, schema::Distribution::Kind kind);
  schema::Distribution categorical(nb::handle object);
  schema::Distribution json_distribution(nb::handle object);

  // Vectors of vectors: a vector that moves keeps its elements' place.
  std::vector<nb::object> held_;
  std::vector<std::vector<schema::Value>> choices_;
  std::vector<std::vector<double>> doubles_;
  std::vector<std::vector<schema::Attr>> attrs_;
  std::vector<schema::IntermediateValue> intermediate_values_;
  std::vector<schema::Param> params_;
};

// The number that __float__ or __index__ gives; TypeError if neither is there.
double double_from_python(nb::handle object);
// An id: what is negative, beyond 64 bits or no integer at all names nothing, that is UINT64_MAX.
std::uint64_t id_from_python(nb::handle object);
// A TrialState or StudyDirection by its number; ValueError if it is none.
schema::TrialState state_from_python(nb::handle object);
schema::Direction direction_from_python(nb::handle object);
std::int64_t int64_from_python(nb::handle object, const char* what);

// Raises what Optuna's to_external_repr() would for an internal representation that means nothing
// there: ValueError or OverflowError for an int that is no number, IndexError for a choice that is
// not.
void check_internal(double internal, const schema::Distribution& distribution);

}  // namespace oj::python
