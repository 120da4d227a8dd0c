// SPDX-License-Identifier: MIT
#include "shm/lost_pages.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <mutex>

#include "shm/layout.h"

namespace oj::shm {
namespace {

// A process has one region for each of its sessions, seldom more than a handful.
constexpr std::size_t kWatchedMax = 256;

// Read by the signal handler. A place is free while `base` is null, and being written while it is
// kTaken.
struct Watched {
  std::atomic<std::byte*> base{nullptr};
  std::atomic<std::size_t> bytes{0};
  std::atomic<std::atomic<bool>*> lost{nullptr};
};
std::array<Watched, kWatchedMax> watched_regions;
std::byte being_taken;
std::byte* const kTaken = &being_taken;

struct sigaction before_us;

Watched* watched_at(const std::byte* address) {
  for (Watched& watched : watched_regions) {
    const std::byte* base = watched.base.load(std::memory_order_acquire);  // pair: watch
    if (base == nullptr || base == kTaken || address < base) continue;
    const auto offset = static_cast<std::size_t>(address - base);
    if (offset < watched.bytes.load(std::memory_order_acquire)) return &watched;  // pair: watch
  }
  return nullptr;
}

void pass_on(int number, siginfo_t* info, void* context) {
  if ((before_us.sa_flags & SA_SIGINFO) != 0) return before_us.sa_sigaction(number, info, context);
  if (before_us.sa_handler != SIG_DFL && before_us.sa_handler != SIG_IGN)
    return before_us.sa_handler(number);
  signal(SIGBUS, SIG_DFL);                // the same instruction again, without us
  if (info->si_code <= 0) raise(number);  // sent by somebody, not by an instruction
}

void on_bus_error(int number, siginfo_t* info, void* context) {
  const int saved = errno;
  auto* const address = static_cast<std::byte*>(info->si_addr);
  Watched* const watched = info->si_code > 0 ? watched_at(address) : nullptr;
  if (watched == nullptr) return pass_on(number, info, context);
  std::atomic<bool>* const lost = watched->lost.load(std::memory_order_acquire);  // pair: watch
  lost->store(true, std::memory_order_seq_cst);  // pair: lost. L1: before there are zeros to see
  std::byte* const page = address - reinterpret_cast<std::uintptr_t>(address) % kPageBytes;
  // The system call itself: of mmap() nobody says that it may be called in a signal handler, and
  // ThreadSanitizer takes it for a write to what other threads read.
  if (syscall(SYS_mmap, page, kPageBytes, PROT_READ | PROT_WRITE,
              MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L) == -1)
    return pass_on(number, info, context);
  errno = saved;
}

void take_signal() {
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGBUS, &action, &before_us);
}

}  // namespace

bool watch_pages(std::byte* base, std::size_t bytes, std::atomic<bool>* lost) noexcept {
  static std::once_flag taken;
  std::call_once(taken, take_signal);
  for (Watched& place : watched_regions) {
    std::byte* free = nullptr;
    if (!place.base.compare_exchange_strong(free, kTaken, std::memory_order_acq_rel,  // pair: watch
                                            std::memory_order_relaxed))  // hint: the next one
      continue;
    place.bytes.store(bytes, std::memory_order_relaxed);  // init
    place.lost.store(lost, std::memory_order_relaxed);    // init
    place.base.store(base, std::memory_order_release);    // pair: watch
    return true;
  }
  return false;
}

void forget_pages(std::byte* base) noexcept {
  for (Watched& place : watched_regions) {
    if (place.base.load(std::memory_order_relaxed) == base)  // own: only this region's owner
      place.base.store(nullptr, std::memory_order_release);  // pair: watch
  }
}

}  // namespace oj::shm
