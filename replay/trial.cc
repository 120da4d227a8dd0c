// The parts of a trial that keep the order of first insertion: attributes, parameters, intermediate
// values.
//
// SPDX-License-Identifier: MIT
#include <algorithm>
#include <utility>

#include "replay/state.h"

namespace oj::replay {

void AttrMap::set(std::string_view key, const schema::Value& value) {
  const auto key_at = [this](std::size_t i) -> std::string_view { return items_[i].first; };
  const std::size_t at = index_.find(key, items_.size(), key_at);
  if (at != NameIndex::kNone) {
    items_[at].second = Value::from(value);
    return;
  }
  items_.emplace_back(key, Value::from(value));
  index_.added(items_.size(), key_at);
}

const Value* AttrMap::find(std::string_view key) const {
  const std::size_t at = index_.find(
      key, items_.size(), [this](std::size_t i) -> std::string_view { return items_[i].first; });
  return at == NameIndex::kNone ? nullptr : &items_[at].second;
}

const Param* Trial::param(std::string_view name) const {
  const std::size_t at = param_index_.find(
      name, params.size(), [this](std::size_t i) -> std::string_view { return params[i].name; });
  return at == NameIndex::kNone ? nullptr : &params[at];
}

void Trial::set_param(std::string_view name, double internal,
                      std::shared_ptr<const Distribution> distribution) {
  const auto key_at = [this](std::size_t i) -> std::string_view { return params[i].name; };
  const std::size_t at = param_index_.find(name, params.size(), key_at);
  if (at != NameIndex::kNone) {
    params[at].internal = internal;
    params[at].distribution = std::move(distribution);
    return;
  }
  params.push_back({std::string(name), internal, std::move(distribution)});
  param_index_.added(params.size(), key_at);
}

void Trial::index_params() {
  param_index_.drop();
  const auto key_at = [this](std::size_t i) -> std::string_view { return params[i].name; };
  param_index_.added(params.size(), key_at);
}

void Trial::set_intermediate_value(const schema::IntermediateValue& value) {
  auto& items = intermediate_values;
  const auto key_at = [&items](std::size_t i) { return items[i].step; };
  if (steps_ascend_) {
    if (items.empty() || items.back().step < value.step) {
      items.push_back(value);
      return;
    }
    const auto at = std::lower_bound(
        items.begin(), items.end(), value.step,
        [](const schema::IntermediateValue& item, std::int64_t step) { return item.step < step; });
    if (at->step == value.step) {
      at->value = value.value;
      return;
    }
    steps_ascend_ = false;
  } else if (const std::size_t at = step_index_.find(value.step, items.size(), key_at);
             at != StepIndex::kNone) {
    items[at].value = value.value;
    return;
  }
  items.push_back(value);
  step_index_.added(items.size(), key_at);
}

void Trial::settle() {
  step_index_.drop();
  if (intermediate_values.capacity() > intermediate_values.size())
    intermediate_values.shrink_to_fit();
}

}  // namespace oj::replay
