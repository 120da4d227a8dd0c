// SPDX-License-Identifier: MIT
#include "base/fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <utility>

namespace oj {
namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) != -1; }

Fd open_null() { return Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

TEST(Fd, IsEmptyUnlessGivenADescriptor) {
  const Fd empty;
  EXPECT_FALSE(static_cast<bool>(empty));
  EXPECT_EQ(empty.get(), -1);
  // What a failed open() returns is "none", too.
  EXPECT_FALSE(static_cast<bool>(Fd(-1)));
}

TEST(Fd, TakesDescriptorZeroForAValidOne) {
  Fd fd(0);
  EXPECT_TRUE(static_cast<bool>(fd));
  EXPECT_EQ(fd.release(), 0);
}

TEST(Fd, ClosesAtTheEndOfItsLife) {
  int number = -1;
  {
    const Fd fd = open_null();
    number = fd.get();
    ASSERT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
}

TEST(Fd, LeavesOneOwnerWhenMoved) {
  Fd first = open_null();
  const Fd& left_behind = first;
  const int number = first.get();
  Fd second = std::move(first);
  EXPECT_EQ(second.get(), number);
  EXPECT_EQ(left_behind.get(), -1);

  Fd third = open_null();
  const int replaced = third.get();
  third = std::move(second);
  EXPECT_FALSE(is_open(replaced));
  EXPECT_EQ(third.get(), number);
  EXPECT_TRUE(is_open(number));
}

TEST(Fd, SurvivesBeingMovedToItself) {
  Fd fd = open_null();
  Fd& same = fd;
  fd = std::move(same);
  EXPECT_TRUE(is_open(fd.get()));
}

TEST(Fd, ReleasesWithoutClosing) {
  Fd fd = open_null();
  const int number = fd.release();
  EXPECT_FALSE(static_cast<bool>(fd));
  EXPECT_TRUE(is_open(number));
  Fd(number).reset();
  EXPECT_FALSE(is_open(number));
}

TEST(Fd, ClosesTheOldOneWhenReset) {
  Fd fd = open_null();
  const int old = fd.get();
  fd.reset(open_null().release());
  EXPECT_FALSE(is_open(old));
  EXPECT_TRUE(is_open(fd.get()));
}

}  // namespace
}  // namespace oj
