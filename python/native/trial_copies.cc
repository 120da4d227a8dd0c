// SPDX-License-Identifier: MIT
#include "python/native/trial_copies.h"

namespace oj::python {

void TrialCopies::clear() {
  trials_.clear();
  values_.clear();
  params_.clear();
  attrs_.clear();
  intermediate_values_.clear();
  text_.clear();
}

TrialCopies::Range TrialCopies::add(std::string_view text) {
  const std::size_t begin = text_.size();
  text_ += text;
  return {begin, text_.size()};
}

TrialCopies::Range TrialCopies::add(const replay::AttrMap& attrs) {
  const std::size_t begin = attrs_.size();
  for (const auto& [key, value] : attrs.items()) {
    const Range key_range = add(key);
    attrs_.push_back({key_range, add(value.text), value.view()});
  }
  return {begin, attrs_.size()};
}

void TrialCopies::add(const replay::Trial& trial) {
  Trial copy;
  copy.id = trial.id;
  copy.study = trial.study;
  copy.number = trial.number;
  copy.version = trial.version;
  copy.state = trial.state;
  copy.start_us = trial.start_us;
  copy.complete_us = trial.complete_us;
  copy.has_values = trial.values.has_value();
  copy.values.begin = values_.size();
  if (trial.values) values_.insert(values_.end(), trial.values->begin(), trial.values->end());
  copy.values.end = values_.size();
  copy.params.begin = params_.size();
  for (const replay::Param& param : trial.params) {
    params_.push_back({add(param.name), param.internal, param.distribution});
  }
  copy.params.end = params_.size();
  copy.user_attrs = add(trial.user_attrs);
  copy.system_attrs = add(trial.system_attrs);
  copy.intermediate_values.begin = intermediate_values_.size();
  intermediate_values_.insert(intermediate_values_.end(), trial.intermediate_values.begin(),
                              trial.intermediate_values.end());
  copy.intermediate_values.end = intermediate_values_.size();
  trials_.push_back(copy);
}

schema::Value TrialCopies::value(const Attr& attr) const {
  schema::Value value = attr.value;
  value.text = text(attr.text);
  return value;
}

}  // namespace oj::python
