// SPDX-License-Identifier: MIT
#include <array>

#include <gtest/gtest.h>

#include "libclient/storage.h"

namespace oj::client {
namespace {

using replay::OutcomeCode;

TEST(OutcomeError, NamesWhatDoesNotExist) {
  const Error study = outcome_error({OutcomeCode::kNoSuchStudy, 0}, schema::DeleteStudy{7});
  EXPECT_EQ(study.code, Code::kInvalid);
  EXPECT_EQ(study.message, "study 7 does not exist");
  const Error trial =
      outcome_error({OutcomeCode::kNoSuchTrial, 0}, schema::SetTrialUserAttr{3, {}});
  EXPECT_EQ(trial.code, Code::kInvalid);
  EXPECT_EQ(trial.message, "trial 3 does not exist");
}

TEST(OutcomeError, SpeaksAsOptunaDoes) {
  const std::array directions = {schema::Direction::kMinimize};
  EXPECT_EQ(
      outcome_error({OutcomeCode::kStudyExists, 0}, schema::CreateStudy{"s", directions}).message,
      "Another study with name 's' already exists. Please specify a different name, or reuse "
      "the existing one by setting `load_if_exists` (for Python API) or `--skip-if-exists` flag "
      "(for CLI).");
  const Error finished =
      outcome_error({OutcomeCode::kTrialFinished, 12}, schema::SetTrialStateValues{});
  EXPECT_EQ(finished.code, Code::kRefused);
  EXPECT_EQ(finished.message, "Trial#12 has already finished and can not be updated.");
}

TEST(OutcomeError, NamesTheParameterThatDoesNotFit) {
  schema::SetTrialParam set;
  set.param.name = "lr";
  EXPECT_NE(outcome_error({OutcomeCode::kIncompatible, 0}, set).message.find("'lr'"),
            std::string::npos);
  set.param.distribution.kind = schema::Distribution::Kind::kCategorical;
  EXPECT_TRUE(
      outcome_error({OutcomeCode::kIncompatible, 0}, set)
          .message.starts_with("CategoricalDistribution does not support dynamic value space."));
}

}  // namespace
}  // namespace oj::client
