// Goal: EndOrphan ends an orphan, and nothing else, whoever issues it how often.
//
// SPDX-License-Identifier: MIT
#include "replay/orphans.h"

#include <gtest/gtest.h>

#include <array>

#include "schema/orphan_policy.h"
#include "tests/unit/replay/replayed.h"

namespace oj::replay {
namespace {

using namespace schema;
using Code = OutcomeCode;
using State = schema::TrialState;

constexpr SessionId kWorker = 2, kOther = 3, kDaemon = 0;

struct Fixture : testing::Replayed {
  StudyId study = 0;

  Fixture() {
    for (const SessionId id : {kWorker, kOther}) done(SessionStarted{.pid = 7}, id);
    study = done(CreateStudy{"s", {}}, kWorker);
  }
  TrialId ask(SessionId session = kWorker) {
    return done(CreateTrial{.study = study, .start_us = 1}, session);
  }
  void die(SessionId session = kWorker) {
    done(SessionEnded{session, SessionEnded::Reason::kDied}, kDaemon);
  }
  Outcome end(TrialId trial, std::uint32_t retries_max = 0, SessionId session = kWorker) {
    const EndOrphan op{trial, session, 99, retries_max};
    const Outcome checked = state.check(op);
    const Outcome applied = apply(op, kDaemon);
    EXPECT_EQ(checked.code, applied.code);
    EXPECT_EQ(checked.id, applied.id);
    return applied;
  }
  const Trial& at(TrialId id) const { return *state.trial(id); }
  std::string history(TrialId id) const { return at(id).system_attrs.find("retry_history")->text; }
};

TEST(EndOrphan, FailsTheTrialOfADeadSessionOnce) {
  Fixture f;
  const TrialId trial = f.ask();
  f.die();
  const Outcome outcome = f.end(trial);
  EXPECT_EQ(outcome.code, Code::kDone);
  EXPECT_EQ(outcome.id, kNoTrial);
  EXPECT_EQ(f.at(trial).state, State::kFail);
  EXPECT_EQ(f.at(trial).complete_us, 99);
  EXPECT_FALSE(f.state.sessions().contains(kWorker));
  EXPECT_EQ(f.state.study(f.study)->count_by_state[3], 1u);
  const Outcome again = f.end(trial, 5);
  EXPECT_EQ(again.code, Code::kTrialFinished);
  EXPECT_EQ(f.state.trial_id_count(), 1u);
}

TEST(EndOrphan, LeavesWhatIsNoOrphan) {
  Fixture f;
  const TrialId alive = f.ask(), closed = f.ask(kOther), waiting = f.ask(), finished = f.ask();
  f.apply(SetTrialStateValues{.trial = waiting, .state = State::kWaiting}, kWorker);
  f.apply(SetTrialStateValues{.trial = finished, .state = State::kComplete}, kWorker);
  f.done(SessionEnded{kOther, SessionEnded::Reason::kClosed}, kOther);
  EXPECT_EQ(f.end(alive, 1).code, Code::kUnchanged);
  EXPECT_EQ(f.end(closed, 1, kOther).code, Code::kUnchanged);
  f.die();
  EXPECT_EQ(f.end(waiting, 1).code, Code::kUnchanged);
  EXPECT_EQ(f.end(finished, 1).code, Code::kTrialFinished);
  EXPECT_EQ(f.end(alive, 1, kOther).code, Code::kUnchanged);  // of another session
  EXPECT_EQ(f.end(alive, 1, kDaemon).code, Code::kUnchanged);
  EXPECT_EQ(f.end(99, 1).code, Code::kNoSuchTrial);
  EXPECT_EQ(f.at(alive).state, State::kRunning);
  EXPECT_EQ(f.state.trial_id_count(), 4u);
  // Claimed by one who lives meanwhile: the trial is his.
  f.apply(SetTrialStateValues{.trial = alive, .state = State::kWaiting}, Fixture::kSession);
  f.done(SessionStarted{.pid = 8}, Fixture::kSession);
  f.apply(SetTrialStateValues{.trial = alive, .state = State::kRunning}, Fixture::kSession);
  EXPECT_EQ(f.end(alive, 1).code, Code::kUnchanged);
}

TEST(EndOrphan, RetriesAtMostSoManyTimesInARow) {
  Fixture f;
  TrialId trial = f.ask();
  for (std::uint64_t round = 0; round < 3; ++round) {
    const SessionId session = 10 + round;
    f.done(SessionStarted{.pid = 9}, session);
    f.apply(SetTrialStateValues{.trial = trial, .state = State::kWaiting}, session);
    f.apply(SetTrialStateValues{.trial = trial, .state = State::kRunning}, session);
    f.die(session);
    const Outcome outcome = f.end(trial, 2, session);
    ASSERT_EQ(outcome.code, Code::kDone);
    if (round == 2) {
      EXPECT_EQ(outcome.id, kNoTrial);
      continue;
    }
    trial = outcome.id;
    EXPECT_EQ(f.at(trial).state, State::kWaiting);
    EXPECT_EQ(f.at(trial).number, round + 1);
    EXPECT_EQ(f.at(trial).system_attrs.find("failed_trial")->int64, 0);
    EXPECT_EQ(f.history(trial), round == 0 ? "[0]" : "[0, 1]");
    EXPECT_EQ(f.state.study(f.study)->waiting, std::set<std::uint64_t>{round + 1});
  }
  EXPECT_EQ(f.state.trial_id_count(), 3u);
}

TEST(EndOrphan, CopiesWhatOptunasCallbackCopies) {
  Fixture f;
  std::array<schema::Param, 20> params;  // more than are looked for one by one
  std::array<std::string, 20> names;
  for (std::size_t i = 0; i < params.size(); ++i) {
    names[i] = "p" + std::to_string(i);
    params[i] = {names[i], 0.5, {.low = 0, .high = 1}};
  }
  const std::array user = {Attr{"note", {.kind = schema::Value::Kind::kText, .text = "t"}}};
  const std::array system = {
      Attr{"fixed_params", {.kind = schema::Value::Kind::kJson, .text = "{}"}},
      Attr{"retry_history", {.kind = schema::Value::Kind::kJson, .text = "[4,17]"}},
      Attr{"failed_trial", {.kind = schema::Value::Kind::kInt64, .int64 = 4}}};
  const std::array steps = {IntermediateValue{1, 0.5}};
  const TrialId trial = f.done(CreateTrial{.study = f.study,
                                           .start_us = 1,
                                           .params = params,
                                           .user_attrs = user,
                                           .system_attrs = system,
                                           .intermediate_values = steps},
                               kWorker);
  f.die();
  const TrialId id = f.end(trial, 3).id;
  ASSERT_NE(id, kNoTrial);
  const Trial& copy = f.at(id);
  EXPECT_EQ(copy.params.size(), params.size());
  for (const std::string& name : names) ASSERT_NE(copy.param(name), nullptr);
  EXPECT_EQ(copy.user_attrs.find("note")->text, "t");
  EXPECT_EQ(copy.system_attrs.find("failed_trial")->int64, 4);  // the first of the row
  EXPECT_EQ(f.history(id), "[4,17, 0]");
  EXPECT_NE(copy.system_attrs.find("fixed_params"), nullptr);
  EXPECT_TRUE(copy.intermediate_values.empty());
  EXPECT_FALSE(copy.start_us || copy.complete_us || copy.values);
  EXPECT_EQ(f.at(trial).system_attrs.find("retry_history")->text, "[4,17]");
  // {"failed_trial", "retry_history", **system_attrs}: Python's order.
  std::vector<std::string> keys;
  for (const auto& [key, value] : copy.system_attrs.items()) keys.push_back(key);
  EXPECT_EQ(keys, (std::vector<std::string>{"failed_trial", "retry_history", "fixed_params"}));
}

TEST(EndOrphan, TakesAHistoryThatIsNoListOfNumbersForNone) {
  for (const char* text : {"", "[]", "7", "[\"a\"]", "{}", "[1.5]", "[[1]]", "[-1]"}) {
    Fixture f;
    const std::array system = {
        Attr{"retry_history", {.kind = schema::Value::Kind::kJson, .text = text}}};
    const TrialId trial = f.done(CreateTrial{.study = f.study, .system_attrs = system}, kWorker);
    f.die();
    const TrialId copy = f.end(trial, 1).id;
    ASSERT_NE(copy, kNoTrial) << text;
    EXPECT_EQ(f.history(copy), "[0]") << text;
  }
}

TEST(SessionStarted, TakesTheTrialsOfItsFormerSession) {
  Fixture f;
  const TrialId trial = f.ask(), waiting = f.ask(), others = f.ask(kOther);
  f.apply(SetTrialStateValues{.trial = waiting, .state = State::kWaiting}, kWorker);
  f.done(SessionStarted{.pid = 7, .former = kWorker}, 20);
  f.done(SessionEnded{kWorker, SessionEnded::Reason::kClosed}, 20);
  EXPECT_EQ(f.at(trial).session, 20u);
  EXPECT_EQ(f.at(waiting).session, kWorker);
  EXPECT_EQ(f.at(others).session, kOther);
  EXPECT_FALSE(f.state.sessions().contains(kWorker));
  f.die(20);
  EXPECT_EQ(f.end(trial, 0, 20).code, Code::kDone);
}

// A daemon was sure that it is dead; what was not ended yet goes on.
TEST(SessionStarted, TakesTheTrialsOfAFormerSessionThatWasTakenForDead) {
  Fixture f;
  const TrialId trial = f.ask();
  f.die();
  f.done(SessionStarted{.pid = 7, .former = kWorker}, 20);
  EXPECT_FALSE(f.state.sessions().contains(kWorker));
  EXPECT_EQ(f.end(trial).code, Code::kUnchanged);
  EXPECT_EQ(f.state.sessions().at(20).running, std::set<TrialId>{trial});
}

TEST(SessionStarted, TakesNothingFromItselfOrNobody) {
  Fixture f;
  f.done(SessionStarted{.pid = 7, .former = 20}, 20);
  f.done(SessionStarted{.pid = 7, .former = 4711}, 21);
  EXPECT_TRUE(f.state.sessions().at(20).running.empty());
  EXPECT_TRUE(f.state.sessions().at(21).running.empty());
}

TEST(Orphans, AreJudgedBySessionThenStudyThenService) {
  using Kind = OrphanPolicy::Kind;
  Fixture f;
  const auto policy_of_the_orphan = [&](OrphanPolicy service) {
    const auto found = orphans(f.state, service);
    EXPECT_EQ(found.size(), 1u);
    return found.empty() ? "" : text_of(found[0].policy);
  };
  const auto set = [&](const schema::Value& value) {
    f.done(SetStudySystemAttr{f.study, {kOrphansAttr, value}}, kOther);
  };
  TrialId trial = f.ask();
  EXPECT_TRUE(orphans(f.state, {}).empty());
  f.time_us = 5'000'000;
  f.die();
  EXPECT_EQ(orphans(f.state, {})[0].died_us, 5'000'000);
  EXPECT_EQ(orphans(f.state, {})[0].trial, trial);
  EXPECT_EQ(policy_of_the_orphan({}), "unset");
  EXPECT_EQ(policy_of_the_orphan({Kind::kRetry, 2}), "retry:2");
  SessionId session = 20;
  f.done(EndOrphan{trial, kWorker, 1, 0}, kDaemon);
  const auto die_again = [&](OrphanPolicy own) {
    f.done(SessionStarted{.pid = 1, .orphans = own}, session);
    trial = f.ask(session);
    f.die(session);
  };
  const auto end_it = [&] { f.done(EndOrphan{trial, session++, 1, 0}, kDaemon); };
  const schema::Value keep{.kind = schema::Value::Kind::kText, .text = "keep"};
  const schema::Value fail{.kind = schema::Value::Kind::kText, .text = "fail"};
  set(keep);
  die_again({});
  EXPECT_EQ(policy_of_the_orphan({Kind::kFail}), "keep");
  end_it();
  for (const schema::Value& nothing :
       {schema::Value{}, schema::Value{.kind = schema::Value::Kind::kText, .text = "Keep"},
        schema::Value{.kind = schema::Value::Kind::kJson, .text = "keep"}}) {
    set(nothing);
    die_again({});
    set(keep);  // too late
    EXPECT_EQ(policy_of_the_orphan({Kind::kFail}), "fail");
    end_it();
  }
  set(fail);
  die_again({Kind::kOptuna});
  EXPECT_EQ(policy_of_the_orphan({Kind::kFail}), "optuna");
}

TEST(OrphanPolicy, IsReadAsItIsWritten) {
  for (const char* text : {"keep", "fail", "optuna", "retry:1", "retry:1000"}) {
    const auto policy = parse_orphan_policy(text);
    ASSERT_TRUE(policy) << text;
    EXPECT_EQ(text_of(*policy), text);
  }
  for (const char* text : {"", "unset", "Fail", "fail ", "retry", "retry:", "retry:0", "retry:1001",
                           "retry:+1", "retry:1x", "retry:99999999999999999999"}) {
    const auto policy = parse_orphan_policy(text);
    ASSERT_FALSE(policy) << text;
    EXPECT_NE(policy.error().message.find("retry:N"), std::string::npos);
  }
}

}  // namespace
}  // namespace oj::replay
