// SPDX-License-Identifier: MIT
#include "cli/record_filter.h"

#include <gtest/gtest.h>

namespace oj::cli {
namespace {

RecordText record() {
  RecordText text;
  text.header.session = 7;
  text.header.time_us = 1'000;
  text.session.emplace();
  text.session->pid = 4711;
  text.session->command = "python3";
  text.session->user = "ada";
  OperationText created;
  created.operation = "createTrial";
  created.study = "digits";
  created.trial = 3;
  created.state = schema::TrialState::kRunning;
  OperationText other;
  other.operation = "setTrialParam";
  other.study = "two goals";
  other.trial = 12;
  text.operations = {created, other};
  return text;
}

TEST(RecordFilter, WithoutConditionsTakesAllEvenDamage) {
  RecordText bad;
  bad.bad = "its checksum does not fit";
  EXPECT_TRUE(RecordFilter().takes(record()));
  EXPECT_TRUE(RecordFilter().takes(bad));
  EXPECT_FALSE(RecordFilter{.study = "digits"}.takes(bad));
}

TEST(RecordFilter, OneOperationMustFitInAllThatConcernsOperations) {
  EXPECT_TRUE((RecordFilter{.study = "digits", .trials = {3}}.takes(record())));
  EXPECT_TRUE((RecordFilter{.study = "two goals", .trials = {3, 12}}.takes(record())));
  EXPECT_FALSE((RecordFilter{.study = "digits", .trials = {12}}.takes(record())));
  EXPECT_FALSE((RecordFilter{.trials = {3}, .operations = {"setTrialParam"}}.takes(record())));
  EXPECT_TRUE((RecordFilter{.states = {schema::TrialState::kRunning}}.takes(record())));
  EXPECT_FALSE(
      (RecordFilter{.trials = {12}, .states = {schema::TrialState::kRunning}}.takes(record())));
  EXPECT_FALSE(RecordFilter{.study = "digit"}.takes(record()));
}

TEST(RecordFilter, AWorkerIsItsPidCommandOrUser) {
  for (const char* name : {"4711", "python3", "ada"})
    EXPECT_TRUE(RecordFilter{.workers = {name}}.takes(record())) << name;
  for (const char* name : {"471", "python", "optjournald", ""})
    EXPECT_FALSE(RecordFilter{.workers = {name}}.takes(record())) << name;
  RecordText end;
  OperationText ended;
  ended.operation = "sessionEnded";
  ended.about_worker = {"4711", "python3", ""};
  end.operations = {ended};
  EXPECT_TRUE(RecordFilter{.workers = {"4711"}}.takes(end));
  EXPECT_TRUE(RecordFilter{.workers = {"optjournald"}}.takes(end));
  EXPECT_FALSE((RecordFilter{.workers = {"4712", ""}}.takes(end)));
}

TEST(RecordFilter, TimesAreFromSinceOnAndBelowUntil) {
  EXPECT_TRUE((RecordFilter{.since_us = 1'000, .until_us = 1'001}.takes(record())));
  EXPECT_FALSE(RecordFilter{.since_us = 1'001}.takes(record()));
  EXPECT_FALSE(RecordFilter{.until_us = 1'000}.takes(record()));
}

}  // namespace
}  // namespace oj::cli
