// One operation of each kind, with all of its fields set: what the golden files hold, and what the
// tests of damage damage.
//
// Never change one: add another, so that the golden files of released versions stay true.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "schema/codec.h"

namespace oj::testing {

constexpr schema::RecordHeader kSampleHeader{0x0000000300000007, 42, 1'795'630'000'123'456};

inline std::vector<std::pair<std::string, std::vector<schema::Operation>>> sample_operations() {
  using namespace oj::schema;
  using namespace std::string_view_literals;
  using Limits = std::numeric_limits<double>;
  static constexpr std::array kDirections = {Direction::kMinimize, Direction::kMaximize,
                                             Direction::kNotSet};
  static constexpr std::array<double, 3> kValues = {-0.0, Limits::infinity(), 0.25};
  static const std::array kChoices = {
      Value{},
      Value{.kind = Value::Kind::kBool, .boolean = true},
      Value{.kind = Value::Kind::kInt64, .int64 = std::numeric_limits<std::int64_t>::min()},
      Value{.kind = Value::Kind::kFloat64, .float64 = Limits::quiet_NaN()},
      Value{.kind = Value::Kind::kText, .text = "a\0b"sv},
      Value{.kind = Value::Kind::kJson, .text = "[1,{\"k\":NaN}]"sv}};
  static const Distribution kFloat{
      .log = true, .has_step = true, .low = 1e-5, .high = 0.5, .step = 0.125};
  static const Distribution kInt{
      .kind = Distribution::Kind::kInt, .int_low = -3, .int_high = 9, .int_step = 2};
  static const Distribution kCategorical{.kind = Distribution::Kind::kCategorical,
                                         .choices = kChoices};
  static const Distribution kJson{
      .kind = Distribution::Kind::kJson,
      .json = R"({"name":"IntDistribution","attributes":{"log":false,"step":1,"low":0,)"
              R"("high":99999999999999999999}})"};
  static const std::array kParams = {Param{"lr", 0.01, kFloat}, Param{"depth", 3, kInt},
                                     Param{"\xed\xa0\x80", 4, kCategorical},
                                     Param{"huge", 1e19, kJson}};
  static const std::array kAttrs = {Attr{"", kChoices[0]},     Attr{"flag", kChoices[1]},
                                    Attr{"n", kChoices[2]},    Attr{"nan", kChoices[3]},
                                    Attr{"text", kChoices[4]}, Attr{"\0"sv, kChoices[5]}};
  static constexpr std::array kSteps = {
      IntermediateValue{-1, 0.5}, IntermediateValue{std::int64_t{1} << 40, -Limits::infinity()}};

  static const std::array kGpus = {Gpu{"GPU-8f6c1b2e-0000-4000-8000-000000000001", "NVIDIA H200"},
                                   Gpu{"GPU-8f6c1b2e-0000-4000-8000-000000000002", ""}};

  const CreateTrial whole{.study = 6,
                          .state = TrialState::kPruned,
                          .start_us = 1'795'630'000'000'001,
                          .complete_us = 1'795'630'000'000'002,
                          .values = std::span<const double>(kValues),
                          .params = kParams,
                          .user_attrs = kAttrs,
                          .system_attrs = kAttrs,
                          .intermediate_values = kSteps};
  return {
      {"createStudy", {CreateStudy{"study \xf0\x9f\x8e\xb2", kDirections}}},
      {"deleteStudy", {DeleteStudy{5}}},
      {"setStudyUserAttr", {SetStudyUserAttr{5, {"best so far", kChoices[2]}}}},
      {"setStudySystemAttr", {SetStudySystemAttr{5, {"nsga", kChoices[5]}}}},
      {"createTrial", {CreateTrial{.study = 6, .start_us = 1'795'630'000'000'000}}},
      {"createTrial-template", {whole}},
      {"setTrialParam-float", {SetTrialParam{77, kParams[0]}}},
      {"setTrialParam-int", {SetTrialParam{77, kParams[1]}}},
      {"setTrialParam-categorical", {SetTrialParam{77, kParams[2]}}},
      {"setTrialParam-json", {SetTrialParam{77, kParams[3]}}},
      {"setTrialStateValues",
       {SetTrialStateValues{77, TrialState::kComplete, std::span<const double>(kValues),
                            1'795'630'000'000'003}}},
      {"setTrialStateValues-running",
       {SetTrialStateValues{77, TrialState::kRunning, {}, 1'795'630'000'000'004}}},
      {"setTrialIntermediateValue", {SetTrialIntermediateValue{77, {12, 0.75}}}},
      {"setTrialUserAttr", {SetTrialUserAttr{77, {"note", kChoices[4]}}}},
      {"setTrialSystemAttr", {SetTrialSystemAttr{77, {"fixed_params", kChoices[5]}}}},
      {"sessionStarted", {SessionStarted{4711, 1000, "host", "train.py"}}},
      {"sessionEnded", {SessionEnded{kSampleHeader.session, SessionEnded::Reason::kDied}}},
      {"sessionStarted-identity",
       {SessionStarted{.pid = 4711,
                       .uid = 1000,
                       .host = "host",
                       .command = "train.py",
                       .user = "ada",
                       .container = "3f2a90b1c4d5",
                       .cuda_visible_devices = "0,1",
                       .gpus = kGpus,
                       .orphans = {OrphanPolicy::Kind::kRetry, 3},
                       .former = 0x0000000200000007,
                       .birth = {0x0123456789abcdef, 0xfedcba9876543210, 4026531836, 12345}}}},
      {"endOrphan", {EndOrphan{77, 0x0000000300000007, 1'795'630'000'000'005, 3}}},
      {"tombstone", {Tombstone{"checksum does not fit"}}},
      {"batch", {SetTrialParam{77, kParams[0]}, SetTrialIntermediateValue{77, {13, 0.5}}, whole}},
  };
}

}  // namespace oj::testing
