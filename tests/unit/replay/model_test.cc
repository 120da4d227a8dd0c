// Goal: State does what Optuna's storages do, in any order of operations.
//
// Method: a model as naive as Optuna's in-memory storage (a dict of trials; everything else found
// by looking at all of them), fed with the same random operations. Compared: every outcome, check()
// before apply(), and at intervals the whole state. Trials are compared as the text of the template
// that would make them.
//
// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "tests/described.h"
#include "tests/random_operations.h"
#include "tests/unit/replay/replayed.h"

namespace oj::replay {
namespace {

using namespace schema;
using Code = OutcomeCode;
using testing::described;

template <class V>
using Dict = std::vector<std::pair<std::string, V>>;  // in order of first insertion

template <class V>
void put(Dict<V>& dict, const std::string& key, V value) {
  for (auto& [k, v] : dict) {
    if (k == key) return void(v = std::move(value));
  }
  dict.emplace_back(key, std::move(value));
}

struct ModelTrial {
  StudyId study = 0;
  std::uint64_t number = 0;
  schema::TrialState state = schema::TrialState::kRunning;
  std::optional<std::vector<double>> values;
  std::optional<std::int64_t> start, complete;
  struct P {
    std::string text;  // described
    replay::Distribution distribution;
  };
  Dict<P> params;
  Dict<std::string> user, system, steps;
  SessionId session = 0;
  std::vector<std::uint64_t> history;  // the numbers of those that it is a retry of
};

struct Model {
  struct S {
    std::string name;
    std::vector<Direction> directions;
    Dict<std::string> user, system;
    std::vector<TrialId> trials;
  };
  std::map<StudyId, S> studies;
  std::map<TrialId, ModelTrial> trials;
  std::uint64_t study_ids = 0, trial_ids = 0;

  Outcome updatable(TrialId id) const {
    if (!trials.contains(id)) return {Code::kNoSuchTrial, 0};
    if (is_finished(trials.at(id).state)) return {Code::kTrialFinished, trials.at(id).number};
    return {};
  }
  // Of the first trial of the study, by number, that has the parameter.
  const replay::Distribution* reference(StudyId study, const std::string& name) const {
    for (const TrialId id : studies.at(study).trials) {
      for (const auto& [key, param] : trials.at(id).params) {
        if (key == name) return &param.distribution;
      }
    }
    return nullptr;
  }

  Outcome apply(const CreateStudy& op, SessionId) {
    for (const auto& [id, study] : studies) {
      if (study.name == op.name) return {Code::kStudyExists, id};
    }
    studies[study_ids] = {
        std::string(op.name), {op.directions.begin(), op.directions.end()}, {}, {}, {}};
    return {Code::kDone, study_ids++};
  }
  Outcome apply(const DeleteStudy& op, SessionId) {
    if (!studies.contains(op.study)) return {Code::kNoSuchStudy, 0};
    for (const TrialId id : studies[op.study].trials) trials.erase(id);
    studies.erase(op.study);
    return {};
  }
  Outcome study_attr(StudyId id, Dict<std::string> S::*attrs, const schema::Attr& attr) {
    if (!studies.contains(id)) return {Code::kNoSuchStudy, 0};
    put(studies[id].*attrs, std::string(attr.key), described(attr.value));
    return {};
  }
  Outcome apply(const SetStudyUserAttr& op, SessionId) {
    return study_attr(op.study, &S::user, op.attr);
  }
  Outcome apply(const SetStudySystemAttr& op, SessionId) {
    return study_attr(op.study, &S::system, op.attr);
  }
  static void put_param(ModelTrial& trial, const schema::Param& param) {
    put(trial.params, std::string(param.name),
        {described(param), replay::Distribution::from(param.distribution)});
  }
  static void put_step(ModelTrial& trial, const IntermediateValue& value) {
    put(trial.steps, std::to_string(value.step), described(value));
  }
  Outcome apply(const CreateTrial& op, SessionId session) {
    if (!studies.contains(op.study)) return {Code::kNoSuchStudy, 0};
    ModelTrial trial;
    trial.study = op.study;
    trial.number = studies[op.study].trials.size();
    trial.state = op.state;
    trial.start = op.start_us;
    trial.complete = op.complete_us;
    if (op.values) trial.values.emplace(op.values->begin(), op.values->end());
    for (const schema::Param& param : op.params) put_param(trial, param);
    for (const schema::Attr& attr : op.user_attrs)
      put(trial.user, std::string(attr.key), described(attr.value));
    for (const schema::Attr& attr : op.system_attrs)
      put(trial.system, std::string(attr.key), described(attr.value));
    for (const IntermediateValue& value : op.intermediate_values) put_step(trial, value);
    trial.session = session;
    if (!known(session)) uncounted.insert(trial_ids);
    studies[op.study].trials.push_back(trial_ids);
    trials[trial_ids] = std::move(trial);
    return {Code::kDone, trial_ids++};
  }
  Outcome apply(const SetTrialParam& op, SessionId) {
    if (const Outcome outcome = updatable(op.trial); outcome.code != Code::kDone) return outcome;
    const auto* known = reference(trials[op.trial].study, std::string(op.param.name));
    if (known && !compatible(*known, op.param.distribution)) return {Code::kIncompatible, 0};
    put_param(trials[op.trial], op.param);
    return {};
  }
  Outcome apply(const SetTrialStateValues& op, SessionId session) {
    if (const Outcome outcome = updatable(op.trial); outcome.code != Code::kDone) return outcome;
    ModelTrial& trial = trials[op.trial];
    if (op.state == schema::TrialState::kRunning && trial.state != schema::TrialState::kWaiting)
      return {Code::kUnchanged, 0};
    trial.state = op.state;
    if (op.values) trial.values.emplace(op.values->begin(), op.values->end());
    if (op.state == schema::TrialState::kRunning) {
      trial.start = op.time_us;
      trial.session = session;
      uncounted.erase(op.trial);
      if (!known(session)) uncounted.insert(op.trial);
    }
    if (is_finished(op.state)) trial.complete = op.time_us;
    return {};
  }
  Outcome apply(const SetTrialIntermediateValue& op, SessionId) {
    const Outcome outcome = updatable(op.trial);
    if (outcome.code == Code::kDone) put_step(trials[op.trial], op.value);
    return outcome;
  }
  Outcome trial_attr(TrialId id, Dict<std::string> ModelTrial::*attrs, const schema::Attr& attr) {
    const Outcome outcome = updatable(id);
    if (outcome.code == Code::kDone)
      put(trials[id].*attrs, std::string(attr.key), described(attr.value));
    return outcome;
  }
  Outcome apply(const SetTrialUserAttr& op, SessionId) {
    return trial_attr(op.trial, &ModelTrial::user, op.attr);
  }
  Outcome apply(const SetTrialSystemAttr& op, SessionId) {
    return trial_attr(op.trial, &ModelTrial::system, op.attr);
  }
  // As the words say: dead sessions are those that died while they had a RUNNING trial, for as long
  // as they have one.
  std::set<SessionId> alive, dead;
  bool has_running(SessionId session) const {
    for (const auto& [id, trial] : trials) {
      if (trial.session == session && trial.state == schema::TrialState::kRunning && counted(id))
        return true;
    }
    return false;
  }
  // Trials made RUNNING by a session that was not known then, or has closed, are nobody's.
  std::set<TrialId> uncounted;
  bool counted(TrialId id) const { return !uncounted.contains(id); }
  void forget_spent() {
    std::erase_if(dead, [&](SessionId id) { return !has_running(id); });
  }
  bool known(SessionId session) const { return alive.contains(session) || dead.contains(session); }

  Outcome apply(const SessionStarted& op, SessionId session) {
    if (known(session)) return {};
    alive.insert(session);
    if (!known(op.former) || op.former == session) return {};
    for (auto& [id, trial] : trials) {
      if (trial.session == op.former && trial.state == schema::TrialState::kRunning && counted(id))
        trial.session = session;
    }
    return {};
  }
  Outcome apply(const SessionEnded& op, SessionId) {
    if (alive.erase(op.session) == 0) return {};
    if (op.reason == SessionEnded::Reason::kDied) {
      dead.insert(op.session);
      return {};
    }
    for (const auto& [id, trial] : trials) {
      if (trial.session == op.session) uncounted.insert(id);
    }
    return {};
  }
  Outcome apply(const EndOrphan& op, SessionId) {
    if (const Outcome outcome = updatable(op.trial); outcome.code != Code::kDone) return outcome;
    ModelTrial& trial = trials[op.trial];
    if (trial.state != schema::TrialState::kRunning || trial.session != op.session ||
        !dead.contains(op.session))
      return {Code::kUnchanged, 0};
    trial.state = schema::TrialState::kFail;
    trial.complete = op.time_us;
    std::vector<std::uint64_t> history = trial.history;
    history.push_back(trial.number);
    if (history.size() > op.retries_max) return {Code::kDone, kNoTrial};
    ModelTrial copy;
    copy.study = trial.study;
    copy.number = studies[trial.study].trials.size();
    copy.state = schema::TrialState::kWaiting;
    copy.params = trial.params;
    copy.user = trial.user;
    // {"failed_trial": number, "retry_history": [], **system_attrs}, then the appended history
    put(copy.system, "failed_trial",
        described(schema::Value{.kind = schema::Value::Kind::kInt64,
                                .int64 = static_cast<std::int64_t>(trial.number)}));
    put(copy.system, "retry_history", std::string());
    for (const auto& [key, value] : trial.system) put(copy.system, key, value);
    std::string list;
    for (const std::uint64_t number : history)
      list += (list.empty() ? "[" : ", ") + std::to_string(number);
    list += "]";
    put(copy.system, "retry_history",
        described(schema::Value{.kind = schema::Value::Kind::kJson, .text = list}));
    copy.history = history;
    studies[trial.study].trials.push_back(trial_ids);
    trials[trial_ids] = std::move(copy);
    return {Code::kDone, trial_ids++};
  }
  Outcome apply(const Tombstone&, SessionId) { return {}; }

  // As Optuna's BaseStorage.get_best_trial: the first of the best, by number.
  std::optional<TrialId> best(const S& study) const {
    if (study.directions.size() != 1) return {};
    std::optional<TrialId> best;
    for (const TrialId id : study.trials) {
      const ModelTrial& trial = trials.at(id);
      if (trial.state != schema::TrialState::kComplete || !trial.values || trial.values->empty())
        continue;
      const double value = trial.values->front();
      if (std::isnan(value)) continue;
      const double sign = study.directions[0] == Direction::kMaximize ? -1 : 1;
      if (!best || sign * value < sign * trials.at(*best).values->front()) best = id;
    }
    return best;
  }
};

void expect_same(const Dict<std::string>& model, const replay::AttrMap& attrs) {
  ASSERT_EQ(attrs.items().size(), model.size());
  for (std::size_t i = 0; i < model.size(); ++i) {
    EXPECT_EQ(attrs.items()[i].first, model[i].first);
    EXPECT_EQ(described(attrs.items()[i].second.view()), model[i].second);
  }
}

schema::Distribution view(const replay::Distribution& d, std::vector<schema::Value>& choices) {
  for (const replay::Value& choice : d.choices) choices.push_back(choice.view());
  return {.kind = d.kind,
          .log = d.log,
          .has_step = d.has_step,
          .low = d.low,
          .high = d.high,
          .step = d.step,
          .int_low = d.int_low,
          .int_high = d.int_high,
          .int_step = d.int_step,
          .choices = choices,
          .json = d.json};
}

void expect_same(const ModelTrial& model, const replay::Trial& trial) {
  EXPECT_EQ(trial.study, model.study);
  EXPECT_EQ(trial.number, model.number);
  EXPECT_EQ(trial.state, model.state);
  EXPECT_EQ(trial.start_us, model.start);
  EXPECT_EQ(trial.complete_us, model.complete);
  EXPECT_EQ(trial.session, model.session);
  ASSERT_EQ(trial.values.has_value(), model.values.has_value());
  if (trial.values) {
    EXPECT_EQ(described(std::span<const double>(*trial.values)),
              described(std::span<const double>(*model.values)));
  }
  ASSERT_EQ(trial.params.size(), model.params.size());
  for (std::size_t i = 0; i < model.params.size(); ++i) {
    std::vector<schema::Value> choices;
    const replay::Param& param = trial.params[i];
    EXPECT_EQ(
        described(schema::Param{param.name, param.internal, view(*param.distribution, choices)}),
        model.params[i].second.text);
  }
  expect_same(model.user, trial.user_attrs);
  expect_same(model.system, trial.system_attrs);
  ASSERT_EQ(trial.intermediate_values.size(), model.steps.size());
  for (std::size_t i = 0; i < model.steps.size(); ++i) {
    EXPECT_EQ(described(trial.intermediate_values[i]), model.steps[i].second);
  }
}

void expect_same(const Model& model, const State& state) {
  EXPECT_EQ(state.study_id_count(), model.study_ids);
  EXPECT_EQ(state.trial_id_count(), model.trial_ids);
  EXPECT_EQ(state.sessions().size(), model.alive.size() + model.dead.size());
  for (const auto& [id, session] : state.sessions()) {
    EXPECT_EQ(session.died, model.dead.contains(id)) << id;
    EXPECT_EQ(!session.running.empty(), model.has_running(id)) << id;
  }
  ASSERT_EQ(state.studies().size(), model.studies.size());
  for (TrialId id = 0; id <= model.trial_ids; ++id)
    EXPECT_EQ(state.trial(id) != nullptr, model.trials.contains(id));
  for (const auto& [id, expected] : model.studies) {
    const replay::Study* study = state.study(id);
    ASSERT_NE(study, nullptr);
    EXPECT_EQ(state.study(expected.name), study);
    EXPECT_EQ(study->directions, expected.directions);
    expect_same(expected.user, study->user_attrs);
    expect_same(expected.system, study->system_attrs);
    ASSERT_EQ(study->trials.size(), expected.trials.size());
    std::set<std::uint64_t> waiting;
    std::array<std::uint64_t, 5> counts{};
    for (std::size_t number = 0; number < expected.trials.size(); ++number) {
      const ModelTrial& trial = model.trials.at(expected.trials[number]);
      EXPECT_EQ(study->trials[number]->id, expected.trials[number]);
      EXPECT_EQ(state.trial(expected.trials[number]), study->trials[number]);
      expect_same(trial, *study->trials[number]);
      if (trial.state == schema::TrialState::kWaiting) waiting.insert(number);
      ++counts[static_cast<std::size_t>(trial.state)];
    }
    EXPECT_EQ(study->waiting, waiting);
    EXPECT_TRUE(std::equal(counts.begin(), counts.end(), study->count_by_state));
    const auto best = model.best(expected);
    EXPECT_EQ(study->best ? std::optional(study->best->id) : std::nullopt, best);
  }
}

void run(std::uint64_t seed, std::uint64_t ids_max, int operations, int compare_every) {
  testing::RandomOperations random(seed, ids_max);
  testing::Replayed replayed;
  Model model;
  for (int i = 0; i < operations && !::testing::Test::HasFailure(); ++i) {
    const Operation operation = random.operation();
    const SessionId session = 1 + random.below(3);  // as EndOrphan names them
    const Outcome checked = replayed.state.check(operation);
    const Outcome applied = replayed.apply(operation, session);
    const Outcome expected =
        std::visit([&](const auto& op) { return model.apply(op, session); }, operation);
    model.forget_spent();
    ASSERT_EQ(applied.code, expected.code) << "operation " << i << ", " << described(operation);
    ASSERT_EQ(applied.id, expected.id) << "operation " << i << ", " << described(operation);
    ASSERT_EQ(checked.code, applied.code) << "operation " << i << ", " << described(operation);
    ASSERT_EQ(checked.id, applied.id) << "operation " << i << ", " << described(operation);
    if (i % compare_every == 0) expect_same(model, replayed.state);
    random.forget();
  }
  expect_same(model, replayed.state);
  State again;
  replayed.replay(again);
  EXPECT_EQ(again.digest(), replayed.state.digest());
}

TEST(StateAgainstTheModel, AgreesOnFewIdsThatMeetOften) {
  const std::uint64_t seed = testing::announced_seed(3);
  for (std::uint64_t i = 0; i < 50; ++i) run(seed + i, 4 + i, 1000, 50);
}

TEST(StateAgainstTheModel, AgreesOnManyTrials) {
  run(testing::announced_seed(4), 2000, 50'000, 10'000);
}

}  // namespace
}  // namespace oj::replay
