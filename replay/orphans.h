// Orphans: RUNNING trials whose session died, and what is to become of them.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "replay/state.h"
#include "schema/operation.h"

namespace oj::replay {

// What counts for the trials of `session` in `study`: what the session said of itself, else what
// the study has (schema::kOrphansAttr), else `service`.
schema::OrphanPolicy orphan_policy(const SessionInfo& session, const Study& study,
                                   const schema::OrphanPolicy& service);

struct Orphan {
  TrialId trial = 0;
  SessionId session = 0;
  std::int64_t died_us = 0;  // when the death was told, UTC
  schema::OrphanPolicy policy;
};
// All orphans, by session and trial. O(sessions + orphans).
std::vector<Orphan> orphans(const State& state, const schema::OrphanPolicy& service);

}  // namespace oj::replay
