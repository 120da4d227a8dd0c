// `optjournal orphans`: what becomes of a study's trials whose workers died: shows or sets it.
//
// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "cli/json.h"
#include "cli/numbers.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "libclient/storage.h"
#include "replay/orphans.h"
#include "schema/orphan_policy.h"

namespace oj::cli {
namespace {

Result<std::shared_ptr<client::Storage>> open_in(const std::string& location,
                                                 client::OpenOptions::Mode mode) {
  client::OpenOptions open;
  open.mode = mode;
  return client::Storage::open(location, open);
}

// The study's own, or that of nobody: then the daemon's counts.
schema::OrphanPolicy policy_of(const replay::Study& study) {
  return replay::orphan_policy({}, study, {});
}

std::string counts(const schema::OrphanPolicy& policy) {
  return policy.kind == schema::OrphanPolicy::Kind::kUnset ? "the daemon's" : text_of(policy);
}

std::vector<replay::Orphan> orphans_of(const replay::State& state, const replay::Study& study) {
  std::vector<replay::Orphan> found;
  for (const replay::Orphan& orphan : replay::orphans(state, {})) {
    if (state.trial(orphan.trial)->study == study.id) found.push_back(orphan);
  }
  return found;
}

std::string json_of(const replay::State& state, const replay::Study& study) {
  Json json;
  json.object().key("study").text(study.name).key("policy");
  const schema::OrphanPolicy policy = policy_of(study);
  policy.kind == schema::OrphanPolicy::Kind::kUnset ? json.null() : json.text(text_of(policy));
  json.key("orphans").array();
  for (const replay::Orphan& orphan : orphans_of(state, study)) {
    const replay::SessionInfo& session = state.sessions().at(orphan.session);
    json.object().key("trial").integer(state.trial(orphan.trial)->number);
    json.key("trial_id").integer(orphan.trial).key("session").integer(orphan.session);
    json.key("pid").integer(session.pid).key("command").text(session.command);
    json.key("died").text(iso_time_utc(orphan.died_us)).key("policy");
    orphan.policy.kind == schema::OrphanPolicy::Kind::kUnset ? json.null()
                                                             : json.text(text_of(orphan.policy));
    json.end_object();
  }
  return json.end_array().end_object().take();
}

Result<void> print(const replay::State& state, const replay::Study& study, Output& out) {
  const std::vector<replay::Orphan> orphans = orphans_of(state, study);
  auto done = out.write(fmt::format("{}: {}, {} orphan{}\n", shown_word(study.name),
                                    counts(policy_of(study)), orphans.size(),
                                    orphans.size() == 1 ? "" : "s"));
  if (!done || orphans.empty()) return done;
  Table table;
  table.column("TRIAL", Table::Align::kRight);
  table.column("PID", Table::Align::kRight);
  table.column("COMMAND", Table::Align::kLeft);
  table.column("DIED", Table::Align::kLeft);
  table.column("POLICY", Table::Align::kLeft);
  for (const replay::Orphan& orphan : orphans) {
    const replay::SessionInfo& session = state.sessions().at(orphan.session);
    table.row({std::to_string(state.trial(orphan.trial)->number), std::to_string(session.pid),
               shown_word(session.command), local_time(orphan.died_us), counts(orphan.policy)});
  }
  return table.print(out);
}

}  // namespace

Result<void> orphans(const OrphansOptions& options, Output& out) {
  // First as one who only looks: a worker would make a journal where there is none.
  auto looking = open_in(options.location, client::OpenOptions::Mode::kMonitor);
  if (!looking) return looking.error();
  std::vector<schema::StudyId> wanted;
  Result<void> printed;
  auto read = (*looking)->read([&](const replay::State& state) {
    std::string json;
    for (const auto& [id, study] : state.studies()) {
      if (options.study && study.name != *options.study) continue;
      wanted.push_back(id);
      if (options.policy || !printed) continue;
      if (options.json)
        json += (json.empty() ? "\n" : ",\n") + json_of(state, study);
      else
        printed = print(state, study, out);
    }
    if (options.json && !options.policy) printed = out.write("[" + json + "\n]\n");
  });
  if (!read) return read;
  if (options.study && wanted.empty()) {
    return Error{Code::kGone, fmt::format("{} has no study {}", shown(options.location),
                                          shown_word(*options.study))};
  }
  if (!options.policy) return printed;
  auto working = open_in(options.location, client::OpenOptions::Mode::kWorker);
  if (!working) return working.error();
  client::WriteOptions write;
  write.durability = client::Durability::kSynced;
  return (*working)->set_orphan_policy(wanted.front(), *options.policy, write);
}

}  // namespace oj::cli
