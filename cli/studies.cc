// `optjournal studies`: what studies a journal has and how far each is.
//
// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "cli/json.h"
#include "cli/numbers.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/values.h"
#include "cli/verbs.h"
#include "libclient/storage.h"

namespace oj::cli {
namespace {

using schema::TrialState;

constexpr TrialState kStates[] = {TrialState::kComplete, TrialState::kPruned, TrialState::kFail,
                                  TrialState::kRunning, TrialState::kWaiting};

std::uint64_t count_of(const replay::Study& study, TrialState state) {
  return study.count_by_state[static_cast<std::size_t>(state)];
}

std::string directions_text(const replay::Study& study) {
  std::string out;
  for (const schema::Direction direction : study.directions) {
    out += fmt::format("{}{}", out.empty() ? "" : ",", direction_name(direction));
  }
  return out;
}

std::string best_text(const replay::Study& study) {
  if (study.best == nullptr || !study.best->values || study.best->values->empty()) return "";
  return fmt::format("{} (#{})", short_number(study.best->values->front()), study.best->number);
}

Table table_of(const replay::State& state) {
  Table table;
  table.column("ID", Table::Align::kRight);
  table.column("NAME", Table::Align::kLeft);
  table.column("DIRECTION", Table::Align::kLeft);
  table.column("TRIALS", Table::Align::kRight);
  for (const TrialState trial_state : kStates)
    table.column(state_name(trial_state), Table::Align::kRight);
  table.column("BEST", Table::Align::kLeft);
  for (const auto& [id, study] : state.studies()) {
    std::vector<Table::Cell> cells = {std::to_string(id), shown_word(study.name),
                                      directions_text(study), std::to_string(study.trials.size())};
    for (const TrialState trial_state : kStates)
      cells.emplace_back(std::to_string(count_of(study, trial_state)));
    cells.emplace_back(best_text(study), Style::kGreen);
    table.row(std::move(cells));
  }
  return table;
}

std::string json_of(const replay::Study& study) {
  Json json;
  json.object().key("id").integer(study.id).key("name").text(study.name).key("directions").array();
  for (const schema::Direction direction : study.directions) json.text(direction_name(direction));
  json.end_array().key("trials").integer(study.trials.size()).key("states").object();
  for (const TrialState state : kStates)
    json.key(state_name(state)).integer(count_of(study, state));
  json.end_object().key("best");
  if (study.best == nullptr || !study.best->values || study.best->values->empty())
    return json.null().end_object().take();
  json.object()
      .key("number")
      .integer(study.best->number)
      .key("value")
      .number(study.best->values->front());
  json.key("params").object();
  for (const replay::Param& param : study.best->params)
    json.key(param.name).raw(json_value(external(param)));
  return json.end_object().end_object().end_object().take();
}

}  // namespace

Result<void> studies(const StudiesOptions& options, Output& out) {
  client::OpenOptions open;
  open.mode = client::OpenOptions::Mode::kMonitor;
  auto storage = client::Storage::open(options.location, open);
  if (!storage) return storage.error();
  Result<void> printed;
  auto read = (*storage)->read([&](const replay::State& state) {
    if (options.json) {
      std::string text = "[";
      for (const auto& [id, study] : state.studies())
        text += (text.size() == 1 ? "\n" : ",\n") + json_of(study);
      printed = out.write(text + "\n]\n");
    } else if (state.studies().empty()) {
      printed = out.write(fmt::format("{} has no studies\n", shown(options.location)));
    } else {
      printed = table_of(state).print(out);
    }
  });
  if (!read) return read;
  return printed;
}

}  // namespace oj::cli
