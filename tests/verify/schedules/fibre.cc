// SPDX-License-Identifier: MIT
#include "tests/verify/schedules/fibre.h"

#include <cstdlib>
#include <utility>

namespace oj::schedules {
namespace {

Fibre* entering = nullptr;

}  // namespace

void Fibre::begin(std::function<void()> body) {
  body_ = std::move(body);
  if (!stack_) stack_ = std::make_unique<std::byte[]>(kStackBytes);
  getcontext(&first_);
  first_.uc_stack.ss_sp = stack_.get();
  first_.uc_stack.ss_size = kStackBytes;
  first_.uc_link = nullptr;
  makecontext(&first_, &Fibre::enter, 0);
  fresh_ = true;
}

void Fibre::enter() {
  entering->body_();
  std::abort();  // see begin()
}

void Fibre::change(Fibre& from, Fibre& to) {
  if (_setjmp(from.frame_) != 0) return;
  if (!to.fresh_) _longjmp(to.frame_, 1);
  to.fresh_ = false;
  entering = &to;
  setcontext(&to.first_);
}

}  // namespace oj::schedules
