// SPDX-License-Identifier: MIT
#include "tests/verify/instructions/traced.h"

#include <elf.h>
#include <signal.h>
#include <sys/auxv.h>
#include <ucontext.h>

#include <algorithm>
#include <cerrno>

namespace oj::verify {

#ifdef __x86_64__

namespace {

constexpr greg_t kTrapFlag = 0x100;

// Of the one operation that is traced. Only this thread and its signal handler.
AtEach at_each_instruction = nullptr;
std::uint64_t instructions = 0;
bool wanted = false;
std::uint64_t vdso_begin = 0, vdso_end = 0;

void find_vdso() {
  vdso_begin = getauxval(AT_SYSINFO_EHDR);
  if (vdso_begin == 0) return;
  const auto* const elf = reinterpret_cast<const Elf64_Ehdr*>(vdso_begin);
  const auto* const part = reinterpret_cast<const Elf64_Phdr*>(vdso_begin + elf->e_phoff);
  for (int i = 0; i < elf->e_phnum; ++i) {
    if (part[i].p_type == PT_LOAD)
      vdso_end = std::max(vdso_end, vdso_begin + part[i].p_vaddr + part[i].p_memsz);
  }
}

void on_trap(int /*number*/, siginfo_t* info, void* context) {
  const int saved = errno;
  greg_t* const registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  greg_t& flags = registers[REG_EFL];
  const auto place = static_cast<std::uint64_t>(registers[REG_RIP]);
  if (info->si_code != TRAP_TRACE) {  // our own int3: begin or end
    flags = wanted ? flags | kTrapFlag : flags & ~kTrapFlag;
  } else if (!(place >= vdso_begin && place < vdso_end) && !at_each_instruction(++instructions)) {
    flags &= ~kTrapFlag;
  }
  errno = saved;
}

// The barrier keeps the compiler from moving the operation's loads and stores across.
void breakpoint() { asm volatile("int3" ::: "memory"); }

}  // namespace

bool can_trace() { return true; }

void trace(const std::function<void()>& operation, AtEach at_each) {
  struct sigaction action {};
  action.sa_sigaction = on_trap;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGTRAP, &action, nullptr);
  find_vdso();
  at_each_instruction = at_each;
  instructions = 0;
  wanted = true;
  breakpoint();
  operation();
  wanted = false;
  breakpoint();
}

#else

bool can_trace() { return false; }
void trace(const std::function<void()>& operation, AtEach /*at_each*/) { operation(); }

#endif

}  // namespace oj::verify
