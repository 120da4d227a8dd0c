// SPDX-License-Identifier: MIT
#include <algorithm>

#include "replay/apply.h"
#include "replay/orphans.h"

namespace oj::replay {
namespace {

// The trials of the same process's session in a region that was replaced: a death of the one that
// takes its place orphans them, also if the former had been taken for dead.
void take_over(Tables& tables, SessionInfo& session, SessionId former) {
  const auto found = tables.sessions.find(former);
  if (found == tables.sessions.end() || &found->second == &session) return;
  for (const TrialId id : found->second.running) {
    Trial& trial = *tables.trials.find(id).trial;
    trial.session = session.id;
    ++trial.version;
    session.running.insert(id);
  }
  found->second.running.clear();
  if (!found->second.ended) return;
  if (tables.last_writer == &found->second) tables.last_writer = nullptr;
  tables.sessions.erase(found);
}

}  // namespace

Outcome check(const Tables&, const schema::SessionStarted&) { return {}; }

// A second one of the same session changes nothing: what the session has done so far is not to be
// forgotten. Session 0 is the daemon, which has none: a record of it counts nowhere, just as
// apply_tombstone() does not.
Outcome apply(Tables& tables, const schema::RecordHeader& header,
              const schema::SessionStarted& op) {
  if (header.session == 0) return {};
  const auto [at, is_new] = tables.sessions.try_emplace(header.session);
  if (!is_new) return {};
  SessionInfo& session = at->second;
  session.id = header.session;
  session.pid = op.pid;
  session.uid = op.uid;
  session.host = op.host;
  session.command = op.command;
  session.user = op.user;
  session.container = op.container;
  if (op.cuda_visible_devices) session.cuda_visible_devices = *op.cuda_visible_devices;
  for (const schema::Gpu& gpu : op.gpus)
    session.gpus.push_back({std::string(gpu.uuid), std::string(gpu.name)});
  session.orphans = op.orphans;
  session.birth = op.birth;
  session.started_us = header.time_us;
  take_over(tables, session, op.former);
  return {};
}

Outcome check(const Tables&, const schema::SessionEnded&) { return {}; }

// A clean end orphans nothing. A death is remembered for as long as it has orphans.
Outcome apply(Tables& tables, const schema::RecordHeader& header, const schema::SessionEnded& op) {
  const auto found = tables.sessions.find(op.session);
  if (found == tables.sessions.end() || found->second.ended) return {};
  SessionInfo& session = found->second;
  if (op.reason == schema::SessionEnded::Reason::kDied && !session.running.empty()) {
    session.ended = session.died = true;
    session.ended_us = header.time_us;
    for (const TrialId id : session.running) {
      const StudyId study = tables.trials.find(id).trial->study;
      session.policies_at_death.try_emplace(study, study_policy(tables.studies.at(study)));
    }
    return {};
  }
  if (tables.last_writer == &session) tables.last_writer = nullptr;
  tables.sessions.erase(found);
  return {};
}

Outcome check(const Tables&, const schema::Tombstone&) { return {}; }

Outcome apply(Tables& tables, const schema::RecordHeader&, const schema::Tombstone&) {
  ++tables.tombstone_count;
  return {};
}

void record_applied(Tables& tables, const schema::RecordHeader& header) {
  ++tables.next_seq;
  if (!tables.last_writer || tables.last_writer->id != header.session) {
    const auto found = tables.sessions.find(header.session);
    tables.last_writer = found == tables.sessions.end() ? nullptr : &found->second;
  }
  if (!tables.last_writer) return;
  tables.last_writer->last_op_no = std::max(tables.last_writer->last_op_no, header.op_no);
}

}  // namespace oj::replay
