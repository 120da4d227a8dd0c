// Runs a function of this process and stops after each of its instructions: the CPU's trap flag,
// and a handler of SIGTRAP. Needs no ptrace and no rights.
//
// A system call counts as one instruction with the one after it: the flag is off in the kernel, and
// the trap comes after the first instruction back in the program. That one is libc's look at the
// result. A call into the vDSO counts as one, too: what it loops on is the kernel's clock, which
// goes on during an instruction that takes as long as a check, so it would never end. It touches
// nothing of ours.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>

namespace oj::verify {

// x86-64 only.
bool can_trace();

// Called after each instruction, in the signal handler, with how many there were. False: no more
// traps, the rest runs at full speed.
using AtEach = bool (*)(std::uint64_t instructions);

// Runs `operation`. One at a time in a process; what `at_each` forks goes on in the middle of it.
void trace(const std::function<void()>& operation, AtEach at_each);

}  // namespace oj::verify
