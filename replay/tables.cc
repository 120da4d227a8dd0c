// SPDX-License-Identifier: MIT
#include "replay/tables.h"

#include <cmath>
#include <optional>

namespace oj::replay {
namespace {

// The value by which a trial competes, if it does.
std::optional<double> candidate_value(const Study& study, const Trial& trial) {
  if (study.directions.size() != 1 || !trial.values || trial.values->empty()) return {};
  const double value = trial.values->front();
  if (std::isnan(value)) return {};
  return value;
}

bool beats(const Study& study, const Trial& trial, const Trial& best) {
  const std::optional<double> value = candidate_value(study, trial);
  if (!value) return false;
  const double best_value = best.values->front();
  if (*value == best_value) return trial.number < best.number;
  return study.directions.front() == Direction::kMaximize ? *value > best_value
                                                          : *value < best_value;
}

}  // namespace

void leave_state(Tables& tables, Study& study, const Trial& trial) {
  --study.count_by_state[static_cast<std::size_t>(trial.state)];
  if (trial.state == TrialState::kWaiting) study.waiting.erase(trial.number);
  if (trial.state == TrialState::kRunning) trial_stopped_running(tables, trial);
}

void enter_state(Tables& tables, Study& study, const Trial& trial) {
  ++study.count_by_state[static_cast<std::size_t>(trial.state)];
  if (trial.state == TrialState::kWaiting) study.waiting.insert(trial.number);
  if (trial.state == TrialState::kRunning) {
    const auto session = tables.sessions.find(trial.session);
    if (session != tables.sessions.end()) session->second.running.insert(trial.id);
  }
  if (trial.state != TrialState::kComplete) return;
  if (study.best ? beats(study, trial, *study.best) : candidate_value(study, trial).has_value())
    study.best = &trial;
}

void trial_stopped_running(Tables& tables, const Trial& trial) {
  const auto found = tables.sessions.find(trial.session);
  // It may not count: it was made RUNNING before or without its session's SessionStarted.
  if (found == tables.sessions.end() || found->second.running.erase(trial.id) == 0) return;
  if (!found->second.running.empty() || !found->second.ended) return;
  if (tables.last_writer == &found->second) tables.last_writer = nullptr;
  tables.sessions.erase(found);
}

}  // namespace oj::replay
