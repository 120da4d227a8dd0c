// SPDX-License-Identifier: MIT
#include "daemon/troubles.h"

namespace oj::daemon {

const char* Troubles::name_of(Trouble kind) {
  switch (kind) {
    case Trouble::kWrite: return "write";
    case Trouble::kSync: return "sync";
    case Trouble::kDiskFull: return "disk_full";
    case Trouble::kDamagedRecord: return "damaged_record";
    case Trouble::kDamagedRegion: return "damaged_region";
    case Trouble::kAccept: return "accept";
    case Trouble::kOrphans: return "orphans";
  }
  return "other";
}

const char* Troubles::name_of(Refusal reason) {
  switch (reason) {
    case Refusal::kConnections: return "connections";
    case Refusal::kWorkerSlots: return "worker_slots";
    case Refusal::kVersion: return "version";
    case Refusal::kInvalid: return "invalid";
    case Refusal::kRegion: return "region";
    case Refusal::kInUse: return "in_use";
  }
  return "other";
}

Refusal Troubles::of_code(Code code) {
  switch (code) {
    case Code::kBusy: return Refusal::kWorkerSlots;
    case Code::kIncompatible: return Refusal::kVersion;
    case Code::kGone: return Refusal::kRegion;
    case Code::kRefused: return Refusal::kInUse;
    default: return Refusal::kInvalid;
  }
}

}  // namespace oj::daemon
