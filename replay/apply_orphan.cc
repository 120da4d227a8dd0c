// EndOrphan: what Optuna's fail_stale_trials() and RetryFailedTrialCallback do in two steps and one
// process, here in one step and the same in all.
//
// The copy is what that callback makes: WAITING, with the trial's parameters, user attributes and
// system attributes, of which `failed_trial` is the first trial's number and `retry_history` the
// list of all that failed. Its intermediate values start anew.
//
// SPDX-License-Identifier: MIT
#include <string>
#include <string_view>
#include <utility>

#include "replay/apply.h"

namespace oj::replay {
namespace {

constexpr std::string_view kFailedTrial = "failed_trial", kRetryHistory = "retry_history";

// A list of numbers as json.dumps writes it, "[3, 17]", and how many they are. What is not one, or
// is absent, counts as the empty list.
struct History {
  std::string text = "[]";
  std::size_t count = 0;

  explicit History(const Value* attr) {
    if (attr == nullptr || attr->kind != schema::Value::Kind::kJson) return;
    const std::string_view list = attr->text;
    if (list.size() < 3 || list.front() != '[' || list.back() != ']') return;
    const std::string_view inside = list.substr(1, list.size() - 2);
    if (inside.find_first_not_of("0123456789, ") != inside.npos) return;
    text = list;
    count = 1;
    for (const char c : inside) count += c == ',';
  }
  void append(std::uint64_t number) {
    text.pop_back();
    text += (count++ == 0 ? "" : ", ") + std::to_string(number) + "]";
  }
};

Outcome judged(const Tables& tables, const schema::EndOrphan& op, const Trial* trial) {
  if (trial == nullptr) return {OutcomeCode::kNoSuchTrial, 0};
  if (is_finished(trial->state)) return {OutcomeCode::kTrialFinished, trial->number};
  const auto session = tables.sessions.find(op.session);
  const bool orphan = trial->state == TrialState::kRunning && trial->session == op.session &&
                      session != tables.sessions.end() && session->second.died;
  if (!orphan) return {OutcomeCode::kUnchanged, 0};
  const bool again = History(trial->system_attrs.find(kRetryHistory)).count < op.retries_max;
  return {OutcomeCode::kDone, again ? tables.trial_id_count : kNoTrial};
}

void create_copy(Tables& tables, StudyParts& parts, const Trial& failed) {
  Trial& copy = parts.trials.emplace_back();
  copy.id = tables.trial_id_count++;
  copy.study = failed.study;
  copy.number = parts.trials.size() - 1;
  copy.state = TrialState::kWaiting;
  copy.version = 1;
  copy.params = failed.params;
  copy.index_params();
  copy.user_attrs = failed.user_attrs;
  History history(failed.system_attrs.find(kRetryHistory));
  history.append(failed.number);
  copy.system_attrs.set(kFailedTrial, {.kind = schema::Value::Kind::kInt64,
                                       .int64 = static_cast<std::int64_t>(failed.number)});
  copy.system_attrs.set(kRetryHistory, {});
  for (const auto& [key, value] : failed.system_attrs.items())
    copy.system_attrs.set(key, value.view());
  copy.system_attrs.set(kRetryHistory, {.kind = schema::Value::Kind::kJson, .text = history.text});
  parts.study->trials.push_back(&copy);
  tables.trials.add(copy.id, {&copy, &parts});
  enter_state(tables, *parts.study, copy);
}

}  // namespace

Outcome check(const Tables& tables, const schema::EndOrphan& op) {
  return judged(tables, op, tables.trials.find(op.trial).trial);
}

Outcome apply(Tables& tables, const schema::RecordHeader&, const schema::EndOrphan& op) {
  const TrialPlace place = tables.trials.find(op.trial);
  const Outcome outcome = judged(tables, op, place.trial);
  if (outcome.code != OutcomeCode::kDone) return outcome;
  Trial& trial = *place.trial;
  leave_state(tables, *place.study->study, trial);
  trial.state = TrialState::kFail;
  trial.complete_us = op.time_us;
  trial.settle();
  ++trial.version;
  enter_state(tables, *place.study->study, trial);
  if (outcome.id != kNoTrial) create_copy(tables, *place.study, trial);
  return outcome;
}

}  // namespace oj::replay
