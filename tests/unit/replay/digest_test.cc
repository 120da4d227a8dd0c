// Goal: the digest is the same for the same journal, and another one as soon as anything a reader
// can see differs.
//
// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "tests/unit/replay/replayed.h"
#include "tests/unit/schema/sample_operations.h"

namespace oj::replay {
namespace {

using namespace schema;
using testing::Replayed;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// A journal with one of everything, in which each case below changes one thing.
struct Journal {
  std::string_view study_name = "study";
  std::array<Direction, 1> directions = {Direction::kMinimize};
  schema::Attr study_user{"a", {.kind = schema::Value::Kind::kInt64, .int64 = 1}};
  schema::Attr study_system{"b", {.kind = schema::Value::Kind::kText, .text = "t"}};
  std::array<double, 1> values = {1.0};
  std::array<schema::Value, 2> choices = {
      schema::Value{.kind = schema::Value::Kind::kBool, .boolean = true}, {}};
  std::array<schema::Param, 4> params = {
      schema::Param{"f", 0.5, {.has_step = true, .low = 0, .high = 1, .step = 0.25}},
      schema::Param{
          "i", 2, {.kind = schema::Distribution::Kind::kInt, .int_low = 0, .int_high = 5}},
      schema::Param{"c", 0, {.kind = schema::Distribution::Kind::kCategorical, .choices = {}}},
      schema::Param{"j", 1, {.kind = schema::Distribution::Kind::kJson, .json = "{}"}}};
  std::array<schema::Attr, 1> user = {
      schema::Attr{"u", {.kind = schema::Value::Kind::kFloat64, .float64 = 0.0}}};
  std::array<schema::Attr, 1> system = {
      schema::Attr{"s", {.kind = schema::Value::Kind::kJson, .text = "[]"}}};
  std::array<IntermediateValue, 2> steps = {IntermediateValue{1, 0.5}, IntermediateValue{2, kNan}};
  schema::TrialState trial_state = schema::TrialState::kComplete;
  std::optional<std::int64_t> start = 1, complete = 2;
  bool with_values = true;
  SessionStarted started{.pid = 1, .uid = 2, .host = "h", .command = "c"};
  SessionId session = 7;
  std::int64_t time_us = 9;
  int extra_tombstones = 0;

  std::string digest() {
    params[2].distribution.choices = choices;
    Replayed replayed;
    replayed.time_us = time_us;
    replayed.apply(started, session);
    replayed.apply(CreateStudy{study_name, directions}, session);
    replayed.apply(SetStudyUserAttr{0, study_user}, session);
    replayed.apply(SetStudySystemAttr{0, study_system}, session);
    CreateTrial create{.study = 0,
                       .state = trial_state,
                       .start_us = start,
                       .complete_us = complete,
                       .params = params,
                       .user_attrs = user,
                       .system_attrs = system,
                       .intermediate_values = steps};
    if (with_values) create.values = std::span<const double>(values);
    replayed.apply(create, session);
    for (int i = 0; i < extra_tombstones; ++i)
      replayed.state.apply_tombstone(replayed.state.next_seq());
    State again;
    replayed.replay(again);
    if (extra_tombstones == 0) {
      EXPECT_EQ(again.digest(), replayed.state.digest());
    }
    EXPECT_EQ(replayed.state.digest(), replayed.state.digest());
    return replayed.state.digest();
  }
};

struct Case {
  const char* name;
  void (*change)(Journal&);
};

const Case kCases[] = {
    {"study_name", [](Journal& j) { j.study_name = "studx"; }},
    {"direction", [](Journal& j) { j.directions[0] = Direction::kMaximize; }},
    {"study_user_key", [](Journal& j) { j.study_user.key = "x"; }},
    {"study_user_value", [](Journal& j) { j.study_user.value.int64 = 2; }},
    {"study_user_kind", [](Journal& j) { j.study_user.value.kind = schema::Value::Kind::kBool; }},
    {"study_system_text", [](Journal& j) { j.study_system.value.text = "T"; }},
    {"text_or_json", [](Journal& j) { j.study_system.value.kind = schema::Value::Kind::kJson; }},
    {"key_or_value",
     [](Journal& j) {
       j.study_system = {"bt", {.kind = schema::Value::Kind::kText, .text = ""}};
     }},
    {"value", [](Journal& j) { j.values[0] = 1.5; }},
    {"no_values", [](Journal& j) { j.with_values = false; }},
    {"state", [](Journal& j) { j.trial_state = schema::TrialState::kPruned; }},
    {"waiting", [](Journal& j) { j.trial_state = schema::TrialState::kWaiting; }},
    {"start", [](Journal& j) { j.start = 0; }},
    {"no_start", [](Journal& j) { j.start.reset(); }},
    {"complete", [](Journal& j) { j.complete = 3; }},
    {"no_complete", [](Journal& j) { j.complete.reset(); }},
    {"param_name", [](Journal& j) { j.params[0].name = "g"; }},
    {"param_internal", [](Journal& j) { j.params[0].internal = 0.25; }},
    {"param_order", [](Journal& j) { std::swap(j.params[0], j.params[1]); }},
    {"float_low", [](Journal& j) { j.params[0].distribution.low = -0.0; }},
    {"float_high", [](Journal& j) { j.params[0].distribution.high = 2; }},
    {"float_log", [](Journal& j) { j.params[0].distribution.log = true; }},
    {"float_step", [](Journal& j) { j.params[0].distribution.step = 0.5; }},
    {"float_no_step", [](Journal& j) { j.params[0].distribution.has_step = false; }},
    {"int_low", [](Journal& j) { j.params[1].distribution.int_low = -1; }},
    {"int_high", [](Journal& j) { j.params[1].distribution.int_high = 6; }},
    {"int_step", [](Journal& j) { j.params[1].distribution.int_step = 2; }},
    {"int_log", [](Journal& j) { j.params[1].distribution.log = true; }},
    {"choice", [](Journal& j) { j.choices[0].boolean = false; }},
    {"choice_one_for_true",
     [](Journal& j) { j.choices[0] = {.kind = schema::Value::Kind::kInt64, .int64 = 1}; }},
    {"choice_order", [](Journal& j) { std::swap(j.choices[0], j.choices[1]); }},
    {"json_distribution", [](Journal& j) { j.params[3].distribution.json = "{ }"; }},
    {"user_minus_zero", [](Journal& j) { j.user[0].value.float64 = -0.0; }},
    {"user_int_for_float",
     [](Journal& j) { j.user[0].value = {.kind = schema::Value::Kind::kInt64, .int64 = 0}; }},
    {"system_json", [](Journal& j) { j.system[0].value.text = "{}"; }},
    {"user_or_system", [](Journal& j) { std::swap(j.user, j.system); }},
    {"step", [](Journal& j) { j.steps[0].step = 0; }},
    {"step_value", [](Journal& j) { j.steps[1].value = 1; }},
    {"step_order", [](Journal& j) { std::swap(j.steps[0], j.steps[1]); }},
    {"session", [](Journal& j) { j.session = 8; }},
    {"session_pid", [](Journal& j) { j.started.pid = 3; }},
    {"session_uid", [](Journal& j) { j.started.uid = 3; }},
    {"session_host",
     [](Journal& j) {
       j.started.host = "hc";
       j.started.command = "";
     }},
    {"session_user", [](Journal& j) { j.started.user = "u"; }},
    {"session_container", [](Journal& j) { j.started.container = "u"; }},
    {"session_visible", [](Journal& j) { j.started.cuda_visible_devices = ""; }},
    {"session_visible_devices", [](Journal& j) { j.started.cuda_visible_devices = "0"; }},
    {"session_gpu",
     [](Journal& j) {
       static constexpr std::array kGpus = {schema::Gpu{"GPU-1", "n"}};
       j.started.gpus = kGpus;
     }},
    {"session_orphans",
     [](Journal& j) {
       j.started.orphans = {schema::OrphanPolicy::Kind::kRetry, 1};
     }},
    {"session_boot", [](Journal& j) { j.started.birth.boot_id_high = 1; }},
    {"session_boot_low", [](Journal& j) { j.started.birth.boot_id_low = 1; }},
    {"session_namespace", [](Journal& j) { j.started.birth.pid_namespace = 1; }},
    {"session_start", [](Journal& j) { j.started.birth.start_ticks = 1; }},
    {"session_running", [](Journal& j) { j.trial_state = schema::TrialState::kRunning; }},
    {"session_command", [](Journal& j) { j.started.command = "d"; }},
    {"session_time", [](Journal& j) { j.time_us = 10; }},
    {"tombstone", [](Journal& j) { j.extra_tombstones = 1; }},
};

class Digest : public ::testing::TestWithParam<Case> {};

TEST_P(Digest, DiffersWhenThisDiffers) {
  Journal plain, changed;
  GetParam().change(changed);
  EXPECT_NE(changed.digest(), plain.digest());
}

INSTANTIATE_TEST_SUITE_P(Field, Digest, ::testing::ValuesIn(kCases),
                         [](const auto& one) { return std::string(one.param.name); });

TEST(DigestOfState, CountsAllNansAsOne) {
  Journal plain, negative;
  negative.steps[1].value = -kNan;
  EXPECT_EQ(negative.digest(), plain.digest());
}

TEST(DigestOfState, SeesWhatLeavesNoOtherTrace) {
  Replayed a, b;
  for (Replayed* replayed : {&a, &b}) {
    replayed->apply(SessionStarted{}, 7);
    replayed->apply(CreateStudy{"s", {}}, 7);
    replayed->apply(CreateTrial{}, 7);
  }
  EXPECT_EQ(a.state.digest(), b.state.digest());
  std::set<std::string> seen = {a.state.digest()};
  const std::array<Operation, 7> operations = {DeleteStudy{9},
                                               SetTrialUserAttr{0, {"k", {}}},
                                               SetTrialUserAttr{0, {"k", {}}},
                                               SetStudyUserAttr{0, {"k", {}}},
                                               SetStudyUserAttr{0, {"k", {}}},
                                               SessionEnded{7, SessionEnded::Reason::kDied},
                                               DeleteStudy{0}};
  for (const Operation& operation : operations) {
    a.apply(operation, 8);
    EXPECT_TRUE(seen.insert(a.state.digest()).second) << operation_name(operation);
  }
}

// A digest is compared between versions of this program, too: a change of the serialisation must be
// a decision.
TEST(DigestOfState, IsWhatItWas) {
  EXPECT_EQ(State().digest(), "4a78bcf1f8b2cdb8b598887463a6345d");
  EXPECT_EQ(Journal().digest(), "9d0476dc7493e904a9c1f021c46c4792");
}

}  // namespace
}  // namespace oj::replay
