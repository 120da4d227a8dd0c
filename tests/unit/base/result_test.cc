// SPDX-License-Identifier: MIT
#include "base/result.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>

namespace oj {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0) return Error{Code::kInvalid, std::to_string(value) + " is odd"};
  return value / 2;
}

TEST(Result, CarriesAValue) {
  const Result<int> result = half(8);
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(static_cast<bool>(result));
  EXPECT_EQ(*result, 4);
}

TEST(Result, CarriesAnError) {
  const Result<int> result = half(7);
  ASSERT_FALSE(result.ok());
  EXPECT_FALSE(static_cast<bool>(result));
  EXPECT_EQ(result.error().code, Code::kInvalid);
  EXPECT_EQ(result.error().message, "7 is odd");
  EXPECT_EQ(result.error().os_error, 0);
}

TEST(Result, GivesAMoveOnlyValueAway) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(5);
  EXPECT_EQ(*result->get(), 5);
  const std::unique_ptr<int> taken = *std::move(result);
  EXPECT_EQ(*taken, 5);
}

TEST(Result, KeepsAnErrorAndAValueOfTheSameShapeApart) {
  // A value that could be taken for "nothing" is still a value.
  EXPECT_TRUE(Result<int>(0).ok());
  EXPECT_TRUE(Result<std::string>(std::string()).ok());
  EXPECT_TRUE(Result<bool>(false).ok());
  EXPECT_FALSE(*Result<bool>(false));
}

TEST(Result, OfVoidIsGoodUntilToldOtherwise) {
  const Result<void> good;
  EXPECT_TRUE(good.ok());
  const Result<void> bad = Error{Code::kBusy, "the ring is full"};
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().code, Code::kBusy);
}

TEST(ResultDeathTest, EndsTheProcessWhenTheWrongSideIsAsked) {
  const Result<int> bad = half(7);
  EXPECT_DEATH(static_cast<void>(*bad), "check failed: ok\\(\\) at .*result.h");
  const Result<int> good = half(8);
  EXPECT_DEATH(static_cast<void>(good.error()), "check failed: !ok\\(\\)");
  const Result<void> nothing;
  EXPECT_DEATH(static_cast<void>(nothing.error()), "check failed: !ok\\(\\)");
}

TEST(IoError, NamesTheThingAndTheSystemsReason) {
  const Error error = io_error("open /no/such", ENOENT);
  EXPECT_EQ(error.code, Code::kIo);
  EXPECT_EQ(error.os_error, ENOENT);
  EXPECT_EQ(error.message, "open /no/such: No such file or directory");
}

TEST(CodeName, HasOneForEveryCodeAndNoneTwice) {
  const Code codes[] = {Code::kBusy,         Code::kGone,    Code::kInvalid, Code::kRefused,
                        Code::kIncompatible, Code::kCorrupt, Code::kIo,      Code::kPublished};
  std::string seen = " ";
  for (const Code code : codes) {
    const std::string name = code_name(code);
    EXPECT_NE(name, "unknown");
    EXPECT_EQ(seen.find(" " + name + " "), std::string::npos) << name;
    seen += name + " ";
  }
  EXPECT_STREQ(code_name(static_cast<Code>(99)), "unknown");
}

}  // namespace
}  // namespace oj
