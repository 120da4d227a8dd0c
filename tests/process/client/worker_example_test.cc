// examples/worker.cc with trials as Python's enqueue_trial() leaves them.
//
// SPDX-License-Identifier: MIT
#ifdef OJ_WORKER

#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "libclient/storage.h"
#include "tests/process/client/journal_under_test.h"

namespace oj::client {
namespace {

TEST(WorkerExample, EvaluatesWhatWasEnqueuedOnce) {
  JournalUnderTest journal;
  auto storage = journal.storage();
  ASSERT_TRUE(storage);
  const std::array directions = {schema::Direction::kMinimize};
  auto study = storage->create_study("rosenbrock", directions, false);
  ASSERT_TRUE(study);
  constexpr int kTrials = 20;
  for (int i = 0; i < kTrials; ++i) {
    const std::string text = R"({"x": )" + std::to_string(i) + R"(, "y": 1.0})";
    schema::Value json;
    json.kind = schema::Value::Kind::kJson;
    json.text = text;
    const std::array attrs = {schema::Attr{"fixed_params", json}};
    schema::CreateTrial create;
    create.study = *study;
    create.state = schema::TrialState::kWaiting;
    create.system_attrs = attrs;
    ASSERT_TRUE(storage->write(create));
  }
  ::setenv("OPTJOURNALD", OJ_DAEMON, 1);
  const auto statuses = in_processes(3, [&](int) {
    ::execl(OJ_WORKER, OJ_WORKER, journal.path().c_str(), "rosenbrock", nullptr);
    return 99;
  });
  EXPECT_EQ(statuses, std::vector<int>(3, 0));
  ASSERT_TRUE(storage->read([&](const replay::State& state) {
    const replay::Study* found = state.study(*study);
    ASSERT_EQ(found->trials.size(), static_cast<std::size_t>(kTrials));
    for (const replay::Trial* trial : found->trials) {
      EXPECT_EQ(trial->state, schema::TrialState::kComplete);
      EXPECT_EQ(trial->intermediate_values.size(), 4u);
      ASSERT_NE(trial->param("x"), nullptr);
      EXPECT_EQ(trial->param("x")->internal, static_cast<double>(trial->number));
      const double x = trial->param("x")->internal;
      const double expected = (1 - x) * (1 - x) + 100 * (1 - x * x) * (1 - x * x);
      EXPECT_EQ(trial->values, std::vector<double>{expected});
    }
    EXPECT_EQ(found->best->number, 1u);
  }));
}

}  // namespace
}  // namespace oj::client

#endif  // OJ_WORKER
