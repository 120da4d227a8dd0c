// One record as a line for people, or as a JSON object.
//
// What an operation says is read together with the state around it: a trial's number and a study's
// name are known only to the state; a deleted study's name only before, a created trial's number
// and the outcome only after.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/output.h"
#include "replay/state.h"
#include "schema/codec.h"

namespace oj::cli {

struct WorkerName {
  std::string command;
  std::uint32_t pid = 0;
};

struct OperationText {
  std::string operation;  // "setTrialParam"
  std::optional<schema::StudyId> study_id;
  std::optional<std::string> study;  // its name, when the state knows it
  std::optional<schema::TrialId> trial_id;
  std::optional<std::uint64_t> trial;       // its number in the study
  std::optional<schema::TrialState> state;  // into which the operation brought the trial
  std::optional<WorkerName> ended;          // the worker whose end this tells
  struct Field {
    std::string key;
    std::string text;  // for a terminal; empty: only JSON tells it
    std::string json;
  };
  std::vector<Field> fields;
  std::string outcome = "done";  // or "unchanged", or why the order refused it
};

struct RecordText {
  std::uint64_t seq = 0;
  schema::RecordHeader header;
  std::optional<replay::SessionInfo> session;
  std::string
      bad;  // not empty: the record failed its checks, and this is why; there are no operations
  std::vector<OperationText> operations;
};

// In two steps around State::apply().
RecordText describe(std::uint64_t seq, const schema::DecodedRecord& record,
                    const replay::State& before);
void complete(RecordText& text, const schema::DecodedRecord& record,
              std::span<const replay::Outcome> outcomes, const replay::State& after);

// Without a line break at the end.
std::string line_of(const RecordText& text, const Output& out);
std::string json_of(const RecordText& text);

}  // namespace oj::cli
