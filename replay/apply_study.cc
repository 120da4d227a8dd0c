// SPDX-License-Identifier: MIT
#include <utility>

#include "replay/apply.h"

namespace oj::replay {
namespace {

Outcome study_exists(const Tables& tables, StudyId id) {
  return {tables.find_study(id) ? OutcomeCode::kDone : OutcomeCode::kNoSuchStudy, 0};
}

Outcome set_attr(Tables& tables, StudyId id, AttrMap Study::*attrs, const schema::Attr& attr) {
  StudyParts* const parts = tables.find_study(id);
  if (!parts) return {OutcomeCode::kNoSuchStudy, 0};
  (parts->study->*attrs).set(attr.key, attr.value);
  ++parts->study->attrs_version;
  return {};
}

}  // namespace

Outcome check(const Tables& tables, const schema::CreateStudy& op) {
  const auto taken = tables.by_name.find(op.name);
  if (taken != tables.by_name.end()) return {OutcomeCode::kStudyExists, taken->second->id};
  return {OutcomeCode::kDone, tables.study_id_count};
}

Outcome apply(Tables& tables, const schema::RecordHeader&, const schema::CreateStudy& op) {
  const Outcome outcome = check(tables, op);
  if (outcome.code != OutcomeCode::kDone) return outcome;
  const StudyId id = tables.study_id_count++;
  Study& study = tables.studies[id];
  study.id = id;
  study.name = op.name;
  study.directions.assign(op.directions.begin(), op.directions.end());
  tables.parts[id].study = &study;
  tables.by_name.emplace(study.name, &study);
  return outcome;
}

Outcome check(const Tables& tables, const schema::DeleteStudy& op) {
  return study_exists(tables, op.study);
}

Outcome apply(Tables& tables, const schema::RecordHeader&, const schema::DeleteStudy& op) {
  StudyParts* const parts = tables.find_study(op.study);
  if (!parts) return {OutcomeCode::kNoSuchStudy, 0};
  for (const Trial& trial : parts->trials) {
    if (trial.state == TrialState::kRunning) trial_stopped_running(tables, trial);
    tables.trials.remove(trial.id);
  }
  tables.by_name.erase(parts->study->name);
  tables.studies.erase(op.study);
  tables.parts.erase(op.study);
  return {};
}

Outcome check(const Tables& tables, const schema::SetStudyUserAttr& op) {
  return study_exists(tables, op.study);
}

Outcome apply(Tables& tables, const schema::RecordHeader&, const schema::SetStudyUserAttr& op) {
  return set_attr(tables, op.study, &Study::user_attrs, op.attr);
}

Outcome check(const Tables& tables, const schema::SetStudySystemAttr& op) {
  return study_exists(tables, op.study);
}

Outcome apply(Tables& tables, const schema::RecordHeader&, const schema::SetStudySystemAttr& op) {
  return set_attr(tables, op.study, &Study::system_attrs, op.attr);
}

}  // namespace oj::replay
