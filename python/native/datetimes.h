// Between the journal's UTC microseconds and Optuna's naive local datetimes.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>

#include "python/native/python_types.h"

namespace oj::python {

// At import: Python's C interface to datetime.
void import_datetime();

// A naive datetime of the process's time zone, `fold` set where an hour happens twice; None for
// nothing, and for what a datetime cannot say (another program's).
nb::object datetime_to_python(std::optional<std::int64_t> utc_us);

// A naive datetime is local time (`fold` decides where it is ambiguous), an aware one is converted;
// None is nothing.
std::optional<std::int64_t> datetime_from_python(nb::handle object);

}  // namespace oj::python
