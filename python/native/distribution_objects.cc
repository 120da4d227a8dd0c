// SPDX-License-Identifier: MIT
#include "python/native/distribution_objects.h"

#include <cmath>

#include "python/native/values.h"

namespace oj::python {
namespace {

nb::object owned(PyObject* object) {
  if (object == nullptr) throw nb::python_error();
  return nb::steal(object);
}

// An instance with no attributes yet: the constructor would check and adjust what was already
// checked and adjusted.
nb::object bare_instance(const nb::object& type) {
  auto* type_object = reinterpret_cast<PyTypeObject*>(type.ptr());
  return owned(type_object->tp_new(type_object, python_types().empty_tuple.ptr(), nullptr));
}

void set(const nb::object& object, const nb::object& name, const nb::object& value) {
  if (PyObject_SetAttr(object.ptr(), name.ptr(), value.ptr()) != 0) throw nb::python_error();
}

nb::object make_numeric(const nb::object& type, bool log, const nb::object& low,
                        const nb::object& high, const nb::object& step) {
  const PythonTypes& types = python_types();
  const nb::object log_object = nb::borrow(log ? Py_True : Py_False);
  if (!types.plain_distributions) {
    return type(low, high, nb::arg("log") = log_object, nb::arg("step") = step);
  }
  nb::object object = bare_instance(type);
  set(object, types.step, step);
  set(object, types.low, low);
  set(object, types.high, high);
  set(object, types.log, log_object);
  return object;
}

nb::object make_categorical(const replay::Distribution& distribution) {
  const PythonTypes& types = python_types();
  nb::object choices = owned(PyTuple_New(static_cast<Py_ssize_t>(distribution.choices.size())));
  for (std::size_t i = 0; i < distribution.choices.size(); ++i) {
    PyTuple_SET_ITEM(choices.ptr(), static_cast<Py_ssize_t>(i),
                     value_to_python(distribution.choices[i].view()).release().ptr());
  }
  if (!types.plain_distributions) return types.categorical_distribution(choices);
  nb::object object = bare_instance(types.categorical_distribution);
  set(object, types.choices, choices);
  return object;
}

nb::object make(const replay::Distribution& distribution) {
  using Kind = schema::Distribution::Kind;
  const PythonTypes& types = python_types();
  switch (distribution.kind) {
    case Kind::kFloat:
      return make_numeric(types.float_distribution, distribution.log,
                          float_to_python(distribution.low), float_to_python(distribution.high),
                          distribution.has_step ? float_to_python(distribution.step) : nb::none());
    case Kind::kInt:
      return make_numeric(types.int_distribution, distribution.log,
                          owned(PyLong_FromLongLong(distribution.int_low)),
                          owned(PyLong_FromLongLong(distribution.int_high)),
                          owned(PyLong_FromLongLong(distribution.int_step)));
    case Kind::kCategorical: return make_categorical(distribution);
    case Kind::kJson: break;
  }
  return types.json_to_distribution(text_to_python(distribution.json));
}

nb::object choice(double internal, nb::handle object) {
  const nb::object choices = owned(PyObject_GetAttr(object.ptr(), python_types().choices.ptr()));
  if (!PyTuple_Check(choices.ptr())) return nb::none();
  if (!(internal > -1.0 && internal < static_cast<double>(PyTuple_GET_SIZE(choices.ptr()))))
    return nb::none();
  return nb::borrow(PyTuple_GET_ITEM(choices.ptr(), static_cast<Py_ssize_t>(internal)));
}

}  // namespace

nb::object DistributionObjects::get(
    const std::shared_ptr<const replay::Distribution>& distribution) {
  const auto known = entries_.find(distribution.get());
  if (known != entries_.end()) return known->second.object;
  nb::object object = make(*distribution);
  // Python code may have run: somebody else's object, if there is one now, stays.
  return entries_.try_emplace(distribution.get(), Entry{distribution, std::move(object)})
      .first->second.object;
}

nb::object external_value(double internal, const replay::Distribution& distribution,
                          nb::handle object) {
  using Kind = schema::Distribution::Kind;
  switch (distribution.kind) {
    case Kind::kFloat: return float_to_python(internal);
    case Kind::kInt:
      if (!std::isfinite(internal)) return nb::none();
      return owned(PyLong_FromDouble(internal));
    case Kind::kCategorical: return choice(internal, object);
    case Kind::kJson: break;
  }
  const nb::object value = float_to_python(internal);
  PyObject* external =
      PyObject_CallMethodOneArg(object.ptr(), python_types().to_external_repr.ptr(), value.ptr());
  if (external != nullptr) return nb::steal(external);
  PyErr_Clear();
  return nb::none();
}

}  // namespace oj::python
