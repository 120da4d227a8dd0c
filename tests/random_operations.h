// Operations at random, for the tests of schema/ and replay/: all kinds, and everything that is odd
// but legal in them (NUL, empty and surrogate texts, NaN, infinities, -0.0, the ends of int64,
// empty and absent lists).
//
// Ids come from [0, ids_max), so that a small ids_max makes a sequence whose operations meet.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "schema/operation.h"

namespace oj::testing {

// $OJ_SEED if set, else `otherwise`; printed, so that a failure can be repeated.
inline std::uint64_t announced_seed(std::uint64_t otherwise) {
  const char* const given = std::getenv("OJ_SEED");
  const std::uint64_t seed = given ? std::strtoull(given, nullptr, 0) : otherwise;
  std::printf("OJ_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

class RandomOperations {
 public:
  RandomOperations(std::uint64_t seed, std::uint64_t ids_max) : random_(seed), ids_max_(ids_max) {}

  // Borrows from this, until forget().
  schema::Operation operation();
  void forget() {
    texts_.clear();
    values_.clear();
    params_.clear();
    attrs_.clear();
    doubles_.clear();
    steps_.clear();
    gpus_.clear();
    directions_.clear();
  }

  std::uint64_t below(std::uint64_t end) {
    return std::uniform_int_distribution<std::uint64_t>(0, end - 1)(random_);
  }
  bool chance(std::uint64_t in) { return below(in) == 0; }

 private:
  std::uint64_t id() { return below(ids_max_); }

  std::int64_t integer() {
    constexpr std::array<std::int64_t, 7> kOdd = {0,
                                                  1,
                                                  -1,
                                                  std::numeric_limits<std::int64_t>::min(),
                                                  std::numeric_limits<std::int64_t>::max(),
                                                  std::int64_t{1} << 53,
                                                  4294967296};
    return chance(2) ? kOdd[below(kOdd.size())] : static_cast<std::int64_t>(below(10));
  }
  double real() {
    using Limits = std::numeric_limits<double>;
    const std::array<double, 9> odd = {0.0,
                                       -0.0,
                                       1.0,
                                       Limits::quiet_NaN(),
                                       Limits::infinity(),
                                       -Limits::infinity(),
                                       Limits::max(),
                                       Limits::denorm_min(),
                                       -Limits::max()};
    return chance(2) ? odd[below(odd.size())] : static_cast<double>(below(1000)) / 8;
  }
  // Few different ones, so that keys and names are met again.
  std::string_view text() {
    using namespace std::string_view_literals;
    constexpr std::array<std::string_view, 8> kOdd = {
        ""sv,  "\0"sv, "a\0b"sv, "\xed\xa0\x80"sv, "x"sv, "learning_rate"sv, "\xf0\x9f\x8e\xb2"sv,
        "\n"sv};
    if (!chance(8)) return kOdd[below(kOdd.size())];
    return texts_.emplace_back(below(100), static_cast<char>('a' + below(26)));
  }
  schema::Value value() {
    schema::Value value;
    value.kind = static_cast<schema::Value::Kind>(below(6));
    switch (value.kind) {
      case schema::Value::Kind::kNull: break;
      case schema::Value::Kind::kBool: value.boolean = chance(2); break;
      case schema::Value::Kind::kInt64: value.int64 = integer(); break;
      case schema::Value::Kind::kFloat64: value.float64 = real(); break;
      case schema::Value::Kind::kText:
      case schema::Value::Kind::kJson: value.text = text(); break;
    }
    return value;
  }
  schema::Distribution distribution() {
    schema::Distribution distribution;
    distribution.kind = static_cast<schema::Distribution::Kind>(below(4));
    switch (distribution.kind) {
      case schema::Distribution::Kind::kFloat:
        distribution.log = chance(4);
        distribution.low = real();
        distribution.high = real();
        distribution.has_step = chance(2);
        if (distribution.has_step) distribution.step = real();
        break;
      case schema::Distribution::Kind::kInt:
        distribution.log = chance(4);
        distribution.int_low = integer();
        distribution.int_high = integer();
        distribution.int_step = integer();
        break;
      case schema::Distribution::Kind::kCategorical: {
        auto& choices = values_.emplace_back(below(4));
        for (schema::Value& choice : choices) choice = value();
        distribution.choices = choices;
        break;
      }
      case schema::Distribution::Kind::kJson: distribution.json = text(); break;
    }
    return distribution;
  }
  schema::Param param() { return {text(), real(), distribution()}; }
  schema::Attr attr() { return {text(), value()}; }
  schema::TrialState state() { return static_cast<schema::TrialState>(below(5)); }
  std::optional<std::span<const double>> maybe_values() {
    if (chance(2)) return {};
    auto& values = doubles_.emplace_back(chance(2) ? 1 : below(4));
    for (double& value : values) value = real();
    return values;
  }
  std::span<const schema::Attr> some_attrs() {
    auto& attrs = attrs_.emplace_back(chance(2) ? 0 : below(5));
    for (schema::Attr& one : attrs) one = attr();
    return attrs;
  }
  schema::CreateStudy create_study() {
    auto& directions = directions_.emplace_back(chance(2) ? 1 : below(4));
    for (schema::Direction& direction : directions)
      direction = static_cast<schema::Direction>(below(3));
    return {text(), directions};
  }
  schema::SessionStarted session_started() {
    schema::SessionStarted op{static_cast<std::uint32_t>(below(100'000)), 1000, text(), text()};
    if (chance(2)) return op;
    op.user = text();
    op.container = text();
    if (chance(2)) op.cuda_visible_devices = text();
    auto& gpus = gpus_.emplace_back(below(3));
    for (schema::Gpu& gpu : gpus) gpu = {text(), text()};
    op.gpus = gpus;
    op.orphans = {static_cast<schema::OrphanPolicy::Kind>(below(5)),
                  static_cast<std::uint32_t>(below(4))};
    op.former = id();
    op.birth = {below(UINT64_MAX), below(3), below(3), below(UINT64_MAX)};
    return op;
  }
  schema::CreateTrial create_trial() {
    schema::CreateTrial op;
    op.study = id();
    op.start_us = integer();
    if (chance(2)) return op;
    op.state = state();
    if (chance(4)) op.start_us.reset();
    if (chance(2)) op.complete_us = integer();
    op.values = maybe_values();
    auto& params = params_.emplace_back(chance(2) ? 0 : below(4));
    for (schema::Param& one : params) one = param();
    op.params = params;
    op.user_attrs = some_attrs();
    op.system_attrs = some_attrs();
    auto& steps = steps_.emplace_back(chance(2) ? 0 : below(5));
    for (schema::IntermediateValue& step : steps) step = {integer(), real()};
    op.intermediate_values = steps;
    return op;
  }

  std::mt19937_64 random_;
  std::uint64_t ids_max_;
  std::deque<std::string> texts_;
  std::deque<std::vector<schema::Value>> values_;
  std::deque<std::vector<schema::Param>> params_;
  std::deque<std::vector<schema::Attr>> attrs_;
  std::deque<std::vector<double>> doubles_;
  std::deque<std::vector<schema::IntermediateValue>> steps_;
  std::deque<std::vector<schema::Direction>> directions_;
  std::deque<std::vector<schema::Gpu>> gpus_;
};

// Weighted towards what a study's life consists of; the rare kinds come often enough all the same.
inline schema::Operation RandomOperations::operation() {
  switch (below(36)) {
    case 0:
    case 1: return create_study();
    case 2: return schema::DeleteStudy{id()};
    case 3: return schema::SetStudyUserAttr{id(), attr()};
    case 4: return schema::SetStudySystemAttr{id(), attr()};
    case 5:
    case 6:
    case 7:
    case 8:
    case 9: return create_trial();
    case 10:
    case 11:
    case 12:
    case 13:
    case 14: return schema::SetTrialParam{id(), param()};
    case 15:
    case 16:
    case 17:
    case 18: return schema::SetTrialStateValues{id(), state(), maybe_values(), integer()};
    case 19:
    case 20:
    case 21:
    case 22: return schema::SetTrialIntermediateValue{id(), {integer(), real()}};
    case 23:
    case 24:
    case 25: return schema::SetTrialUserAttr{id(), attr()};
    case 26:
    case 27: return schema::SetTrialSystemAttr{id(), attr()};
    case 28: return session_started();
    case 29:
    case 30: return schema::SessionEnded{id(), static_cast<schema::SessionEnded::Reason>(below(2))};
    case 31: return schema::Tombstone{text()};
    default:
      return schema::EndOrphan{id(), below(4), integer(), static_cast<std::uint32_t>(below(4))};
  }
}

}  // namespace oj::testing
