// SPDX-License-Identifier: MIT
#include "cli/values.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include <fmt/format.h>

#include "cli/json.h"
#include "cli/numbers.h"
#include "cli/text.h"

namespace oj::cli {
namespace {

using schema::Distribution;
using schema::Value;

constexpr double kInt64Limit = 9223372036854775808.0;  // 2^63

Value number(double value) {
  Value out;
  out.kind = Value::Kind::kFloat64;
  out.float64 = value;
  return out;
}

template <class ChoiceAt>
Value external_of(Distribution::Kind kind, double internal, std::size_t choice_count,
                  ChoiceAt&& choice_at) {
  const bool whole = std::isfinite(internal) && internal == std::floor(internal);
  if (kind == Distribution::Kind::kCategorical && whole && internal >= 0 &&
      internal < static_cast<double>(choice_count)) {
    return choice_at(static_cast<std::size_t>(internal));
  }
  if (kind == Distribution::Kind::kInt && whole && internal >= -kInt64Limit &&
      internal < kInt64Limit) {
    Value out;
    out.kind = Value::Kind::kInt64;
    out.int64 = static_cast<std::int64_t>(internal);
    return out;
  }
  return number(internal);
}

}  // namespace

const char* state_name(schema::TrialState state) {
  switch (state) {
    case schema::TrialState::kRunning: return "RUNNING";
    case schema::TrialState::kComplete: return "COMPLETE";
    case schema::TrialState::kPruned: return "PRUNED";
    case schema::TrialState::kFail: return "FAIL";
    case schema::TrialState::kWaiting: return "WAITING";
  }
  return "?";
}

std::optional<schema::TrialState> state_of_name(std::string_view name) {
  std::string upper(name);
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  for (int i = 0; i <= 4; ++i) {
    const auto state = static_cast<schema::TrialState>(i);
    if (upper == state_name(state)) return state;
  }
  return std::nullopt;
}

const char* direction_name(schema::Direction direction) {
  switch (direction) {
    case schema::Direction::kNotSet: return "not_set";
    case schema::Direction::kMinimize: return "minimize";
    case schema::Direction::kMaximize: return "maximize";
  }
  return "?";
}

schema::Value external(const schema::Param& param) {
  const auto& choices = param.distribution.choices;
  return external_of(param.distribution.kind, param.internal, choices.size(),
                     [&](std::size_t i) { return choices[i]; });
}

schema::Value external(const replay::Param& param) {
  const auto& choices = param.distribution->choices;
  return external_of(param.distribution->kind, param.internal, choices.size(),
                     [&](std::size_t i) { return choices[i].view(); });
}

std::string shown_value(const Value& value) {
  switch (value.kind) {
    case Value::Kind::kNull: return "null";
    case Value::Kind::kBool: return value.boolean ? "true" : "false";
    case Value::Kind::kInt64: return std::to_string(value.int64);
    case Value::Kind::kFloat64: return short_number(value.float64);
    case Value::Kind::kText: return shown_word(value.text);
    case Value::Kind::kJson: return shown(value.text);
  }
  return "?";
}

std::string json_value(const Value& value) {
  switch (value.kind) {
    case Value::Kind::kNull: return "null";
    case Value::Kind::kBool: return value.boolean ? "true" : "false";
    case Value::Kind::kInt64: return std::to_string(value.int64);
    case Value::Kind::kFloat64: return json_number(value.float64);
    case Value::Kind::kText: return json_string(value.text);
    case Value::Kind::kJson: return json_from_python(value.text);
  }
  return "null";
}

std::string csv_value(const Value& value) {
  switch (value.kind) {
    case Value::Kind::kNull: return "";
    case Value::Kind::kBool: return value.boolean ? "true" : "false";
    case Value::Kind::kInt64: return std::to_string(value.int64);
    case Value::Kind::kFloat64: return exact_number(value.float64);
    case Value::Kind::kText:
    case Value::Kind::kJson: return csv_field(value.text);
  }
  return "";
}

std::string shown_distribution(const Distribution& distribution) {
  std::string out;
  switch (distribution.kind) {
    case Distribution::Kind::kFloat:
      out = fmt::format("{}..{}", short_number(distribution.low), short_number(distribution.high));
      if (distribution.has_step) out += " step " + short_number(distribution.step);
      break;
    case Distribution::Kind::kInt:
      out = fmt::format("{}..{}", distribution.int_low, distribution.int_high);
      if (distribution.int_step != 1) out += fmt::format(" step {}", distribution.int_step);
      break;
    case Distribution::Kind::kCategorical:
      for (const Value& choice : distribution.choices)
        out += (out.empty() ? "" : ", ") + shown_value(choice);
      return "{" + out + "}";
    case Distribution::Kind::kJson: return shown(distribution.json);
  }
  return distribution.log ? out + " log" : out;
}

std::string json_distribution(const Distribution& distribution) {
  Json json;
  json.object();
  switch (distribution.kind) {
    case Distribution::Kind::kFloat:
      json.key("name").text("FloatDistribution").key("low").number(distribution.low);
      json.key("high").number(distribution.high).key("log").boolean(distribution.log).key("step");
      if (distribution.has_step)
        json.number(distribution.step);
      else
        json.null();
      break;
    case Distribution::Kind::kInt:
      json.key("name").text("IntDistribution").key("low").integer(distribution.int_low);
      json.key("high").integer(distribution.int_high).key("log").boolean(distribution.log);
      json.key("step").integer(distribution.int_step);
      break;
    case Distribution::Kind::kCategorical:
      json.key("name").text("CategoricalDistribution").key("choices").array();
      for (const Value& choice : distribution.choices) json.raw(json_value(choice));
      json.end_array();
      break;
    case Distribution::Kind::kJson: return json_from_python(distribution.json);
  }
  return json.end_object().take();
}

}  // namespace oj::cli
