// Orphans: RUNNING trials whose session died, and what is to become of them.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "replay/state.h"
#include "schema/operation.h"

namespace oj::replay {

// What the study says now (schema::kOrphansAttr); kUnset: nothing.
schema::OrphanPolicy study_policy(const Study& study);

// What counts for the trials of `session` in `study`: what the session said of itself, else what
// the study says, else `service`. Of a session that died, the study's word is that of the moment of
// its death: what is said later is for later deaths.
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
