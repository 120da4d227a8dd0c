// SPDX-License-Identifier: MIT
#include "python/native/trial_builder.h"

#include <array>

#include "python/native/datetimes.h"
#include "python/native/values.h"

namespace oj::python {
namespace {

using Fields = std::array<nb::object, kTrialFieldCount>;

nb::object owned(PyObject* object) {
  if (object == nullptr) throw nb::python_error();
  return nb::steal(object);
}

nb::object& at(Fields& fields, TrialField field) { return fields[static_cast<std::size_t>(field)]; }

void insert(const nb::object& dict, const nb::object& key, const nb::object& value) {
  if (PyDict_SetItem(dict.ptr(), key.ptr(), value.ptr()) != 0) throw nb::python_error();
}

nb::object build_values(std::span<const double> values) {
  nb::object list = owned(PyList_New(static_cast<Py_ssize_t>(values.size())));
  for (std::size_t i = 0; i < values.size(); ++i) {
    PyList_SET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i),
                    float_to_python(values[i]).release().ptr());
  }
  return list;
}

nb::object build_intermediate_values(std::span<const schema::IntermediateValue> values) {
  nb::object dict = owned(PyDict_New());
  for (const auto& [step, value] : values)
    insert(dict, owned(PyLong_FromLongLong(step)), float_to_python(value));
  return dict;
}

// The constructor of an Optuna whose FrozenTrial we do not know by heart.
nb::object construct(Fields& fields) {
  return python_types().frozen_trial(
      nb::arg("number") = at(fields, TrialField::kNumber),
      nb::arg("state") = at(fields, TrialField::kState), nb::arg("value") = nb::none(),
      nb::arg("values") = at(fields, TrialField::kValues),
      nb::arg("datetime_start") = at(fields, TrialField::kDatetimeStart),
      nb::arg("datetime_complete") = at(fields, TrialField::kDatetimeComplete),
      nb::arg("params") = at(fields, TrialField::kParams),
      nb::arg("distributions") = at(fields, TrialField::kDistributions),
      nb::arg("user_attrs") = at(fields, TrialField::kUserAttrs),
      nb::arg("system_attrs") = at(fields, TrialField::kSystemAttrs),
      nb::arg("intermediate_values") = at(fields, TrialField::kIntermediateValues),
      nb::arg("trial_id") = at(fields, TrialField::kTrialId));
}

nb::object assemble(Fields& fields) {
  const PythonTypes& types = python_types();
  if (types.trial_attributes.empty()) return construct(fields);
  auto* type = reinterpret_cast<PyTypeObject*>(types.frozen_trial.ptr());
  nb::object trial = owned(type->tp_new(type, types.empty_tuple.ptr(), nullptr));
  // One by one, not a dict at once: instances then share their keys, which saves 0.5 KB each.
  for (const auto& [name, field] : types.trial_attributes) {
    if (PyObject_SetAttr(trial.ptr(), name.ptr(), at(fields, field).ptr()) != 0)
      throw nb::python_error();
  }
  return trial;
}

}  // namespace

nb::object build_attrs(const TrialCopies& copies, TrialCopies::Range attrs) {
  nb::object dict = owned(PyDict_New());
  for (const TrialCopies::Attr& attr : copies.attrs(attrs)) {
    insert(dict, key_to_python(copies.text(attr.key)), value_to_python(copies.value(attr)));
  }
  return dict;
}

nb::object build_trial(const TrialCopies& copies, const TrialCopies::Trial& trial,
                       DistributionObjects& distributions) {
  Fields fields;
  at(fields, TrialField::kNumber) = owned(PyLong_FromUnsignedLongLong(trial.number));
  at(fields, TrialField::kState) =
      python_types().trial_states[static_cast<std::size_t>(trial.state)];
  at(fields, TrialField::kValues) =
      trial.has_values ? build_values(copies.values(trial.values)) : nb::none();
  at(fields, TrialField::kDatetimeStart) = datetime_to_python(trial.start_us);
  at(fields, TrialField::kDatetimeComplete) = datetime_to_python(trial.complete_us);
  at(fields, TrialField::kUserAttrs) = build_attrs(copies, trial.user_attrs);
  at(fields, TrialField::kSystemAttrs) = build_attrs(copies, trial.system_attrs);
  at(fields, TrialField::kIntermediateValues) =
      build_intermediate_values(copies.intermediate_values(trial.intermediate_values));
  at(fields, TrialField::kTrialId) = owned(PyLong_FromUnsignedLongLong(trial.id));
  nb::object params = owned(PyDict_New());
  nb::object distribution_dict = owned(PyDict_New());
  for (const TrialCopies::Param& param : copies.params(trial.params)) {
    const nb::object name = key_to_python(copies.text(param.name));
    const nb::object distribution = distributions.get(param.distribution);
    insert(distribution_dict, name, distribution);
    insert(params, name, external_value(param.internal, *param.distribution, distribution));
  }
  at(fields, TrialField::kParams) = std::move(params);
  at(fields, TrialField::kDistributions) = std::move(distribution_dict);
  return assemble(fields);
}

}  // namespace oj::python
