// Planted faults: what the environment does wrong, so that the code under test is as if it had been
// written wrong. Each must be found (run.sh).
//
// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "shm/environment.h"
#include "tests/verify/schedules/words.h"

namespace oj::schedules {

enum class Fault : std::uint8_t {
  kNone,
  kHintTrusted,         // publish() takes the hint without a look at the slot below it
  kExpectedReloaded,    // the ring's CAS expects what is there now, not what was seen
  kSyncedGuessed,       // a producer refills a slot one record before it is synced
  kRetainedNotRaised,   // reclaim frees without raising `retained`
  kHazardAfterCheck,    // a pin becomes visible only after `retained` was loaded
  kHazardsNotSeen,      // the daemon frees without hazards
  kPayloadLate,         // the last word of a payload becomes visible after its ticket
  kArmedAlwaysCleared,  // a waker clears `armed` even if the word has changed since
  kSleepNotCompared,    // futex_wait() sleeps although the word has changed
  kLookBeforeArm,       // a sleeper arms the word only when it falls asleep
  kSyncedBeforeDisk,    // the daemon raises `synced` before the disk has the batch
  kStoppedReaped,       // the daemon takes a stopped worker for dead
  kWakeNotRepeated,     // the daemon does not make up for wakes that a halted process left out
  kWakeWaitsForDisk,    // it makes up for them only while no sync is under way
  kClaimNotCompared,    // a claim's CAS expects what is there now: two owners of a chunk
};

struct NamedFault {
  Fault fault;
  std::string_view name;
};
inline constexpr std::array kFaults{
    NamedFault{Fault::kHintTrusted, "hint-trusted"},
    NamedFault{Fault::kExpectedReloaded, "expected-reloaded"},
    NamedFault{Fault::kSyncedGuessed, "synced-guessed"},
    NamedFault{Fault::kRetainedNotRaised, "retained-not-raised"},
    NamedFault{Fault::kHazardAfterCheck, "hazard-after-check"},
    NamedFault{Fault::kHazardsNotSeen, "hazards-not-seen"},
    NamedFault{Fault::kPayloadLate, "payload-late"},
    NamedFault{Fault::kArmedAlwaysCleared, "armed-always-cleared"},
    NamedFault{Fault::kSleepNotCompared, "sleep-not-compared"},
    NamedFault{Fault::kLookBeforeArm, "look-before-arm"},
    NamedFault{Fault::kSyncedBeforeDisk, "synced-before-disk"},
    NamedFault{Fault::kStoppedReaped, "stopped-reaped"},
    NamedFault{Fault::kWakeNotRepeated, "wake-not-repeated"},
    NamedFault{Fault::kWakeWaitsForDisk, "wake-waits-for-disk"},
    NamedFault{Fault::kClaimNotCompared, "claim-not-compared"},
};

// Does an operation as it is.
void perform_raw(shm::scheduled::Access& access) noexcept;

// What a fault keeps in mind about one fibre.
struct FaultState {
  std::uint64_t hint = 0, synced = 0;  // as last loaded
  bool ring_loaded = false, ticket_stored = false,
       retained_loaded = false;               // by the operation before
  std::vector<shm::scheduled::Access> later;  // stores that the others do not see yet
};

// Does an operation as `fault` has it. `daemon`: in a fibre of the daemon.
void perform_faulty(Fault fault, FaultState& state, bool daemon, const Word& word,
                    std::uint64_t ring_slots, shm::scheduled::Access& access);

}  // namespace oj::schedules
