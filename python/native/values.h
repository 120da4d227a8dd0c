// From the journal's text and values to Python's objects. Every call makes a new object or an
// immutable one.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>

#include "python/native/python_types.h"
#include "schema/operation.h"

namespace oj::python {

// Text is UTF-8 with lone surrogates; bytes that are not even that (another program's) show as
// U+FFFD.
nb::object text_to_python(std::string_view text);
// The same, interned when it is short: names and keys that many trials share.
nb::object key_to_python(std::string_view text);

// JSON text is parsed anew. Text that is no JSON (another program's) is handed out as it is.
nb::object value_to_python(const schema::Value& value);

nb::object float_to_python(double value);

}  // namespace oj::python
