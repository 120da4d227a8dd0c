// SPDX-License-Identifier: MIT
#include "journal/recovery_table.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace oj::journal {
namespace {

TEST(RecoveryTable, FitsEveryCombinationWithExactlyOneRow) {
  std::set<const RecoveryRow*> used;
  for (std::uint32_t observed = 0; observed < 1u << kObservedBits; ++observed) {
    int rows = 0;
    for (const RecoveryRow& row : recovery_table())
      rows += (observed & row.mask) == row.value ? 1 : 0;
    ASSERT_EQ(rows, 1) << "observed " << observed;
    used.insert(&row_for(observed));
  }
  EXPECT_EQ(used.size(), recovery_table().size()) << "a row fits nothing";
}

TEST(RecoveryTable, HasNoBitInAValueThatItsMaskIgnores) {
  for (const RecoveryRow& row : recovery_table()) EXPECT_EQ(row.value & ~row.mask, 0u) << row.name;
}

// The rules that the rows spell out, said once more in another way.
TEST(RecoveryTable, NeverCutsWhatIsVouchedForAndAcceptsOnlyWholeFrames) {
  constexpr std::uint32_t kWholeFrame =
      kReadable | kWholeFile | kHeaderOk | kSeqEqual | kPayloadOk | kChainOk;
  for (std::uint32_t observed = 0; observed < 1u << kObservedBits; ++observed) {
    const Decision decision = row_for(observed).decision;
    const bool whole = (observed & kWholeFrame) == kWholeFrame && (observed & kZeros) == 0;
    const bool intact_file = (observed & kReadable) != 0 && (observed & kWholeFile) != 0;
    if (whole) {
      EXPECT_EQ(decision, Decision::kAccept) << observed;
    } else if (!intact_file || (observed & kVouched) != 0) {
      EXPECT_EQ(decision, Decision::kRefuse) << observed;
    } else {
      EXPECT_EQ(decision, (observed & kZeros) != 0 ? Decision::kEnd : Decision::kCut) << observed;
    }
  }
}

}  // namespace
}  // namespace oj::journal
