// SPDX-License-Identifier: MIT
#include "cli/spelling.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace oj::cli {
namespace {

using Names = std::vector<std::string>;

TEST(EditDistance, CountsSteps) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("digits", "digts"), 1u);
  EXPECT_EQ(edit_distance("tial", "tail"), 1u);
  EXPECT_EQ(edit_distance("abcd", "badc"), 2u);
}

TEST(NearNames, GivesSlipsBeforeParts) {
  EXPECT_EQ(near_names("digts", Names{"zebra", "digits", "widgets"}), Names{"digits"});
  EXPECT_EQ(near_names("digits", Names{"digits-2026-large", "digit"}),
            (Names{"digit", "digits-2026-large"}));
  EXPECT_EQ(near_names("DIGITS", Names{"digits"}), Names{"digits"});
}

TEST(NearNames, GivesNothingFarAwayAndThreeAtMost) {
  EXPECT_TRUE(near_names("zebra", Names{"digits", "mnist"}).empty());
  EXPECT_EQ(near_names("run1", Names{"run2", "run3", "run4", "run5"}).size(), 3u);
  EXPECT_TRUE(near_names("x", Names{}).empty());
}

}  // namespace
}  // namespace oj::cli
