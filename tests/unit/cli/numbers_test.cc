// SPDX-License-Identifier: MIT
#include "cli/numbers.h"

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>

#include <gtest/gtest.h>

namespace oj::cli {
namespace {

TEST(ExactNumber, ReadsBackTheSame) {
  for (const double value : {0.1, 1.0, -0.0, 1e-300, 5e-324, 1.7976931348623157e308, 1.0 / 3}) {
    EXPECT_EQ(std::strtod(exact_number(value).c_str(), nullptr), value);
  }
  EXPECT_EQ(exact_number(1.0), "1.0");
  EXPECT_EQ(exact_number(-0.0), "-0.0");
  EXPECT_EQ(exact_number(1e30), "1e+30");
}

TEST(ShortNumber, HasNoSignBeforeNan) {
  EXPECT_EQ(short_number(-std::nan("")), "nan");
  EXPECT_EQ(exact_number(-std::nan("")), "nan");
  EXPECT_EQ(short_number(1.0 / 3), "0.333333");
}

TEST(JsonNumber, HasNoBareSpecials) {
  EXPECT_EQ(json_number(std::nan("")), "\"NaN\"");
  EXPECT_EQ(json_number(std::numeric_limits<double>::infinity()), "\"Infinity\"");
  EXPECT_EQ(json_number(-std::numeric_limits<double>::infinity()), "\"-Infinity\"");
  EXPECT_EQ(json_number(0.5), "0.5");
}

TEST(IsoTimeUtc, KnowsTimesBeforeTheEpochAndBeyondCalendars) {
  EXPECT_EQ(iso_time_utc(0), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(iso_time_utc(-1), "1969-12-31T23:59:59.999999Z");
  EXPECT_EQ(iso_time_utc(1'700'000'000'123'456), "2023-11-14T22:13:20.123456Z");
  EXPECT_FALSE(iso_time_utc(std::numeric_limits<std::int64_t>::min()).empty());
  EXPECT_FALSE(local_time(std::numeric_limits<std::int64_t>::max()).empty());
}

TEST(Amounts, AreShort) {
  EXPECT_EQ(duration(850), "850 us");
  EXPECT_EQ(duration(12'500), "12.5 ms");
  EXPECT_EQ(duration(3'210'000), "3.21 s");
  EXPECT_EQ(duration(245'000'000), "4 min 05 s");
  EXPECT_EQ(duration(7'380'000'000), "2 h 03 min");
  EXPECT_EQ(byte_amount(512), "512 B");
  EXPECT_EQ(byte_amount(16 * 1024), "16.0 KiB");
  EXPECT_EQ(byte_amount(128ull << 20), "128 MiB");
  EXPECT_EQ(byte_amount(UINT64_MAX), "16384 PiB");
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1'234'567), "1,234,567");
}

TEST(ShortDuration, TakesSixColumnsAtMost) {
  EXPECT_EQ(short_duration(-5), "0ms");
  EXPECT_EQ(short_duration(850'000), "850ms");
  EXPECT_EQ(short_duration(12'500'000), "12.5s");
  EXPECT_EQ(short_duration(59'970'000), "0m59s");
  EXPECT_EQ(short_duration(245'000'000), "4m05s");
  EXPECT_EQ(short_duration(7'380'000'000), "2h03m");
  EXPECT_EQ(short_duration(4LL * 86'400'000'000), "4d00h");
  EXPECT_EQ(short_duration(400LL * 86'400'000'000), "400d");
  std::int64_t us = 1;
  for (int bit = 0; bit < 62; ++bit, us *= 2) {
    EXPECT_LE(short_duration(us).size(), 6u) << us;
    EXPECT_LE(short_duration(us - 1).size(), 6u) << us - 1;
  }
}

}  // namespace
}  // namespace oj::cli
