// "I am reading these chunks": how a reader keeps the daemon from giving them a new life.
//
// Looking at the slot or at the chunk again after pinning would prove nothing: a slot keeps its old
// ticket after the chunk that it names has a new life. So a pin counts only if `retained`, loaded
// after it, is not past the record; the daemon raises `retained` before it looks at the hazards.
//
// A hazard word names its chunks by itself, {count, first}: a reader first pins the chunk that a
// ticket names, reads the entry's length there, and pins the whole run the same way if there is
// one. So the daemon need not know what belongs together, and may free the chunks of a run one by
// one.
//
// Roles
//   reader   writes only the hazard words of its own worker slot
//   daemon   raises `retained`, then looks at all hazards, then frees; clears the hazards of proven
//            dead workers
//
// Invariants
//   H1  `retained` is raised past a chunk's last record before the hazards are looked at, and the
//       chunk is freed only if none names it.
//   If the pin's store came before the daemon's look, the daemon sees it and leaves the chunk
//   alone. Else the look, and the raise before it, came before the pin, so the reader's load of
//   `retained`, after the pin, sees the raise and the reader takes the record from disk. All four
//   are seq_cst.
//   H2  All records of one life of a chunk are older than all records of its next life, so a reader
//       that holds a pin reads later records of that chunk without a new test.
//
// Pairs
//   pin     hazard seq_cst, then `retained` seq_cst  ->  `retained` seq_cst, then hazards seq_cst
//   unpin   release  ->  hazards seq_cst             what the reader read is read before the chunk
//           is freed
//
// Progress   wait-free. A pin holds back one chunk (or run), never the ring.
// Crash      pin.after_store: the hazard stays until its owner is reaped.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "shm/layout.h"

namespace oj::shm {

constexpr std::uint64_t hazard_word(std::uint64_t first, std::uint64_t count) {
  return count << kHazardCountShift | (first + 1);
}

template <class Env>
class Hazards {
 public:
  Hazards() = default;
  Hazards(Watermarks<Env>* marks, WorkerSlot<Env>* slots, std::uint32_t count)
      : marks_(marks), slots_(slots), count_(count) {}

  std::uint64_t retained() const noexcept {
    return marks_->retained.load(std::memory_order_seq_cst);  // pair: pin
  }

  // Reader: replaces what hazard `k` of `slot` named. True: chunks [first, first + n) keep their
  // bytes until the hazard changes, and record `seq`, if it lies in them, is intact. False: it may
  // be gone; take it from disk.
  bool pin(std::uint32_t slot, std::uint32_t k, std::uint64_t first, std::uint64_t n,
           std::uint64_t seq) noexcept {
    slots_[slot].hazards[k].store(hazard_word(first, n),
                                  std::memory_order_seq_cst);  // pair: pin, unpin
    Env::at("pin.after_store");
    return retained() <= seq;
  }
  void unpin(std::uint32_t slot, std::uint32_t k) noexcept {
    slots_[slot].hazards[k].store(0, std::memory_order_release);  // pair: unpin
  }

  // Daemon, only upwards: nothing below `seq` may be read in place any more.
  void raise_retained(std::uint64_t seq) noexcept {
    marks_->retained.store(seq, std::memory_order_seq_cst);  // pair: pin
    Env::at("reclaim.after_retained");
  }
  // Daemon, after raise_retained(): calls mark(first, count) for each pin; both may be anything.
  template <class Mark>
  void each(const Mark& mark) const noexcept {
    for (std::uint32_t slot = 0; slot < count_; ++slot) each_of(slot, mark);
  }
  // The pins of one slot.
  template <class Mark>
  void each_of(std::uint32_t slot, const Mark& mark) const noexcept {
    for (const auto& hazard : slots_[slot].hazards) {
      const std::uint64_t word = hazard.load(std::memory_order_seq_cst);  // pair: pin, unpin
      if (word != 0) mark((word & 0xffffffff) - 1, word >> kHazardCountShift);
    }
  }

 private:
  Watermarks<Env>* marks_ = nullptr;
  WorkerSlot<Env>* slots_ = nullptr;
  std::uint32_t count_ = 0;
};

}  // namespace oj::shm
