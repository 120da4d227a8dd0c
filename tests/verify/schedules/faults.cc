// SPDX-License-Identifier: MIT
#include "tests/verify/schedules/faults.h"

#include "shm/chunk_pool.h"
#include "shm/wake.h"

namespace oj::schedules {
namespace {

using shm::scheduled::Access;
using shm::scheduled::Operation;

template <class T>
void perform_on(Access& access) noexcept {
  T* const word = static_cast<T*>(access.word);
  const T operand = static_cast<T>(access.operand);
  switch (access.operation) {
    case Operation::kLoad: access.value = __atomic_load_n(word, __ATOMIC_SEQ_CST); return;
    case Operation::kStore: __atomic_store_n(word, operand, __ATOMIC_SEQ_CST); return;
    case Operation::kExchange:
      access.value = __atomic_exchange_n(word, operand, __ATOMIC_SEQ_CST);
      return;
    case Operation::kAdd:
      access.value = __atomic_fetch_add(word, operand, __ATOMIC_SEQ_CST);
      return;
    case Operation::kCompareExchange: {
      T expected = static_cast<T>(access.expected);
      access.done = __atomic_compare_exchange_n(word, &expected, operand, false, __ATOMIC_SEQ_CST,
                                                __ATOMIC_SEQ_CST);
      access.value = expected;
      return;
    }
  }
}

void perform_later(FaultState& state) {
  for (Access& access : state.later) perform_raw(access);
  state.later.clear();
}

}  // namespace

void perform_raw(Access& access) noexcept {
  access.bytes == 4 ? perform_on<std::uint32_t>(access) : perform_on<std::uint64_t>(access);
}

void perform_faulty(Fault fault, FaultState& state, bool daemon, const Word& word,
                    std::uint64_t ring_slots, Access& access) {
  const bool is_load = access.operation == Operation::kLoad;
  const bool is_store = access.operation == Operation::kStore;
  const bool is_cas = access.operation == Operation::kCompareExchange;
  switch (fault) {
    case Fault::kHintTrusted:
      perform_raw(access);
      if (is_load && word.is(Part::kMark, kSynced)) state.synced = access.value;
      if (is_load && word.part == Part::kRing && state.hint > state.synced &&
          state.hint <= state.synced + ring_slots &&
          word.index == ((state.hint - 1) & (ring_slots - 1))) {
        // The look at the slot below the hint: as if it had been filled in its lap.
        access.value = (((state.hint - 1) / ring_slots + 1) & shm::kTagMask) << shm::kReferenceBits;
      }
      state.hint = is_load && word.is(Part::kMark, kHint) ? access.value : 0;
      return;
    case Fault::kExpectedReloaded:
      if (is_cas && word.part == Part::kRing) {
        Access now = access;
        now.operation = Operation::kLoad;
        perform_raw(now);
        access.expected = now.value;
      }
      break;
    case Fault::kSyncedGuessed:
      // The look at `synced` in publish() follows one at the ring.
      perform_raw(access);
      if (is_load && state.ring_loaded && word.is(Part::kMark, kSynced)) ++access.value;
      state.ring_loaded = is_load && word.part == Part::kRing;
      return;
    case Fault::kRetainedNotRaised:
      if (is_store && word.is(Part::kMark, kRetained)) return;
      break;
    case Fault::kHazardAfterCheck:
      if (is_store && Words::is_hazard(word) && access.operand != 0) {
        state.later.push_back(access);
        return;
      }
      if (state.retained_loaded) perform_later(state);
      perform_raw(access);
      state.retained_loaded = is_load && word.is(Part::kMark, kRetained);
      return;
    case Fault::kHazardsNotSeen:
      perform_raw(access);
      if (is_load && daemon && Words::is_hazard(word)) access.value = 0;
      return;
    case Fault::kPayloadLate:
      if (is_store && word.part == Part::kPool) {
        perform_later(state);
        state.later.push_back(access);
        return;
      }
      // After its ticket: with the operation that follows the CAS of the ring.
      if (state.ticket_stored) perform_later(state);
      perform_raw(access);
      state.ticket_stored = is_cas && word.part == Part::kRing && access.done;
      return;
    case Fault::kArmedAlwaysCleared:
      if (is_cas && Words::is_wake_word(word) && (access.operand & shm::kArmed) == 0) {
        Access now = access;
        now.operation = Operation::kLoad;
        perform_raw(now);
        access.expected = now.value;
        access.operand = now.value & ~std::uint64_t{shm::kArmed};
      }
      break;
    case Fault::kLookBeforeArm:
      // A sleeper's CAS; the scheduler does it when the fibre falls asleep.
      if (is_cas && Words::is_wake_word(word) && (access.operand & shm::kArmed) != 0) {
        state.later.assign(1, access);
        access.value = access.expected;
        return;
      }
      break;
    case Fault::kClaimNotCompared:
      if (is_cas && word.part == Part::kOwner &&
          shm::chunk_state(access.operand) == shm::ChunkState::kOwned) {
        Access now = access;
        now.operation = Operation::kLoad;
        perform_raw(now);
        access.expected = now.value;
      }
      break;
    default: break;
  }
  perform_raw(access);
}

}  // namespace oj::schedules
