// SPDX-License-Identifier: MIT
#include "python/native/values.h"

namespace oj::python {
namespace {

constexpr std::size_t kInternedBytesMax = 64;

nb::object owned(PyObject* object) {
  if (object == nullptr) throw nb::python_error();
  return nb::steal(object);
}

nb::object json_to_python(std::string_view text) {
  nb::object json = text_to_python(text);
  PyObject* value = PyObject_CallOneArg(python_types().json_decode.ptr(), json.ptr());
  if (value != nullptr) return nb::steal(value);
  if (!PyErr_ExceptionMatches(PyExc_ValueError)) throw nb::python_error();
  PyErr_Clear();
  return json;
}

}  // namespace

nb::object text_to_python(std::string_view text) {
  const auto size = static_cast<Py_ssize_t>(text.size());
  PyObject* object = PyUnicode_DecodeUTF8(text.data(), size, "surrogatepass");
  if (object == nullptr && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
    PyErr_Clear();
    object = PyUnicode_DecodeUTF8(text.data(), size, "replace");
  }
  return owned(object);
}

nb::object key_to_python(std::string_view text) {
  nb::object key = text_to_python(text);
  if (text.size() > kInternedBytesMax) return key;
  PyObject* interned = key.release().ptr();
  PyUnicode_InternInPlace(&interned);
  return owned(interned);
}

nb::object value_to_python(const schema::Value& value) {
  using Kind = schema::Value::Kind;
  switch (value.kind) {
    case Kind::kNull: return nb::none();
    case Kind::kBool: return nb::borrow(value.boolean ? Py_True : Py_False);
    case Kind::kInt64: return owned(PyLong_FromLongLong(value.int64));
    case Kind::kFloat64: return owned(PyFloat_FromDouble(value.float64));
    case Kind::kText: return text_to_python(value.text);
    case Kind::kJson: return json_to_python(value.text);
  }
  return nb::none();
}

nb::object float_to_python(double value) { return owned(PyFloat_FromDouble(value)); }

}  // namespace oj::python
