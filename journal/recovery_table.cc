// SPDX-License-Identifier: MIT
#include "journal/recovery_table.h"

#include "base/check.h"

namespace oj::journal {
namespace {

constexpr std::uint32_t kFile = kReadable | kWholeFile;
constexpr std::uint32_t kData = kFile | kZeros;
constexpr std::uint32_t kFrame = kData | kHeaderOk;
constexpr std::uint32_t kNext = kFrame | kSeqEqual;
constexpr std::uint32_t kWhole = kNext | kPayloadOk;

constexpr std::uint32_t kFrameIs =
    kFile | kHeaderOk;  // readable, whole file, not zeros, header fits
constexpr std::uint32_t kNextIs = kFrameIs | kSeqEqual;
constexpr std::uint32_t kWholeIs = kNextIs | kPayloadOk;

constexpr RecoveryRow kTable[] = {
    {"cannot be read", kReadable, 0, Decision::kRefuse},
    {"file cut short", kFile, kReadable, Decision::kRefuse},
    {"zeros to the end", kData | kVouched, kFile | kZeros, Decision::kEnd},
    {"zeros to the end, but synced records should be here", kData | kVouched, kData | kVouched,
     Decision::kRefuse},
    {"no valid frame header", kFrame | kVouched, kFile, Decision::kCut},
    {"no valid frame header where synced records should be", kFrame | kVouched, kFile | kVouched,
     Decision::kRefuse},
    {"frame of an older record: stale residue", kNext | kSeqBelow | kVouched, kFrameIs | kSeqBelow,
     Decision::kCut},
    {"frame of an older record where synced records should be", kNext | kSeqBelow | kVouched,
     kFrameIs | kSeqBelow | kVouched, Decision::kRefuse},
    {"frame of a later record: a hole before it", kNext | kSeqBelow | kVouched, kFrameIs,
     Decision::kCut},
    {"frame of a later record, and the hole before it was synced", kNext | kSeqBelow | kVouched,
     kFrameIs | kVouched, Decision::kRefuse},
    {"payload damaged", kWhole | kVouched, kNextIs, Decision::kCut},
    {"payload of synced records damaged", kWhole | kVouched, kNextIs | kVouched, Decision::kRefuse},
    {"frame does not follow the one before", kWhole | kChainOk | kVouched, kWholeIs,
     Decision::kCut},
    {"frame of synced records does not follow the one before", kWhole | kChainOk | kVouched,
     kWholeIs | kVouched, Decision::kRefuse},
    {"whole", kWhole | kChainOk, kWholeIs | kChainOk, Decision::kAccept},
};

}  // namespace

std::span<const RecoveryRow> recovery_table() { return kTable; }

const RecoveryRow& row_for(std::uint32_t observed) {
  const RecoveryRow* found = nullptr;
  for (const RecoveryRow& row : kTable) {
    if ((observed & row.mask) != row.value) continue;
    OJ_CHECK(found == nullptr);
    found = &row;
  }
  OJ_CHECK(found != nullptr);
  return *found;
}

}  // namespace oj::journal
