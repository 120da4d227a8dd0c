// SPDX-License-Identifier: MIT
#include "replay/distribution_pool.h"

#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <string_view>

namespace oj::replay {
namespace {

using Kind = schema::Distribution::Kind;

bool identical_values(const Value& a, const schema::Value& b) {
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case schema::Value::Kind::kNull: return true;
    case schema::Value::Kind::kBool: return a.boolean == b.boolean;
    case schema::Value::Kind::kInt64: return a.int64 == b.int64;
    case schema::Value::Kind::kFloat64:
      return canonical_bits(a.float64) == canonical_bits(b.float64);
    case schema::Value::Kind::kText:
    case schema::Value::Kind::kJson: return a.text == b.text;
  }
  return false;
}

class Hash {
 public:
  void add(std::uint64_t word) { hash_ = std::rotl((hash_ ^ word) * 0x9e3779b97f4a7c15, 31); }
  void add(std::string_view text) { add(std::hash<std::string_view>{}(text)); }
  std::uint64_t get() const { return hash_; }

 private:
  std::uint64_t hash_ = 0;
};

std::uint64_t hash_of(const schema::Distribution& distribution) {
  Hash hash;
  hash.add(static_cast<std::uint64_t>(distribution.kind) * 2 + distribution.log);
  switch (distribution.kind) {
    case Kind::kFloat:
      hash.add(canonical_bits(distribution.low));
      hash.add(canonical_bits(distribution.high));
      if (distribution.has_step) hash.add(canonical_bits(distribution.step));
      break;
    case Kind::kInt:
      hash.add(static_cast<std::uint64_t>(distribution.int_low));
      hash.add(static_cast<std::uint64_t>(distribution.int_high));
      hash.add(static_cast<std::uint64_t>(distribution.int_step));
      break;
    case Kind::kCategorical:
      for (const schema::Value& choice : distribution.choices) {
        hash.add(static_cast<std::uint64_t>(choice.kind));
        hash.add(static_cast<std::uint64_t>(choice.int64));
        hash.add(canonical_bits(choice.float64));
        hash.add(choice.text);
      }
      break;
    case Kind::kJson: hash.add(distribution.json); break;
  }
  return hash.get();
}

}  // namespace

std::uint64_t canonical_bits(double value) {
  return std::bit_cast<std::uint64_t>(std::isnan(value) ? std::numeric_limits<double>::quiet_NaN()
                                                        : value);
}

bool identical(const Distribution& a, const schema::Distribution& b) {
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case Kind::kFloat:
      return a.log == b.log && a.has_step == b.has_step &&
             canonical_bits(a.low) == canonical_bits(b.low) &&
             canonical_bits(a.high) == canonical_bits(b.high) &&
             (!a.has_step || canonical_bits(a.step) == canonical_bits(b.step));
    case Kind::kInt:
      return a.log == b.log && a.int_low == b.int_low && a.int_high == b.int_high &&
             a.int_step == b.int_step;
    case Kind::kCategorical:
      if (a.choices.size() != b.choices.size()) return false;
      for (std::size_t i = 0; i < a.choices.size(); ++i) {
        if (!identical_values(a.choices[i], b.choices[i])) return false;
      }
      return true;
    case Kind::kJson: return a.json == b.json;
  }
  return false;
}

std::shared_ptr<const Distribution> DistributionPool::intern(
    const schema::Distribution& distribution, const std::shared_ptr<const Distribution>& likely) {
  if (likely && identical(*likely, distribution)) return likely;
  const std::uint64_t hash = hash_of(distribution);
  const auto [first, end] = by_hash_.equal_range(hash);
  for (auto at = first; at != end; ++at) {
    if (identical(*at->second, distribution)) return at->second;
  }
  return by_hash_
      .emplace(hash, std::make_shared<const Distribution>(Distribution::from(distribution)))
      ->second;
}

}  // namespace oj::replay
