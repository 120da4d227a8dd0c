// SPDX-License-Identifier: MIT
#include "cli/record_line.h"

#include <fmt/format.h>

#include "base/check.h"
#include "cli/json.h"
#include "cli/numbers.h"
#include "cli/text.h"
#include "cli/values.h"
#include "schema/orphan_policy.h"

namespace oj::cli {
namespace {

constexpr std::size_t kOperationColumns = 25;  // the longest name, setTrialIntermediateValue

using Fields = std::vector<OperationText::Field>;

std::string shown_numbers(std::span<const double> values) {
  std::string out;
  for (const double value : values) out += (out.empty() ? "" : ", ") + short_number(value);
  return values.size() == 1 ? out : "[" + out + "]";
}

std::string json_numbers(std::span<const double> values) {
  Json json;
  json.array();
  for (const double value : values) json.number(value);
  return json.end_array().take();
}

void add_directions(Fields& fields, std::span<const schema::Direction> directions) {
  std::string text;
  Json json;
  json.array();
  for (const schema::Direction direction : directions) {
    text += fmt::format("{}{}", text.empty() ? "" : ",", direction_name(direction));
    json.text(direction_name(direction));
  }
  fields.push_back({"directions", text, json.end_array().take()});
}

void add_attr(Fields& fields, const schema::Attr& attr) {
  fields.push_back({shown_word(attr.key), shown_value(attr.value), ""});
  fields.push_back({"key", "", json_string(attr.key)});
  fields.push_back({"value", "", json_value(attr.value)});
}

void add_attrs(Fields& fields, const char* name, std::span<const schema::Attr> attrs) {
  if (attrs.empty()) return;
  std::string text;
  Json json;
  json.object();
  for (const schema::Attr& attr : attrs) {
    text += fmt::format("{}{}={}", text.empty() ? "" : ", ", shown_word(attr.key),
                        shown_value(attr.value));
    json.key(attr.key).raw(json_value(attr.value));
  }
  fields.push_back({name, "{" + text + "}", json.end_object().take()});
}

void add_time(Fields& fields, const char* name, std::int64_t time_us) {
  fields.push_back({name, "", json_string(iso_time_utc(time_us))});
}

void add_state(Fields& fields, schema::TrialState state,
               const std::optional<std::span<const double>>& values) {
  fields.push_back({"state", state_name(state), json_string(state_name(state))});
  if (values) fields.push_back({"values", shown_numbers(*values), json_numbers(*values)});
}

void add_param(Fields& fields, const schema::Param& param) {
  const std::string value = shown_value(external(param));
  fields.push_back({shown_word(param.name),
                    fmt::format("{} ({})", value, shown_distribution(param.distribution)), ""});
  fields.push_back({"param", "", json_string(param.name)});
  fields.push_back({"value", "", json_value(external(param))});
  fields.push_back({"internal", "", json_number(param.internal)});
  fields.push_back({"distribution", "", json_distribution(param.distribution)});
}

void add_template(Fields& fields, const schema::CreateTrial& create) {
  add_state(fields, create.state, create.values);
  if (create.start_us) add_time(fields, "start", *create.start_us);
  if (create.complete_us) add_time(fields, "complete", *create.complete_us);
  if (!create.params.empty()) {
    std::string text;
    Json values, distributions;
    values.object();
    distributions.object();
    for (const schema::Param& param : create.params) {
      text += fmt::format("{}{}={}", text.empty() ? "" : ", ", shown_word(param.name),
                          shown_value(external(param)));
      values.key(param.name).raw(json_value(external(param)));
      distributions.key(param.name).raw(json_distribution(param.distribution));
    }
    fields.push_back({"params", "{" + text + "}", values.end_object().take()});
    fields.push_back({"distributions", "", distributions.end_object().take()});
  }
  add_attrs(fields, "user_attrs", create.user_attrs);
  add_attrs(fields, "system_attrs", create.system_attrs);
  if (!create.intermediate_values.empty()) {
    Json json;
    json.object();
    for (const auto& [step, value] : create.intermediate_values)
      json.key(std::to_string(step)).number(value);
    fields.push_back({"intermediate_values",
                      fmt::format("{} steps", create.intermediate_values.size()),
                      json.end_object().take()});
  }
}

void add_gpus(Fields& fields, std::span<const schema::Gpu> gpus) {
  if (gpus.empty()) return;
  std::string text;
  Json json;
  json.array();
  for (const schema::Gpu& gpu : gpus) {
    text += fmt::format("{}{}", text.empty() ? "" : ", ",
                        shown(gpu.name.empty() ? gpu.uuid : gpu.name));
    json.object().key("uuid").text(gpu.uuid).key("name").text(gpu.name).end_object();
  }
  fields.push_back({"gpus", "[" + text + "]", json.end_array().take()});
}

// Which study and trial an operation is about, and what it says of them.
struct Describer {
  OperationText& text;
  const replay::State& state;

  void study(schema::StudyId id) {
    text.study_id = id;
    if (const replay::Study* known = state.study(id)) text.study = known->name;
  }
  void trial(schema::TrialId id) {
    text.trial_id = id;
    const replay::Trial* known = state.trial(id);
    if (known == nullptr) return;
    text.trial = known->number;
    study(known->study);
  }

  std::string session_name(schema::SessionId id) const {
    const auto found = state.sessions().find(id);
    return found == state.sessions().end()
               ? std::to_string(id)
               : fmt::format("{}[{}]", shown(found->second.command), found->second.pid);
  }

  void ended(schema::SessionId id) {
    const auto found = state.sessions().find(id);
    if (found != state.sessions().end())
      text.ended = WorkerName{found->second.command, found->second.pid};
  }

  void operator()(const schema::CreateStudy& op) {
    text.study = std::string(op.name);
    add_directions(text.fields, op.directions);
  }
  void operator()(const schema::DeleteStudy& op) { study(op.study); }
  void operator()(const schema::SetStudyUserAttr& op) {
    study(op.study);
    add_attr(text.fields, op.attr);
  }
  void operator()(const schema::SetStudySystemAttr& op) {
    study(op.study);
    add_attr(text.fields, op.attr);
  }
  void operator()(const schema::CreateTrial& op) {
    study(op.study);
    text.state = op.state;
    add_template(text.fields, op);
  }
  void operator()(const schema::SetTrialParam& op) {
    trial(op.trial);
    add_param(text.fields, op.param);
  }
  void operator()(const schema::SetTrialStateValues& op) {
    trial(op.trial);
    text.state = op.state;
    add_state(text.fields, op.state, op.values);
    add_time(text.fields, "at", op.time_us);
  }
  void operator()(const schema::SetTrialIntermediateValue& op) {
    trial(op.trial);
    text.fields.push_back({"step", std::to_string(op.value.step), std::to_string(op.value.step)});
    text.fields.push_back({"value", short_number(op.value.value), json_number(op.value.value)});
  }
  void operator()(const schema::SetTrialUserAttr& op) {
    trial(op.trial);
    add_attr(text.fields, op.attr);
  }
  void operator()(const schema::SetTrialSystemAttr& op) {
    trial(op.trial);
    add_attr(text.fields, op.attr);
  }
  void operator()(const schema::SessionStarted& op) {
    text.fields.push_back({"pid", std::to_string(op.pid), std::to_string(op.pid)});
    text.fields.push_back({"uid", std::to_string(op.uid), std::to_string(op.uid)});
    text.fields.push_back({"host", shown_word(op.host), json_string(op.host)});
    text.fields.push_back({"command", shown_word(op.command), json_string(op.command)});
    const auto add = [&](const char* name, std::string_view said) {
      if (!said.empty()) text.fields.push_back({name, shown_word(said), json_string(said)});
    };
    add("user", op.user);
    add("container", op.container);
    if (op.cuda_visible_devices) {
      text.fields.push_back({"cuda_visible_devices", shown_word(*op.cuda_visible_devices),
                             json_string(*op.cuda_visible_devices)});
    }
    add_gpus(text.fields, op.gpus);
    if (op.orphans != schema::OrphanPolicy()) add("orphans", schema::text_of(op.orphans));
    if (op.former != 0)
      text.fields.push_back({"former", std::to_string(op.former), std::to_string(op.former)});
  }
  void operator()(const schema::SessionEnded& op) {
    const bool died = op.reason == schema::SessionEnded::Reason::kDied;
    ended(op.session);
    text.fields.push_back({"session", session_name(op.session), std::to_string(op.session)});
    text.fields.push_back({"reason", died ? "died" : "closed", died ? "\"died\"" : "\"closed\""});
  }
  void operator()(const schema::EndOrphan& op) {
    trial(op.trial);
    text.state = schema::TrialState::kFail;
    ended(op.session);
    text.fields.push_back({"of", session_name(op.session), ""});
    text.fields.push_back({"orphan_of", "", std::to_string(op.session)});
    if (op.retries_max > 0) {
      text.fields.push_back(
          {"retries_max", std::to_string(op.retries_max), std::to_string(op.retries_max)});
    }
    add_time(text.fields, "at", op.time_us);
  }
  void operator()(const schema::Tombstone& op) {
    text.fields.push_back({"reason", shown_word(op.reason), json_string(op.reason)});
  }
};

std::string outcome_text(const replay::Outcome& outcome) {
  switch (outcome.code) {
    case replay::OutcomeCode::kDone: return "done";
    case replay::OutcomeCode::kUnchanged: return "unchanged";
    case replay::OutcomeCode::kNoSuchStudy: return "refused: no such study";
    case replay::OutcomeCode::kNoSuchTrial: return "refused: no such trial";
    case replay::OutcomeCode::kStudyExists: return "refused: the study exists";
    case replay::OutcomeCode::kTrialFinished: return "refused: the trial is finished";
    case replay::OutcomeCode::kIncompatible: return "refused: incompatible distribution";
  }
  return "?";
}

// The state that an operation, if it is done, brings its trial into.
std::optional<schema::TrialState> state_after(const schema::Operation& operation) {
  if (const auto* create = std::get_if<schema::CreateTrial>(&operation)) return create->state;
  if (const auto* set = std::get_if<schema::SetTrialStateValues>(&operation)) return set->state;
  if (std::holds_alternative<schema::EndOrphan>(operation)) return schema::TrialState::kFail;
  return std::nullopt;
}

Style style_of(const OperationText& op) {
  if (op.outcome != "done") return Style::kDim;
  if (op.operation == "tombstone") return Style::kRed;
  if (op.operation == "sessionStarted" || op.operation == "sessionEnded") return Style::kYellow;
  if (op.operation == "createStudy" || op.operation == "deleteStudy") return Style::kGreen;
  if (op.operation == "endOrphan") return Style::kYellow;
  if (op.operation == "createTrial" || op.operation == "setTrialStateValues") return Style::kCyan;
  return Style::kPlain;
}

std::string operation_line(const OperationText& op, const Output& out) {
  std::string line =
      out.styled(style_of(op), fmt::format("{:<{}}", op.operation, kOperationColumns));
  if (op.study) {
    line += ' ' + shown_word(*op.study);
  } else if (op.study_id) {
    line += fmt::format(" (unknown study {})", *op.study_id);
  }
  if (op.trial) {
    line += fmt::format(" #{}", *op.trial);
  } else if (op.trial_id) {
    line += fmt::format(" (unknown trial {})", *op.trial_id);
  }
  for (const auto& field : op.fields) {
    if (!field.text.empty()) line += fmt::format("  {}={}", field.key, field.text);
  }
  if (op.outcome != "done") line += out.styled(Style::kYellow, fmt::format("  [{}]", op.outcome));
  return line;
}

std::string session_text(const RecordText& text) {
  if (text.header.session == 0) return "optjournald";
  if (text.session) return fmt::format("{}[{}]", shown(text.session->command), text.session->pid);
  return fmt::format("session {}", text.header.session);
}

}  // namespace

RecordText describe(std::uint64_t seq, const schema::DecodedRecord& record,
                    const replay::State& before) {
  RecordText text;
  text.seq = seq;
  text.header = record.header;
  const auto session = before.sessions().find(record.header.session);
  if (session != before.sessions().end()) text.session = session->second;
  for (const schema::Operation& operation : record.operations) {
    OperationText& op = text.operations.emplace_back();
    op.operation = schema::operation_name(operation);
    std::visit(Describer{op, before}, operation);
  }
  return text;
}

void complete(RecordText& text, const schema::DecodedRecord& record,
              std::span<const replay::Outcome> outcomes, const replay::State& after) {
  OJ_CHECK(text.operations.size() == record.operations.size());
  if (!text.session) {  // the record that starts a session is the first to need it
    const auto session = after.sessions().find(record.header.session);
    if (session != after.sessions().end()) text.session = session->second;
  }
  for (std::size_t i = 0; i < text.operations.size() && i < outcomes.size(); ++i) {
    OperationText& op = text.operations[i];
    op.outcome = outcome_text(outcomes[i]);
    if (outcomes[i].code != replay::OutcomeCode::kDone) continue;
    op.state = state_after(record.operations[i]);
    if (std::holds_alternative<schema::CreateStudy>(record.operations[i]))
      op.study_id = outcomes[i].id;
    if (std::holds_alternative<schema::CreateTrial>(record.operations[i])) {
      op.trial_id = outcomes[i].id;
      if (const replay::Trial* trial = after.trial(outcomes[i].id)) op.trial = trial->number;
    }
    if (std::holds_alternative<schema::EndOrphan>(record.operations[i]) &&
        outcomes[i].id != replay::kNoTrial) {
      if (const replay::Trial* copy = after.trial(outcomes[i].id))
        op.fields.push_back(
            {"retried_as", fmt::format("#{}", copy->number), std::to_string(copy->number)});
    }
    // An earlier operation of the same record may have made what this one is about.
    if (op.trial_id && !op.trial) {
      const replay::Trial* trial = after.trial(*op.trial_id);
      if (trial != nullptr) {
        op.trial = trial->number;
        op.study_id = trial->study;
      }
    }
    if (op.study_id && !op.study) {
      if (const replay::Study* study = after.study(*op.study_id)) op.study = study->name;
    }
  }
}

std::string line_of(const RecordText& text, const Output& out) {
  std::string line = fmt::format("{:>8}  ", text.seq);
  if (!text.bad.empty())
    return line +
           out.styled(Style::kRed, "damaged record, skipped by everybody: " + shown(text.bad));
  line += out.styled(Style::kDim, local_time(text.header.time_us));
  line += fmt::format("  {:<18}  ", session_text(text));
  for (std::size_t i = 0; i < text.operations.size(); ++i) {
    if (i > 0) line += " | ";
    line += operation_line(text.operations[i], out);
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

std::string json_of(const RecordText& text) {
  Json json;
  json.object().key("seq").integer(text.seq);
  if (!text.bad.empty())
    return json.key("damaged")
        .text(text.bad)
        .key("operations")
        .array()
        .end_array()
        .end_object()
        .take();
  json.key("time").text(iso_time_utc(text.header.time_us));
  json.key("session").integer(text.header.session).key("op_no").integer(text.header.op_no);
  if (text.session)
    json.key("pid").integer(text.session->pid).key("command").text(text.session->command);
  json.key("operations").array();
  for (const OperationText& op : text.operations) {
    json.object().key("operation").text(op.operation).key("outcome").text(op.outcome);
    if (op.study) json.key("study").text(*op.study);
    if (op.study_id) json.key("study_id").integer(*op.study_id);
    if (op.trial) json.key("trial").integer(*op.trial);
    if (op.trial_id) json.key("trial_id").integer(*op.trial_id);
    for (const auto& field : op.fields) {
      if (!field.json.empty()) json.key(field.key).raw(field.json);
    }
    json.end_object();
  }
  return json.end_array().end_object().take();
}

}  // namespace oj::cli
