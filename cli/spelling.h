// "Did you mean ...?" for names that are not there.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "replay/state.h"

namespace oj::cli {

// Bytes put in, taken out, replaced, or swapped with their neighbour, to get from one to the other.
std::size_t edit_distance(std::string_view a, std::string_view b);

// Of `names`, those that a slip of the finger makes of `wanted` or that contain it, nearest first,
// three at most.
std::vector<std::string> near_names(std::string_view wanted, const std::vector<std::string>& names);

// "there is no study "digts" in ./runs; did you mean "digits"?", of exit code kNotFound.
Error no_such_study(std::string_view wanted, const replay::State& state, std::string_view location);

}  // namespace oj::cli
