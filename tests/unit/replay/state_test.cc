// The rules of Optuna's storages, one test each; most are traps that some storage has fallen into.
//
// SPDX-License-Identifier: MIT
#include "replay/state.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>

#include "tests/unit/replay/replayed.h"

namespace oj::replay {
namespace {

using namespace schema;  // the operations; replay's own twins are named in full
using testing::Replayed;
using Code = OutcomeCode;

constexpr std::array kMinimize = {Direction::kMinimize};
constexpr std::array kMaximize = {Direction::kMaximize};
constexpr std::array kBoth = {Direction::kMinimize, Direction::kMaximize};
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Fixture : Replayed {
  explicit Fixture(std::span<const Direction> directions = kMinimize) {
    done(SessionStarted{.pid = 1, .uid = 2, .host = "h", .command = "c"});
    study = done(CreateStudy{"s", directions});
  }
  TrialId create(schema::TrialState trial_state = schema::TrialState::kRunning) {
    return done(CreateTrial{.study = study, .state = trial_state, .start_us = 5});
  }
  Outcome set_state(TrialId trial, schema::TrialState to,
                    std::initializer_list<double> values = {}) {
    SetTrialStateValues op{.trial = trial, .state = to, .time_us = ++time_us};
    if (values.size() > 0) op.values = std::span<const double>(values.begin(), values.size());
    return apply(op);
  }
  Outcome set_param(TrialId trial, const schema::Distribution& distribution, double internal = 0) {
    return apply(SetTrialParam{trial, {"x", internal, distribution}});
  }
  const replay::Trial& at(TrialId id) { return *state.trial(id); }
  const replay::Study& it() { return *state.study(study); }
  StudyId study = 0;
};

TEST(State, NumbersStudiesAndTrialsDenselyAndNeverAgain) {
  Fixture f;
  const StudyId other = f.done(CreateStudy{"t", kMinimize});
  EXPECT_EQ(other, f.study + 1);
  EXPECT_EQ(f.create(), 0u);
  EXPECT_EQ(f.done(CreateTrial{.study = other}), 1u);
  EXPECT_EQ(f.create(), 2u);
  EXPECT_EQ(f.at(1).number, 0u);
  EXPECT_EQ(f.at(2).number, 1u);
  EXPECT_EQ(f.state.trial(3), nullptr);
  f.done(DeleteStudy{other});
  EXPECT_EQ(f.create(), 3u);
  EXPECT_EQ(f.done(CreateStudy{"t", kMinimize}), other + 1);
  EXPECT_EQ(f.state.trial_id_count(), 4u);
  EXPECT_EQ(f.state.study_id_count(), 3u);
}

TEST(State, LetsTheFirstOfTwoStudiesOfOneNameWin) {
  Fixture f;
  const Outcome second = f.apply(CreateStudy{"s", kMaximize});
  EXPECT_EQ(second.code, Code::kStudyExists);
  EXPECT_EQ(second.id, f.study);
  EXPECT_EQ(f.it().directions.front(), Direction::kMinimize);
  EXPECT_EQ(f.state.study_id_count(), 1u);
}

TEST(State, AcceptsAnyNameAlsoAnEmptyOne) {
  using namespace std::string_view_literals;
  Fixture f;
  for (const std::string_view name : {""sv, "\0"sv, "\xed\xa0\x80"sv, "a\nb"sv}) {
    const StudyId id = f.done(CreateStudy{name, kMinimize});
    EXPECT_EQ(f.state.study(name)->id, id);
    EXPECT_EQ(f.apply(CreateStudy{name, kMinimize}).code, Code::kStudyExists);
  }
}

TEST(State, KnowsNothingOfADeletedStudysTrials) {
  Fixture f;
  const TrialId trial = f.create();
  f.done(DeleteStudy{f.study});
  EXPECT_EQ(f.state.study(f.study), nullptr);
  EXPECT_EQ(f.state.study("s"), nullptr);
  EXPECT_EQ(f.state.trial(trial), nullptr);
  EXPECT_EQ(f.apply(DeleteStudy{f.study}).code, Code::kNoSuchStudy);
  EXPECT_EQ(f.apply(CreateTrial{.study = f.study}).code, Code::kNoSuchStudy);
  EXPECT_EQ(f.apply(SetStudyUserAttr{f.study, {}}).code, Code::kNoSuchStudy);
  EXPECT_EQ(f.apply(SetStudySystemAttr{f.study, {}}).code, Code::kNoSuchStudy);
  EXPECT_EQ(f.set_param(trial, {}).code, Code::kNoSuchTrial);
  EXPECT_EQ(f.set_state(trial, schema::TrialState::kComplete).code, Code::kNoSuchTrial);
  EXPECT_EQ(f.set_state(trial, schema::TrialState::kRunning).code, Code::kNoSuchTrial);
  EXPECT_EQ(f.apply(SetTrialIntermediateValue{trial, {}}).code, Code::kNoSuchTrial);
  EXPECT_EQ(f.apply(SetTrialUserAttr{trial, {}}).code, Code::kNoSuchTrial);
  EXPECT_EQ(f.apply(SetTrialSystemAttr{trial, {}}).code, Code::kNoSuchTrial);
  const StudyId again = f.done(CreateStudy{"s", kMinimize});
  EXPECT_TRUE(f.state.study(again)->trials.empty());
}

TEST(State, LetsNobodyChangeAFinishedTrial) {
  for (const auto finished :
       {schema::TrialState::kComplete, schema::TrialState::kPruned, schema::TrialState::kFail}) {
    Fixture f;
    f.create();
    const TrialId trial = f.create();
    f.set_state(trial, finished, {1.0});
    const std::uint64_t version = f.at(trial).version;
    const auto refused = [&](const Outcome& outcome) {
      EXPECT_EQ(outcome.code, Code::kTrialFinished);
      EXPECT_EQ(outcome.id, 1u) << "the trial's number";
    };
    for (int to = 0; to < 5; ++to)
      refused(f.set_state(trial, static_cast<schema::TrialState>(to), {2.0}));
    refused(f.set_param(trial, {}));
    refused(f.apply(SetTrialIntermediateValue{trial, {}}));
    refused(f.apply(SetTrialUserAttr{trial, {}}));
    refused(f.apply(SetTrialSystemAttr{trial, {}}));
    EXPECT_EQ(f.at(trial).version, version);
    EXPECT_EQ(f.at(trial).values->front(), 1.0);
  }
}

TEST(State, AnswersRunningOnRunningWithUnchangedAndIgnoresItsValues) {
  Fixture f;
  const TrialId trial = f.create();
  EXPECT_EQ(f.set_state(trial, schema::TrialState::kRunning, {7.0}).code, Code::kUnchanged);
  EXPECT_FALSE(f.at(trial).values);
  EXPECT_EQ(f.at(trial).start_us, 5);
  EXPECT_EQ(f.at(trial).version, 1u);
}

TEST(State, PopsAWaitingTrialOnceAndForThePopper) {
  Fixture f;
  const TrialId trial =
      f.done(CreateTrial{.study = f.study, .state = schema::TrialState::kWaiting});
  EXPECT_EQ(f.it().waiting, std::set<std::uint64_t>{0});
  const SetTrialStateValues pop{
      .trial = trial, .state = schema::TrialState::kRunning, .time_us = 77};
  EXPECT_EQ(f.apply(pop, 8).code, Code::kDone);
  EXPECT_EQ(f.apply(pop, 9).code, Code::kUnchanged);
  EXPECT_EQ(f.at(trial).session, 8u);
  EXPECT_EQ(f.at(trial).start_us, 77);
  EXPECT_TRUE(f.it().waiting.empty());
}

TEST(State, PutsARunningTrialBackAndKeepsItsStart) {
  Fixture f;
  const TrialId trial = f.create();
  EXPECT_EQ(f.set_state(trial, schema::TrialState::kWaiting).code, Code::kDone);
  EXPECT_EQ(f.at(trial).start_us, 5);
  EXPECT_FALSE(f.at(trial).complete_us);
  EXPECT_EQ(f.it().waiting.size(), 1u);
  EXPECT_EQ(f.set_state(trial, schema::TrialState::kWaiting, {3.0}).code, Code::kDone);
  EXPECT_EQ(f.at(trial).values->front(), 3.0);
  EXPECT_EQ(f.it().waiting.size(), 1u);
}

TEST(State, FinishesWithoutValuesAndKeepsTheOldOnes) {
  Fixture f;
  const TrialId trial = f.create();
  f.set_state(trial, schema::TrialState::kWaiting,
              {3.0, 4.0, 5.0});  // more than the study has directions: legal
  EXPECT_EQ(f.set_state(trial, schema::TrialState::kComplete).code, Code::kDone);
  EXPECT_EQ(f.at(trial).values, (std::vector<double>{3, 4, 5}));
  EXPECT_EQ(f.at(trial).complete_us, f.time_us);
  EXPECT_EQ(f.set_state(f.create(), schema::TrialState::kComplete).code, Code::kDone);
}

TEST(State, OverwritesAParamSetTwiceAndKeepsItsPlace) {
  Fixture f;
  const TrialId trial = f.create();
  f.set_param(trial, {.low = 0, .high = 1}, 0.25);
  f.done(SetTrialParam{trial, {"y", 1, {}}});
  EXPECT_EQ(f.set_param(trial, {.low = 0, .high = 9}, 0.5).code, Code::kDone);
  ASSERT_EQ(f.at(trial).params.size(), 2u);
  EXPECT_EQ(f.at(trial).params[0].name, "x");
  EXPECT_EQ(f.at(trial).param("x")->internal, 0.5);
  EXPECT_EQ(f.at(trial).param("x")->distribution->high, 9);
}

TEST(State, ChecksParamsAgainstTheStudyNotAgainstOthers) {
  Fixture f;
  const schema::Distribution integer{.kind = schema::Distribution::Kind::kInt};
  const TrialId first = f.create(), second = f.create();
  f.set_param(first, {.low = 0, .high = 1});
  EXPECT_EQ(f.set_param(second, {.low = -5, .high = 5}).code, Code::kDone);
  EXPECT_EQ(f.set_param(second, {.log = true}).code, Code::kIncompatible);
  EXPECT_EQ(f.set_param(second, integer).code, Code::kIncompatible);
  EXPECT_EQ(f.at(second).param("x")->distribution->low, -5);
  const StudyId other = f.done(CreateStudy{"other", kMinimize});
  EXPECT_EQ(f.set_param(f.done(CreateTrial{.study = other}), integer).code, Code::kDone);
}

TEST(State, LooksAtTheTrialsStateBeforeTheDistribution) {
  Fixture f;
  const TrialId trial = f.create();
  f.set_param(trial, {});
  f.set_state(trial, schema::TrialState::kFail);
  EXPECT_EQ(f.set_param(trial, {.log = true}).code, Code::kTrialFinished);
  EXPECT_EQ(f.set_param(99, {.log = true}).code, Code::kNoSuchTrial);
}

TEST(State, TakesATemplatesDistributionsUncheckedAndChecksLaterOnesAgainstThem) {
  Fixture f;
  const std::array floats = {schema::Param{"x", 0, {}}};
  const std::array integers = {schema::Param{"x", 0, {.kind = schema::Distribution::Kind::kInt}}};
  const TrialId running = f.create();
  f.done(CreateTrial{.study = f.study, .state = schema::TrialState::kComplete, .params = integers});
  f.done(CreateTrial{.study = f.study, .state = schema::TrialState::kComplete, .params = floats});
  EXPECT_EQ(f.set_param(running, {}).code, Code::kIncompatible);
  EXPECT_EQ(f.set_param(running, {.kind = schema::Distribution::Kind::kInt}).code, Code::kDone);
}

// Found by StateAgainstTheModel, seed 3: what counts is what the trial has in the end. No Python
// dict can say this, but bytes can.
TEST(State, ForgetsTheFirstOfTwoDistributionsOfOneNameInATemplate) {
  Fixture f;
  const std::array twice = {schema::Param{"x", 0, {}},
                            schema::Param{"x", 1, {.kind = schema::Distribution::Kind::kInt}}};
  const TrialId running = f.create();
  const TrialId template_trial = f.done(CreateTrial{.study = f.study, .params = twice});
  EXPECT_EQ(f.at(template_trial).params.size(), 1u);
  EXPECT_EQ(f.it().distributions.at("x")->kind, schema::Distribution::Kind::kInt);
  EXPECT_EQ(f.set_param(running, {}).code, Code::kIncompatible);
  EXPECT_EQ(f.set_param(running, {.kind = schema::Distribution::Kind::kInt}).code, Code::kDone);
}

TEST(State, TakesAWholeTemplateInOneStep) {
  Fixture f;
  const std::array<double, 1> values = {2.5};
  const std::array params = {schema::Param{"b", 1, {}}, schema::Param{"a", 2, {}}};
  const std::array attrs = {
      schema::Attr{"k", {.kind = schema::Value::Kind::kBool, .boolean = true}}};
  const std::array steps = {IntermediateValue{7, 1.0}, IntermediateValue{-3, kNan},
                            IntermediateValue{7, 2.0}};
  const TrialId id = f.done(CreateTrial{.study = f.study,
                                        .state = schema::TrialState::kComplete,
                                        .start_us = {},
                                        .complete_us = 11,
                                        .values = std::span<const double>(values),
                                        .params = params,
                                        .user_attrs = attrs,
                                        .system_attrs = attrs,
                                        .intermediate_values = steps});
  const replay::Trial& trial = f.at(id);
  EXPECT_EQ(trial.state, schema::TrialState::kComplete);
  EXPECT_FALSE(trial.start_us);
  EXPECT_EQ(trial.complete_us, 11);
  EXPECT_EQ(trial.params[0].name, "b");
  EXPECT_EQ(trial.params[1].name, "a");
  EXPECT_TRUE(trial.user_attrs.find("k")->boolean);
  EXPECT_TRUE(trial.system_attrs.find("k")->boolean);
  ASSERT_EQ(trial.intermediate_values.size(), 2u);
  EXPECT_EQ(trial.intermediate_values[0].value, 2.0);
  EXPECT_EQ(trial.intermediate_values[1].step, -3);
  EXPECT_EQ(f.it().best, &trial);
  EXPECT_EQ(f.it().finished_count(), 1u);
  EXPECT_EQ(f.it().distributions.size(), 2u);
}

TEST(BestTrial, IsTheLowestNumberOfTheBestValue) {
  for (const bool maximize : {false, true}) {
    Fixture f(maximize ? std::span<const Direction>(kMaximize) : kMinimize);
    const double sign = maximize ? -1 : 1;
    const TrialId late = f.create(), worse = f.create(), first = f.create();
    EXPECT_EQ(f.it().best, nullptr);
    f.set_state(worse, schema::TrialState::kComplete, {sign * 2.0});
    EXPECT_EQ(f.it().best->id, worse);
    f.set_state(first, schema::TrialState::kComplete, {sign * 1.0});
    EXPECT_EQ(f.it().best->id, first);
    f.set_state(late, schema::TrialState::kComplete, {sign * 1.0});
    EXPECT_EQ(f.it().best->id, late);
    f.set_state(f.create(), schema::TrialState::kComplete, {sign * 1.0});
    EXPECT_EQ(f.it().best->id, late);
    const TrialId infinite = f.create();
    f.set_state(infinite, schema::TrialState::kComplete, {-sign * kInfinity});
    EXPECT_EQ(f.it().best->id, infinite);
  }
}

TEST(BestTrial, IsNeverOneOfNanOrWithoutValuesOrNotComplete) {
  Fixture f;
  const std::array<double, 1> nan = {kNan};
  f.done(CreateTrial{.study = f.study,
                     .state = schema::TrialState::kComplete,
                     .values = std::span<const double>(nan)});
  f.set_state(f.create(), schema::TrialState::kComplete);
  f.set_state(f.create(), schema::TrialState::kPruned, {-5.0});
  f.set_state(f.create(), schema::TrialState::kFail, {-5.0});
  EXPECT_EQ(f.it().best, nullptr);
  const TrialId worst = f.create();
  f.set_state(worst, schema::TrialState::kComplete, {kInfinity});
  EXPECT_EQ(f.it().best->id, worst);
}

TEST(BestTrial, IsOfSingleObjectiveStudiesOnly) {
  Fixture f(kBoth);
  f.set_state(f.create(), schema::TrialState::kComplete, {1.0, 2.0});
  EXPECT_EQ(f.it().best, nullptr);
}

TEST(State, CountsTrialsByState) {
  Fixture f;
  for (int i = 0; i < 5; ++i) f.create();
  f.set_state(0, schema::TrialState::kComplete, {1.0});
  f.set_state(1, schema::TrialState::kPruned);
  f.set_state(2, schema::TrialState::kFail);
  f.set_state(3, schema::TrialState::kWaiting);
  for (const std::uint64_t count : f.it().count_by_state) EXPECT_EQ(count, 1u);
  EXPECT_EQ(f.it().finished_count(), 3u);
}

TEST(State, AppliesABatchAsOneRecordEachOperationForItself) {
  Fixture f;
  const std::uint64_t seq = f.state.next_seq();
  const std::array<Operation, 4> batch = {CreateTrial{.study = f.study}, CreateTrial{.study = 99},
                                          SetTrialUserAttr{0, {"k", {}}},
                                          CreateTrial{.study = f.study}};
  const auto outcomes = f.apply_all(batch);
  ASSERT_EQ(outcomes.size(), 4u);
  EXPECT_EQ(outcomes[0].code, Code::kDone);
  EXPECT_EQ(outcomes[1].code, Code::kNoSuchStudy);
  EXPECT_EQ(outcomes[2].code, Code::kDone);
  EXPECT_EQ(outcomes[3].id, 1u);
  EXPECT_EQ(f.state.next_seq(), seq + 1);
}

TEST(State, CannotTellATombstoneRecordFromARecordThatFailedItsChecks) {
  Fixture a, b;
  a.apply(Tombstone{"checksum"}, 0);
  b.state.apply_tombstone(b.state.next_seq());
  EXPECT_EQ(a.state.tombstone_count(), 1u);
  EXPECT_EQ(a.state.digest(), b.state.digest());
}

TEST(State, KeepsEqualDistributionsOnce) {
  Fixture f;
  const TrialId first = f.create(), second = f.create();
  f.set_param(first, {.low = 0, .high = 1});
  f.set_param(second, {.low = 0, .high = 1});
  EXPECT_EQ(f.at(first).params[0].distribution, f.at(second).params[0].distribution);
  f.set_param(second, {.low = -0.0, .high = 1});
  EXPECT_NE(f.at(first).params[0].distribution, f.at(second).params[0].distribution);
  f.set_param(first, {.low = -0.0, .high = 1});
  EXPECT_EQ(f.at(first).params[0].distribution, f.at(second).params[0].distribution);
}

TEST(State, FindsThingsAmongThousands) {
  Fixture f;
  const TrialId trial = f.create();
  std::vector<std::string> names;
  for (int i = 0; i < 3000; ++i)
    names.push_back("a parameter with a long name " + std::to_string(i));
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 3000; ++i) {
      f.done(SetTrialParam{trial, {names[static_cast<std::size_t>(i)], i + 0.5 * round, {}}});
      f.done(SetTrialUserAttr{
          trial,
          {names[static_cast<std::size_t>(i)], {.kind = schema::Value::Kind::kInt64, .int64 = i}}});
      f.done(SetTrialIntermediateValue{trial, {(i * 7919) % 3001, i + 0.5 * round}});
    }
  }
  EXPECT_EQ(f.at(trial).params.size(), 3000u);
  EXPECT_EQ(f.at(trial).user_attrs.items().size(), 3000u);
  EXPECT_EQ(f.at(trial).intermediate_values.size(), 3000u);
  EXPECT_EQ(f.at(trial).param(names[2999])->internal, 2999.5);
  EXPECT_EQ(f.at(trial).user_attrs.find(names[1234])->int64, 1234);
  EXPECT_EQ(f.at(trial).user_attrs.find("absent"), nullptr);
  for (int i = 0; i < 3000; ++i) {
    EXPECT_EQ(f.at(trial).intermediate_values[static_cast<std::size_t>(i)].step, (i * 7919) % 3001);
  }
  replay::Trial copy = f.at(trial);
  copy.set_param(names[0], -1, nullptr);
  EXPECT_EQ(copy.param(names[0])->internal, -1);
  EXPECT_EQ(f.at(trial).param(names[0])->internal, 0.5);
}

TEST(Sessions, AreKnownFromTheirStartToTheirEnd) {
  Fixture f;
  f.time_us = 5;
  f.done(SessionStarted{.pid = 7, .uid = 8, .host = "host", .command = "cmd"}, 2);
  const replay::SessionInfo& session = f.state.sessions().at(2);
  EXPECT_EQ(session.pid, 7u);
  EXPECT_EQ(session.uid, 8u);
  EXPECT_EQ(session.host, "host");
  EXPECT_EQ(session.command, "cmd");
  EXPECT_EQ(session.started_us, 5);
  EXPECT_EQ(f.state.last_op_no(2), session.last_op_no);
  EXPECT_GT(f.state.last_op_no(2), 0u);
  EXPECT_EQ(f.state.last_op_no(3), 0u);
  f.done(SessionEnded{2, SessionEnded::Reason::kClosed}, 2);
  EXPECT_FALSE(f.state.sessions().contains(2));
  EXPECT_EQ(f.state.last_op_no(2), 0u);
  f.done(SessionEnded{2, SessionEnded::Reason::kDied}, 0);
  EXPECT_FALSE(f.state.sessions().contains(2));
}

TEST(Sessions, AreRememberedAfterDeathWhileTheyHaveOrphans) {
  Fixture f;
  for (const SessionId id : {SessionId{2}, SessionId{3}, SessionId{4}})
    f.done(SessionStarted{.pid = 7}, id);
  const TrialId a = f.done(CreateTrial{.study = f.study}, 2),
                b = f.done(CreateTrial{.study = f.study}, 2);
  f.done(SessionEnded{2, SessionEnded::Reason::kDied}, 0);
  f.done(SessionEnded{2, SessionEnded::Reason::kClosed}, 0);  // the second end is ignored
  f.done(SessionEnded{3, SessionEnded::Reason::kDied}, 0);    // had none
  ASSERT_TRUE(f.state.sessions().contains(2));
  EXPECT_TRUE(f.state.sessions().at(2).died);
  EXPECT_EQ(f.state.sessions().at(2).running.size(), 2u);
  EXPECT_FALSE(f.state.sessions().contains(3));
  f.set_state(a, schema::TrialState::kFail);
  EXPECT_TRUE(f.state.sessions().contains(2));
  f.set_state(b, schema::TrialState::kWaiting);
  EXPECT_FALSE(f.state.sessions().contains(2));
}

TEST(Sessions, ThatClosedCleanlyOrWhoseStudyIsDeletedHaveNoOrphans) {
  Fixture f;
  f.done(SessionStarted{.pid = 7}, 2);
  f.done(SessionStarted{.pid = 7}, 3);
  f.done(CreateTrial{.study = f.study}, 2);
  f.done(CreateTrial{.study = f.study}, 3);
  f.done(SessionEnded{2, SessionEnded::Reason::kClosed}, 2);
  EXPECT_FALSE(f.state.sessions().contains(2));
  f.done(SessionEnded{3, SessionEnded::Reason::kDied}, 0);
  EXPECT_TRUE(f.state.sessions().contains(3));
  f.done(DeleteStudy{f.study});
  EXPECT_FALSE(f.state.sessions().contains(3));
}

TEST(Sessions, GiveTheirTrialToWhoeverMakesItRunningNext) {
  Fixture f;
  f.done(SessionStarted{.pid = 7}, 2);
  f.done(SessionStarted{.pid = 7}, 3);
  const TrialId trial = f.done(CreateTrial{.study = f.study}, 2);
  f.apply(SetTrialStateValues{.trial = trial, .state = schema::TrialState::kWaiting}, 3);
  EXPECT_EQ(f.at(trial).session, 2u);
  EXPECT_EQ(f.state.sessions().at(2).running.size(), 0u);
  f.apply(SetTrialStateValues{.trial = trial, .state = schema::TrialState::kRunning}, 3);
  EXPECT_EQ(f.at(trial).session, 3u);
  EXPECT_EQ(f.state.sessions().at(3).running.size(), 1u);
}

}  // namespace
}  // namespace oj::replay
