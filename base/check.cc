// SPDX-License-Identifier: MIT
#include "base/check.h"

#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace oj {
namespace {

void put(const char* text) noexcept {
  // Nothing can be done about a failing stderr on the way to abort().
  [[maybe_unused]] ssize_t ignored = ::write(STDERR_FILENO, text, std::strlen(text));
}

}  // namespace

void check_failed(const char* text, const char* file, int line) noexcept {
  char digits[12];
  int at = sizeof digits;
  digits[--at] = '\0';
  for (unsigned value = static_cast<unsigned>(line); at > 0; value /= 10) {
    digits[--at] = static_cast<char>('0' + value % 10);
    if (value < 10) break;
  }
  put("optjournal: check failed: ");
  put(text);
  put(" at ");
  put(file);
  put(":");
  put(digits + at);
  put("\n");
  std::abort();
}

}  // namespace oj
