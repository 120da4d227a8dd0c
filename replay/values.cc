// Value, Distribution, and Optuna's rule of which distributions may share a parameter's name.
//
// SPDX-License-Identifier: MIT
#include <cmath>
#include <string_view>

#include "replay/state.h"

namespace oj::replay {
namespace {

using Kind = schema::Value::Kind;

bool is_number(const schema::Value& value) {
  return value.kind == Kind::kBool || value.kind == Kind::kInt64 || value.kind == Kind::kFloat64;
}

// Python's int == float: exact, not by rounding the int.
bool equal(std::int64_t a, double b) {
  constexpr double kTwo63 = 9223372036854775808.0;
  return b >= -kTwo63 && b < kTwo63 && static_cast<double>(static_cast<std::int64_t>(b)) == b &&
         static_cast<std::int64_t>(b) == a;
}

bool numbers_equal(const schema::Value& a, const schema::Value& b) {
  const auto integer = [](const schema::Value& value) {
    return value.kind == Kind::kBool ? static_cast<std::int64_t>(value.boolean) : value.int64;
  };
  const bool a_is_float = a.kind == Kind::kFloat64;
  const bool b_is_float = b.kind == Kind::kFloat64;
  if (a_is_float && b_is_float)
    return a.float64 == b.float64 || (std::isnan(a.float64) && std::isnan(b.float64));
  if (a_is_float) return equal(integer(b), a.float64);
  if (b_is_float) return equal(integer(a), b.float64);
  return integer(a) == integer(b);
}

bool choices_equal(const schema::Value& a, const schema::Value& b) {
  if (is_number(a) && is_number(b)) return numbers_equal(a, b);
  return a.kind == b.kind && a.text == b.text;
}

// What compatibility asks of a distribution that is no categorical one: its class, and its `log`.
struct Shape {
  std::string_view name;
  bool log = false;
  bool operator==(const Shape&) const = default;
};

// Of Optuna's text, {"name": "IntDistribution", "attributes": {"log": false, ...}}, spaced or
// compact.
Shape shape_of_json(std::string_view json) {
  const auto after = [json](std::string_view key) {
    std::size_t at = json.find(key);
    if (at == json.npos) return std::string_view();
    at = json.find_first_not_of(": ", at + key.size());
    return at == json.npos ? std::string_view() : json.substr(at);
  };
  std::string_view name = after("\"name\"");
  if (!name.empty() && name.front() == '"') name.remove_prefix(1);
  return {name.substr(0, name.find('"')), after("\"log\"").starts_with("true")};
}

Shape shape(schema::Distribution::Kind kind, bool log, std::string_view json) {
  switch (kind) {
    case schema::Distribution::Kind::kFloat: return {"FloatDistribution", log};
    case schema::Distribution::Kind::kInt: return {"IntDistribution", log};
    case schema::Distribution::Kind::kCategorical: return {"CategoricalDistribution", false};
    case schema::Distribution::Kind::kJson: return shape_of_json(json);
  }
  return {};
}

}  // namespace

Value Value::from(const schema::Value& view) {
  Value value;
  value.kind = view.kind;
  switch (view.kind) {
    case Kind::kNull: break;
    case Kind::kBool: value.boolean = view.boolean; break;
    case Kind::kInt64: value.int64 = view.int64; break;
    case Kind::kFloat64: value.float64 = view.float64; break;
    case Kind::kText:
    case Kind::kJson: value.text = view.text; break;
  }
  return value;
}

schema::Value Value::view() const {
  return {.kind = kind, .boolean = boolean, .int64 = int64, .float64 = float64, .text = text};
}

Distribution Distribution::from(const schema::Distribution& view) {
  Distribution to;
  to.kind = view.kind;
  switch (view.kind) {
    case schema::Distribution::Kind::kFloat:
      to.log = view.log;
      to.low = view.low;
      to.high = view.high;
      to.has_step = view.has_step;
      to.step = view.has_step ? view.step : 0;
      break;
    case schema::Distribution::Kind::kInt:
      to.log = view.log;
      to.int_low = view.int_low;
      to.int_high = view.int_high;
      to.int_step = view.int_step;
      break;
    case schema::Distribution::Kind::kCategorical:
      to.choices.reserve(view.choices.size());
      for (const schema::Value& choice : view.choices) to.choices.push_back(Value::from(choice));
      break;
    case schema::Distribution::Kind::kJson: to.json = view.json; break;
  }
  return to;
}

bool compatible(const Distribution& a, const schema::Distribution& b) {
  if (a.kind == schema::Distribution::Kind::kCategorical && b.kind == a.kind) {
    if (a.choices.size() != b.choices.size()) return false;
    for (std::size_t i = 0; i < a.choices.size(); ++i) {
      if (!choices_equal(a.choices[i].view(), b.choices[i])) return false;
    }
    return true;
  }
  if (a.kind == b.kind && a.kind != schema::Distribution::Kind::kJson) return a.log == b.log;
  if (a.kind == b.kind && a.json == b.json) return true;
  const Shape asked = shape(b.kind, b.log, b.json);
  return asked.name != "CategoricalDistribution" && asked == shape(a.kind, a.log, a.json);
}

}  // namespace oj::replay
