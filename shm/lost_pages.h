// Survive a region file that somebody cut short.
//
// A page of the mapping that the file no longer has is SIGBUS for whoever touches it. Whoever maps
// a region therefore gets a handler, process-wide: a fault in a region puts a page of zeros there,
// and marks that Region as lost. From then on it counts as retired, and nothing that was read from
// it since is believed. Faults anywhere else go to whoever had the signal before. A program that
// sets a handler of its own later has what it had without this: it dies of SIGBUS.
// docs/decisions/0080-a-cut-region-is-lost.md.
//
// Roles
//   owner     the Region: has its pages watched while they are mapped
//   handler   whatever thread touched a page that is no longer there
//
// Invariants
//   L1  Who loads Region::lost() after the last load of what it is going to use, and sees false,
//       has used no page of zeros: the mark is set before the page is there.
//
// Pairs
//   watch   base  release  ->  the handler's look  acquire   the rest is written before
//   lost    the handler  seq_cst, then mmap  ->  Region::lost()  seq_cst
//
// Progress   wait-free; a fault costs one mmap.
// Crash      nothing is shared with other processes.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>

namespace oj::shm {

// `lost` is set by a fault in [base, base + bytes). False: too many are watched already, and this
// one is not. Any thread.
bool watch_pages(std::byte* base, std::size_t bytes, std::atomic<bool>* lost) noexcept;
// REQUIRES: nobody touches them any more. Takes no lock: a fork child calls it, too.
void forget_pages(std::byte* base) noexcept;

}  // namespace oj::shm
