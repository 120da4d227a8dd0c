// Figures that a test reports beside what it judges, because they depend on the machine.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdarg>
#include <cstdio>

namespace oj::testing {

// One line of stdout, `measured WHAT: FIGURES`; the figures as printf() makes them. The end of
// `make test` shows all such lines (tools/test_summary.py).
[[gnu::format(printf, 2, 3)]] inline void measured(const char* what, const char* figures, ...) {
  std::va_list arguments;
  va_start(arguments, figures);
  std::printf("measured %s: ", what);
  std::vprintf(figures, arguments);
  std::printf("\n");
  va_end(arguments);
}

}  // namespace oj::testing
