// A worker in C++ that shares a study with Python workers.
//
// Python enqueues trials and reads the results, this evaluates them:
//
//   storage = optjournal.JournalStorage("./runs")
//   study = optuna.create_study(storage=storage, study_name="rosenbrock")
//   study.enqueue_trial({"x": 0.5, "y": 2.0})
//
//   $ worker ./runs rosenbrock
//   trial 0: x = 0.5, y = 2 -> 306.5
//
// SPDX-License-Identifier: MIT
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "libclient/storage.h"

namespace {

constexpr const char* kUsage =
    "usage: worker [--follow] LOCATION STUDY\n"
    "\n"
    "Takes the WAITING trials of STUDY one after the other, evaluates the Rosenbrock function at "
    "the enqueued\n"
    "x and y (0 where one is missing), reports four intermediate values, and finishes the trial.\n"
    "\n"
    "  LOCATION   a journal's folder, or optjournal://NAME\n"
    "  --follow   waits for further trials instead of ending when none is left\n"
    "\n"
    "Exit status: 0 done, 1 something failed, 2 wrong usage.\n";

constexpr std::array kNames = {"x", "y"};
using Point = std::array<double, 2>;

double rosenbrock(const Point& at) {
  const double a = 1 - at[0], b = at[1] - at[0] * at[0];
  return a * a + 100 * b * b;
}

// What Python's enqueue_trial() left with the trial: {"x": 0.5, "y": 2.0} as JSON in a system
// attribute.
Point fixed_params(const oj::replay::Trial& trial) {
  Point point{};
  const oj::replay::Value* fixed = trial.system_attrs.find("fixed_params");
  if (fixed == nullptr) return point;
  const nlohmann::json json =
      nlohmann::json::parse(fixed->text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return point;
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    const auto found = json.find(kNames[i]);
    if (found != json.end() && found->is_number()) point[i] = found->get<double>();
  }
  return point;
}

// One write; false, with the reason on stderr, if it did not succeed.
bool write(oj::client::Storage& storage, const oj::schema::Operation& operation) {
  const auto outcome = storage.write(operation);
  if (!outcome) {
    std::fprintf(stderr, "worker: %s\n", outcome.error().message.c_str());
    return false;
  }
  if (outcome->code == oj::replay::OutcomeCode::kDone) return true;
  const oj::Error refused = oj::client::outcome_error(*outcome, operation);
  std::fprintf(stderr, "worker: %s\n", refused.message.c_str());
  return false;
}

bool evaluate(oj::client::Storage& storage, oj::schema::TrialId trial) {
  std::uint64_t number = 0;
  Point point{};
  const auto done = storage.read([&](const oj::replay::State& state) {
    const oj::replay::Trial* found = state.trial(trial);
    if (found == nullptr) return;  // its study was deleted: the writes below will say so
    number = found->number;
    point = fixed_params(*found);
  });
  if (!done) {
    std::fprintf(stderr, "worker: %s\n", done.error().message.c_str());
    return false;
  }
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    oj::schema::Distribution distribution;  // optuna.distributions.FloatDistribution(-5, 5)
    distribution.low = -5;
    distribution.high = 5;
    if (!write(storage, oj::schema::SetTrialParam{trial, {kNames[i], point[i], distribution}}))
      return false;
  }
  const double value = rosenbrock(point);
  for (std::int64_t step = 0; step < 4; ++step) {
    const oj::schema::IntermediateValue so_far{step, value * static_cast<double>(4 - step)};
    if (!write(storage, oj::schema::SetTrialIntermediateValue{trial, so_far})) return false;
  }
  const std::array values = {value};
  // Returns once it is on disk, as finishing a trial does unless told otherwise.
  const oj::schema::SetTrialStateValues finish{trial, oj::schema::TrialState::kComplete,
                                               std::span<const double>(values), oj::utc_us()};
  if (!write(storage, finish)) return false;
  std::printf("trial %llu: x = %g, y = %g -> %g\n", static_cast<unsigned long long>(number),
              point[0], point[1], value);
  std::fflush(stdout);
  return true;
}

int run(const std::string& location, const std::string& name, bool follow) {
  const auto fail = [](const oj::Error& error) {
    std::fprintf(stderr, "worker: %s\n", error.message.c_str());
    return 1;
  };
  oj::client::OpenOptions options;
  options.command = "worker";
  const auto opened = oj::client::Storage::open(location, options);
  if (!opened) return fail(opened.error());
  oj::client::Storage& storage = **opened;

  std::optional<oj::schema::StudyId> study;
  const auto looked = storage.read([&](const oj::replay::State& state) {
    if (const oj::replay::Study* found = state.study(name)) study = found->id;
  });
  if (!looked) return fail(looked.error());
  if (!study) return fail({oj::Code::kInvalid, location + " has no study \"" + name + "\""});

  int evaluated = 0;
  for (;;) {
    const std::uint64_t seen = storage.session().published_end();
    const auto trial = storage.pop_waiting(*study);
    if (!trial) return fail(trial.error());
    if (*trial) {
      if (!evaluate(storage, **trial)) return 1;
      ++evaluated;
    } else if (!follow) {
      std::printf("%d trials evaluated; none is waiting\n", evaluated);
      return 0;
    } else if (const auto next = storage.session().wait_published(seen, oj::Deadline::never());
               !next) {
      return fail(next.error());
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  bool follow = false;
  int first = 1;
  for (; first < argc && std::strncmp(argv[first], "--", 2) == 0; ++first) {
    if (std::strcmp(argv[first], "--help") == 0) {
      std::fputs(kUsage, stdout);
      return 0;
    }
    if (std::strcmp(argv[first], "--follow") != 0) {
      std::fprintf(stderr, "worker: unknown option %s\n%s", argv[first], kUsage);
      return 2;
    }
    follow = true;
  }
  if (argc - first != 2) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  return run(argv[first], argv[first + 1], follow);
}
