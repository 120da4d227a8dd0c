// SPDX-License-Identifier: MIT
#include "base/crc32c.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string_view>
#include <vector>

namespace oj {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

TEST(Crc32c, GivesTheValuesOfRfc3720) {
  EXPECT_EQ(crc32c(bytes_of("123456789")), 0xe3069283u);
  EXPECT_EQ(crc32c(std::vector<std::byte>(32, std::byte{0})), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::vector<std::byte>(32, std::byte{0xff})), 0x62a8ab43u);
  EXPECT_EQ(crc32c({}), 0u);
}

TEST(Crc32c, IsTheSameWithAndWithoutTheInstruction) {
  std::mt19937 random(20261123);
  for (std::size_t size = 0; size < 300; ++size) {
    std::vector<std::byte> data(size);
    for (std::byte& byte : data) byte = static_cast<std::byte>(random());
    const auto seed = static_cast<std::uint32_t>(random());
    EXPECT_EQ(crc32c(data, seed), crc32c_portable(data, seed)) << "size " << size;
  }
}

TEST(Crc32c, ContinuesFromASeed) {
  const auto whole = bytes_of("shared memory journal");
  EXPECT_EQ(crc32c(whole.subspan(7), crc32c(whole.first(7))), crc32c(whole));
  std::uint64_t value = 0x0123456789abcdef;
  std::byte raw[8];
  std::memcpy(raw, &value, 8);
  EXPECT_EQ(crc32c_u64(value, 5), crc32c(raw, 5));
}

TEST(Crc32c, ChangesWithEveryBit) {
  std::vector<std::byte> data(64, std::byte{0x5a});
  const std::uint32_t good = crc32c(data);
  for (std::size_t bit = 0; bit < data.size() * 8; ++bit) {
    data[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    EXPECT_NE(crc32c(data), good) << "bit " << bit;
    data[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
  }
}

}  // namespace
}  // namespace oj
