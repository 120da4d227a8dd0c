// SPDX-License-Identifier: MIT
#include "replay/orphans.h"

#include "schema/orphan_policy.h"

namespace oj::replay {

schema::OrphanPolicy study_policy(const Study& study) {
  const Value* const attr = study.system_attrs.find(schema::kOrphansAttr);
  if (attr == nullptr || attr->kind != schema::Value::Kind::kText) return {};
  const auto policy = schema::parse_orphan_policy(attr->text);
  return policy ? *policy : schema::OrphanPolicy();
}

schema::OrphanPolicy orphan_policy(const SessionInfo& session, const Study& study,
                                   const schema::OrphanPolicy& service) {
  using Kind = schema::OrphanPolicy::Kind;
  if (session.orphans.kind != Kind::kUnset) return session.orphans;
  const auto at_death = session.policies_at_death.find(study.id);
  const schema::OrphanPolicy policy =
      at_death == session.policies_at_death.end() ? study_policy(study) : at_death->second;
  return policy.kind == Kind::kUnset ? service : policy;
}

std::vector<Orphan> orphans(const State& state, const schema::OrphanPolicy& service) {
  std::vector<Orphan> found;
  for (const auto& [id, session] : state.sessions()) {
    if (!session.died) continue;
    for (const TrialId trial : session.running) {
      const Study& study = *state.study(state.trial(trial)->study);
      found.push_back({trial, id, session.ended_us, orphan_policy(session, study, service)});
    }
  }
  return found;
}

}  // namespace oj::replay
