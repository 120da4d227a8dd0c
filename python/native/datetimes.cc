// SPDX-License-Identifier: MIT
#include "python/native/datetimes.h"

#include <datetime.h>

#include <cmath>
#include <ctime>

#include "python/native/errors.h"

namespace oj::python {
namespace {

constexpr std::int64_t kUsPerS = 1'000'000;
constexpr std::time_t kDayS = 24 * 60 * 60;
constexpr std::int64_t kYear1S = -62'135'596'800 + kDayS;  // with a day to spare for the time zone
constexpr std::int64_t kYear9999S = 253'402'300'799 - kDayS;

bool local_time(std::time_t seconds, std::tm& tm) { return localtime_r(&seconds, &tm) != nullptr; }

// Whether local time at `seconds` was already shown once: clocks were put back within the last day,
// past it. The rule is that of CPython's datetime.fromtimestamp().
bool is_second_time(std::time_t seconds, long offset_s) {
  std::tm before{};
  if (!local_time(seconds - kDayS, before)) return false;
  const long put_s = offset_s - before.tm_gmtoff;
  if (put_s >= 0) return false;
  std::tm same{};
  return local_time(seconds + put_s, same) && same.tm_gmtoff - offset_s == -put_s;
}

}  // namespace

void import_datetime() {
  PyDateTime_IMPORT;
  if (PyDateTimeAPI == nullptr) throw nb::python_error();
}

nb::object datetime_to_python(std::optional<std::int64_t> utc_us) {
  if (!utc_us) return nb::none();
  std::int64_t seconds = *utc_us / kUsPerS;
  std::int64_t us = *utc_us % kUsPerS;
  if (us < 0) {
    us += kUsPerS;
    seconds -= 1;
  }
  std::tm tm{};
  if (seconds < kYear1S || seconds > kYear9999S || !local_time(seconds, tm)) return nb::none();
  PyObject* object = PyDateTime_FromDateAndTimeAndFold(
      tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
      tm.tm_sec < 60 ? tm.tm_sec : 59, static_cast<int>(us),
      is_second_time(seconds, tm.tm_gmtoff) ? 1 : 0);
  if (object == nullptr) throw nb::python_error();
  return nb::steal(object);
}

std::optional<std::int64_t> datetime_from_python(nb::handle object) {
  if (object.is_none()) return std::nullopt;
  if (!PyDateTime_Check(object.ptr())) raise(PyExc_TypeError, "a datetime or None is expected");
  const std::int64_t us = PyDateTime_DATE_GET_MICROSECOND(object.ptr());
  // Whole seconds are exact in a float; with the microseconds it would be rounded.
  nb::object whole = object.attr("replace")(nb::arg("microsecond") = 0);
  const double seconds = nb::cast<double>(whole.attr("timestamp")());
  return static_cast<std::int64_t>(std::llround(seconds)) * kUsPerS + us;
}

}  // namespace oj::python
