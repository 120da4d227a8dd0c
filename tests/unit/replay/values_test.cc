// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <vector>

#include "replay/state.h"

namespace oj::replay {
namespace {

using Kind = schema::Distribution::Kind;
using View = schema::Value;

bool choices_compatible(const View& a, const View& b) {
  const std::array old_choices = {a}, new_choices = {b};
  const schema::Distribution first{.kind = Kind::kCategorical, .choices = old_choices};
  const schema::Distribution second{.kind = Kind::kCategorical, .choices = new_choices};
  const bool one_way = compatible(Distribution::from(first), second);
  EXPECT_EQ(one_way, compatible(Distribution::from(second), first));
  return one_way;
}

View of(bool value) { return {.kind = View::Kind::kBool, .boolean = value}; }
View of(std::int64_t value) { return {.kind = View::Kind::kInt64, .int64 = value}; }
View of(double value) { return {.kind = View::Kind::kFloat64, .float64 = value}; }
View of(const char* value) { return {.kind = View::Kind::kText, .text = value}; }

TEST(Compatible, ComparesChoicesAsPythonDoes) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::int64_t big = (std::int64_t{1} << 53) + 1;  // no double is this
  EXPECT_TRUE(choices_compatible(of(true), of(std::int64_t{1})));
  EXPECT_TRUE(choices_compatible(of(true), of(1.0)));
  EXPECT_TRUE(choices_compatible(of(std::int64_t{1}), of(1.0)));
  EXPECT_TRUE(choices_compatible(of(0.0), of(-0.0)));
  EXPECT_TRUE(choices_compatible(of(nan), of(-nan)));
  EXPECT_TRUE(choices_compatible({}, {}));
  EXPECT_TRUE(choices_compatible(of("a"), of("a")));
  EXPECT_FALSE(choices_compatible(of(big), of(static_cast<double>(big))));
  EXPECT_FALSE(
      choices_compatible(of(std::numeric_limits<std::int64_t>::max()), of(9223372036854775808.0)));
  EXPECT_TRUE(
      choices_compatible(of(std::numeric_limits<std::int64_t>::min()), of(-9223372036854775808.0)));
  EXPECT_FALSE(choices_compatible(of(std::int64_t{1}), of(nan)));
  EXPECT_FALSE(
      choices_compatible(of(std::int64_t{1}), of(std::numeric_limits<double>::infinity())));
  EXPECT_FALSE(choices_compatible(of(std::int64_t{1}), of(1.5)));
  EXPECT_FALSE(choices_compatible({}, of(std::int64_t{0})));
  EXPECT_FALSE(choices_compatible(of("1"), of(std::int64_t{1})));
  EXPECT_FALSE(choices_compatible(of("[1]"), {.kind = View::Kind::kJson, .text = "[1]"}));
}

TEST(Compatible, WantsTheSameChoicesInTheSameOrder) {
  const std::vector<View> ab = {of("a"), of("b")}, ba = {of("b"), of("a")},
                          abc = {of("a"), of("b"), of("c")};
  const auto categorical = [](std::span<const View> choices) {
    return schema::Distribution{.kind = Kind::kCategorical, .choices = choices};
  };
  const Distribution known = Distribution::from(categorical(ab));
  EXPECT_TRUE(compatible(known, categorical(ab)));
  EXPECT_FALSE(compatible(known, categorical(ba)));
  EXPECT_FALSE(compatible(known, categorical(abc)));
  EXPECT_FALSE(compatible(known, {}));
  EXPECT_FALSE(compatible(Distribution::from({}), categorical(ab)));
}

TEST(Compatible, LetsLowHighAndStepDifferButNotKindOrLog) {
  const Distribution real = Distribution::from({.low = 0, .high = 1});
  EXPECT_TRUE(compatible(real, {.has_step = true, .low = -3, .high = 99, .step = 0.5}));
  EXPECT_FALSE(compatible(real, {.log = true, .low = 0, .high = 1}));
  EXPECT_FALSE(compatible(real, {.kind = Kind::kInt}));
  const Distribution integer = Distribution::from({.kind = Kind::kInt, .int_high = 5});
  EXPECT_TRUE(compatible(integer, {.kind = Kind::kInt, .int_low = -9, .int_step = 3}));
  EXPECT_FALSE(compatible(integer, {.kind = Kind::kInt, .log = true}));
}

TEST(Compatible, KnowsAnIntDistributionKeptAsJson) {
  const auto json = [](std::string_view text) {
    return schema::Distribution{.kind = Kind::kJson, .json = text};
  };
  const auto spaced = json(
      R"({"name": "IntDistribution", "attributes": {"log": false, "high": 99999999999999999999}})");
  const auto compact =
      json(R"({"name":"IntDistribution","attributes":{"log":false,"high":99999999999999999999}})");
  const auto logarithmic =
      json(R"({"name":"IntDistribution","attributes":{"log":true,"high":99999999999999999999}})");
  const schema::Distribution plain{.kind = Kind::kInt};
  EXPECT_TRUE(compatible(Distribution::from(spaced), compact));
  EXPECT_TRUE(compatible(Distribution::from(spaced), plain));
  EXPECT_TRUE(compatible(Distribution::from(plain), compact));
  EXPECT_FALSE(compatible(Distribution::from(spaced), logarithmic));
  EXPECT_FALSE(compatible(Distribution::from(plain), logarithmic));
  EXPECT_FALSE(compatible(Distribution::from({}), spaced));
  for (const std::string_view odd :
       {"", "{", "\"name\"", "\"name\":", "\"name\": \"", "\"log\":"}) {
    EXPECT_TRUE(compatible(Distribution::from(json(odd)), json(odd))) << odd;
    EXPECT_FALSE(compatible(Distribution::from(plain), json(odd))) << odd;
  }
}

}  // namespace
}  // namespace oj::replay
