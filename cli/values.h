// Optuna's words and values as text: states, directions, attributes, parameters.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "replay/state.h"
#include "schema/operation.h"

namespace oj::cli {

const char* state_name(
    schema::TrialState state);  // "RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING"
std::optional<schema::TrialState> state_of_name(std::string_view name);  // in any case
const char* direction_name(schema::Direction direction);  // "minimize", "maximize", "not_set"

// A parameter as the objective function sees it: a choice, an integer or a number. Borrows from the
// argument. An internal value that its distribution does not have (others wrote it) is given as the
// number it is.
schema::Value external(const schema::Param& param);
schema::Value external(const replay::Param& param);

std::string shown_value(const schema::Value& value);  // one line, six digits
std::string json_value(const schema::Value& value);   // exact
std::string csv_value(const schema::Value& value);    // exact; text as it is, null empty

// "0.1..10 log", "1..64 step 2", "{rbf, linear}"
std::string shown_distribution(const schema::Distribution& distribution);
std::string json_distribution(const schema::Distribution& distribution);

}  // namespace oj::cli
