// Checks of our own promises: broken means a bug in this process, so it ends here, with the place.
//
// Never use these on bytes that others wrote (region, disk, socket): those are input, see Result.
//
// SPDX-License-Identifier: MIT
#pragma once

namespace oj {

// Writes "optjournal: check failed: <text> at <file>:<line>" to stderr and aborts.
// Async-signal-safe.
[[noreturn]] void check_failed(const char* text, const char* file, int line) noexcept;

}  // namespace oj

// On in release builds too.
#define OJ_CHECK(condition)                          \
  (__builtin_expect(static_cast<bool>(condition), 1) \
       ? void(0)                                     \
       : ::oj::check_failed(#condition, __FILE__, __LINE__))

// Only where a measurement says that OJ_CHECK costs too much there.
#ifdef NDEBUG
#define OJ_DCHECK(condition) (void(0))
#else
#define OJ_DCHECK(condition) OJ_CHECK(condition)
#endif
