// The distinct distributions of one study, each kept once however many trials use it.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "replay/state.h"

namespace oj::replay {

// Equal in all that a reader can see; stricter than compatible(): 1 is not 1.0, 0.0 is not -0.0.
// All NaNs are one.
bool identical(const Distribution& a, const schema::Distribution& b);

// The bits of a double, with one NaN for all.
std::uint64_t canonical_bits(double value);

class DistributionPool {
 public:
  // `likely`, if not null, is tried first.
  std::shared_ptr<const Distribution> intern(const schema::Distribution& distribution,
                                             const std::shared_ptr<const Distribution>& likely);

 private:
  std::unordered_multimap<std::uint64_t, std::shared_ptr<const Distribution>> by_hash_;
};

}  // namespace oj::replay
