// SPDX-License-Identifier: MIT
#include <algorithm>
#include <utility>

#include "replay/apply.h"

namespace oj::replay {
namespace {

constexpr std::size_t kParamsReservedMax =
    16;  // a study's trials mostly have the same few parameters

// kDone if the trial exists and is not finished: then it may be changed.
Outcome updatable(TrialPlace place) {
  if (!place.trial) return {OutcomeCode::kNoSuchTrial, 0};
  if (is_finished(place.trial->state)) return {OutcomeCode::kTrialFinished, place.trial->number};
  return {};
}

Outcome check_param(TrialPlace place, const schema::Param& param,
                    const std::shared_ptr<const Distribution>* known) {
  const Outcome outcome = updatable(place);
  if (outcome.code != OutcomeCode::kDone) return outcome;
  if (known && !compatible(**known, param.distribution)) return {OutcomeCode::kIncompatible, 0};
  return {};
}

const std::shared_ptr<const Distribution>* known_distribution(TrialPlace place,
                                                              std::string_view name) {
  if (!place.trial) return nullptr;
  const auto found = place.study->study->distributions.find(name);
  return found == place.study->study->distributions.end() ? nullptr : &found->second;
}

// Whatever the distribution is: the caller has checked what is to be checked.
void set_param(TrialPlace place, const schema::Param& param,
               const std::shared_ptr<const Distribution>* known) {
  auto distribution = place.study->distributions.intern(
      param.distribution, known ? *known : std::shared_ptr<const Distribution>());
  if (place.trial->params.capacity() == 0) {
    const std::size_t names = place.study->study->distributions.size() + 1;
    place.trial->params.reserve(std::min(names, kParamsReservedMax));
  }
  place.trial->set_param(param.name, param.internal, std::move(distribution));
}

// What the trial has in the end counts, not what a template said on the way.
void register_distribution(TrialPlace place, const Param& param) {
  place.study->study->distributions.emplace(param.name, param.distribution);
}

Outcome check_state(TrialPlace place, const schema::SetTrialStateValues& op) {
  const Outcome outcome = updatable(place);
  if (outcome.code != OutcomeCode::kDone) return outcome;
  if (op.state == TrialState::kRunning && place.trial->state == TrialState::kRunning)
    return {OutcomeCode::kUnchanged, 0};
  return {};
}

void fill(TrialPlace place, const schema::CreateTrial& op) {
  Trial& trial = *place.trial;
  trial.state = op.state;
  trial.start_us = op.start_us;
  trial.complete_us = op.complete_us;
  if (op.values) trial.values.emplace(op.values->begin(), op.values->end());
  for (const schema::Param& param : op.params)
    set_param(place, param, known_distribution(place, param.name));
  for (const Param& param : trial.params) register_distribution(place, param);
  for (const schema::Attr& attr : op.user_attrs) trial.user_attrs.set(attr.key, attr.value);
  for (const schema::Attr& attr : op.system_attrs) trial.system_attrs.set(attr.key, attr.value);
  for (const schema::IntermediateValue& value : op.intermediate_values)
    trial.set_intermediate_value(value);
}

Outcome set_attr(Tables& tables, TrialId id, AttrMap Trial::*attrs, const schema::Attr& attr) {
  const TrialPlace place = tables.trials.find(id);
  const Outcome outcome = updatable(place);
  if (outcome.code != OutcomeCode::kDone) return outcome;
  (place.trial->*attrs).set(attr.key, attr.value);
  ++place.trial->version;
  return outcome;
}

}  // namespace

Outcome check(const Tables& tables, const schema::CreateTrial& op) {
  if (!tables.find_study(op.study)) return {OutcomeCode::kNoSuchStudy, 0};
  return {OutcomeCode::kDone, tables.trial_id_count};
}

Outcome apply(Tables& tables, const schema::RecordHeader& header, const schema::CreateTrial& op) {
  StudyParts* const parts = tables.find_study(op.study);
  if (!parts) return {OutcomeCode::kNoSuchStudy, 0};
  Trial& trial = parts->trials.emplace_back();
  trial.id = tables.trial_id_count++;
  trial.study = op.study;
  trial.number = parts->trials.size() - 1;
  trial.session = header.session;
  trial.version = 1;
  const TrialPlace place{&trial, parts};
  fill(place, op);
  if (is_finished(trial.state)) trial.settle();
  parts->study->trials.push_back(&trial);
  tables.trials.add(trial.id, place);
  enter_state(tables, *parts->study, trial);
  return {OutcomeCode::kDone, trial.id};
}

Outcome check(const Tables& tables, const schema::SetTrialParam& op) {
  const TrialPlace place = tables.trials.find(op.trial);
  return check_param(place, op.param, known_distribution(place, op.param.name));
}

Outcome apply(Tables& tables, const schema::RecordHeader&, const schema::SetTrialParam& op) {
  const TrialPlace place = tables.trials.find(op.trial);
  const auto* const known = known_distribution(place, op.param.name);
  const Outcome outcome = check_param(place, op.param, known);
  if (outcome.code != OutcomeCode::kDone) return outcome;
  set_param(place, op.param, known);
  if (!known) register_distribution(place, *place.trial->param(op.param.name));
  ++place.trial->version;
  return outcome;
}

Outcome check(const Tables& tables, const schema::SetTrialStateValues& op) {
  return check_state(tables.trials.find(op.trial), op);
}

Outcome apply(Tables& tables, const schema::RecordHeader& header,
              const schema::SetTrialStateValues& op) {
  const TrialPlace place = tables.trials.find(op.trial);
  const Outcome outcome = check_state(place, op);
  if (outcome.code != OutcomeCode::kDone) return outcome;
  Trial& trial = *place.trial;
  leave_state(tables, *place.study->study, trial);
  trial.state = op.state;
  if (op.values) trial.values.emplace(op.values->begin(), op.values->end());
  if (op.state == TrialState::kRunning) {
    trial.start_us = op.time_us;
    trial.session = header.session;
  }
  if (is_finished(op.state)) {
    trial.complete_us = op.time_us;
    trial.settle();
  }
  ++trial.version;
  enter_state(tables, *place.study->study, trial);
  return outcome;
}

Outcome check(const Tables& tables, const schema::SetTrialIntermediateValue& op) {
  return updatable(tables.trials.find(op.trial));
}

Outcome apply(Tables& tables, const schema::RecordHeader&,
              const schema::SetTrialIntermediateValue& op) {
  const TrialPlace place = tables.trials.find(op.trial);
  const Outcome outcome = updatable(place);
  if (outcome.code != OutcomeCode::kDone) return outcome;
  place.trial->set_intermediate_value(op.value);
  ++place.trial->version;
  return outcome;
}

Outcome check(const Tables& tables, const schema::SetTrialUserAttr& op) {
  return updatable(tables.trials.find(op.trial));
}

Outcome apply(Tables& tables, const schema::RecordHeader&, const schema::SetTrialUserAttr& op) {
  return set_attr(tables, op.trial, &Trial::user_attrs, op.attr);
}

Outcome check(const Tables& tables, const schema::SetTrialSystemAttr& op) {
  return updatable(tables.trials.find(op.trial));
}

Outcome apply(Tables& tables, const schema::RecordHeader&, const schema::SetTrialSystemAttr& op) {
  return set_attr(tables, op.trial, &Trial::system_attrs, op.attr);
}

}  // namespace oj::replay
