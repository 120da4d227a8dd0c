// One thread of control among many in one thread of the system, changed by hand.
//
// makecontext() makes the first frame; every later change is _setjmp() and _longjmp(), because
// swapcontext() asks the kernel for the signal mask each time, which costs more than the step of
// the protocol between two changes, and assembly would tie the check to one processor.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <cstddef>
#include <functional>
#include <memory>

namespace oj::schedules {

class Fibre {
 public:
  static constexpr std::size_t kStackBytes = 128 * 1024;

  Fibre() = default;
  Fibre(const Fibre&) = delete;
  Fibre& operator=(const Fibre&) = delete;

  // The next switch_to() this one begins `body`, which must not return: it ends by switching away
  // for good. What the former body left on the stack is forgotten.
  void begin(std::function<void()> body);
  // Leaves `from` (whose frame is the caller's) and goes on with `to`.
  static void change(Fibre& from, Fibre& to);

 private:
  static void enter();

  std::unique_ptr<std::byte[]> stack_;
  std::function<void()> body_;
  ucontext_t first_{};
  jmp_buf frame_{};
  bool fresh_ = false;
};

}  // namespace oj::schedules
