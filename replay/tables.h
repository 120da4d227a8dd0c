// What a State consists of. Only apply changes it; readers see it through State.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "replay/distribution_pool.h"
#include "replay/state.h"
#include "replay/trial_index.h"

namespace oj::replay {

// The part of a study that readers do not see: it owns the trials.
struct StudyParts {
  Study* study = nullptr;
  std::deque<Trial> trials;  // by number; a deque, so that pointers stay
  DistributionPool distributions;
};

struct Tables {
  std::uint64_t next_seq = 0;
  std::uint64_t study_id_count = 0, trial_id_count = 0, tombstone_count = 0;
  std::map<StudyId, Study> studies;
  std::unordered_map<StudyId, StudyParts> parts;
  std::unordered_map<std::string_view, const Study*> by_name;  // the names are the studies' own
  TrialIndex trials;
  std::map<SessionId, SessionInfo> sessions;
  SessionInfo* last_writer =
      nullptr;  // of the latest record; most records are of the same session as the one before

  StudyParts* find_study(StudyId id) {
    const auto found = parts.find(id);
    return found == parts.end() ? nullptr : &found->second;
  }
  const Study* find_study(StudyId id) const {
    const auto found = studies.find(id);
    return found == studies.end() ? nullptr : &found->second;
  }
};

// A trial's state decides in which of its study's indexes it is, and counts for its session while
// it is RUNNING. To change `state`, `session` or `values`: leave, change, enter.
void leave_state(Tables& tables, Study& study, const Trial& trial);
void enter_state(Tables& tables, Study& study, const Trial& trial);

// The trial, still RUNNING, counts for its session no more.
void trial_stopped_running(Tables& tables, const Trial& trial);

std::string digest(const Tables& tables);

}  // namespace oj::replay
