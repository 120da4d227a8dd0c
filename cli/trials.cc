// `optjournal trials`: a study's trials as a table, JSON or CSV.
//
// SPDX-License-Identifier: MIT
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/numbers.h"
#include "cli/spelling.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/values.h"
#include "cli/verbs.h"
#include "libclient/storage.h"

namespace oj::cli {
namespace {

// What is to be printed of one study, and its columns: parameters and attributes in the order of
// first appearance.
struct Selection {
  const replay::State& state;
  const replay::Study& study;
  std::vector<const replay::Trial*> trials;
  std::size_t value_count = 1;
  std::vector<std::string> params, attrs;

  bool orphan(const replay::Trial& trial) const {
    if (trial.state != schema::TrialState::kRunning) return false;
    const auto session = state.sessions().find(trial.session);
    return session != state.sessions().end() && session->second.died;
  }
};

class Names {
 public:
  void add(const std::string& name) {
    if (known_.insert(name).second) names_.push_back(name);
  }
  std::vector<std::string> take() { return std::move(names_); }

 private:
  std::set<std::string> known_;
  std::vector<std::string> names_;
};

Selection select(const replay::State& state, const replay::Study& study,
                 const TrialsOptions& options) {
  Selection selection{state, study, {}, std::max<std::size_t>(1, study.directions.size()), {}, {}};
  for (const replay::Trial* trial : study.trials) {
    const auto& states = options.states;
    if (states.empty() || std::find(states.begin(), states.end(), trial->state) != states.end()) {
      selection.trials.push_back(trial);
    }
  }
  if (options.limit && selection.trials.size() > *options.limit) {
    selection.trials.erase(selection.trials.begin(),
                           selection.trials.end() - static_cast<std::ptrdiff_t>(*options.limit));
  }
  Names params, attrs;
  for (const replay::Trial* trial : selection.trials) {
    if (trial->values)
      selection.value_count = std::max(selection.value_count, trial->values->size());
    for (const replay::Param& param : trial->params) params.add(param.name);
    if (!options.attrs) continue;
    for (const auto& [key, value] : trial->user_attrs.items()) attrs.add(key);
  }
  selection.params = params.take();
  selection.attrs = attrs.take();
  return selection;
}

std::optional<std::int64_t> duration_us(const replay::Trial& trial) {
  if (!trial.start_us || !trial.complete_us) return std::nullopt;
  return *trial.complete_us - *trial.start_us;
}

std::string value_column(const Selection& selection, std::size_t i) {
  return selection.value_count == 1 ? "value" : fmt::format("values_{}", i);
}

Style style_of(schema::TrialState state) {
  switch (state) {
    case schema::TrialState::kRunning: return Style::kCyan;
    case schema::TrialState::kComplete: return Style::kGreen;
    case schema::TrialState::kFail: return Style::kRed;
    case schema::TrialState::kPruned: return Style::kYellow;
    case schema::TrialState::kWaiting: break;
  }
  return Style::kDim;
}

Result<void> print_table(const Selection& selection, Output& out) {
  Table table;
  table.column("NUMBER", Table::Align::kRight);
  table.column("STATE", Table::Align::kLeft);
  for (std::size_t i = 0; i < selection.value_count; ++i)
    table.column(value_column(selection, i), Table::Align::kRight);
  table.column("START", Table::Align::kLeft);
  table.column("DURATION", Table::Align::kRight);
  for (const std::string& name : selection.params) table.column(shown(name), Table::Align::kRight);
  for (const std::string& name : selection.attrs)
    table.column("user:" + shown(name), Table::Align::kLeft);
  for (const replay::Trial* trial : selection.trials) {
    std::vector<Table::Cell> cells = {std::to_string(trial->number)};
    const bool orphan = selection.orphan(*trial);
    cells.emplace_back(orphan ? "RUNNING (orphan)" : state_name(trial->state),
                       orphan ? Style::kRed : style_of(trial->state));
    for (std::size_t i = 0; i < selection.value_count; ++i) {
      cells.emplace_back(
          trial->values && i < trial->values->size() ? short_number((*trial->values)[i]) : "");
    }
    cells.emplace_back(trial->start_us ? local_time(*trial->start_us) : "");
    const auto took = duration_us(*trial);
    cells.emplace_back(took ? duration(*took) : "");
    for (const std::string& name : selection.params) {
      const replay::Param* param = trial->param(name);
      cells.emplace_back(param == nullptr ? "" : shown_value(external(*param)));
    }
    for (const std::string& name : selection.attrs) {
      const replay::Value* value = trial->user_attrs.find(name);
      cells.emplace_back(value == nullptr ? "" : shown_value(value->view()));
    }
    table.row(std::move(cells));
  }
  return table.print(out);
}

Result<void> print_csv(const Selection& selection, Output& out) {
  std::string line = "number,state";
  for (std::size_t i = 0; i < selection.value_count; ++i) line += ',' + value_column(selection, i);
  line += ",datetime_start,datetime_complete,duration_s,orphan";
  for (const std::string& name : selection.params) line += ',' + csv_field("params_" + name);
  for (const std::string& name : selection.attrs) line += ',' + csv_field("user_attrs_" + name);
  if (auto done = out.write(line + "\r\n"); !done) return done;
  for (const replay::Trial* trial : selection.trials) {
    line = fmt::format("{},{}", trial->number, state_name(trial->state));
    for (std::size_t i = 0; i < selection.value_count; ++i) {
      line += ',';
      if (trial->values && i < trial->values->size()) line += exact_number((*trial->values)[i]);
    }
    line += ',' + (trial->start_us ? iso_time_utc(*trial->start_us) : "");
    line += ',' + (trial->complete_us ? iso_time_utc(*trial->complete_us) : "");
    const auto took = duration_us(*trial);
    line += ',' + (took ? fmt::format("{:.6f}", static_cast<double>(*took) / 1e6) : "");
    line += selection.orphan(*trial) ? ",true" : ",false";
    for (const std::string& name : selection.params) {
      const replay::Param* param = trial->param(name);
      line += ',' + (param == nullptr ? "" : csv_value(external(*param)));
    }
    for (const std::string& name : selection.attrs) {
      const replay::Value* value = trial->user_attrs.find(name);
      line += ',' + (value == nullptr ? "" : csv_value(value->view()));
    }
    if (auto done = out.write(line + "\r\n"); !done) return done;
  }
  return {};
}

std::string json_of(const Selection& selection, const replay::Trial& trial) {
  Json json;
  json.object().key("number").integer(trial.number).key("trial_id").integer(trial.id);
  json.key("state")
      .text(state_name(trial.state))
      .key("orphan")
      .boolean(selection.orphan(trial))
      .key("values");
  if (trial.values) {
    json.array();
    for (const double value : *trial.values) json.number(value);
    json.end_array();
  } else {
    json.null();
  }
  const auto time = [&](const char* name, const std::optional<std::int64_t>& time_us) {
    json.key(name);
    if (time_us)
      json.text(iso_time_utc(*time_us));
    else
      json.null();
  };
  time("datetime_start", trial.start_us);
  time("datetime_complete", trial.complete_us);
  json.key("duration_s");
  if (const auto took = duration_us(trial))
    json.raw(fmt::format("{:.6f}", static_cast<double>(*took) / 1e6));
  else
    json.null();
  json.key("params").object();
  for (const replay::Param& param : trial.params)
    json.key(param.name).raw(json_value(external(param)));
  json.end_object().key("user_attrs").object();
  for (const auto& [key, value] : trial.user_attrs.items())
    json.key(key).raw(json_value(value.view()));
  json.end_object().key("system_attrs").object();
  for (const auto& [key, value] : trial.system_attrs.items())
    json.key(key).raw(json_value(value.view()));
  json.end_object().key("intermediate_values").object();
  for (const auto& [step, value] : trial.intermediate_values)
    json.key(std::to_string(step)).number(value);
  return json.end_object().end_object().take();
}

Result<void> print_json(const Selection& selection, Output& out) {
  if (auto done = out.write("["); !done) return done;
  const char* before = "\n";
  for (const replay::Trial* trial : selection.trials) {
    if (auto done = out.write(before + json_of(selection, *trial)); !done) return done;
    before = ",\n";
  }
  return out.write("\n]\n");
}

Result<const replay::Study*> find(const replay::State& state, const TrialsOptions& options) {
  if (options.study) {
    if (const replay::Study* study = state.study(std::string_view(*options.study))) return study;
    return no_such_study(*options.study, state, options.location);
  }
  if (state.studies().size() == 1) return &state.studies().begin()->second;
  if (state.studies().empty())
    return not_found(fmt::format("{} has no studies", shown(options.location)));
  return not_found(
      fmt::format("{0} has {1} studies: say which one (`optjournal studies {0}` lists them)",
                  shown(options.location), state.studies().size()));
}

}  // namespace

Result<void> trials(const TrialsOptions& options, Output& out) {
  client::OpenOptions open;
  open.mode = client::OpenOptions::Mode::kMonitor;
  auto storage = client::Storage::open(options.location, open);
  if (!storage) return storage.error();
  Result<void> printed;
  auto read = (*storage)->read([&](const replay::State& state) {
    auto study = find(state, options);
    if (!study) {
      printed = study.error();
      return;
    }
    const Selection selection = select(state, **study, options);
    if (options.json)
      printed = print_json(selection, out);
    else if (options.csv)
      printed = print_csv(selection, out);
    else
      printed = print_table(selection, out);
  });
  if (!read) return read;
  return printed;
}

}  // namespace oj::cli
