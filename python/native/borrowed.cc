// SPDX-License-Identifier: MIT
#include "python/native/borrowed.h"

#include <cmath>

#include "python/native/errors.h"
#include "python/native/values.h"

namespace oj::python {
namespace {

nb::object owned(PyObject* object) {
  if (object == nullptr) throw nb::python_error();
  return nb::steal(object);
}

nb::object attribute(nb::handle object, const nb::object& name) {
  return owned(PyObject_GetAttr(object.ptr(), name.ptr()));
}

std::string class_name(nb::handle object) { return Py_TYPE(object.ptr())->tp_name; }

// False: beyond 64 bits.
bool fits_int64(nb::handle object, std::int64_t& value) {
  int overflow = 0;
  value = PyLong_AsLongLongAndOverflow(object.ptr(), &overflow);
  if (overflow != 0) return false;
  if (value == -1 && PyErr_Occurred() != nullptr) throw nb::python_error();
  return true;
}

}  // namespace

double double_from_python(nb::handle object) {
  if (PyFloat_CheckExact(object.ptr())) return PyFloat_AS_DOUBLE(object.ptr());
  const double value = PyFloat_AsDouble(object.ptr());
  if (value == -1.0 && PyErr_Occurred() != nullptr) throw nb::python_error();
  return value;
}

std::uint64_t id_from_python(nb::handle object) {
  if (!PyLong_Check(object.ptr())) {
    if (!PyIndex_Check(object.ptr())) return UINT64_MAX;
    nb::object index = owned(PyNumber_Index(object.ptr()));
    return id_from_python(index);
  }
  int overflow = 0;
  const long long value = PyLong_AsLongLongAndOverflow(object.ptr(), &overflow);
  return overflow != 0 || value < 0 ? UINT64_MAX : static_cast<std::uint64_t>(value);
}

std::int64_t int64_from_python(nb::handle object, const char* what) {
  nb::object index = owned(PyNumber_Index(object.ptr()));
  std::int64_t value = 0;
  if (!fits_int64(index, value))
    raise(PyExc_OverflowError, std::string(what) + " does not fit into 64 bits");
  return value;
}

schema::TrialState state_from_python(nb::handle object) {
  const auto& states = python_types().trial_states;
  for (std::size_t i = 0; i < states.size(); ++i) {
    if (object.is(states[i])) return static_cast<schema::TrialState>(i);
  }
  const std::int64_t number = int64_from_python(object, "a trial state");
  if (number < 0 || number > 4)
    raise(PyExc_ValueError, std::to_string(number) + " is not a valid TrialState");
  return static_cast<schema::TrialState>(number);
}

schema::Direction direction_from_python(nb::handle object) {
  const std::int64_t number = int64_from_python(object, "a study direction");
  if (number < 0 || number > 2)
    raise(PyExc_ValueError, std::to_string(number) + " is not a valid StudyDirection");
  return static_cast<schema::Direction>(number);
}

void check_internal(double internal, const schema::Distribution& distribution) {
  using Kind = schema::Distribution::Kind;
  if (distribution.kind == Kind::kFloat || distribution.kind == Kind::kJson) return;
  owned(PyLong_FromDouble(internal));  // raises as int() does for NaN and the infinities
  if (distribution.kind == Kind::kCategorical &&
      !(internal > -1.0 && internal < static_cast<double>(distribution.choices.size()))) {
    raise(PyExc_IndexError, "the distribution has " + std::to_string(distribution.choices.size()) +
                                " choices, none with index " +
                                std::to_string(std::trunc(internal)));
  }
}

std::string_view Borrowed::utf8(nb::handle str) {
  Py_ssize_t size = 0;
  const char* data = PyUnicode_AsUTF8AndSize(str.ptr(), &size);
  if (data != nullptr) return {data, static_cast<std::size_t>(size)};
  if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) throw nb::python_error();
  PyErr_Clear();  // lone surrogates
  held_.push_back(owned(PyUnicode_AsEncodedString(str.ptr(), "utf-8", "surrogatepass")));
  PyObject* bytes = held_.back().ptr();
  return {PyBytes_AS_STRING(bytes), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes))};
}

std::string_view Borrowed::text(nb::handle object, const char* what) {
  if (!PyUnicode_Check(object.ptr()))
    raise(PyExc_TypeError, std::string(what) + " must be str, not " + class_name(object));
  return utf8(object);
}

std::string_view Borrowed::json(nb::handle object) {
  held_.push_back(owned(PyObject_CallOneArg(python_types().json_encode.ptr(), object.ptr())));
  return utf8(nb::object(held_.back()));
}

schema::Value Borrowed::value(nb::handle object) {
  using Kind = schema::Value::Kind;
  schema::Value value;
  PyObject* o = object.ptr();
  if (o == Py_None) return value;
  if (PyBool_Check(o)) {
    value.kind = Kind::kBool;
    value.boolean = o == Py_True;
  } else if (PyLong_Check(o) && fits_int64(object, value.int64)) {
    value.kind = Kind::kInt64;
  } else if (PyFloat_Check(o)) {
    value.kind = Kind::kFloat64;
    value.float64 = PyFloat_AS_DOUBLE(o);
  } else if (PyUnicode_Check(o)) {
    value.kind = Kind::kText;
    value.text = utf8(object);
  } else {
    value.int64 = 0;
    value.kind = Kind::kJson;
    value.text = json(object);
  }
  return value;
}

schema::Distribution Borrowed::distribution(nb::handle object) {
  using Kind = schema::Distribution::Kind;
  const PythonTypes& types = python_types();
  PyObject* type = reinterpret_cast<PyObject*>(Py_TYPE(object.ptr()));
  if (type == types.float_distribution.ptr()) return numeric(object, Kind::kFloat);
  if (type == types.int_distribution.ptr()) return numeric(object, Kind::kInt);
  if (type == types.categorical_distribution.ptr()) return categorical(object);
  if (!nb::isinstance(object, types.base_distribution)) {
    raise(PyExc_TypeError, "a distribution is expected, not " + class_name(object));
  }
  if (!types.convert_old_distribution.is_none()) {
    nb::object converted =
        types.convert_old_distribution(object, nb::arg("suppress_warning") = true);
    if (Py_TYPE(converted.ptr()) != Py_TYPE(object.ptr())) {
      held_.push_back(converted);
      return distribution(converted);
    }
  }
  raise(PyExc_TypeError, "a distribution of class " + class_name(object) + " cannot be stored");
}

schema::Distribution Borrowed::numeric(nb::handle object, schema::Distribution::Kind kind) {
  const PythonTypes& types = python_types();
  schema::Distribution distribution;
  distribution.kind = kind;
  const int log = PyObject_IsTrue(attribute(object, types.log).ptr());
  if (log < 0) throw nb::python_error();
  distribution.log = log != 0;
  const nb::object low = attribute(object, types.low);
  const nb::object high = attribute(object, types.high);
  const nb::object step = attribute(object, types.step);
  if (kind == schema::Distribution::Kind::kFloat) {
    distribution.low = double_from_python(low);
    distribution.high = double_from_python(high);
    distribution.has_step = !step.is_none();
    if (distribution.has_step) distribution.step = double_from_python(step);
    return distribution;
  }
  if (!fits_int64(low, distribution.int_low) || !fits_int64(high, distribution.int_high) ||
      !fits_int64(step, distribution.int_step)) {
    return json_distribution(object);
  }
  return distribution;
}

schema::Distribution Borrowed::categorical(nb::handle object) {
  const nb::object choices = attribute(object, python_types().choices);
  held_.push_back(choices);  // somebody may set `choices` while we wait
  const nb::object items = owned(PySequence_Fast(choices.ptr(), "choices must be a sequence"));
  held_.push_back(items);
  const Py_ssize_t size = PySequence_Fast_GET_SIZE(items.ptr());
  std::vector<schema::Value> values;
  values.reserve(static_cast<std::size_t>(size));
  for (Py_ssize_t i = 0; i < size; ++i)
    values.push_back(value(PySequence_Fast_GET_ITEM(items.ptr(), i)));
  schema::Distribution distribution;
  distribution.kind = schema::Distribution::Kind::kCategorical;
  choices_.push_back(std::move(values));
  distribution.choices = choices_.back();
  return distribution;
}

schema::Distribution Borrowed::json_distribution(nb::handle object) {
  held_.push_back(
      owned(PyObject_CallOneArg(python_types().distribution_to_json.ptr(), object.ptr())));
  schema::Distribution distribution;
  distribution.kind = schema::Distribution::Kind::kJson;
  distribution.json = utf8(nb::object(held_.back()));
  return distribution;
}

std::span<const double> Borrowed::doubles(nb::handle sequence) {
  const nb::object items =
      owned(PySequence_Fast(sequence.ptr(), "values must be a sequence of numbers"));
  std::vector<double> values;
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items.ptr()); ++i) {
    values.push_back(double_from_python(nb::borrow(PySequence_Fast_GET_ITEM(items.ptr(), i))));
  }
  doubles_.push_back(std::move(values));
  return doubles_.back();
}

std::span<const schema::Attr> Borrowed::attrs(nb::handle dict) {
  std::vector<schema::Attr> attrs;
  for (auto [key, object] : nb::borrow<nb::dict>(dict)) {
    held_.push_back(nb::borrow(key));
    held_.push_back(nb::borrow(object));
    attrs.push_back({text(key, "an attribute's key"), value(object)});
  }
  attrs_.push_back(std::move(attrs));
  return attrs_.back();
}

std::span<const schema::IntermediateValue> Borrowed::intermediate_values(nb::handle dict) {
  for (auto [step, number] : nb::borrow<nb::dict>(dict)) {
    intermediate_values_.push_back({int64_from_python(step, "a step"), double_from_python(number)});
  }
  return intermediate_values_;
}

std::span<const schema::Param> Borrowed::params(nb::handle params, nb::handle distributions) {
  for (auto [name, external] : nb::borrow<nb::dict>(params)) {
    held_.push_back(nb::borrow(name));
    nb::object object = owned(PyObject_GetItem(distributions.ptr(), name.ptr()));
    held_.push_back(object);
    const nb::object internal = owned(PyObject_CallMethodOneArg(
        object.ptr(), python_types().to_internal_repr.ptr(), external.ptr()));
    const schema::Distribution view = distribution(object);
    params_.push_back({text(name, "a parameter's name"), double_from_python(internal), view});
  }
  return params_;
}

}  // namespace oj::python
